/* SPDX-License-Identifier: MIT */
/* The CodePipeline API over HTTP: POST / with an X-Amz-Target. */
#ifndef CPL_EMU_API_H
#define CPL_EMU_API_H

#include "message.h"

void emu_api_answer(emu *e, const emu_request *request, emu_response *response);

#endif
