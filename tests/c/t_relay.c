/* SPDX-License-Identifier: MIT */
/* An emulator's events, carried to a file or an address: all of them, in order, and never in anybody's way. */
#include "fault_server.h"
#include "service.h"

/* Six events: pipeline, stage and action start; the source object is not there, so all three fail. */
#define EVENTS 6
static bool fail_once(service *s, const char *name) {
    return ask(s, "CreatePipeline",
               "{'pipeline':{'name':'%s'," ROLE "," STORE ",'stages':[" SOURCE
               ","
               "{'name':'Gate','actions':[{'name':'Ask','actionTypeId':{'category':'Approval','owner':'AWS',"
               "'provider':'Manual','version':'1'}}]}]}}",
               name);
}

/* Stops both as a program does, and answers what came of it. */
static cpl_relay_report finish(service *s, cpl_relay *relay) {
    cpl_relay_report report;
    cpl_json_free(s->answer);
    cpl_client_free(s->client);
    cpl_emulator_stop(s->emulator);
    cpl_relay_stop(relay, &report);
    return report;
}

static const char *state_in(const char *line) {
    static char state[32];
    cpl_json *event = NULL;
    size_t n = strcspn(line, "\n");
    state[0] = '\0';
    if (cpl_json_parse((cpl_str){line, n}, &event, NULL) == CPL_OK)
        CPL_COPY(state, cpl_json_get_str(cpl_json_get(event, "detail"), "state"));
    cpl_json_free(event);
    return state;
}

TEST(t_relay__every_event_is_a_line_behind_what_the_file_held) {
    static const char *const states[] = {"STARTED", "STARTED", "STARTED", "FAILED", "FAILED", "FAILED"};
    service s;
    cpl_relay *relay = NULL;
    cpl_relay_report report;
    char path[512], *lines;
    const char *at;
    FILE *file;
    NEED(open_room());
    CPL_COPY(path, in_room("events.jsonl"));
    file = fopen(path, "w");
    NEED(file);
    fputs("before\n", file);
    fclose(file);
    NEED(open_service(&s));
    NEED(cpl_relay_start(&relay, s.emulator, cpl_str_of(path), NULL) == CPL_OK);
    CHECK(fail_once(&s, "p"));
    report = finish(&s, relay);
    CHECK(report.delivered == EVENTS && report.dropped == 0 && report.reason[0] == '\0');
    lines = test_read_file(path, NULL);
    NEED(lines && strncmp(lines, "before\n", 7) == 0);
    at = lines + 7;
    for (int i = 0; i < EVENTS; i++, at += strcspn(at, "\n") + 1) CHECK_STR(state_in(at), states[i]);
    CHECK(*at == '\0');
    free(lines);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

TEST(t_relay__every_event_is_a_request_and_a_failure_that_passes_costs_none) {
    static const fault_step steps[] = {{.status = 503}, {.kind = FAULT_RESET}, {.status = 200}};
    fault_server *server = fault_server_start(steps, CPL_COUNT(steps));
    service s;
    cpl_relay *relay = NULL;
    cpl_relay_report report;
    NEED(open_service(&s));
    NEED(cpl_relay_start(&relay, s.emulator, cpl_str_of(fault_server_url(server)), NULL) == CPL_OK);
    CHECK(fail_once(&s, "p"));
    report = finish(&s, relay);
    CHECK(report.delivered == EVENTS && report.dropped == 0);
    CHECK(fault_server_requests(server) == EVENTS + 2);
    CHECK(strncmp(fault_server_request(server, 7), "POST / HTTP/1.1\r\n", 17) == 0);
    CHECK(strcasestr(fault_server_request(server, 7), "\r\nContent-Type: application/json\r\n"));
    CHECK(strstr(fault_server_request(server, 7), "\r\n\r\n{\"version\":\"0\","));
    fault_server_stop(server);
}

TEST(t_relay__a_target_that_refuses_loses_events_and_it_is_said_why) {
    static const fault_step steps[] = {{.status = 404}};
    fault_server *server = fault_server_start(steps, CPL_COUNT(steps));
    service s;
    cpl_relay *relay = NULL;
    cpl_relay_report report;
    NEED(open_service(&s));
    NEED(cpl_relay_start(&relay, s.emulator, cpl_str_of(fault_server_url(server)), NULL) == CPL_OK);
    CHECK(fail_once(&s, "p"));
    report = finish(&s, relay);
    CHECK(report.delivered == 0 && report.dropped == EVENTS);
    CHECK_STR(report.reason, "it answered with HTTP status 404");
    CHECK(fault_server_requests(server) == EVENTS);
    fault_server_stop(server);
}

TEST(t_relay__a_target_that_is_silent_holds_up_nobody) {
    static const fault_step steps[] = {{.kind = FAULT_STALL}};
    fault_server *server = fault_server_start(steps, CPL_COUNT(steps));
    service s;
    cpl_relay *relay = NULL;
    cpl_relay_report report;
    int64_t before = cpl_clock_monotonic_ms();
    char name[16];
    NEED(open_service(&s));
    NEED(cpl_relay_start(&relay, s.emulator, cpl_str_of(fault_server_url(server)), NULL) == CPL_OK);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "p%d", i);
        CHECK(fail_once(&s, name));
    }
    CHECK(cpl_clock_monotonic_ms() - before < 2000);
    report = finish(&s, relay);
    CHECK(cpl_clock_monotonic_ms() - before < 5000);
    CHECK(report.delivered == 0 && report.dropped == 20 * EVENTS && report.reason[0]);
    fault_server_stop(server);
}

TEST(t_relay__a_pipe_that_nobody_empties_holds_up_nobody) {
    service s;
    cpl_relay *relay = NULL;
    cpl_relay_report report;
    char path[512], name[16];
    int reader;
    NEED(open_room());
    CPL_COPY(path, in_room("pipe"));
    NEED(mkfifo(path, 0600) == 0);
    reader = open(path, O_RDONLY | O_NONBLOCK);
    NEED(reader >= 0);
    NEED(open_service(&s));
    NEED(cpl_relay_start(&relay, s.emulator, cpl_str_of(path), NULL) == CPL_OK);
    for (int i = 0; i < 30; i++) { /* more than the 64 KiB that a pipe holds */
        snprintf(name, sizeof name, "p%d", i);
        CHECK(fail_once(&s, name));
    }
    report = finish(&s, relay);
    CHECK(report.delivered > 0 && report.dropped > 0 && report.delivered + report.dropped == 30 * EVENTS);
    CHECK_STR(report.reason, "nobody reads it");
    close(reader);
    CHECK(cpl_tree_remove(AT_FDCWD, room));
}

TEST(t_relay__what_cannot_be_a_target_is_refused) {
    service s;
    cpl_relay *relay = NULL;
    cpl_error err;
    NEED(open_service(&s));
    CHECK(cpl_relay_start(&relay, s.emulator, CPL_LIT("/no/such/folder/events"), &err) == CPL_IO && relay == NULL);
    CHECK_STR(err.path, "events");
    CHECK(strstr(err.message, "/no/such/folder/events"));
    CHECK(cpl_relay_start(&relay, s.emulator, CPL_LIT("http://a b/"), &err) == CPL_INVALID && relay == NULL);
    CHECK_STR(err.path, "events");
    cpl_relay_stop(NULL, NULL);
    close_service(&s);
}

TEST_MAIN
