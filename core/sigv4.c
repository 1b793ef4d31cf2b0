/* SPDX-License-Identifier: MIT */
#include "sigv4.h"

#include <stdatomic.h>

#include "clock.h"
#include "err.h"
#include "sigv4_canonical.h"

/* ---- derived keys ---- */

#define SLOTS 8
#define ID_MAX 320

typedef struct slot {
    char id[ID_MAX]; /* secret, date, region, service, each with a line feed */
    size_t id_n;     /* 0: empty */
    unsigned char key[CPL_SHA256_SIZE];
} slot;

/*
 * The lock is only ever tried. Who finds it taken (by another thread for some nanoseconds, or for good in a child that
 * was forked meanwhile) derives the key itself: eight hashes, and nobody ever waits.
 */
struct cpl_signer {
    atomic_flag busy;
    slot *slots[SLOTS]; /* NULL: not yet needed */
    size_t next;        /* the slot to fill next */
};

cpl_signer *cpl_signer_new(void) {
    cpl_signer *signer = cpl_calloc(1, sizeof *signer);
    if (signer) atomic_flag_clear(&signer->busy);
    return signer;
}

void cpl_signer_free(cpl_signer *signer) {
    if (signer == NULL) return;
    for (size_t i = 0; i < SLOTS && signer->slots[i]; i++) {
        cpl_wipe(signer->slots[i], sizeof *signer->slots[i]);
        cpl_free(signer->slots[i]);
    }
    cpl_free(signer);
}

static bool try_lock(cpl_signer *signer) {
    return !atomic_flag_test_and_set_explicit(&signer->busy, memory_order_acquire);
}

static void unlock(cpl_signer *signer) {
    atomic_flag_clear_explicit(&signer->busy, memory_order_release);
}

typedef struct key_id {
    cpl_str part[4];
} key_id;

static bool slot_is(const slot *s, const key_id *id) {
    size_t at = 0;
    for (size_t i = 0; i < CPL_COUNT(id->part); i++) {
        cpl_str part = id->part[i];
        if (part.n >= s->id_n - at || !cpl_str_eq((cpl_str){s->id + at, part.n}, part) || s->id[at + part.n] != '\n')
            return false;
        at += part.n + 1;
    }
    return at == s->id_n;
}

static bool find_key(cpl_signer *signer, const key_id *id, unsigned char *key) {
    bool found = false;
    if (!try_lock(signer)) return false;
    for (size_t i = 0; i < SLOTS && signer->slots[i] && !found; i++) {
        found = slot_is(signer->slots[i], id);
        if (found) memcpy(key, signer->slots[i]->key, CPL_SHA256_SIZE);
    }
    unlock(signer);
    return found;
}

static void fill(slot *s, const key_id *id, const unsigned char *key) {
    for (size_t i = 0; i < CPL_COUNT(id->part); i++) {
        if (id->part[i].n > 0) memcpy(s->id + s->id_n, id->part[i].p, id->part[i].n);
        s->id_n += id->part[i].n;
        s->id[s->id_n++] = '\n';
    }
    memcpy(s->key, key, CPL_SHA256_SIZE);
}

/* The slot that was filled longest ago, emptied; NULL when out of memory. */
static slot *next_slot(cpl_signer *signer) {
    slot **place = &signer->slots[signer->next % SLOTS];
    if (*place == NULL) *place = cpl_calloc(1, sizeof **place);
    if (*place == NULL) return NULL;
    signer->next++;
    cpl_wipe(*place, sizeof **place);
    return *place;
}

static cpl_status keep_key(cpl_signer *signer, const key_id *id, const unsigned char *key, cpl_error *err) {
    size_t n = 0;
    slot *s;
    for (size_t i = 0; i < CPL_COUNT(id->part); i++) {
        if (id->part[i].n >= ID_MAX - n) return CPL_OK; /* too long to keep, never too long to use */
        n += id->part[i].n + 1;
    }
    if (!try_lock(signer)) return CPL_OK;
    s = next_slot(signer);
    if (s) fill(s, id, key);
    unlock(signer);
    return s ? CPL_OK : cpl_fail_nomem(err);
}

