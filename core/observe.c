/* SPDX-License-Identifier: MIT */
#include "observe.h"

#include "err.h"
#include "redact.h"

static cpl_status tell(const cpl_observed *observed, cpl_call_event *event, cpl_str document, uint16_t shape,
                       cpl_error *err) {
    cpl_buf text;
    int stop;
    cpl_buf_init(&text, 2 * CPL_REDACT_MAX + (64u << 10));
    if (document.n > 0) cpl_redact(&text, document, shape);
    event->client = observed->client;
    event->operation = observed->operation->info.name;
    event->url = observed->url;
    event->attempt = observed->attempt;
    event->text = cpl_buf_ok(&text) ? cpl_buf_str(&text) : CPL_LIT("...");
    stop = observed->observer->event(observed->observer->context, event);
    cpl_buf_release(&text);
    return stop ? cpl_fail(err, CPL_CANCELLED, "cancelled") : CPL_OK;
}

cpl_status cpl_observe_request(const cpl_observed *observed, const cpl_header *headers, size_t count, cpl_str body,
                               cpl_error *err) {
    cpl_call_event event = {.stage = CPL_CALL_REQUEST, .sent = headers, .sent_count = count};
    if (observed->observer == NULL) return CPL_OK;
    return tell(observed, &event, body, observed->operation->input, err);
}

cpl_status cpl_observe_response(const cpl_observed *observed, const cpl_reply *reply, int64_t duration_ms,
                                cpl_status status, cpl_error *err) {
    cpl_call_event event = {.stage = CPL_CALL_RESPONSE,
                            .status = status,
                            .http_status = reply->response.status,
                            .duration_ms = duration_ms,
                            .request_id = reply->response.status ? reply->request_id : "",
                            .code = status == CPL_SERVICE ? err->code : "",
                            .message = status ? err->message : "",
                            .reply = reply};
    cpl_status told;
    if (observed->observer == NULL) return status;
    told = tell(observed, &event, status ? CPL_LIT("") : cpl_reply_text(reply), reply->shape, err);
    return told ? told : status;
}

static bool is_secret_header(cpl_str name) {
    return cpl_str_is_nocase(name, "authorization") || cpl_str_is_nocase(name, "x-amz-security-token") ||
           cpl_str_is_nocase(name, "set-cookie");
}

bool cpl_call_event_header(const cpl_call_event *event, size_t i, cpl_str *name, cpl_str *value) {
    const cpl_header *sent = event->sent;
    if (event->reply) {
        if (!cpl_reply_header(event->reply, i, name, value)) return false;
    } else {
        if (i >= event->sent_count) return false;
        *name = sent[i].name;
        *value = sent[i].value;
    }
    if (is_secret_header(*name)) *value = CPL_LIT("***");
    return true;
}
