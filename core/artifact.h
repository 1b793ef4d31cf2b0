/* SPDX-License-Identifier: MIT */
/*
 * S3 as a client reaches it. The rest of artifact.c is public: the files of a job (cpl_job_input_...,
 * cpl_job_output_...) and of a client (cpl_client_upload, cpl_client_download).
 */
#ifndef CPL_ARTIFACT_H
#define CPL_ARTIFACT_H

#include "client.h"
#include "s3.h"

/* Points into client. */
cpl_s3 cpl_s3_of_client(const cpl_client *client);

#endif
