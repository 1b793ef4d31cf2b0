/* SPDX-License-Identifier: MIT */
/* The way out: proxies, what they get to see, and the certificate that is shown. */
#include "../../core/client.h"
#include "../../core/http_route.h"
#include "fault_server.h"
#include "test.h"
#include "tls_server.h"

#define LIMIT (1u << 20)

static const char *const variables[] = {"http_proxy",     "HTTP_PROXY",  "https_proxy",  "HTTPS_PROXY",
                                        "all_proxy",      "ALL_PROXY",   "no_proxy",     "NO_PROXY",
                                        "REQUEST_METHOD", "AWS_PROFILE", "AWS_CA_BUNDLE"};

__attribute__((constructor)) static void clean_environment(void) {
    for (size_t i = 0; i < CPL_COUNT(variables); i++) unsetenv(variables[i]);
    setenv("AWS_CONFIG_FILE", "/nonexistent/config", 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials", 1);
}

static bool have_openssl(void) {
    return system("openssl version >/dev/null 2>&1") == 0;
}

/* ---- a proxy that tunnels ---- */

typedef struct tunnel_proxy {
    int listener;
    int status; /* what it answers to CONNECT; 0: 200 */
    char url[64];
    pthread_t thread;
    char heads[8][2048]; /* what it was sent before the tunnel */
    size_t count;
} tunnel_proxy;

static void copy_both_ways(int a, int b) {
    char bytes[65536];
    struct pollfd fds[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
    while (poll(fds, 2, 10000) > 0) {
        for (int i = 0; i < 2; i++) {
            ssize_t n = fds[i].revents ? recv(fds[i].fd, bytes, sizeof bytes, 0) : 0;
            if (fds[i].revents && n <= 0) return;
            if (n > 0 && send(fds[1 - i].fd, bytes, (size_t)n, MSG_NOSIGNAL) != n) return;
        }
    }
}

static int connect_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_port = htons((uint16_t)port);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

static void serve_tunnel(tunnel_proxy *proxy, int fd) {
    char *head = proxy->heads[proxy->count], answer[128];
    size_t n = 0;
    int port = 0, to;
    while (n + 1 < sizeof proxy->heads[0] && strstr(head, "\r\n\r\n") == NULL) {
        ssize_t got = recv(fd, head + n, sizeof proxy->heads[0] - 1 - n, 0);
        if (got <= 0) return;
        n += (size_t)got;
    }
    proxy->count++;
    sscanf(head, "CONNECT 127.0.0.1:%d", &port);
    to = proxy->status ? -1 : connect_to(port);
    n = (size_t)snprintf(answer, sizeof answer, "HTTP/1.1 %d Scripted\r\nContent-Length: 0\r\n\r\n",
                         to >= 0         ? 200
                         : proxy->status ? proxy->status
                                         : 502);
    if (to >= 0) n = (size_t)snprintf(answer, sizeof answer, "HTTP/1.1 200 Connected\r\n\r\n");
    if (send(fd, answer, n, MSG_NOSIGNAL) == (ssize_t)n && to >= 0) copy_both_ways(fd, to);
    if (to >= 0) close(to);
}

static void *run_tunnel(void *argument) {
    tunnel_proxy *proxy = argument;
    int fd;
    while (proxy->count < CPL_COUNT(proxy->heads) && (fd = accept(proxy->listener, NULL, NULL)) >= 0) {
        serve_tunnel(proxy, fd);
        close(fd);
    }
    return NULL;
}

static void tunnel_start(tunnel_proxy *proxy, const char *user_info, int status) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    memset(proxy, 0, sizeof *proxy);
    proxy->status = status;
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(proxy->listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(proxy->listener, 16) != 0 ||
        getsockname(proxy->listener, (struct sockaddr *)&address, &size) != 0 ||
        pthread_create(&proxy->thread, NULL, run_tunnel, proxy) != 0)
        fault_die("tunnel proxy");
    snprintf(proxy->url, sizeof proxy->url, "http://%s127.0.0.1:%d", user_info, ntohs(address.sin_port));
}

static void tunnel_stop(tunnel_proxy *proxy) {
    shutdown(proxy->listener, SHUT_RDWR);
    pthread_join(proxy->thread, NULL);
    close(proxy->listener);
}

/* ---- exchanges ---- */

static cpl_status get(const cpl_http_options *options, const char *url, cpl_error *err) {
    const cpl_http_request request = {.method = CPL_LIT("GET"), .url = cpl_str_of(url), .body_limit = LIMIT};
    cpl_http *http;
    cpl_http_response response;
    cpl_status status = cpl_http_new(&http, options, err);
    if (status) return status;
    cpl_http_response_init(&response);
    status = cpl_http_send(http, &request, &response, err);
    cpl_http_response_release(&response);
    cpl_http_free(http);
    return status;
}

/* Whether a GET of http://elsewhere.invalid/ goes through the proxy at server now. */
static bool goes_through(fault_server *server, const cpl_http_options *options) {
    size_t before = fault_server_requests(server);
    cpl_error err;
    cpl_status status = get(options, "http://elsewhere.invalid/x", &err);
    return status == CPL_OK && fault_server_requests(server) == before + 1 &&
           strncmp(fault_server_request(server, before), "GET http://elsewhere.invalid/x HTTP/1.1\r\n", 41) == 0;
}

TEST(t_proxy__the_environment_names_the_proxy_in_either_case) {
    static const struct {
        const char *name, *other; /* other is set too */
        bool used;
    } cases[] = {{"http_proxy", NULL, true},
                 {"HTTP_PROXY", NULL, true},
                 {"all_proxy", NULL, true},
                 {"ALL_PROXY", NULL, true},
                 {"https_proxy", NULL, false},
                 {"HTTPS_PROXY", NULL, false},
                 {"HTTP_PROXY", "REQUEST_METHOD", false}};
    const cpl_http_options options = {.connect_timeout_ms = 2000};
    fault_server *server = fault_server_start(&(fault_step){0}, 1);
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        setenv(cases[i].name, fault_server_url(server), 1);
        if (cases[i].other) setenv(cases[i].other, "GET", 1);
        if (!CHECK(goes_through(server, &options) == cases[i].used)) printf("  %s\n", cases[i].name);
        unsetenv(cases[i].name);
        if (cases[i].other) unsetenv(cases[i].other);
    }
    fault_server_stop(server);
}

