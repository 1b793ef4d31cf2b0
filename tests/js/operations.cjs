// SPDX-License-Identifier: MIT
// All 44 operations once more, with the AWS SDK for JavaScript, unmodified: each refuses input that is no good, and
// those that story.cjs leaves out carry a third-party job, a webhook, a condition, a rollback and a revision to their
// end. The environment points at the emulator. Prints one JSON line of what it saw.
const codepipeline = require("@aws-sdk/client-codepipeline");
const s3 = require("@aws-sdk/client-s3");

const client = new codepipeline.CodePipelineClient({});
const send = (name, input = {}) => client.send(new codepipeline[`${name}Command`](input));
const partner = { category: "Test", owner: "ThirdParty", provider: "Partner", version: "1" };
const seen = { refused: {} };

function action(name, actionTypeId, configuration, more = {}) {
  return { name, actionTypeId, configuration, ...more };
}

function declaration(name, stage) {
  const s3Source = { category: "Source", owner: "AWS", provider: "S3", version: "1" };
  const watched = { S3Bucket: "js-source", S3ObjectKey: "app.bin", PollForSourceChanges: "false" };
  const fetch = action("Fetch", s3Source, watched, { outputArtifacts: [{ name: "Source" }] });
  return {
    name,
    pipelineType: "V2",
    roleArn: "arn:aws:iam::123456789012:role/pipeline",
    artifactStore: { type: "S3", location: "js-artifacts" },
    stages: [{ name: "Source", actions: [fetch] }, stage],
  };
}

async function refuseAll() {
  const bad = {
    ListPipelines: { nextToken: "garbage" },
    ListActionTypes: { nextToken: "garbage" },
    ListWebhooks: { NextToken: "garbage" },
    ListRuleTypes: { regionFilter: "x" },
  };
  const commands = Object.keys(codepipeline).filter((name) => /^[A-Z]\w+Command$/.test(name));
  for (const name of commands.map((command) => command.slice(0, -"Command".length))) {
    try {
      await send(name, bad[name]);
      seen.refused[name] = "";
    } catch (error) {
      seen.refused[name] = error.name;
    }
  }
}

async function thirdParty() {
  await send("UpdateActionType", {
    actionType: {
      id: partner,
      executor: {
        type: "JobWorker",
        configuration: { jobWorkerExecutorConfiguration: { pollingAccounts: ["123456789012"] } },
      },
      inputArtifactDetails: { minimumCount: 0, maximumCount: 1 },
      outputArtifactDetails: { minimumCount: 0, maximumCount: 0 },
    },
  });
  seen.executor = (await send("GetActionType", partner)).actionType.executor.type;
  await send("CreatePipeline", {
    pipeline: declaration("partner", { name: "Test", actions: [action("Run", partner)] }),
  });
  const [offered] = (await send("PollForThirdPartyJobs", { actionTypeId: partner })).jobs;
  const job = { jobId: offered.jobId, clientToken: `emulator-token-${offered.clientId}` };
  seen.offered = Object.keys(offered).sort();
  const { jobDetails } = await send("GetThirdPartyJobDetails", job);
  seen.status = (await send("AcknowledgeThirdPartyJob", { ...job, nonce: jobDetails.nonce })).status;
  await send("PutThirdPartyJobSuccessResult", job);
  seen.late = await send("PutThirdPartyJobFailureResult", {
    ...job,
    failureDetails: { type: "JobFailed", message: "late" },
  }).catch((error) => error.name);
}

async function webhook() {
  const made = await send("PutWebhook", {
    webhook: {
      name: "hook",
      targetPipeline: "partner",
      targetAction: "Fetch",
      filters: [{ jsonPath: "$.ref", matchEquals: "refs/heads/main" }],
      authentication: "UNAUTHENTICATED",
      authenticationConfiguration: {},
    },
  });
  const answer = await fetch(made.webhook.url, { method: "POST", body: JSON.stringify({ ref: "refs/heads/main" }) });
  seen.posted = answer.status;
  const [listed] = (await send("ListWebhooks")).webhooks;
  seen.triggered = listed.lastTriggered instanceof Date;
  const runs = await send("ListPipelineExecutions", { pipelineName: "partner" });
  seen.trigger = runs.pipelineExecutionSummaries[0].trigger.triggerType;
}

async function conditions() {
  const manual = { category: "Approval", owner: "AWS", provider: "Manual", version: "1" };
  const never = {
    name: "Never",
    ruleTypeId: { category: "Rule", owner: "AWS", provider: "DeploymentWindow", version: "1" },
    configuration: { Cron: "* * * ? * * 1970" },
  };
  const beforeEntry = { conditions: [{ result: "FAIL", rules: [never] }] };
  await send("CreatePipeline", {
    pipeline: declaration("held", { name: "Ask", actions: [action("Ok", manual)], beforeEntry }),
  });
  const at = { pipelineName: "held", stageName: "Ask" };
  const [run] = (await send("ListPipelineExecutions", { pipelineName: "held" })).pipelineExecutionSummaries;
  seen.held = run.status;
  await send("OverrideStageCondition", {
    ...at,
    pipelineExecutionId: run.pipelineExecutionId,
    conditionType: "BEFORE_ENTRY",
  });
  const stage = (await send("GetPipelineState", { name: "held" })).stageStates[1];
  seen.overridden = stage.beforeEntryConditionState.latestExecution.status;
  await send("PutApprovalResult", {
    ...at,
    actionName: "Ok",
    token: stage.actionStates[0].latestExecution.token,
    result: { status: "Approved", summary: "" },
  });
  seen.rules = (await send("ListRuleExecutions", { pipelineName: "held" })).ruleExecutionDetails.map((r) => r.status);
  await send("RollbackStage", { ...at, targetPipelineExecutionId: run.pipelineExecutionId });
  const [rollback] = (await send("ListPipelineExecutions", { pipelineName: "held" })).pipelineExecutionSummaries;
  seen.rollback = rollback.executionType;
  const revision = { revisionId: "r", revisionChangeId: "c", created: new Date() };
  const where = { pipelineName: "held", stageName: "Source", actionName: "Fetch", actionRevision: revision };
  const first = await send("PutActionRevision", where);
  const second = await send("PutActionRevision", where);
  seen.revisions = [first.newRevision, second.newRevision];
  seen.ruleTypes = (await send("ListRuleTypes")).ruleTypes.length;
}

async function main() {
  const store = new s3.S3Client({ forcePathStyle: true });
  await store.send(new s3.CreateBucketCommand({ Bucket: "js-source" }));
  await store.send(new s3.PutObjectCommand({ Bucket: "js-source", Key: "app.bin", Body: "source revision" }));
  await refuseAll();
  await thirdParty();
  await webhook();
  await conditions();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
