/* SPDX-License-Identifier: MIT */
#include "digest.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif

#include "err.h"
#include "fork.h"

/* Fetched once and never freed: an implicit fetch costs more than the hash, and another thread may still be hashing
 * while the process ends. MD5 and SHA-1 are apart, because they may be missing (FIPS) and most processes never ask. */
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;
static pthread_once_t md5_once = PTHREAD_ONCE_INIT;
static pthread_once_t sha1_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;
static EVP_MD *md5;
static EVP_MD *sha1;

static void fetch_sha256(void) {
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static void fetch_md5(void) {
    md5 = EVP_MD_fetch(NULL, "MD5", NULL);
}

static void fetch_sha1(void) {
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
}

/*
 * Contexts that wait for their next use, because making one costs half a short hash. A slot is emptied and filled in
 * one atomic step, never under a lock: a fork in the middle leaves the child a slot less, not a mutex nobody opens.
 * Not thread-local, because a thread that the host ends would have to be heard of.
 */
#define POOL_SIZE 16
static _Atomic(EVP_MD_CTX *) pool[POOL_SIZE];

static EVP_MD_CTX *pool_take(void) {
    for (size_t i = 0; i < POOL_SIZE; i++) {
        EVP_MD_CTX *context = NULL;
        if (atomic_load_explicit(&pool[i], memory_order_relaxed) == NULL) continue;
        context = atomic_exchange_explicit(&pool[i], NULL, memory_order_acquire);
        if (context) return context;
    }
    return EVP_MD_CTX_new();
}

static void pool_give(EVP_MD_CTX *context) {
    for (size_t i = 0; i < POOL_SIZE; i++) {
        EVP_MD_CTX *none = NULL;
        if (atomic_load_explicit(&pool[i], memory_order_relaxed) != NULL) continue;
        if (atomic_compare_exchange_strong_explicit(&pool[i], &none, context, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    EVP_MD_CTX_free(context);
}

static cpl_status refuse(cpl_error *err, const char *what) {
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return cpl_fail(err, CPL_STATE, "the crypto library refuses %s: %s", what, reason ? reason : "no reason given");
}

static cpl_status take(EVP_MD_CTX **out, cpl_error *err) {
    EVP_MD_CTX *context;
    pthread_once(&sha256_once, fetch_sha256);
    if (sha256 == NULL) return refuse(err, "SHA-256");
    context = pool_take();
    if (context == NULL) return cpl_fail_nomem(err);
    *out = context;
    return CPL_OK;
}

static bool begin(EVP_MD_CTX *context) {
    return EVP_DigestInit_ex2(context, sha256, NULL) == 1;
}

static bool add(EVP_MD_CTX *context, const void *data, size_t n) {
    return n == 0 || EVP_DigestUpdate(context, data, n) == 1;
}

static bool finish(EVP_MD_CTX *context, unsigned char *out) {
    return EVP_DigestFinal_ex(context, out, NULL) == 1;
}

cpl_status cpl_sha256(cpl_str data, unsigned char out[CPL_SHA256_SIZE], cpl_error *err) {
    EVP_MD_CTX *context;
    cpl_status status = take(&context, err);
    if (status) return status;
    if (!begin(context) || !add(context, data.p, data.n) || !finish(context, out)) status = refuse(err, "SHA-256");
    pool_give(context);
    return status;
}

void cpl_hex(const void *bytes, size_t n, char *out) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = '\0';
}

bool cpl_unhex(cpl_buf *out, cpl_str text) {
    if (text.n % 2 != 0) return false;
    for (size_t i = 0; i < text.n; i += 2) {
        int high = cpl_hex_digit(text.p[i]), low = cpl_hex_digit(text.p[i + 1]);
        if (high < 0 || low < 0) return false;
        cpl_buf_addc(out, (char)(high << 4 | low));
    }
    return cpl_buf_ok(out);
}

cpl_status cpl_sha256_hex(cpl_str data, char out[CPL_SHA256_HEX_SIZE], cpl_error *err) {
    unsigned char digest[CPL_SHA256_SIZE];
    cpl_status status = cpl_sha256(data, digest, err);
    if (status == CPL_OK) cpl_hex(digest, sizeof digest, out);
    return status;
}

#define BLOCK 64

/* One of HMAC's two hashes (RFC 2104): the key, padded to a block and masked, then the text. */
static bool hash_masked(EVP_MD_CTX *context, const unsigned char key[BLOCK], unsigned char mask, cpl_str text,
                        unsigned char *out) {
    unsigned char block[BLOCK];
    bool ok;
    for (size_t i = 0; i < BLOCK; i++) block[i] = key[i] ^ mask;
    ok = begin(context) && add(context, block, BLOCK) && add(context, text.p, text.n) && finish(context, out);
    OPENSSL_cleanse(block, sizeof block);
    return ok;
}

/* Not EVP_MAC: two plain hashes on a pooled context cost a quarter of HMAC() and 0.6 of a prefetched EVP_MAC. */
cpl_status cpl_hmac_sha256(cpl_str key, cpl_str data, unsigned char out[CPL_SHA256_SIZE], cpl_error *err) {
    unsigned char padded[BLOCK] = {0}, inner[CPL_SHA256_SIZE];
    EVP_MD_CTX *context;
    bool ok = true;
    cpl_status status = take(&context, err);
    if (status) return status;
    if (key.n > BLOCK)
        ok = begin(context) && add(context, key.p, key.n) && finish(context, padded);
    else if (key.n > 0)
        memcpy(padded, key.p, key.n);
    ok = ok && hash_masked(context, padded, 0x36, data, inner);
    ok = ok && hash_masked(context, padded, 0x5c, (cpl_str){(char *)inner, sizeof inner}, out);
    /* the context still holds the result, which may be a signing key: start it anew before it goes back */
    ok = begin(context) && ok;
    OPENSSL_cleanse(padded, sizeof padded);
    OPENSSL_cleanse(inner, sizeof inner);
    pool_give(context);
    return ok ? CPL_OK : refuse(err, "HMAC with SHA-256");
}

typedef struct algorithm {
    pthread_once_t *once;
    void (*fetch)(void);
    EVP_MD **fetched;
    size_t size;
    const char *name;
} algorithm;

static const algorithm algorithms[] = {
    [CPL_HASH_SHA256] = {&sha256_once, fetch_sha256, &sha256, CPL_SHA256_SIZE, "SHA-256"},
    [CPL_HASH_SHA1] = {&sha1_once, fetch_sha1, &sha1, CPL_SHA1_SIZE, "SHA-1"},
    [CPL_HASH_MD5] = {&md5_once, fetch_md5, &md5, CPL_MD5_SIZE, "MD5"},
};

cpl_status cpl_hash_init(cpl_hash *hash, cpl_hash_kind kind, cpl_error *err) {
    const algorithm *a = &algorithms[kind];
    EVP_MD_CTX *context;
    *hash = (cpl_hash){.size = a->size};
    pthread_once(a->once, a->fetch);
    if (*a->fetched == NULL) return refuse(err, a->name);
    context = pool_take();
    if (context == NULL) return cpl_fail_nomem(err);
    if (EVP_DigestInit_ex2(context, *a->fetched, NULL) != 1) {
        pool_give(context);
        return refuse(err, a->name);
    }
    hash->context = context;
    return CPL_OK;
}

void cpl_hash_add(cpl_hash *hash, const void *data, size_t n) {
    if (hash->context && !add(hash->context, data, n)) cpl_hash_release(hash);
}

void cpl_hash_final(cpl_hash *hash, unsigned char *out) {
    if (hash->context == NULL || !finish(hash->context, out)) memset(out, 0, hash->size);
    cpl_hash_release(hash);
}

void cpl_hash_release(cpl_hash *hash) {
    if (hash->context) pool_give(hash->context);
    hash->context = NULL;
}

/* All at once. */
static cpl_status hash(cpl_hash_kind kind, cpl_str data, unsigned char *out, cpl_error *err) {
    cpl_hash state;
    cpl_status status = cpl_hash_init(&state, kind, err);
    if (status) return status;
    cpl_hash_add(&state, data.p, data.n);
    if (state.context == NULL) return refuse(err, algorithms[kind].name);
    cpl_hash_final(&state, out);
    return CPL_OK;
}

cpl_status cpl_md5(cpl_str data, unsigned char out[CPL_MD5_SIZE], cpl_error *err) {
    return hash(CPL_HASH_MD5, data, out, err);
}

cpl_status cpl_sha1_hex(cpl_str data, char out[CPL_SHA1_HEX_SIZE], cpl_error *err) {
    unsigned char digest[CPL_SHA1_SIZE];
    cpl_status status = hash(CPL_HASH_SHA1, data, digest, err);
    if (status == CPL_OK) cpl_hex(digest, sizeof digest, out);
    return status;
}

/* ---- ES256 ---- */

/* Without it the library would ask at the terminal. */
static int no_password(char *out, int size, int writing, void *context) {
    (void)out;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static bool is_p256(const EVP_PKEY *key) {
    char group[64];
    size_t n = 0;
    return EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, &n) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

static cpl_status read_key(cpl_str pem, EVP_PKEY **out, cpl_error *err) {
    BIO *text = pem.n <= INT_MAX ? BIO_new_mem_buf(pem.p ? pem.p : "", (int)pem.n) : NULL;
    EVP_PKEY *key = text ? PEM_read_bio_PrivateKey(text, NULL, no_password, NULL) : NULL;
    BIO_free(text);
    ERR_clear_error();
    *out = key && is_p256(key) ? key : NULL;
    if (*out) return CPL_OK;
    EVP_PKEY_free(key);
    return cpl_fail(err, CPL_INVALID, "the key is not one of the curve P-256 in PEM");
}

cpl_status cpl_es256_public(cpl_str pem, unsigned char point[CPL_ES256_SIZE], cpl_error *err) {
    BIGNUM *x = NULL, *y = NULL;
    EVP_PKEY *key;
    bool done;
    cpl_status status = read_key(pem, &key, err);
    if (status) return status;
    done = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
           EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
           BN_bn2binpad(x, point, CPL_ES256_SIZE / 2) > 0 &&
           BN_bn2binpad(y, point + CPL_ES256_SIZE / 2, CPL_ES256_SIZE / 2) > 0;
    BN_free(x);
    BN_free(y);
    EVP_PKEY_free(key);
    return done ? CPL_OK : refuse(err, "a public key");
}

/* From the encoding of ASN.1, which is what the library makes. */
static bool split_signature(const unsigned char *encoded, size_t n, unsigned char out[CPL_ES256_SIZE]) {
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &encoded, (long)n);
    bool done = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, CPL_ES256_SIZE / 2) > 0 &&
                BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + CPL_ES256_SIZE / 2, CPL_ES256_SIZE / 2) > 0;
    ECDSA_SIG_free(pair);
    return done;
}

cpl_status cpl_es256_sign(cpl_str pem, cpl_str data, unsigned char signature[CPL_ES256_SIZE], cpl_error *err) {
    unsigned char encoded[128];
    size_t n = sizeof encoded;
    EVP_MD_CTX *context;
    EVP_PKEY *key;
    bool done;
    cpl_status status = read_key(pem, &key, err);
    if (status) return status;
    context = EVP_MD_CTX_new();
    done = context && EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
           EVP_DigestSign(context, encoded, &n, (const unsigned char *)data.p, data.n) == 1 &&
           split_signature(encoded, n, signature);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return done ? CPL_OK : refuse(err, "a signature");
}

/* ---- comparing, chance, base64 ---- */

bool cpl_secret_eq(cpl_str a, cpl_str b) {
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

/* The kernel's generator: no state of ours, so none that a fork could copy. It gives at most 256 bytes at a time. */
cpl_status cpl_random(void *out, size_t n, cpl_error *err) {
    unsigned char *at = out;
    while (n > 0) {
        size_t piece = n < 256 ? n : 256;
        if (getentropy(at, piece) != 0) return cpl_fail_errno(err, "read random bytes from", "the kernel");
        at += piece;
        n -= piece;
    }
    return CPL_OK;
}

/*
 * Fetched ahead: sixteen ids for one question to the kernel. Who finds the lock taken, by another thread or for good in
 * a child that was forked meanwhile, asks by itself.
 */
static struct {
    atomic_flag busy;
    uint32_t mark; /* of the process that fetched them: a child has none of its parent's */
    size_t left;
    unsigned char bytes[256];
} ahead = {.busy = ATOMIC_FLAG_INIT};

static cpl_status random_ahead(unsigned char *out, size_t n, cpl_error *err) {
    cpl_status status = CPL_OK;
    if (atomic_flag_test_and_set_explicit(&ahead.busy, memory_order_acquire)) return cpl_random(out, n, err);
    if (ahead.left < n || ahead.mark != cpl_fork_mark()) {
        status = cpl_random(ahead.bytes, sizeof ahead.bytes, err);
        ahead.left = status ? 0 : sizeof ahead.bytes;
        ahead.mark = cpl_fork_mark();
    }
    if (status == CPL_OK) {
        ahead.left -= n;
        memcpy(out, ahead.bytes + ahead.left, n);
    }
    atomic_flag_clear_explicit(&ahead.busy, memory_order_release);
    return status;
}

void cpl_uuid_of(unsigned char bytes[16], char out[CPL_UUID_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    char *to = out;
    bytes[6] = (bytes[6] & 0x0f) | 0x40; /* version 4 */
    bytes[8] = (bytes[8] & 0x3f) | 0x80; /* the variant of RFC 9562 */
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *to++ = '-';
        *to++ = digits[bytes[i] >> 4];
        *to++ = digits[bytes[i] & 15];
    }
    *to = '\0';
}

cpl_status cpl_uuid(char out[CPL_UUID_SIZE], cpl_error *err) {
    unsigned char bytes[16];
    cpl_status status = cpl_random(bytes, sizeof bytes, err);
    if (status == CPL_OK) cpl_uuid_of(bytes, out);
    return status;
}

cpl_status cpl_uuid_for_logs(char out[CPL_UUID_SIZE], cpl_error *err) {
    unsigned char bytes[16];
    cpl_status status = random_ahead(bytes, sizeof bytes, err);
    if (status == CPL_OK) cpl_uuid_of(bytes, out);
    return status;
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode_group(const unsigned char *p, size_t left, char text[4]) {
    unsigned group = (unsigned)p[0] << 16;
    if (left > 1) group |= (unsigned)p[1] << 8;
    if (left > 2) group |= p[2];
    text[0] = digits[group >> 18];
    text[1] = digits[group >> 12 & 63];
    text[2] = left > 1 ? digits[group >> 6 & 63] : '=';
    text[3] = left > 2 ? digits[group & 63] : '=';
}

void cpl_base64(cpl_buf *out, const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i += 3) {
        char text[4];
        encode_group(p + i, n - i, text);
        cpl_buf_add(out, text, sizeof text);
    }
}

void cpl_base64_text(const void *bytes, size_t n, char *out) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i += 3, out += 4) encode_group(p + i, n - i, out);
    *out = '\0';
}

bool cpl_base64_decode(cpl_buf *out, cpl_str text) {
    size_t padding = cpl_str_ends(text, "==") ? 2 : cpl_str_ends(text, "=") ? 1 : 0;
    if (text.n % 4) return false;
    for (size_t i = 0; i < text.n; i += 4) {
        size_t left = i + 4 == text.n ? 4 - padding : 4;
        unsigned group = 0;
        unsigned char bytes[3];
        for (size_t k = 0; k < 4; k++) {
            const char *digit = k < left ? memchr(digits, text.p[i + k], 64) : digits;
            if (digit == NULL) return false;
            group = group << 6 | (unsigned)(digit - digits);
        }
        for (size_t k = 0; k < 3; k++) bytes[k] = (unsigned char)(group >> (16 - 8 * k));
        if (left < 4 && bytes[left - 1] != 0) return false; /* bits that no encoder leaves */
        cpl_buf_add(out, bytes, left - 1);
    }
    return true;
}
