/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <pthread.h>

#include "../../core/clock.h"
#include "../../core/json.h"
#include "../../core/retry.h"
#include "../../core/skew.h"
#include "test.h"

/* ---- the AWS specification's own scenarios ---- */

static cpl_retry_policy given_policy(cpl_retry_version version, const cpl_json *given) {
    cpl_retry_policy policy = *cpl_retry_policy_of(version);
    policy.max_attempts = (int)cpl_json_get_number(given, "max_attempts", policy.max_attempts);
    policy.cap_ms = (int64_t)(cpl_json_get_number(given, "max_backoff_time", 20) * 1000);
    return policy;
}

static bool expect_delay(const cpl_json *expected, int64_t delay_ms) {
    double want = cpl_json_get_number(expected, "delay", -1);
    return want < 0 || fabs(want * 1000 - (double)delay_ms) < 0.5;
}

static const char *verdict_text(cpl_retry_verdict verdict) {
    static const char *const texts[] = {"retry_request", "fail_request", "max_attempts_exceeded",
                                        "retry_quota_exceeded"};
    return texts[verdict];
}

/* One response; returns whether all was as expected. */
static bool play_step(const cpl_retry_policy *policy, cpl_retry_quota *quota, cpl_retry *call, const cpl_json *step,
                      bool long_poll) {
    const cpl_json *response = cpl_json_get(step, "response"), *expected = cpl_json_get(step, "expected");
    int http_status = (int)cpl_json_get_number(response, "status_code", 0);
    const char *outcome = cpl_json_get_cstr(expected, "outcome", "");
    const char *got = "success";
    int64_t delay_ms = 0;
    cpl_retry_failure failure = {.random = 1, .long_poll = long_poll};
    if (http_status < 300) {
        cpl_retry_succeeded(policy, quota, call);
    } else {
        failure.class = cpl_retry_classify(CPL_SERVICE, http_status, cpl_json_get_str(response, "error_code"));
        failure.retry_after = cpl_json_str(cpl_json_get_path(response, "headers.x-amz-retry-after"));
        got = verdict_text(cpl_retry_next(policy, quota, call, &failure, &delay_ms));
        if (cpl_json_get(expected, "delay") == NULL && strcmp(outcome, "retry_request") != 0 && delay_ms != 0) {
            return false; /* giving up must not wait */
        }
    }
    if (strcmp(got, "retry_request") != 0) *call = (cpl_retry){0}; /* the next step is another call */
    return strcmp(got, outcome) == 0 && expect_delay(expected, delay_ms) &&
           cpl_json_get_number(expected, "retry_quota", atomic_load(&quota->tokens)) == atomic_load(&quota->tokens);
}

/* The threads of a scenario take turns here; what matters is that they share the quota. */
static bool play_scenario(cpl_retry_version version, const cpl_json *scenario) {
    const cpl_json *given = cpl_json_get(scenario, "given"), *threads = cpl_json_get(scenario, "threads");
    cpl_retry_policy policy = given_policy(version, given);
    cpl_retry_quota quota;
    bool long_poll = cpl_json_get_bool(given, "long_polling", false), ok = true;
    cpl_retry_quota_init(&quota, (int)cpl_json_get_number(given, "initial_retry_tokens", policy.quota));
    if (threads == NULL) {
        cpl_retry call = {0};
        for (cpl_json *step = cpl_json_first(cpl_json_get(scenario, "responses")); step; step = cpl_json_next(step)) {
            ok = play_step(&policy, &quota, &call, step, long_poll) && ok;
        }
        return ok;
    }
    cpl_retry calls[2] = {{0}, {0}};
    static const struct { size_t thread, step; } order[] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {0, 2}};
    for (size_t i = 0; i < CPL_COUNT(order); i++) {
        const cpl_json *step = cpl_json_at(cpl_json_at(threads, order[i].thread), order[i].step);
        ok = play_step(&policy, &quota, &calls[order[i].thread], step, false) && ok;
    }
    return ok && cpl_json_get_number(scenario, "expected_final_quota", -1) == atomic_load(&quota.tokens);
}

