/* SPDX-License-Identifier: MIT */
/* Canned answers in the service's place, for tests; what those who write the tests see is in codepipeline.h. */
#ifndef CPL_STUB_H
#define CPL_STUB_H

#include "http.h"
#include "model.h"

typedef struct cpl_canned cpl_canned;

void cpl_stub_retain(cpl_stub *stub);
/* The next answer, if it is for that call; then cpl_canned_answer() or cpl_stub_put_back() ends it. CPL_UNEXPECTED. */
cpl_status cpl_stub_take(cpl_stub *stub, const cpl_operation *operation, cpl_str params, cpl_canned **out,
                         cpl_error *err);
void cpl_stub_put_back(cpl_stub *stub, cpl_canned *canned); /* it is the next one again */
/* As if it had been sent; frees *canned and makes it NULL. */
void cpl_canned_answer(cpl_canned **canned, cpl_http_response *response);

#endif
