/* SPDX-License-Identifier: MIT */
/* Webhooks: URLs that start a pipeline when an event that passes their checks is posted to them. */
#ifndef CPL_EMU_WEBHOOK_H
#define CPL_EMU_WEBHOOK_H

#include "message.h"

/*
 * A webhook (EMU_WEBHOOK, by name):
 *   {"definition": as PutWebhook took it, "token": the end of its URL, "arn", "lastTriggered", "errorCode",
 *    "errorMessage"}
 */

/* Answers a request to a webhook's URL: 200 when it was taken in, whether or not its filters let it start something. */
void emu_webhook_answer(emu *e, const emu_request *request, emu_response *response);

/* The caller has proved who it is, by the definition's kind of authentication. */
bool emu_webhook_authentic(const cpl_json *definition, const emu_request *request);
/* "10.0.0.0/8", "2001:db8::/32", or one address; false: it is none. */
bool emu_ip_range_valid(const char *range);
bool emu_ip_in_range(const char *range, cpl_str address);

/* A JsonPath of names, positions and *: "$.commits[*].id", "$['ref']". */
bool emu_json_path_valid(cpl_str path);
/* One of the values that path finds in event is wanted (NULL: any will do), as text. */
bool emu_json_path_matches(cpl_str path, const cpl_json *event, const cpl_str *wanted);

#endif