static cpl_json *read_suite(const char *name) {
    const char *path = test_suite_path(name);
    char *text = path ? test_read_file(path, NULL) : NULL;
    cpl_json *json = NULL;
    if (text) CHECK(cpl_json_parse(cpl_str_of(text), &json, NULL) == CPL_OK);
    free(text);
    return json;
}

static int play_suite(cpl_retry_version version, cpl_json *suite) {
    int count = 0;
    for (cpl_json *scenario = cpl_json_first(suite); scenario; scenario = cpl_json_next(scenario), count++) {
        if (!CHECK(play_scenario(version, scenario))) printf("  %s\n", cpl_json_get_cstr(scenario, "name", ""));
    }
    cpl_json_free(suite);
    return count;
}

TEST(t_retry__all_scenarios_of_version_2_1_pass) {
    cpl_json *suite = read_suite("retry/retry-v2.1-cases.json");
    if (suite == NULL) SKIP("no retry suite");
    CHECK(play_suite(CPL_RETRY_2_1, suite) == 19);
}

TEST(t_retry__all_scenarios_of_version_2_0_pass) {
    cpl_json *suite = read_suite("retry/retry-v2.0-cases.json");
    if (suite == NULL) SKIP("no retry suite");
    CHECK(play_suite(CPL_RETRY_2_0, suite) == 6);
}

/* ---- what the scenarios leave open ---- */

TEST(t_retry__a_quota_is_not_throttling) {
    CHECK(cpl_retry_classify(CPL_SERVICE, 400, CPL_LIT("LimitExceededException")) == CPL_RETRY_NEVER);
    CHECK(cpl_retry_classify(CPL_SERVICE, 400, CPL_LIT("ThrottlingException")) == CPL_RETRY_THROTTLING);
    CHECK(cpl_retry_classify(CPL_SERVICE, 503, CPL_LIT("SlowDown")) == CPL_RETRY_THROTTLING);
    CHECK(cpl_retry_classify(CPL_SERVICE, 429, CPL_LIT("429")) == CPL_RETRY_THROTTLING);
    CHECK(cpl_retry_classify(CPL_SERVICE, 400, CPL_LIT("RequestTimeout")) == CPL_RETRY_TRANSIENT);
    CHECK(cpl_retry_classify(CPL_SERVICE, 501, CPL_LIT("501")) == CPL_RETRY_NEVER);
    CHECK(cpl_retry_classify(CPL_SERVICE, 400, CPL_LIT("PipelineNotFoundException")) == CPL_RETRY_NEVER);
}

TEST(t_retry__each_status_of_ours_has_its_class) {
    CHECK(cpl_retry_classify(CPL_NETWORK, 0, CPL_LIT("")) == CPL_RETRY_TRANSIENT);
    CHECK(cpl_retry_classify(CPL_PROTOCOL, 0, CPL_LIT("")) == CPL_RETRY_TRANSIENT);
    CHECK(cpl_retry_classify(CPL_TIMEOUT, 0, CPL_LIT("")) == CPL_RETRY_TIMEOUT);
    CHECK(cpl_retry_classify(CPL_CANCELLED, 0, CPL_LIT("")) == CPL_RETRY_NEVER);
    CHECK(cpl_retry_classify(CPL_TOO_LARGE, 0, CPL_LIT("")) == CPL_RETRY_NEVER);
    CHECK(cpl_retry_classify(CPL_NOMEM, 0, CPL_LIT("")) == CPL_RETRY_NEVER);
}

static int64_t delay_after(cpl_retry_version version, int attempts, cpl_retry_failure failure) {
    cpl_retry_policy policy = *cpl_retry_policy_of(version);
    cpl_retry_quota quota;
    cpl_retry call = {.attempts = attempts - 1};
    int64_t delay_ms;
    policy.max_attempts = 1000;
    cpl_retry_quota_init(&quota, policy.quota);
    CHECK(cpl_retry_next(&policy, &quota, &call, &failure, &delay_ms) == CPL_RETRY_AGAIN);
    return delay_ms;
}