static cpl_status derive_key(const key_id *id, unsigned char *key, cpl_error *err) {
    cpl_str steps[] = {id->part[1], id->part[2], id->part[3], CPL_LIT("aws4_request")};
    cpl_buf secret;
    cpl_str from;
    cpl_status status;
    cpl_buf_init(&secret, CPL_SIGN_TEXT_MAX);
    cpl_buf_reserve(&secret, id->part[0].n + 4); /* at once: growing would leave copies behind */
    cpl_buf_adds(&secret, "AWS4");
    cpl_buf_addv(&secret, id->part[0]);
    status = cpl_buf_status(&secret, "the secret key", err);
    from = cpl_buf_str(&secret);
    for (size_t i = 0; i < CPL_COUNT(steps) && status == CPL_OK; i++) {
        status = cpl_hmac_sha256(from, steps[i], key, err);
        from = (cpl_str){(char *)key, CPL_SHA256_SIZE};
    }
    cpl_buf_wipe(&secret);
    cpl_buf_release(&secret);
    return status;
}

static cpl_status signing_key(cpl_signer *signer, const cpl_sigv4_scope *scope, cpl_str secret, unsigned char *key,
                              cpl_error *err) {
    key_id id = {{secret, scope->date, scope->region, scope->service}};
    cpl_status status;
    if (signer && find_key(signer, &id, key)) return CPL_OK;
    status = derive_key(&id, key, err);
    return status == CPL_OK && signer ? keep_key(signer, &id, key, err) : status;
}

/* ---- what signing gives ---- */

void cpl_signature_init(cpl_signature *out) {
    *out = (cpl_signature){.date = ""};
    cpl_buf_init(&out->canonical_request, CPL_SIGN_TEXT_MAX);
    cpl_buf_init(&out->string_to_sign, CPL_SIGN_TEXT_MAX);
    cpl_buf_init(&out->authorization, CPL_SIGN_TEXT_MAX);
    cpl_buf_init(&out->query, CPL_SIGN_TEXT_MAX);
}

void cpl_signature_clear(cpl_signature *out) {
    cpl_buf_clear(&out->canonical_request);
    cpl_buf_clear(&out->string_to_sign);
    cpl_buf_clear(&out->authorization);
    cpl_buf_clear(&out->query);
    out->signature[0] = out->date[0] = out->payload_hash[0] = '\0';
}

static void wipe_and_release(cpl_buf *buf) {
    cpl_buf_wipe(buf);
    cpl_buf_release(buf);
}

void cpl_signature_release(cpl_signature *out) {
    wipe_and_release(&out->canonical_request); /* the session token is in it */
    wipe_and_release(&out->string_to_sign);
    wipe_and_release(&out->authorization);
    wipe_and_release(&out->query);
    cpl_signature_init(out);
}

static void add_scope(cpl_buf *out, const cpl_sigv4_scope *scope) {
    cpl_buf_addv(out, scope->date);
    cpl_buf_addc(out, '/');
    cpl_buf_addv(out, scope->region);
    cpl_buf_addc(out, '/');
    cpl_buf_addv(out, scope->service);
    cpl_buf_adds(out, "/aws4_request");
}

static cpl_status write_string_to_sign(const cpl_sigv4_scope *scope, cpl_signature *out, cpl_error *err) {
    char hash[CPL_SHA256_HEX_SIZE];
    cpl_buf *text = &out->string_to_sign;
    cpl_status status = cpl_sha256_hex(cpl_buf_str(&out->canonical_request), hash, err);
    if (status) return status;
    cpl_buf_reserve(text, 256);
    cpl_buf_adds(text, CPL_SIGN_ALGORITHM "\n");
    cpl_buf_addv(text, scope->timestamp);
    cpl_buf_addc(text, '\n');
    add_scope(text, scope);
    cpl_buf_addc(text, '\n');
    cpl_buf_add(text, hash, sizeof hash - 1);
    return cpl_buf_status(text, "the string to sign", err);
}

cpl_status cpl_sigv4_finish(cpl_signer *signer, const cpl_sigv4_scope *scope, cpl_str secret, cpl_signature *out,
                            cpl_error *err) {
    unsigned char key[CPL_SHA256_SIZE], mac[CPL_SHA256_SIZE];
    cpl_status status = write_string_to_sign(scope, out, err);
    if (status) return status;
    status = signing_key(signer, scope, secret, key, err);
    if (status == CPL_OK)
        status = cpl_hmac_sha256((cpl_str){(char *)key, sizeof key}, cpl_buf_str(&out->string_to_sign), mac, err);
    cpl_wipe(key, sizeof key);
    if (status == CPL_OK) cpl_hex(mac, sizeof mac, out->signature);
    return status;
}

