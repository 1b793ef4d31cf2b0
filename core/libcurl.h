/* SPDX-License-Identifier: MIT */
/*
 * libcurl, loaded when the first client is made; the only file that includes its headers. After cpl_libcurl_need its
 * functions are called by their own names. With CPL_STATIC they are part of the module.
 */
#ifndef CPL_LIBCURL_H
#define CPL_LIBCURL_H

#ifndef CPL_STATIC
#define CURL_DISABLE_TYPECHECK /* macros that stand before two of the names; the build with CPL_STATIC has them */
#endif
#include <curl/curl.h>

#include "late.h"

/* clang-format off */
#define CPL_LIBCURL_FUNCTIONS(X)                                                                          \
    X(curl_easy_cleanup) X(curl_easy_getinfo) X(curl_easy_init) X(curl_easy_setopt) X(curl_easy_strerror) \
    X(curl_global_init) X(curl_multi_add_handle) X(curl_multi_cleanup) X(curl_multi_info_read)            \
    X(curl_multi_init) X(curl_multi_perform) X(curl_multi_poll) X(curl_multi_remove_handle)               \
    X(curl_multi_strerror) X(curl_multi_wakeup) X(curl_url) X(curl_url_cleanup) X(curl_url_set)          \
    X(curl_version_info)
/* clang-format on */

/* Loads and starts it, once. CPL_IO: it cannot be loaded; CPL_STATE: it cannot start. */
cpl_status cpl_libcurl_need(cpl_error *err);
/* Whether it never raises SIGPIPE. */
bool cpl_libcurl_is_quiet(void);

#ifndef CPL_STATIC
#undef curl_easy_getinfo
#undef curl_easy_setopt
extern struct cpl_libcurl_table { CPL_LIBCURL_FUNCTIONS(CPL_LATE_POINTER) } cpl_libcurl;
#define curl_easy_cleanup cpl_libcurl.curl_easy_cleanup
#define curl_easy_getinfo cpl_libcurl.curl_easy_getinfo
#define curl_easy_init cpl_libcurl.curl_easy_init
#define curl_easy_setopt cpl_libcurl.curl_easy_setopt
#define curl_easy_strerror cpl_libcurl.curl_easy_strerror
#define curl_global_init cpl_libcurl.curl_global_init
#define curl_multi_add_handle cpl_libcurl.curl_multi_add_handle
#define curl_multi_cleanup cpl_libcurl.curl_multi_cleanup
#define curl_multi_info_read cpl_libcurl.curl_multi_info_read
#define curl_multi_init cpl_libcurl.curl_multi_init
#define curl_multi_perform cpl_libcurl.curl_multi_perform
#define curl_multi_poll cpl_libcurl.curl_multi_poll
#define curl_multi_remove_handle cpl_libcurl.curl_multi_remove_handle
#define curl_multi_strerror cpl_libcurl.curl_multi_strerror
#define curl_multi_wakeup cpl_libcurl.curl_multi_wakeup
#define curl_url cpl_libcurl.curl_url
#define curl_url_cleanup cpl_libcurl.curl_url_cleanup
#define curl_url_set cpl_libcurl.curl_url_set
#define curl_version_info cpl_libcurl.curl_version_info
#endif

#endif
