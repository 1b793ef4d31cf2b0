/* SPDX-License-Identifier: MIT */
/*
 * An object of a job's in S3 that should not outlive the job. It travels with the job's result, and whoever gets that
 * accepted removes it: the job may be gone by then.
 */
#ifndef CPL_LEFTOVER_H
#define CPL_LEFTOVER_H

#include "s3.h"

typedef struct cpl_leftover cpl_leftover;

/* All is copied, what s3 points to is not; kms_key_id as in cpl_s3_source. NULL when out of memory. */
cpl_leftover *cpl_leftover_new(const cpl_s3 *s3, const cpl_s3_target *what, const char *kms_key_id);
void cpl_leftover_free(cpl_leftover *leftover); /* NULL is fine; wipes the credentials */
/*
 * Deletes the object, within seconds. Credentials that may write it and not delete it leave an empty one, which is good
 * enough. Else err says what is left. NULL is fine: CPL_OK.
 */
cpl_status cpl_leftover_remove(const cpl_leftover *leftover, cpl_error *err);

#endif