TEST(t_proxy__no_proxy_names_the_exceptions_of_the_environment_and_not_of_an_option) {
    static const char *const names[] = {"no_proxy", "NO_PROXY"};
    cpl_http_options options = {.connect_timeout_ms = 2000};
    fault_server *server = fault_server_start(&(fault_step){0}, 1);
    cpl_error err;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    for (size_t i = 0; i < 2; i++) {
        setenv(names[i], "example.com,127.0.0.1", 1);
        CHECK(get(&options, fault_server_url(server), &err) == CPL_OK);
        setenv(names[i], "*", 1);
        CHECK(get(&options, fault_server_url(server), &err) == CPL_OK);
        unsetenv(names[i]);
        CHECK(get(&options, fault_server_url(server), &err) == CPL_NETWORK);
    }
    setenv("no_proxy", "*", 1);
    options.proxy = cpl_str_of(fault_server_url(server));
    options.proxy_set = true;
    CHECK(goes_through(server, &options));
    options.proxy = CPL_LIT("");
    unsetenv("no_proxy");
    CHECK(get(&options, fault_server_url(server), &err) == CPL_OK);
    unsetenv("http_proxy");
    fault_server_stop(server);
}

TEST(t_proxy__a_proxy_that_is_not_there_is_named_and_its_password_is_not) {
    static const struct {
        const char *proxy, *url, *words;
    } rows[] = {{"http://u:canary@127.0.0.1:1", "http://elsewhere.invalid/", "connect to the proxy \"127.0.0.1:1\": "},
                {"http://u:canary@127.0.0.1:1", "https://elsewhere.invalid/", "connect to the proxy \"127.0.0.1:1\": "},
                {"http://127.0.0.1:1", "http://127.0.0.1:2/", "connect to the proxy \"http://127.0.0.1:1\": "},
                {"", "http://127.0.0.1:1/", "connect to \"127.0.0.1:1\": "}};
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        const cpl_http_options options = {
            .proxy = cpl_str_of(rows[i].proxy), .proxy_set = true, .connect_timeout_ms = 2000};
        cpl_error err;
        CHECK(get(&options, rows[i].url, &err) == CPL_NETWORK && strstr(err.message, "canary") == NULL);
        if (!CHECK(strstr(err.message, rows[i].words) == err.message)) printf("  %s\n", err.message);
    }
}