cpl_status cpl_sigv4_hash_payload(const cpl_sign_request *request, cpl_signature *out, cpl_error *err) {
    cpl_str given = request->payload_hash;
    if (given.n == 0) return cpl_sha256_hex(request->body, out->payload_hash, err);
    if (given.n >= sizeof out->payload_hash || !cpl_sigv4_sendable(given))
        return cpl_fail(err, CPL_INVALID,
                        "the payload hash is neither 64 hexadecimal digits nor a word like "
                        "UNSIGNED-PAYLOAD");
    CPL_COPY(out->payload_hash, given);
    return CPL_OK;
}

/* ---- signing ---- */

static cpl_status check_text(cpl_str text, const char *what, bool required, cpl_error *err) {
    if (required && text.n == 0) return cpl_fail(err, CPL_INVALID, "the %s is empty", what);
    if (cpl_sigv4_sendable(text)) return CPL_OK;
    return cpl_fail(err, CPL_INVALID, "the %s has a line break or NUL in it", what);
}

static cpl_status check(const cpl_sign_request *request, const cpl_credentials *credentials, cpl_error *err) {
    const struct {
        cpl_str text;
        const char *what;
        bool required;
    } texts[] = {
        {request->method, "method", true},
        {request->path, "path", false},
        {request->query, "query", false},
        {request->region, "region", true},
        {request->service, "service", true},
        {credentials->access_key_id, "access key id", true},
        {credentials->secret_access_key, "secret access key", true},
        {credentials->session_token, "session token", false},
    };
    for (size_t i = 0; i < CPL_COUNT(texts); i++) {
        cpl_status status = check_text(texts[i].text, texts[i].what, texts[i].required, err);
        if (status) return status;
    }
    if ((request->flags & CPL_SIGN_QUERY) && (request->expires_s < 1 || request->expires_s > CPL_SIGN_EXPIRES_MAX))
        return cpl_fail(err, CPL_INVALID, "a presigned URL lives 1 to %d seconds, not %lld", CPL_SIGN_EXPIRES_MAX,
                        (long long)request->expires_s);
    return CPL_OK;
}

static const cpl_header *find_header(const cpl_sign_request *request, const char *name) {
    for (size_t i = 0; i < request->header_count; i++) {
        if (cpl_str_is_nocase(request->headers[i].name, name)) return &request->headers[i];
    }
    return NULL;
}

/* A header that signing itself brings, so the caller must not have brought another. */
static cpl_status add_own_header(cpl_canonical *canonical, const char *name, cpl_str value, cpl_error *err) {
    const cpl_header *given = find_header(canonical->request, name);
    if (given == NULL) return cpl_canonical_add_header(canonical, cpl_str_of(name), value, err);
    if (!cpl_str_eq(cpl_str_trim(given->value), value))
        return cpl_fail(err, CPL_INVALID, "header \"%s\" is set by the signer and has another value", name);
    return CPL_OK;
}

static cpl_status add_header_form(cpl_canonical *canonical, const cpl_credentials *credentials,
                                  const cpl_signature *out, cpl_error *err) {
    unsigned flags = canonical->request->flags;
    cpl_status status = CPL_OK;
    if (find_header(canonical->request, "authorization"))
        return cpl_fail(err, CPL_INVALID, "header \"authorization\" is what signing makes");
    status = add_own_header(canonical, "x-amz-date", cpl_str_of(out->date), err);
    if (status == CPL_OK && (flags & (CPL_SIGN_S3 | CPL_SIGN_BODY_HEADER)))
        status = add_own_header(canonical, "x-amz-content-sha256", cpl_str_of(out->payload_hash), err);
    if (status == CPL_OK && credentials->session_token.n > 0 && !(flags & CPL_SIGN_TOKEN_LATER))
        status = add_own_header(canonical, "x-amz-security-token", credentials->session_token, err);
    return status;
}

static cpl_status collect_headers(cpl_canonical *canonical, const cpl_credentials *credentials,
                                  const cpl_signature *out, cpl_error *err) {
    const cpl_sign_request *request = canonical->request;
    for (size_t i = 0; i < request->header_count; i++) {
        cpl_status status =
            cpl_canonical_add_header(canonical, request->headers[i].name, request->headers[i].value, err);
        if (status) return status;
    }
    if (find_header(request, "host") == NULL) return cpl_fail(err, CPL_INVALID, "there is no host header to sign");
    if (request->flags & CPL_SIGN_QUERY) return CPL_OK;
    return add_header_form(canonical, credentials, out, err);
}

