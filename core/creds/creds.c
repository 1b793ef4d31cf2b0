/* SPDX-License-Identifier: MIT */
#include "creds.h"

#include <stdatomic.h>

#include "../err.h"

static const cpl_creds_provider *const chain[] = {&cpl_creds_environment, &cpl_creds_profile};

/* ---- sets ---- */

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

static void retain(cpl_creds_set *set) {
    atomic_fetch_add_explicit(&((counted_set *)set)->count, 1, memory_order_relaxed);
}

void cpl_creds_drop(const cpl_creds_set *set) {
    counted_set *whole = (counted_set *)set;
    if (whole == NULL || atomic_fetch_sub_explicit(&whole->count, 1, memory_order_acq_rel) > 1) return;
    cpl_wipe(whole, whole->size);
    cpl_free(whole);
}

/* ---- what providers share ---- */

static bool is_plain(cpl_str text) {
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c <= ' ' || c >= 0x7f) return false;
    }
    return true;
}

cpl_status cpl_creds_from_texts(const cpl_creds_texts *texts, cpl_creds_set **out, cpl_error *err) {
    cpl_credentials found = {cpl_str_of(texts->text[0]), cpl_str_of(texts->text[1]), cpl_str_of(texts->text[2])};
    *out = NULL;
    if (found.access_key_id.n == 0 && found.secret_access_key.n == 0) return CPL_OK;
    for (size_t i = 0; i < 2; i++) {
        if (texts->text[i] == NULL)
            return cpl_fail(err, CPL_CREDENTIALS, "%s has %s, but no %s", texts->place, texts->name[1 - i],
                            texts->name[i]);
    }
    for (size_t i = 0; i < CPL_COUNT(texts->text); i++) {
        if (!is_plain(cpl_str_of(texts->text[i])))
            return cpl_fail(err, CPL_CREDENTIALS, "%s of %s has a space or another character that no key has",
                            texts->name[i], texts->place);
    }
    *out = cpl_creds_set_new(&found, 0, texts->source);
    return *out ? CPL_OK : cpl_fail_nomem(err);
}

/* ---- the chain ---- */

struct cpl_creds {
    const cpl_config *config;
    _Atomic(cpl_creds_set *) current; /* once there it stays, so that to read it takes no lock */
};

static cpl_status check_given(const cpl_credentials *given, cpl_error *err) {
    const struct {
        const char *name;
        cpl_str text;
        bool required;
    } parts[] = {{"access_key_id", given->access_key_id, true},
                 {"secret_access_key", given->secret_access_key, true},
                 {"session_token", given->session_token, false}};
    for (size_t i = 0; i < CPL_COUNT(parts); i++) {
        if (parts[i].required && parts[i].text.n == 0)
            return cpl_fail_at(err, CPL_INVALID, parts[i].name, "%s: missing, and keys come as a pair", parts[i].name);
        if (!is_plain(parts[i].text))
            return cpl_fail_at(err, CPL_INVALID, parts[i].name, "%s: has a space or another character that no key has",
                               parts[i].name);
    }
    return CPL_OK;
}

static bool is_given(const cpl_credentials *given) {
    return given && (given->access_key_id.n > 0 || given->secret_access_key.n > 0 || given->session_token.n > 0);
}

cpl_status cpl_creds_new(cpl_creds **out, const cpl_config *config, const cpl_credentials *given, cpl_error *err) {
    cpl_creds *made;
    cpl_creds_set *set = NULL;
    cpl_status status = is_given(given) ? check_given(given, err) : CPL_OK;
    *out = NULL;
    if (status) return status;
    made = cpl_calloc(1, sizeof *made);
    if (made == NULL) return cpl_fail_nomem(err);
    if (is_given(given)) {
        set = cpl_creds_set_new(given, 0, "arguments");
        if (set == NULL) {
            cpl_free(made);
            return cpl_fail_nomem(err);
        }
    }
    made->config = config;
    atomic_init(&made->current, set);
    *out = made;
    return CPL_OK;
}

void cpl_creds_free(cpl_creds *creds) {
    if (creds == NULL) return;
    cpl_creds_drop(atomic_load(&creds->current));
    cpl_free(creds);
}

static cpl_status refuse(const cpl_config *config, cpl_error *err) {
    const char *profile = cpl_config_profile(config);
    if (cpl_config_profile_given(config))
        return cpl_fail(err, CPL_CREDENTIALS, "no credentials: profile \"%s\" has no aws_access_key_id", profile);
    return cpl_fail(err, CPL_CREDENTIALS,
                    "no credentials: the environment has no AWS_ACCESS_KEY_ID, and profile \"%s\" no aws_access_key_id",
                    profile);
}

static cpl_status find(const cpl_config *config, int64_t now_s, const cpl_wait *wait, cpl_creds_set **out,
                       cpl_error *err) {
    for (size_t i = 0; i < CPL_COUNT(chain); i++) {
        cpl_status status;
        if (chain[i]->environment && cpl_config_profile_given(config)) continue;
        status = chain[i]->find(config, now_s, wait, out, err);
        if (status || *out) return status;
    }
    return refuse(config, err);
}

cpl_status cpl_creds_acquire(cpl_creds *creds, int64_t now_s, const cpl_wait *wait, const cpl_creds_set **out,
                             cpl_error *err) {
    cpl_creds_set *set = atomic_load_explicit(&creds->current, memory_order_acquire), *none = NULL;
    *out = NULL;
    if (set == NULL) {
        cpl_status status = find(creds->config, now_s, wait, &set, err);
        if (status) return status;
        if (!atomic_compare_exchange_strong(&creds->current, &none, set)) {
            cpl_creds_drop(set); /* another thread was first; its set says the same */
            set = none;
        }
    }
    retain(set);
    *out = set;
    return CPL_OK;
}
