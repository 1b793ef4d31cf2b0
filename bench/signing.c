/* SPDX-License-Identifier: MIT */
/*
 * What one signature of a typical POST costs: ours with the derived key at hand, ours with a key never seen before,
 * and a plain OpenSSL 3 signer, which lets the library fetch its algorithms anew for every hash. One JSON line each;
 * CPU time, the median of several rounds taken in turns, so that a slow moment of the machine hits all three.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../core/sigv4.h"

#define ROUNDS 9
#define SIGNATURES 20000

static const cpl_header headers[] = {
    {CPL_LIT("Host"), CPL_LIT("codepipeline.eu-west-1.amazonaws.com")},
    {CPL_LIT("Content-Type"), CPL_LIT("application/x-amz-json-1.1")},
    {CPL_LIT("X-Amz-Target"), CPL_LIT("CodePipeline_20150709.GetPipelineState")},
};
static const cpl_credentials keys = {
    CPL_LIT("AKIDEXAMPLE"), CPL_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), {NULL, 0}};
static cpl_signer *signer;
static cpl_signature signature;

static void die(const char *what) {
    fprintf(stderr, "signing: %s\n", what);
    exit(1);
}

static void sign_ours(int64_t time_s, const cpl_signer *with) {
    const cpl_sign_request request = {.method = CPL_LIT("POST"),
                                      .path = CPL_LIT("/"),
                                      .headers = headers,
                                      .header_count = CPL_COUNT(headers),
                                      .body = CPL_LIT("{\"name\":\"site\"}"),
                                      .region = CPL_LIT("eu-west-1"),
                                      .service = CPL_LIT("codepipeline"),
                                      .time_s = time_s};
    if (cpl_sigv4_sign((cpl_signer *)with, &request, &keys, &signature, NULL)) die("our signer failed");
}

static void ours_cached(int i) {
    sign_ours(1792650600 + i % 3600, signer);
}

static void ours_cold(int i) {
    sign_ours(1792650600 + i % 3600, NULL);
}

/* ---- the plain signer ---- */

static char naive_signature[65], naive_authorization[512];

static void hex(const unsigned char *bytes, char *out) {
    for (int i = 0; i < 32; i++) snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void hash(const char *text, char *out) {
    unsigned char digest[32];
    if (!EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL)) die("EVP_Digest failed");
    hex(digest, out);
}

static void mac(const void *key, int key_n, const char *text, unsigned char *out) {
    if (!HMAC(EVP_sha256(), key, key_n, (const unsigned char *)text, strlen(text), out, NULL)) die("HMAC failed");
}

static void naive(int i) {
    static const char names[] = "content-type;host;x-amz-date;x-amz-target";
    const time_t now = 1792650600 + i % 3600;
    char date[17], scope[128], body[65], canonical[1024], request[65], to_sign[512], secret[128];
    unsigned char key[32];
    struct tm utc;
    strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
    snprintf(scope, sizeof scope, "%.8s/eu-west-1/codepipeline/aws4_request", date);
    hash("{\"name\":\"site\"}", body);
    snprintf(canonical, sizeof canonical,
             "POST\n/\n\ncontent-type:%s\nhost:%s\nx-amz-date:%s\nx-amz-target:%s\n\n%s\n%s", headers[1].value.p,
             headers[0].value.p, date, headers[2].value.p, names, body);
    hash(canonical, request);
    snprintf(to_sign, sizeof to_sign, "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope, request);
    snprintf(secret, sizeof secret, "AWS4%s", keys.secret_access_key.p);
    date[8] = '\0';
    mac(secret, (int)strlen(secret), date, key);
    mac(key, 32, "eu-west-1", key);
    mac(key, 32, "codepipeline", key);
    mac(key, 32, "aws4_request", key);
    mac(key, 32, to_sign, key);
    hex(key, naive_signature);
    snprintf(naive_authorization, sizeof naive_authorization,
             "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", keys.access_key_id.p, scope, names,
             naive_signature);
}

/* ---- measuring ---- */

static const struct {
    const char *who;
    void (*run)(int i);
} contestants[] = {{"ours, cached key", ours_cached}, {"ours, cold key", ours_cold}, {"naive OpenSSL 3", naive}};

static double cpu_us(void (*run)(int i)) {
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (int i = 0; i < SIGNATURES; i++) run(i);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    return ((double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3) / SIGNATURES;
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void check_they_agree(void) {
    ours_cached(7);
    naive(7);
    if (strcmp(signature.signature, naive_signature) != 0) die("the signers do not agree");
    if (strcmp(cpl_buf_cstr(&signature.authorization), naive_authorization) != 0) die("the headers do not agree");
}

int main(void) {
    double us[CPL_COUNT(contestants)][ROUNDS];
    signer = cpl_signer_new();
    if (signer == NULL) die("out of memory");
    cpl_signature_init(&signature);
    check_they_agree();
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CPL_COUNT(contestants); i++) us[i][round] = cpu_us(contestants[i].run);
    }
    for (size_t i = 0; i < CPL_COUNT(contestants); i++) {
        qsort(us[i], ROUNDS, sizeof us[i][0], compare);
        printf("{\"who\": \"%s\", \"cpu_us\": %.2f}\n", contestants[i].who, us[i][ROUNDS / 2]);
    }
    printf("{\"who\": \"naive / ours, cached key\", \"ratio\": %.1f}\n", us[2][ROUNDS / 2] / us[0][ROUNDS / 2]);
    cpl_signature_release(&signature);
    cpl_signer_free(signer);
    return 0;
}
