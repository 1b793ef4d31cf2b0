/* SPDX-License-Identifier: MIT */
/*
 * What one signature costs: a typical POST to CodePipeline, signed by the core and by code as one writes it first (the
 * one-shot calls of OpenSSL 3, the key derived anew each time). Both must give the same signature, or it fails.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <time.h>

#include "../core/sigv4.h"

#define ROUNDS 9
#define SIGNATURES 20000

static const cpl_credentials credentials = {
    CPL_LIT("AKIDEXAMPLE"), CPL_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), {NULL, 0}};
static const cpl_header headers[] = {
    {CPL_LIT("Host"), CPL_LIT("codepipeline.eu-west-1.amazonaws.com")},
    {CPL_LIT("Content-Type"), CPL_LIT("application/x-amz-json-1.1")},
    {CPL_LIT("X-Amz-Target"), CPL_LIT("CodePipeline_20150709.GetPipelineState")},
};
static const cpl_sign_request request = {.method = CPL_LIT("POST"),
                                         .path = CPL_LIT("/"),
                                         .headers = headers,
                                         .header_count = CPL_COUNT(headers),
                                         .body = CPL_LIT("{\"name\":\"a-pipeline-with-a-name\"}"),
                                         .region = CPL_LIT("eu-west-1"),
                                         .service = CPL_LIT("codepipeline"),
                                         .time_s = 1440938160};

static bool sign(cpl_signer *signer, char out[CPL_SHA256_HEX_SIZE]) {
    static cpl_signature signature;
    static bool ready;
    if (!ready) cpl_signature_init(&signature);
    ready = true;
    bool ok = cpl_sigv4_sign(signer, &request, &credentials, &signature, NULL) == CPL_OK;
    memcpy(out, signature.signature, CPL_SHA256_HEX_SIZE);
    return ok;
}

/* ---- as one writes it first ---- */

static void naive_sha256(const char *text, char out[CPL_SHA256_HEX_SIZE]) {
    unsigned char digest[CPL_SHA256_SIZE];
    EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL);
    cpl_hex(digest, sizeof digest, out);
}

static void naive_hmac(unsigned char key[CPL_SHA256_SIZE], const char *text) {
    HMAC(EVP_sha256(), key, CPL_SHA256_SIZE, (const unsigned char *)text, strlen(text), key, NULL);
}

static bool naive_sign(char out[CPL_SHA256_HEX_SIZE]) {
    char canonical[1024], text[512], hash[CPL_SHA256_HEX_SIZE], secret[128], day[9], stamp[17];
    unsigned char key[CPL_SHA256_SIZE];
    time_t now = (time_t)request.time_s;
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(day, sizeof day, "%Y%m%d", &utc);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
    naive_sha256(request.body.p, hash);
    snprintf(canonical, sizeof canonical,
             "POST\n/\n\ncontent-type:%s\nhost:%s\nx-amz-date:%s\nx-amz-target:%s\n\n"
             "content-type;host;x-amz-date;x-amz-target\n%s",
             headers[1].value.p, headers[0].value.p, stamp, headers[2].value.p, hash);
    naive_sha256(canonical, hash);
    snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", stamp, day, request.region.p,
             request.service.p, hash);
    int n = snprintf(secret, sizeof secret, "AWS4%s", credentials.secret_access_key.p);
    HMAC(EVP_sha256(), secret, n, (const unsigned char *)day, strlen(day), key, NULL);
    naive_hmac(key, request.region.p);
    naive_hmac(key, request.service.p);
    naive_hmac(key, "aws4_request");
    naive_hmac(key, text);
    cpl_hex(key, sizeof key, out);
    return true;
}

/* ---- measuring ---- */

typedef enum way { CACHED, UNCACHED, NAIVE } way;

static double cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* CPU microseconds a signature, the best round: what disturbs a round only ever makes it longer. Negative: failed. */
static double measure(way how, cpl_signer *signer, char out[CPL_SHA256_HEX_SIZE]) {
    double best = -1;
    for (int round = 0; round < ROUNDS; round++) {
        double start = cpu_us();
        for (int i = 0; i < SIGNATURES; i++) {
            if (!(how == NAIVE ? naive_sign(out) : sign(how == CACHED ? signer : NULL, out))) return -1;
        }
        double each = (cpu_us() - start) / SIGNATURES;
        if (best < 0 || each < best) best = each;
    }
    return best;
}

int main(void) {
    static const char *const names[] = {"codepipeline", "codepipeline, no key cached", "OpenSSL 3, one-shot calls"};
    char signatures[CPL_COUNT(names)][CPL_SHA256_HEX_SIZE];
    cpl_signer *signer = cpl_signer_new();
    printf("signing a typical POST, CPU us each (best of %d rounds of %d)\n", ROUNDS, SIGNATURES);
    for (way how = CACHED; how <= NAIVE; how++) {
        double us = measure(how, signer, signatures[how]);
        if (us < 0 || strcmp(signatures[how], signatures[CACHED]) != 0) {
            printf("%-30s a different signature\n", names[how]);
            return 1;
        }
        printf("%-30s %6.2f\n", names[how], us);
    }
    cpl_signer_free(signer);
    return 0;
}
