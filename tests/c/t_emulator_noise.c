/* SPDX-License-Identifier: MIT */
/* Input with something wrong in it: an answer that is a document, never a crash. */
#include "emu_story.h"

#define RULES                                                                                                          \
    "'conditions':[{'result':'FAIL','rules':[{'name':'R','ruleTypeId':{'category':'Rule','owner':'AWS','provider':'"   \
    "VariableCheck','version':'1'},'configuration':{'Variable':'#{variables.v}','Operator':'MATCHES','Value':'^a*'}}]" \
    "}]"
#define STAGES                                                                                                      \
    SOURCE ",{'name':'Build','actions':[" DO(                                                                       \
        "A", ",'namespace':'n','runOrder':1") "],'beforeEntry':{" RULES                                             \
                                              "},'onFailure':{'result':'RETRY','retryConfiguration':{'retryMode':'" \
                                              "ALL_ACTIONS'}}},"                                                    \
                                              "{'name':'Ask','actions':[" APPROVAL("Ok") "]}"
#define DECLARED                                                                                                   \
    "{'pipeline':{'name':'p','pipelineType':'V2','executionMode':'QUEUED','variables':[{'name':'v','defaultValue'" \
    ":'a'}]," ROLE "," STORE ",'stages':[" STAGES "]}}"
#define ID "00000000-0000-4000-8000-000000000000"
#define TYPE_ID(owner) "'category':'Test','owner':'" owner "','provider':'P','version':'1'"

static const char *const calls[][2] = {
    {"CreatePipeline", DECLARED},
    {"UpdatePipeline", DECLARED},
    {"GetPipeline", "{'name':'p','version':1}"},
    {"ListPipelines", "{'maxResults':2,'nextToken':'4c'}"},
    {"StartPipelineExecution", "{'name':'p','variables':[{'name':'v','value':'b'}],'clientRequestToken':'t'}"},
    {"StopPipelineExecution", "{'pipelineName':'p','pipelineExecutionId':'" ID "','abandon':true}"},
    {"RetryStageExecution",
     "{'pipelineName':'p','stageName':'Build','pipelineExecutionId':'" ID "','retryMode':'ALL_ACTIONS'}"},
    {"RollbackStage", "{'pipelineName':'p','stageName':'Build','targetPipelineExecutionId':'" ID "'}"},
    {"OverrideStageCondition",
     "{'pipelineName':'p','stageName':'Build','pipelineExecutionId':'" ID "','conditionType':'BEFORE_ENTRY'}"},
    {"PutActionRevision",
     "{'pipelineName':'p','stageName':'Source','actionName':'Fetch','actionRevision':{"
     "'revisionId':'r','revisionChangeId':'c','created':1.5}}"},
    {"ListPipelineExecutions", "{'pipelineName':'p','filter':{'succeededInStage':{'stageName':'Build'}}}"},
    {"ListActionExecutions", "{'pipelineName':'p','filter':{'latestInPipelineExecution':{'pipelineExecutionId':'" ID
                             "','startTimeRange':'Latest'}}}"},
    {"ListRuleExecutions", "{'pipelineName':'p','filter':{'pipelineExecutionId':'" ID "'},'maxResults':1}"},
    {"ListDeployActionExecutionTargets",
     "{'pipelineName':'p','actionExecutionId':'x','filters':[{'name':"
     "'TARGET_STATUS','values':['a']}]}"},
    {"GetPipelineState", "{'name':'p'}"},
    {"PutApprovalResult", "{'pipelineName':'p','stageName':'Ask','actionName':'Ok','token':'" ID
                          "','result':{'status':'Approved','summary':''}}"},
    {"DisableStageTransition", "{'pipelineName':'p','stageName':'Ask','transitionType':'Inbound','reason':'r'}"},
    {"EnableStageTransition", "{'pipelineName':'p','stageName':'Ask','transitionType':'Inbound'}"},
    {"UpdateActionType",
     "{'actionType':{'id':{" TYPE_ID(
         "ThirdParty") "},'executor':{'type':'JobWorker','jobTimeout':60,'configuration':{"
                       "'jobWorkerExecutorConfiguration':{'pollingAccounts':['123456789012']}}},'inputArtifactDetails':"
                       "{'minimumCount':0,"
                       "'maximumCount':1},'outputArtifactDetails':{'minimumCount':0,'maximumCount':1},'properties':[{'"
                       "name':'K',"
                       "'optional':true,'key':true,'noEcho':true}],'permissions':{'allowedAccounts':['*']}}}"},
    {"GetActionType", "{" TYPE_ID("ThirdParty") "}"},
    {"PollForJobs", "{" TYPE("Build", "Maker") ",'maxBatchSize':2,'queryParam':{'a':'b'}}"},
    {"PollForThirdPartyJobs", "{'actionTypeId':{" TYPE_ID("ThirdParty") "}}"},
    {"GetThirdPartyJobDetails", "{'jobId':'" ID "','clientToken':'t'}"},
    {"PutJobSuccessResult", "{'jobId':'" ID "','outputVariables':{'k':'v'},'executionDetails':{'percentComplete':5}}"},
    {"PutWebhook",
     "{'webhook':{'name':'h','targetPipeline':'p','targetAction':'Fetch','filters':[{'jsonPath':"
     "'$.a[*]','matchEquals':'{S3Bucket}'}],'authentication':'IP','authenticationConfiguration':{"
     "'AllowedIPRange':'10.0.0.0/8'}},'tags':[{'key':'k','value':'v'}]}"},
    {"ListWebhooks", "{'MaxResults':1}"},
    {"TagResource", "{'resourceArn':'arn:aws:codepipeline:us-east-1:123456789012:p','tags':[{'key':'k','value':'v'}]}"},
};