/* What curl makes of it: names and their subdomains, addresses, networks; ports are no part of it. */
TEST(t_proxy__no_proxy_has_names_addresses_and_networks) {
    static const struct {
        const char *except, *host;
        bool direct;
    } rows[] = {{"127.0.0.1", "127.0.0.1", true},
                {"127.0.0.0/8", "127.0.0.1", true},
                {"127.0.0.0/31", "127.0.0.1", true},
                {"127.0.0.2/32", "127.0.0.1", false},
                {"10.0.0.0/8,192.168.0.0/16", "127.0.0.1", false},
                {"10.0.0.0/8, 127.0.0.0/8", "127.0.0.1", true},
                {"127.0.0.1:1", "127.0.0.1", false},
                {"localhost", "localhost", true},
                {"LOCALHOST", "localhost", true},
                {"host", "localhost", false},
                {"localhos", "localhost", false},
                {".localhost", "localhost", true},
                {"example.com", "localhost", false},
                {"*", "localhost", true},
                {"", "localhost", false}};
    const cpl_http_options options = {.connect_timeout_ms = 2000};
    fault_server *server = fault_server_start(&(fault_step){0}, 1);
    setenv("http_proxy", fault_server_url(server), 1);
    for (size_t i = 0; i < CPL_COUNT(rows); i++) {
        size_t n = fault_server_requests(server);
        char url[128];
        cpl_error err;
        snprintf(url, sizeof url, "http://%s%s/x", rows[i].host, strrchr(fault_server_url(server), ':'));
        setenv("no_proxy", rows[i].except, 1);
        CHECK(get(&options, url, &err) == CPL_OK && fault_server_requests(server) == n + 1);
        bool direct = strncmp(fault_server_request(server, n), "GET /x HTTP/1.1\r\n", 17) == 0;
        if (!CHECK(direct == rows[i].direct)) printf("  %s with no_proxy=%s\n", rows[i].host, rows[i].except);
    }
    unsetenv("no_proxy");
    unsetenv("http_proxy");
    fault_server_stop(server);
}

TEST(t_proxy__what_is_no_proxy_is_refused_and_never_shown) {
    static const char *const bad[] = {"ftp://u:canary@p:1", "http://u:canary@", "http://u:canary@:80", "canary proxy",
                                      "http://canary\r\nx: y@h"};
    cpl_error err;
    for (size_t i = 0; i < CPL_COUNT(bad); i++) {
        const cpl_http_options options = {.proxy = cpl_str_of(bad[i]), .proxy_set = true};
        const cpl_http_options none = {.connect_timeout_ms = 1};
        CHECK(get(&options, "http://127.0.0.1:1/", &err) == CPL_CONFIG && strstr(err.message, "canary") == NULL);
        CHECK_STR(err.path, "proxy");
        setenv("HTTPS_PROXY", bad[i], 1);
        CHECK(get(&none, "http://127.0.0.1:1/", &err) == CPL_CONFIG && strstr(err.message, "canary") == NULL);
        CHECK_STR(err.path, "HTTPS_PROXY");
        unsetenv("HTTPS_PROXY");
    }
    CHECK(cpl_http_is_proxy(CPL_LIT("proxy:3128")) && cpl_http_is_proxy(CPL_LIT("SOCKS5h://u:p@[::1]:1080/")));
}

/* ---- tunnels ---- */

TEST(t_proxy__a_tunnel_gets_the_proxys_credentials_and_none_of_ours) {
    tls_server origin = {0};
    tunnel_proxy proxy;
    cpl_client *client = NULL;
    cpl_reply *reply = NULL;
    cpl_error err;
    if (!have_openssl()) SKIP("the openssl command is not installed");
    NEED(tls_server_start(&origin, NULL));
    tunnel_start(&proxy, "user:p%40ss@", 0);
    const cpl_client_options options = {.region = CPL_LIT("eu-west-1"),
                                        .access_key_id = CPL_LIT("AKIDEXAMPLE"),
                                        .secret_access_key = CPL_LIT("secret"),
                                        .session_token = CPL_LIT("canarytoken"),
                                        .endpoint_url = cpl_str_of(origin.url),
                                        .ca_bundle = cpl_str_of(origin.certificate),
                                        .proxy = cpl_str_of(proxy.url),
                                        .max_attempts = 1};
    CHECK(cpl_client_new(&client, &options, &err) == CPL_OK);
    /* openssl's server answers a POST with nothing at all; what counts is that it got there */
    if (client) CHECK(cpl_client_call(client, CPL_LIT("ListPipelines"), CPL_LIT("{}"), NULL, &reply, &err) != CPL_OK);
    CHECK(err.status == CPL_NETWORK || err.status == CPL_PROTOCOL || err.status == CPL_TIMEOUT);
    cpl_client_free(client);
    tunnel_stop(&proxy);
    NEED(proxy.count >= 1);
    CHECK(strncmp(proxy.heads[0], "CONNECT 127.0.0.1:", 18) == 0);
    CHECK(strstr(proxy.heads[0], "Proxy-Authorization: Basic dXNlcjpwQHNz\r\n") != NULL);
    CHECK(strstr(proxy.heads[0], "canarytoken") == NULL && strstr(proxy.heads[0], "AKIDEXAMPLE") == NULL);
    tls_server_stop(&origin);
}

