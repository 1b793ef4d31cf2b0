/* SPDX-License-Identifier: MIT */
/*
 * The customers of a worker of third-party jobs: their client tokens, which every call about a job of theirs needs.
 * Tokens are asked of the program, kept in memory alone, wiped when they are not needed. Thread-safe.
 */
#ifndef CPL_CUSTOMERS_H
#define CPL_CUSTOMERS_H

#include "buf.h"

typedef struct cpl_customers cpl_customers;

cpl_customers *cpl_customers_new(void); /* NULL: out of memory */
void cpl_customers_free(cpl_customers *all);
/* The id as it lives as long as all of them; NULL when out of memory. */
const char *cpl_customers_named(cpl_customers *all, cpl_str client_id);
/* Adds the token to out. CPL_CREDENTIALS when it is not known; it is wanted then, unless it was asked for just now. */
cpl_status cpl_customers_token(cpl_customers *all, const char *client_id, cpl_buf *out, cpl_error *err);
/* Whether the token is known. */
bool cpl_customers_has(cpl_customers *all, const char *client_id);
/* Whose token is wanted; NULL when nobody's is. asking: to tell the program, which then should give it. */
const char *cpl_customers_wanted(cpl_customers *all, bool asking);
/* CPL_INVALID: nobody has that id, or the token is not text of the service's length. Empty: there is none. */
cpl_status cpl_customers_give(cpl_customers *all, cpl_str client_id, cpl_str token, cpl_error *err);
/* What was asked for and not given is not wanted again for a minute. */
void cpl_customers_lapse(cpl_customers *all);
/* The service refused the token. */
void cpl_customers_refuse(cpl_customers *all, const char *client_id);

#endif
