/* SPDX-License-Identifier: MIT */
/* Webhooks: the operations, and what becomes of an event that is posted to one. */
#include "../../core/emulator/webhook.h"
#include "emu_story.h"

#define HOOK(name, action, filters, kind, needs)                                                         \
    "{'webhook':{'name':'" name "','targetPipeline':'p','targetAction':'" action "','filters':[" filters \
    "],"                                                                                                 \
    "'authentication':'" kind "','authenticationConfiguration':{" needs "}}}"
#define OPEN(filters) HOOK("h", "Fetch", filters, "UNAUTHENTICATED", "")
#define EVENT "{\"ref\":\"refs/heads/main\",\"commits\":[{\"id\":1},{\"id\":2}]}"
#define SIGNED_256 "sha256=e73cd22dd1592d28ae31ba6a6f34bcd2073be252cee7639cd38de9dd8898017b"
#define SIGNED_1 "sha1=bff3e68cb092ba24118490bd468ae1f2aeca830f"
#define SIGNED_1_LONG "sha1=8fba37a349b414a224c97d1c5e3550969bb39b36"

static void begin_hook(const char *webhook) {
    begin(PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok"))));
    CHECK_STR(run("PutWebhook", "%s", webhook), "");
}

typedef struct event {
    const char *body;
    const char *header;
    const char *value;
    const char *from;
} event_sent;

/* Posts to the URL that the last answer shows at path; answers the status. */
static int post(const char *path, event_sent sent) {
    const char *url = text(path);
    cpl_header header = {cpl_str_of(sent.header ? sent.header : "X-None"), cpl_str_of(sent.value ? sent.value : "")};
    emu_request request = {.method = CPL_LIT("POST"),
                           .body = cpl_str_of(sent.body),
                           .headers = &header,
                           .header_count = 1,
                           .remote = cpl_str_of(sent.from)};
    emu_response response;
    int status;
    request.path = cpl_str_of(strlen(url) > strlen(emu_url(story)) ? url + strlen(emu_url(story)) : "/_webhook/none");
    CHECK(emu_request_is_webhook(&request));
    emu_response_init(&response);
    emu_webhook_answer(story, &request, &response);
    CHECK(cpl_str_find(cpl_buf_str(&response.body), '{') == 0);
    status = response.status;
    emu_response_release(&response);
    return status;
}

static int executions(void) {
    run("ListPipelineExecutions", "{'pipelineName':'p'}");
    return count("pipelineExecutionSummaries");
}

TEST(t_webhooks__an_event_starts_the_pipeline) {
    begin_hook(OPEN("{'jsonPath':'$.ref','matchEquals':'refs/heads/main'}"));
    CHECK(strncmp(text("webhook.url"), "http://localhost/_webhook/", 26) == 0);
    CHECK_STR(text("webhook.arn"), "arn:aws:codepipeline:us-east-1:123456789012:webhook:h");
    CHECK(post("webhook.url", (event_sent){EVENT, NULL, NULL, NULL}) == 200);
    CHECK(executions() == 2);
    CHECK_STR(text("pipelineExecutionSummaries.0.trigger.triggerType"), "Webhook");
    CHECK_STR(text("pipelineExecutionSummaries.0.trigger.triggerDetail"),
              "arn:aws:codepipeline:us-east-1:123456789012:webhook:h");
    CHECK_STR(run("ListWebhooks", "{}"), "");
    CHECK(number("webhooks.0.lastTriggered") > 0);
    CHECK(post("webhooks.0.url", (event_sent){"{\"ref\":\"refs/heads/other\"}", NULL, NULL, NULL}) == 200);
    CHECK(post("webhooks.0.url", (event_sent){"not json", NULL, NULL, NULL}) == 400);
    CHECK(post("no.such.path", (event_sent){EVENT, NULL, NULL, NULL}) == 404);
    CHECK(executions() == 2);
    close_story();
}

TEST(t_webhooks__filters_look_anywhere_and_take_values_of_the_action) {
    static const struct {
        const char *path;
        const char *want;
        bool starts;
    } filters[] = {
        {"$.commits[1].id", "2", true},   {"$.commits[*].id", "2", true}, {"$.commits[2].id", "2", false},
        {"$.commits[0].id", "1", true},   {"$['ref']", NULL, true},       {"$.none", NULL, false},
        {"$.*", "refs/heads/main", true}, {"$.ref", "{S3Bucket}", false}, {"$", NULL, true},
    };
    begin(PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok"))));
    for (size_t i = 0; i < CPL_COUNT(filters); i++) {
        char filter[256];
        int before = executions();
        int n = snprintf(filter, sizeof filter, "{\"jsonPath\":\"%s\"", filters[i].path);
        if (filters[i].want)
            n += snprintf(filter + n, sizeof filter - (size_t)n, ",\"matchEquals\":\"%s\"", filters[i].want);
        snprintf(filter + n, sizeof filter - (size_t)n, "}");
        if (strchr(filters[i].path, '\'')) snprintf(filter, sizeof filter, "{\"jsonPath\":\"$[\\u0027ref\\u0027]\"}");
        CHECK_STR(run("PutWebhook",
                      "{'webhook':{'name':'h','targetPipeline':'p','targetAction':'Fetch','filters':[%s],"
                      "'authentication':'UNAUTHENTICATED','authenticationConfiguration':{}}}",
                      filter),
                  "");
        CHECK(post("webhook.url", (event_sent){EVENT, NULL, NULL, NULL}) == 200);
        if (!CHECK((executions() > before) == filters[i].starts)) printf("  %s\n", filters[i].path);
    }
    CHECK_STR(run("PutWebhook", "%s", OPEN("{'jsonPath':'$.bucket','matchEquals':'the {S3Bucket}/{S3ObjectKey}!'}")),
              "");
    int before = executions();
    run("ListWebhooks", "{}");
    CHECK(post("webhooks.0.url", (event_sent){"{\"bucket\":\"the src/app.zip!\"}", NULL, NULL, NULL}) == 200);
    CHECK(executions() == before + 1);
    close_story();
}

TEST(t_webhooks__a_signature_is_checked) {
    begin_hook(HOOK("h", "Fetch", "{'jsonPath':'$.ref'}", "GITHUB_HMAC", "'SecretToken':'hush'"));
    CHECK_STR(text("webhook.definition.authenticationConfiguration.SecretToken"), "****");
    CHECK(post("webhook.url", (event_sent){EVENT, NULL, NULL, NULL}) == 403);
    CHECK(post("webhook.url", (event_sent){EVENT " ", "X-Hub-Signature-256", SIGNED_256, NULL}) == 403);
    CHECK(post("webhook.url", (event_sent){EVENT, "X-Hub-Signature-256", "sha256=", NULL}) == 403);
    CHECK(post("webhook.url", (event_sent){EVENT, "X-Hub-Signature-256", SIGNED_256, NULL}) == 200);
    CHECK(post("webhook.url", (event_sent){EVENT, "x-hub-signature", SIGNED_1, NULL}) == 200);
    CHECK_STR(
        run("PutWebhook", "%s",
            HOOK(
                "h", "Fetch", "", "GITHUB_HMAC",
                "'SecretToken':'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
                "kkkkkkkkkkkkk'")),
        "");
    CHECK(post("webhook.url", (event_sent){EVENT, "X-Hub-Signature", SIGNED_1, NULL}) == 403);
    CHECK(post("webhook.url", (event_sent){EVENT, "X-Hub-Signature", SIGNED_1_LONG, NULL}) == 200);
    CHECK(executions() == 4);
    close_story();
}

TEST(t_webhooks__an_address_is_checked) {
    begin_hook(HOOK("h", "Fetch", "", "IP", "'AllowedIPRange':'10.1.0.0/12'"));
    CHECK(post("webhook.url", (event_sent){EVENT, NULL, NULL, "10.15.255.255"}) == 200);
    CHECK(post("webhook.url", (event_sent){EVENT, NULL, NULL, "::ffff:10.0.0.1"}) == 200);
    CHECK(post("webhook.url", (event_sent){EVENT, NULL, NULL, "10.16.0.0"}) == 403);
    CHECK(post("webhook.url", (event_sent){EVENT, NULL, NULL, "::1"}) == 403);
    CHECK(post("webhook.url", (event_sent){EVENT, NULL, NULL, NULL}) == 403);
    CHECK(emu_ip_in_range("2001:db8::/33", cpl_str_of("2001:db8:7fff::1")));
    CHECK(!emu_ip_in_range("2001:db8::/33", cpl_str_of("2001:db8:8000::1")));
    CHECK(emu_ip_in_range("0.0.0.0/0", cpl_str_of("1.2.3.4")));
    CHECK(emu_ip_in_range("127.0.0.1", cpl_str_of("127.0.0.1")) &&
          !emu_ip_in_range("127.0.0.1", cpl_str_of("127.0.0.2")));
    close_story();
}

TEST(t_webhooks__a_malformed_webhook_is_refused) {
    static const char *const paths[] = {"ref", "$ref", "$.", "$..a", "$[", "$[-1]", "$[?(@.a)]", "$.a[b]"};
    begin_hook(OPEN(""));
    CHECK_STR(run("PutWebhook", "%s", HOOK("h", "Nobody", "", "UNAUTHENTICATED", "")), "ValidationException");
    CHECK_STR(run("PutWebhook",
                  "{'webhook':{'name':'h','targetPipeline':'q','targetAction':'Fetch','filters':[],"
                  "'authentication':'UNAUTHENTICATED','authenticationConfiguration':{}}}"),
              "PipelineNotFoundException");
    for (size_t i = 0; i < CPL_COUNT(paths); i++) {
        CHECK_STR(
            run("PutWebhook",
                "{'webhook':{'name':'h','targetPipeline':'p','targetAction':'Fetch','filters':[{'jsonPath':'%s'}],"
                "'authentication':'UNAUTHENTICATED','authenticationConfiguration':{}}}",
                paths[i]),
            "InvalidWebhookFilterPatternException");
    }
    CHECK_STR(run("PutWebhook", "%s", OPEN("{'jsonPath':'$.ref','matchEquals':'{Branch}'}")),
              "InvalidWebhookFilterPatternException");
    CHECK_STR(run("PutWebhook", "%s", OPEN("{'jsonPath':'$.ref','matchEquals':'{S3Bucket'}")),
              "InvalidWebhookFilterPatternException");
    CHECK_STR(run("PutWebhook", "%s", HOOK("h", "Fetch", "", "GITHUB_HMAC", "")),
              "InvalidWebhookAuthenticationParametersException");
    CHECK_STR(run("PutWebhook", "%s", HOOK("h", "Fetch", "", "UNAUTHENTICATED", "'SecretToken':'x'")),
              "InvalidWebhookAuthenticationParametersException");
    CHECK_STR(run("PutWebhook", "%s", HOOK("h", "Fetch", "", "IP", "'AllowedIPRange':'10.0.0.0/33'")),
              "InvalidWebhookAuthenticationParametersException");
    close_story();
}

TEST(t_webhooks__the_quota_holds) {
    begin(PIPELINE("p", SOURCE "," STAGE("Ask", APPROVAL("Ok"))));
    for (int i = 0; i <= 300; i++) {
        CHECK_STR(run("PutWebhook",
                      "{'webhook':{'name':'h%d','targetPipeline':'p','targetAction':'Fetch','filters':[],"
                      "'authentication':'UNAUTHENTICATED','authenticationConfiguration':{}}}",
                      i),
                  i < 300 ? "" : "LimitExceededException");
    }
    CHECK_STR(run("ListWebhooks", "{}"), "");
    CHECK(count("webhooks") == 100);
    CHECK_STR(run("ListWebhooks", "{'NextToken':'%s'}", keep("NextToken")), "");
    CHECK(count("webhooks") == 100);
    close_story();
}

TEST(t_webhooks__random_events_addresses_and_paths_do_no_harm) {
    static const char letters[] = "$.[]*'\"ab01{}:,/-";
    unsigned seed = 3;
    cpl_json *event = NULL;
    NEED(cpl_json_parse(CPL_LIT(EVENT), &event, NULL) == CPL_OK);
    begin_hook(OPEN("{'jsonPath':'$.a[*].b'}"));
    for (int i = 0; i < 20000; i++) {
        char noise[40] = "$";
        size_t n = 1 + (seed >> 8) % 38;
        for (size_t j = 1; j <= n; j++) {
            seed = seed * 1664525u + 1013904223u;
            noise[j] = j < n ? letters[(seed >> 8) % (sizeof letters - 1)] : '\0';
        }
        if (!emu_json_path_valid(cpl_str_of(noise))) CHECK(!emu_json_path_matches(cpl_str_of(noise), NULL, NULL));
        emu_json_path_matches(cpl_str_of(noise), event, NULL);
        emu_ip_in_range(noise + 1, cpl_str_of("10.0.0.1"));
        emu_ip_in_range("10.0.0.0/8", cpl_str_of(noise + 1));
        if (i % 100 == 0) {
            run("ListWebhooks", "{}");
            CHECK(post("webhooks.0.url", (event_sent){noise + 1, NULL, NULL, NULL}) != 500);
        }
    }
    cpl_json_free(event);
    close_story();
}

TEST(t_webhooks__they_are_listed_in_pages_tagged_registered_and_deleted) {
    const char *url;
    begin_hook(HOOK("b", "Fetch", "", "UNAUTHENTICATED", ""));
    url = keep("webhook.url");
    CHECK_STR(run("PutWebhook", "%s", HOOK("b", "Fetch", "", "UNAUTHENTICATED", "")), "");
    CHECK_STR(text("webhook.url"), url);
    CHECK_STR(run("PutWebhook", "%s", HOOK("a", "Fetch", "", "UNAUTHENTICATED", "")), "");
    CHECK_STR(run("ListWebhooks", "{'MaxResults':1}"), "");
    CHECK_STR(text("webhooks.0.definition.name"), "a");
    CHECK_STR(run("ListWebhooks", "{'MaxResults':1,'NextToken':'%s'}", keep("NextToken")), "");
    CHECK_STR(text("webhooks.0.definition.name"), "b");
    CHECK(value_at("NextToken") == NULL);
    CHECK_STR(run("ListWebhooks", "{'NextToken':'garbage'}"), "InvalidNextTokenException");
    CHECK_STR(run("TagResource",
                  "{'resourceArn':'arn:aws:codepipeline:us-east-1:123456789012:webhook:b',"
                  "'tags':[{'key':'k','value':'v'}]}"),
              "");
    CHECK_STR(run("RegisterWebhookWithThirdParty", "{'webhookName':'b'}"), "");
    CHECK_STR(run("RegisterWebhookWithThirdParty", "{'webhookName':'c'}"), "WebhookNotFoundException");
    CHECK_STR(run("RegisterWebhookWithThirdParty", "{}"), "WebhookNotFoundException");
    CHECK_STR(run("ListWebhooks", "{}"), "");
    CHECK_STR(text("webhooks.1.tags.0.value"), "v");
    CHECK_STR(text("webhooks.1.errorCode"), "NotEmulated");
    CHECK_STR(run("DeregisterWebhookWithThirdParty", "{'webhookName':'b'}"), "");
    CHECK_STR(run("ListWebhooks", "{}"), "");
    CHECK(value_at("webhooks.1.errorCode") == NULL);
    CHECK_STR(run("DeleteWebhook", "{'name':'b'}"), "");
    CHECK_STR(run("DeleteWebhook", "{'name':'b'}"), "");
    CHECK_STR(run("ListWebhooks", "{}"), "");
    CHECK(count("webhooks") == 1);
    CHECK_STR(run("DeletePipeline", "{'name':'p'}"), "");
    CHECK_STR(run("ListWebhooks", "{}"), "");
    CHECK(post("webhooks.0.url", (event_sent){EVENT, NULL, NULL, NULL}) == 404);
    close_story();
}

TEST_MAIN