TEST(t_retry__the_cap_holds_before_the_jitter_and_forever) {
    const cpl_retry_failure half = {.class = CPL_RETRY_THROTTLING, .random = 0.5};
    CHECK(delay_after(CPL_RETRY_2_1, 1, half) == 500);
    CHECK(delay_after(CPL_RETRY_2_1, 6, half) == 10000);
    CHECK(delay_after(CPL_RETRY_2_1, 64, half) == 10000);
    CHECK(delay_after(CPL_RETRY_2_1, 900, half) == 10000);
    CHECK(delay_after(CPL_RETRY_2_0, 6, half) == 16000);
    CHECK(delay_after(CPL_RETRY_2_0, 64, half) == 20000);
}

TEST(t_retry__a_header_that_asks_for_less_than_nothing_is_ignored) {
    const char *const headers[] = {"-5", "1.5", "1e3", "", " 9", "99999999999999999999"};
    for (size_t i = 0; i < CPL_COUNT(headers); i++) {
        const cpl_retry_failure failure = {CPL_RETRY_TRANSIENT, cpl_str_of(headers[i]), false, 1};
        CHECK(delay_after(CPL_RETRY_2_1, 1, failure) == 50);
    }
    CHECK(delay_after(CPL_RETRY_2_1, 1, (cpl_retry_failure){CPL_RETRY_TRANSIENT, CPL_LIT("70"), false, 0}) == 70);
    CHECK(delay_after(CPL_RETRY_2_0, 1, (cpl_retry_failure){CPL_RETRY_TRANSIENT, CPL_LIT("7000"), false, 1}) == 1000);
}

TEST(t_retry__a_service_that_is_down_gets_35_retries_and_no_more) {
    const cpl_retry_policy *policy = cpl_retry_policy_of(CPL_RETRY_2_1);
    const cpl_retry_failure failure = {.class = CPL_RETRY_TRANSIENT, .random = 1};
    cpl_retry_quota quota;
    int retries = 0;
    cpl_retry_quota_init(&quota, policy->quota);
    for (int i = 0; i < 1000; i++) {
        cpl_retry call = {0};
        int64_t delay_ms;
        while (cpl_retry_next(policy, &quota, &call, &failure, &delay_ms) == CPL_RETRY_AGAIN) retries++;
    }
    CHECK(retries == 500 / 14);
}

#define ROUNDS 20000

static void *retry_and_succeed(void *argument) {
    const cpl_retry_policy *policy = cpl_retry_policy_of(CPL_RETRY_2_1);
    const cpl_retry_failure failure = {.class = CPL_RETRY_THROTTLING, .random = 1};
    for (int i = 0; i < ROUNDS; i++) {
        cpl_retry call = {0};
        int64_t delay_ms;
        if (cpl_retry_next(policy, argument, &call, &failure, &delay_ms) != CPL_RETRY_AGAIN) return argument;
        cpl_retry_succeeded(policy, argument, &call);
    }
    return NULL;
}

TEST(t_retry__threads_lose_no_token) {
    cpl_retry_quota quota;
    pthread_t threads[4];
    void *failed;
    cpl_retry_quota_init(&quota, 400);
    for (size_t i = 0; i < 4; i++) NEED(pthread_create(&threads[i], NULL, retry_and_succeed, &quota) == 0);
    for (size_t i = 0; i < 4; i++) CHECK(pthread_join(threads[i], &failed) == 0 && failed == NULL);
    CHECK(atomic_load(&quota.tokens) == 400);
}

/* ---- the clock ---- */

static int64_t time_of(const cpl_json *object, const char *key) {
    double seconds = 0;
    CHECK(cpl_time_parse(cpl_json_get_str(object, key), &seconds));
    return (int64_t)seconds * 1000;
}

