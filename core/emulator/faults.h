/* SPDX-License-Identifier: MIT */
/* Trouble that was asked for: which request it strikes, and what is answered instead of the truth. */
#ifndef CPL_EMU_FAULTS_H
#define CPL_EMU_FAULTS_H

#include "message.h"

typedef struct emu_faults emu_faults;

emu_faults *emu_faults_new(void); /* NULL: out of memory */
void emu_faults_free(emu_faults *faults);
void emu_faults_clear(emu_faults *faults);
/* CPL_INVALID names the member at fault. */
cpl_status emu_faults_add(emu_faults *faults, const cpl_fault *fault, cpl_error *err);

/* [{kind, operation, job_id, times}, ...]: those that may still strike. */
void emu_faults_write(const emu_faults *faults, cpl_buf *out);

/* [{kind, bytes}, ...]: all that there are, and whether they count bytes. */
void emu_fault_kinds_write(cpl_buf *out);

/* "PutJobSuccessResult", "GetObject", ...: what a fault calls a request; absent for one that has no name. */
cpl_str emu_request_name(const emu_request *request);

typedef struct emu_fault emu_fault;
/* The fault that strikes this request, or NULL; it is counted. Lives until the next call. */
const emu_fault *emu_faults_strike(emu_faults *faults, const emu_request *request);
/* Whether the service does its work all the same, and only the answer suffers. */
bool emu_fault_is_late(const emu_fault *fault);
const char *emu_fault_kind(const emu_fault *fault);
/* Turns what would be answered into what is, in the words of the service that was asked. */
void emu_fault_spoil(const emu_fault *fault, const emu_request *request, emu_response *response);

#endif
