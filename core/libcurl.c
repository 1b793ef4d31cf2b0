/* SPDX-License-Identifier: MIT */
#include "libcurl.h"

#include <pthread.h>
#include <sys/socket.h>

#include "err.h"

#ifdef CPL_STATIC

static cpl_status load(cpl_error *err) {
    (void)err;
    return CPL_OK;
}

#else

static const char *const names[] = {CPL_LIBCURL_FUNCTIONS(CPL_LATE_NAME)};
struct cpl_libcurl_table cpl_libcurl;
/* Since 2006 its interface has not changed but by growing. Debian has one with GnuTLS under a name of its own. */
static cpl_late library = {.called = "libcurl",
                           .files = {"libcurl.so.4", "libcurl-gnutls.so.4"},
                           .names = names,
                           .count = CPL_COUNT(names),
                           .table = &cpl_libcurl,
                           .once = PTHREAD_ONCE_INIT};

static cpl_status load(cpl_error *err) {
    return cpl_late_need(&library, err);
}

#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode state;
static bool quiet;

/*
 * It has always sent with MSG_NOSIGNAL, but OpenSSL wrote by itself until 7.87 gave it sockets of libcurl's own. Of
 * other TLS libraries we do not know.
 */
static bool is_quiet(void) {
#ifdef MSG_NOSIGNAL
    const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
    return built->version_num >= 0x075700 && cpl_str_starts(cpl_str_of(built->ssl_version), "OpenSSL/");
#else
    return false;
#endif
}

/* Never undone: others in this process may use libcurl too. */
static void start(void) {
    state = curl_global_init(CURL_GLOBAL_ALL);
    quiet = is_quiet();
}

cpl_status cpl_libcurl_need(cpl_error *err) {
    cpl_status status = load(err);
    if (status) return status;
    pthread_once(&once, start);
    return state == CURLE_OK ? CPL_OK : cpl_fail(err, CPL_STATE, "libcurl: %s", curl_easy_strerror(state));
}

bool cpl_libcurl_is_quiet(void) {
    return quiet;
}
