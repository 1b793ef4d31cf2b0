/* SPDX-License-Identifier: MIT */
/* The S3 subset over HTTP, path style: /bucket/key. */
#ifndef CPL_EMU_S3_H
#define CPL_EMU_S3_H

#include "message.h"

void emu_s3_answer(emu *e, const emu_request *request, emu_response *response);

#endif