static unsigned draw(unsigned *seed, unsigned n) {
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % n;
}

/* Overwrites, drops or repeats a few bytes. */
static size_t spoil(char *text, size_t n, size_t room, unsigned *seed) {
    static const char noise[] = "\"{}[],:0-9eE\\u\x01\x80\xffnull$#*.";
    for (unsigned times = draw(seed, 4); times > 0 && n > 8; times--) {
        size_t at = draw(seed, (unsigned)n - 4), length = 1 + draw(seed, 4);
        switch (draw(seed, 3)) {
        case 0: text[at] = noise[draw(seed, sizeof noise - 1)]; break;
        case 1:
            memmove(text + at, text + at + length, n - at - length);
            n -= length;
            break;
        default:
            if (n + length > room) break;
            memmove(text + at + length, text + at, n - at);
            n += length;
        }
    }
    return n;
}

TEST(t_noise__spoiled_input_is_answered_and_harms_nobody) {
    unsigned seed = 11;
    begin_empty();
    put_source("src", "app.zip", "x");
    CHECK_STR(run("CreatePipeline", "%s", DECLARED), "");
    for (int i = 0; i < 20000 && test_failures == 0; i++) {
        const char *const *call = calls[draw(&seed, CPL_COUNT(calls))];
        char text_in[4096];
        size_t n = strlen(call[1]);
        cpl_json *parsed = NULL;
        cpl_buf out;
        int status;
        NEED(n + 64 < sizeof text_in);
        memcpy(text_in, call[1], n);
        for (size_t j = 0; j < n; j++) text_in[j] = text_in[j] == '\'' ? '"' : text_in[j];
        n = spoil(text_in, n, sizeof text_in, &seed);
        cpl_buf_init(&out, 1 << 26);
        status = emu_invoke(story, cpl_str_of(call[0]), (cpl_str){text_in, n}, &out);
        if (!CHECK((status == 200 || status == 400) && cpl_json_parse(cpl_buf_str(&out), &parsed, NULL) == CPL_OK))
            printf("  %s %d: %.*s\n", call[0], status, (int)n, text_in);
        cpl_json_free(parsed);
        cpl_buf_release(&out);
        if (i % 500 == 0) turn_clock(3600);
    }
    close_story();
}

TEST_MAIN