static bool play_clock_operation(const cpl_json *operation, int64_t *skew_s) {
    int left = (int)cpl_json_get_number(operation, "maxAttempts", 3);
    const char *outcome = "success";
    *skew_s = (int64_t)cpl_json_get_number(operation, "initialClientSkew", 0);
    for (cpl_json *attempt = cpl_json_first(cpl_json_get(operation, "attempts")); attempt;
         attempt = cpl_json_next(attempt)) {
        const cpl_json *response = cpl_json_get(attempt, "response"), *headers = cpl_json_get(response, "headers");
        int64_t used_s = *skew_s, sent_ms = time_of(attempt, "clientTimeAtSend");
        const cpl_skew_answer answer = {sent_ms, time_of(attempt, "clientTimeAtReceive"),
                                        cpl_json_get_str(headers, "Date"), cpl_json_get_str(headers, "Age")};
        bool learnt, again;
        if (sent_ms + used_s * 1000 != time_of(attempt, "expectedSigningTime")) return false;
        learnt = cpl_skew_learn(&answer, skew_s);
        if (cpl_json_get_number(response, "statusCode", 0) < 300) break;
        outcome = "error";
        again = learnt && cpl_skew_blamed(cpl_json_get_str(response, "errorCode"), used_s, *skew_s) && --left > 0;
        if (again != (cpl_json_next(attempt) != NULL)) return false;
        if (again) outcome = "success";
    }
    return strcmp(outcome, cpl_json_get_cstr(operation, "expectedOutcome", "")) == 0 &&
           (double)*skew_s == cpl_json_get_number(operation, "expectedClientSkew", -1);
}

TEST(t_skew__all_cases_of_the_clock_skew_specification_pass) {
    cpl_json *suite = read_suite("clock-skew/clock-skew-test-cases.json");
    int count = 0;
    if (suite == NULL) SKIP("no clock skew suite");
    for (cpl_json *test = cpl_json_first(cpl_json_get(suite, "tests")); test; test = cpl_json_next(test), count++) {
        int64_t skew_s = 0;
        for (cpl_json *operation = cpl_json_first(cpl_json_get(test, "operations")); operation;
             operation = cpl_json_next(operation)) {
            if (!CHECK(play_clock_operation(operation, &skew_s))) {
                printf("  %s\n", cpl_json_get_cstr(test, "description", ""));
            }
        }
    }
    CHECK(count == 10);
    cpl_json_free(suite);
}

TEST(t_skew__the_rounding_of_a_date_moves_nothing) {
    int64_t skew_s = 0;
    for (int64_t ms = 0; ms < 2000; ms += 100) {
        const cpl_skew_answer answer = {1767225600000 + ms, 1767225600000 + ms + 10,
                                        CPL_LIT("Thu, 01 Jan 2026 00:00:00 GMT"), CPL_LIT("")};
        CHECK(cpl_skew_learn(&answer, &skew_s) && skew_s == 0);
    }
}

TEST(t_skew__nonsense_teaches_nothing) {
    int64_t skew_s = 7;
    cpl_skew_answer answer = {1000, 2000, CPL_LIT("yesterday"), CPL_LIT("")};
    CHECK(!cpl_skew_learn(&answer, &skew_s) && skew_s == 7);
    answer = (cpl_skew_answer){2000, 1000, CPL_LIT("Thu, 01 Jan 2026 00:00:00 GMT"), CPL_LIT("")};
    CHECK(!cpl_skew_learn(&answer, &skew_s) && skew_s == 7); /* the clock was set back meanwhile */
    CHECK(!cpl_skew_blamed(CPL_LIT("AccessDeniedException"), 0, 86400));
    CHECK(!cpl_skew_blamed(CPL_LIT("RequestTimeTooSkewed"), 300, 300));
    CHECK(cpl_skew_blamed(CPL_LIT("RequestExpired"), 0, -86400));
}

TEST_MAIN
