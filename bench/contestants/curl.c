/* SPDX-License-Identifier: MIT */
/*
 * curl sigv4|unsigned once|calls ...: what a C program with libcurl alone does; sigv4 signs with libcurl's own signer
 * and makes cJSON's tree of the answer, unsigned is the transport and nothing else.
 */
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <stdbool.h>

#include "calls.h"

static CURL *easy;
static bool whole; /* signed, and parsed */
static struct {
    char *p;
    size_t n, size;
} answer;

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
    size_t n = size * count;
    (void)context;
    if (answer.n + n > answer.size) {
        answer.size = 2 * (answer.n + n);
        answer.p = realloc(answer.p, answer.size);
        if (answer.p == NULL) die("out of memory");
    }
    memcpy(answer.p + answer.n, bytes, n);
    answer.n += n;
    return n;
}

static void run(const struct operation *operation) {
    static const struct operation *current;
    static struct curl_slist *headers;
    char target[128];
    long status = 0;
    if (operation != current) {
        snprintf(target, sizeof target, "X-Amz-Target: CodePipeline_20150709.%s", operation->name);
        curl_slist_free_all(headers);
        headers = curl_slist_append(NULL, "Content-Type: application/x-amz-json-1.1");
        headers = curl_slist_append(headers, target);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, operation->params);
        current = operation;
    }
    answer.n = 0;
    if (curl_easy_perform(easy) != CURLE_OK) die("the request failed");
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) die("not a 200");
    if (whole) {
        cJSON *tree = cJSON_ParseWithLength(answer.p, answer.n);
        if (tree == NULL) die("not JSON");
        cJSON_Delete(tree);
    }
}

int main(int argc, char **argv) {
    const char *url = getenv("AWS_ENDPOINT_URL"), *ca = getenv("AWS_CA_BUNDLE");
    if (argc < 3 || url == NULL) die("usage: curl sigv4|unsigned once|calls ...");
    whole = strcmp(argv[1], "sigv4") == 0;
    curl_global_init(CURL_GLOBAL_ALL);
    easy = curl_easy_init();
    if (easy == NULL) die("out of memory");
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    if (ca) curl_easy_setopt(easy, CURLOPT_CAINFO, ca);
    if (whole) {
        curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, "aws:amz:us-east-1:codepipeline");
        curl_easy_setopt(easy, CURLOPT_USERNAME, getenv("AWS_ACCESS_KEY_ID"));
        curl_easy_setopt(easy, CURLOPT_PASSWORD, getenv("AWS_SECRET_ACCESS_KEY"));
    }
    measure_all(argc - 2, argv + 2, run);
    curl_easy_cleanup(easy);
    curl_global_cleanup();
    return 0;
}
