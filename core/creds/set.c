/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>

#include "../clock.h"
#include "../err.h"
#include "provider.h"

typedef struct counted_set {
    cpl_creds_set set; /* first: a pointer to it is a pointer to the whole */
    atomic_int count;
    size_t size;
    char texts[];
} counted_set;

static cpl_str keep(counted_set *owner, size_t *at, cpl_str text) {
    char *to = owner->texts + *at;
    if (text.n == 0) return (cpl_str){NULL, 0};
    memcpy(to, text.p, text.n);
    to[text.n] = '\0';
    *at += text.n + 1;
    return (cpl_str){to, text.n};
}

cpl_creds_set *cpl_creds_set_new(const cpl_credentials *from, int64_t expires_s, const char *source) {
    size_t n = from->access_key_id.n + from->secret_access_key.n + from->session_token.n + 3, at = 0;
    counted_set *made = cpl_malloc(sizeof *made + n);
    if (made == NULL) return NULL;
    atomic_init(&made->count, 1);
    made->size = sizeof *made + n;
    made->set.view.access_key_id = keep(made, &at, from->access_key_id);
    made->set.view.secret_access_key = keep(made, &at, from->secret_access_key);
    made->set.view.session_token = keep(made, &at, from->session_token);
    made->set.expires_s = expires_s;
    made->set.source = source;
    return &made->set;
}

void cpl_creds_set_retain(cpl_creds_set *set) {
    atomic_fetch_add_explicit(&((counted_set *)set)->count, 1, memory_order_relaxed);
}

void cpl_creds_drop(const cpl_creds_set *set) {
    counted_set *whole = (counted_set *)set;
    if (whole == NULL || atomic_fetch_sub_explicit(&whole->count, 1, memory_order_acq_rel) > 1) return;
    cpl_wipe(whole, whole->size);
    cpl_free(whole);
}

/* ---- out of what a place says ---- */

bool cpl_creds_is_plain(cpl_str text) {
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c <= ' ' || c >= 0x7f) return false;
    }
    return true;
}

cpl_status cpl_creds_from_texts(const cpl_creds_texts *texts, cpl_creds_set **out, cpl_error *err) {
    const cpl_credentials found = {texts->text[0], texts->text[1], texts->text[2]};
    *out = NULL;
    if (found.access_key_id.n == 0 && found.secret_access_key.n == 0) return CPL_OK;
    for (size_t i = 0; i < 2; i++) {
        if (texts->text[i].n == 0)
            return cpl_fail(err, CPL_CREDENTIALS, "%s has %s, but no %s", texts->place, texts->name[1 - i],
                            texts->name[i]);
    }
    for (size_t i = 0; i < CPL_COUNT(texts->text); i++) {
        if (!cpl_creds_is_plain(texts->text[i]))
            return cpl_fail(err, CPL_CREDENTIALS, "%s of %s has a space or another character that no key has",
                            texts->name[i], texts->place);
    }
    *out = cpl_creds_set_new(&found, texts->expires_s, texts->source);
    return *out ? CPL_OK : cpl_fail_nomem(err);
}

cpl_status cpl_creds_require_texts(const cpl_creds_texts *texts, cpl_creds_set **out, cpl_error *err) {
    cpl_status status = cpl_creds_from_texts(texts, out, err);
    if (status || *out) return status;
    return cpl_fail(err, CPL_CREDENTIALS, "%s has no %s", texts->place, texts->name[0]);
}

cpl_status cpl_creds_from_json(const cpl_json *object, const cpl_creds_document *document, cpl_creds_set **out,
                               cpl_error *err) {
    cpl_creds_texts texts = {.place = document->place, .source = document->source};
    cpl_str expires = cpl_json_get_str(object, document->name[3]);
    double seconds = 0;
    *out = NULL;
    for (size_t i = 0; i < CPL_COUNT(texts.name); i++) {
        texts.name[i] = document->name[i];
        texts.text[i] = cpl_json_get_str(object, document->name[i]);
    }
    if (expires.n > 0 && !cpl_time_parse(expires, &seconds))
        return cpl_fail(err, CPL_CREDENTIALS, "%s of %s is not a time", document->name[3], document->place);
    texts.expires_s = (int64_t)seconds;
    return cpl_creds_require_texts(&texts, out, err);
}

cpl_status cpl_creds_parse_json(cpl_str text, const char *place, cpl_json **out, cpl_error *err) {
    cpl_error why = {.status = CPL_OK};
    cpl_status status = cpl_json_parse(text, out, &why);
    if (status == CPL_NOMEM) return cpl_fail_nomem(err);
    if (status) return cpl_fail(err, CPL_CREDENTIALS, "%s gave no valid JSON: %s", place, why.message);
    if (cpl_json_kind_of(*out) == CPL_JSON_OBJECT) return CPL_OK;
    cpl_json_free(*out);
    *out = NULL;
    return cpl_fail(err, CPL_CREDENTIALS, "%s gave JSON that is not an object", place);
}
