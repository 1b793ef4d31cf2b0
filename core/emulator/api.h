/* SPDX-License-Identifier: MIT */
/* The CodePipeline API over HTTP: POST / with an X-Amz-Target. */
#ifndef CPL_EMU_API_H
#define CPL_EMU_API_H

#include "message.h"

/* "ListPipelines"; what was asked for, if it is another service's. */
cpl_str emu_api_operation(const emu_request *request);
void emu_api_answer(emu *e, const emu_request *request, emu_response *response);

#endif