TEST(t_proxy__tls_through_a_tunnel_is_verified_like_any_other) {
    tls_server origin = {0};
    tunnel_proxy proxy;
    cpl_error err;
    if (!have_openssl()) SKIP("the openssl command is not installed");
    NEED(tls_server_start(&origin, NULL));
    tunnel_start(&proxy, "", 0);
    cpl_http_options options = {.proxy = cpl_str_of(proxy.url), .proxy_set = true, .connect_timeout_ms = 5000};
    CHECK(get(&options, origin.url, &err) == CPL_NETWORK);
    CHECK(strstr(err.message, "the certificate is not trusted") != NULL);
    options.ca_bundle = cpl_str_of(origin.certificate);
    CHECK(get(&options, origin.url, &err) == CPL_OK);
    tunnel_stop(&proxy);
    CHECK(proxy.count == 2);
    tls_server_stop(&origin);
}

TEST(t_proxy__a_proxy_that_refuses_says_why) {
    static const struct {
        int code;
        cpl_status status;
        const char *message;
    } cases[] = {{407, CPL_CONFIG, "the proxy refused to connect to \"127.0.0.1:1\": it wants other credentials (407)"},
                 {403, CPL_NETWORK, "the proxy refused to connect to \"127.0.0.1:1\": "}};
    for (size_t i = 0; i < CPL_COUNT(cases); i++) {
        tunnel_proxy proxy;
        cpl_error err = {0};
        tunnel_start(&proxy, "user:canary@", cases[i].code);
        const cpl_http_options options = {.proxy = cpl_str_of(proxy.url), .proxy_set = true};
        CHECK(get(&options, "https://127.0.0.1:1/", &err) == cases[i].status);
        CHECK(strncmp(err.message, cases[i].message, strlen(cases[i].message)) == 0);
        CHECK(strstr(err.message, "canary") == NULL);
        tunnel_stop(&proxy);
    }
}

TEST(t_proxy__a_proxy_behind_tls_is_verified_too) {
    tls_server server = {0};
    char proxy[96];
    cpl_error err;
    if (!have_openssl()) SKIP("the openssl command is not installed");
    NEED(tls_server_start(&server, NULL));
    snprintf(proxy, sizeof proxy, "https://user:canary@%s", server.url + 8);
    const cpl_http_options options = {.proxy = cpl_str_of(proxy), .proxy_set = true, .connect_timeout_ms = 5000};
    CHECK(get(&options, "http://elsewhere.invalid/", &err) == CPL_NETWORK);
    CHECK(strstr(err.message, "certificate") != NULL && strstr(err.message, "canary") == NULL);
    tls_server_stop(&server);
}

/* ---- the client's certificate ---- */

TEST(t_proxy__a_client_certificate_is_shown_to_a_server_that_asks) {
    tls_server server = {0};
    cpl_error err;
    if (!have_openssl()) SKIP("the openssl command is not installed");
    NEED(tls_server_start(&server, "-Verify"));
    cpl_http_options options = {
        .ca_bundle = cpl_str_of(server.certificate), .proxy_set = true, .connect_timeout_ms = 5000};
    CHECK(get(&options, server.url, &err) == CPL_NETWORK);
    options.client_cert = cpl_str_of(server.certificate);
    options.client_key = cpl_str_of(server.key);
    CHECK(get(&options, server.url, &err) == CPL_OK);
    options.client_key = cpl_str_of(server.certificate); /* no key in it */
    CHECK(get(&options, server.url, &err) == CPL_CONFIG);
    CHECK(strncmp(err.message, "the client certificate or its key cannot be used for \"127.", 58) == 0);
    options.client_key = CPL_LIT("/nonexistent.pem");
    CHECK(get(&options, server.url, &err) == CPL_CONFIG);
    CHECK_STR(err.message, "read the client certificate's key \"/nonexistent.pem\": No such file or directory");
    tls_server_stop(&server);
}

TEST_MAIN