/* out->query: the caller's parameters, then those that say how it is signed. */
static cpl_status write_query(const cpl_canonical *canonical, const cpl_sigv4_scope *scope,
                              const cpl_credentials *credentials, cpl_signature *out, cpl_error *err) {
    cpl_buf text, *query = &out->query;
    cpl_status status;
    cpl_buf_init(&text, CPL_SIGN_TEXT_MAX);
    cpl_buf_addv(query, canonical->request->query);
    if (query->n > 0) cpl_buf_addc(query, '&');
    cpl_buf_adds(query, "X-Amz-Algorithm=" CPL_SIGN_ALGORITHM "&X-Amz-Credential=");
    cpl_buf_addv(&text, credentials->access_key_id);
    cpl_buf_addc(&text, '/');
    add_scope(&text, scope);
    cpl_buf_add_uri(query, cpl_buf_str(&text), false);
    cpl_buf_addf(query, "&X-Amz-Date=%s&X-Amz-SignedHeaders=", out->date);
    status = cpl_buf_status(&text, "the credential scope", err);
    cpl_buf_clear(&text);
    cpl_canonical_add_names(canonical, &text);
    cpl_buf_add_uri(query, cpl_buf_str(&text), false);
    cpl_buf_addf(query, "&X-Amz-Expires=%lld", (long long)canonical->request->expires_s);
    if (credentials->session_token.n > 0) {
        cpl_buf_adds(query, "&X-Amz-Security-Token=");
        cpl_buf_add_uri(query, credentials->session_token, false);
    }
    if (status == CPL_OK) status = cpl_buf_status(&text, "the list of signed headers", err);
    cpl_buf_release(&text);
    return status ? status : cpl_buf_status(query, "the query", err);
}

static cpl_status write_authorization(const cpl_canonical *canonical, const cpl_sigv4_scope *scope,
                                      const cpl_credentials *credentials, cpl_signature *out, cpl_error *err) {
    cpl_buf *text = &out->authorization;
    cpl_buf_reserve(text, 384);
    cpl_buf_adds(text, CPL_SIGN_ALGORITHM " Credential=");
    cpl_buf_addv(text, credentials->access_key_id);
    cpl_buf_addc(text, '/');
    add_scope(text, scope);
    cpl_buf_adds(text, ", SignedHeaders=");
    cpl_canonical_add_names(canonical, text);
    cpl_buf_adds(text, ", Signature=");
    cpl_buf_adds(text, out->signature);
    return cpl_buf_status(text, "the Authorization header", err);
}

static cpl_status sign(cpl_signer *signer, const cpl_sign_request *request, const cpl_credentials *credentials,
                       cpl_signature *out, cpl_error *err) {
    bool presign = (request->flags & CPL_SIGN_QUERY) != 0;
    cpl_sigv4_scope scope = {{out->date, 16}, {out->date, 8}, request->region, request->service};
    cpl_canonical canonical;
    cpl_status status = check(request, credentials, err);
    if (status) return status;
    cpl_time_basic(request->time_s, out->date);
    canonical.request = request;
    canonical.header_count = 0;
    status = cpl_sigv4_hash_payload(request, out, err);
    if (status == CPL_OK) status = collect_headers(&canonical, credentials, out, err);
    if (status == CPL_OK && presign) status = write_query(&canonical, &scope, credentials, out, err);
    if (status == CPL_OK)
        status = cpl_canonical_write(&canonical, presign ? cpl_buf_str(&out->query) : request->query, request->flags,
                                     cpl_str_of(out->payload_hash), &out->canonical_request, err);
    if (status == CPL_OK) status = cpl_sigv4_finish(signer, &scope, credentials->secret_access_key, out, err);
    if (status) return status;
    if (!presign) return write_authorization(&canonical, &scope, credentials, out, err);
    cpl_buf_adds(&out->query, "&X-Amz-Signature=");
    cpl_buf_adds(&out->query, out->signature);
    return cpl_buf_status(&out->query, "the query", err);
}

cpl_status cpl_sigv4_sign(cpl_signer *signer, const cpl_sign_request *request, const cpl_credentials *credentials,
                          cpl_signature *out, cpl_error *err) {
    cpl_status status;
    cpl_signature_clear(out);
    status = sign(signer, request, credentials, out, err);
    if (status) cpl_signature_clear(out); /* half a signature is of no use, and a quarter may be taken for a whole */
    return status;
}
