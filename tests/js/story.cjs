// SPDX-License-Identifier: MIT
// The main job with the AWS SDK for JavaScript, unmodified: create, start, poll, acknowledge, artifacts with the job's
// credentials, result, state. The environment points at the emulator. Prints one JSON line of what it saw.
const codepipeline = require("@aws-sdk/client-codepipeline");
const s3 = require("@aws-sdk/client-s3");

const client = new codepipeline.CodePipelineClient({});
const send = (name, input = {}) => client.send(new codepipeline[`${name}Command`](input));
const builder = { category: "Build", owner: "Custom", provider: "JsBuilder", version: "1" };

function action(name, actionTypeId, configuration, inputs, outputs) {
  return {
    name,
    actionTypeId,
    configuration,
    inputArtifacts: inputs.map((input) => ({ name: input })),
    outputArtifacts: outputs.map((output) => ({ name: output })),
  };
}

async function prepare(store) {
  await store.send(new s3.CreateBucketCommand({ Bucket: "js-source" }));
  await store.send(new s3.CreateBucketCommand({ Bucket: "js-artifacts" }));
  await store.send(new s3.PutObjectCommand({ Bucket: "js-source", Key: "app.bin", Body: "source revision" }));
  await send("CreateCustomActionType", {
    category: "Build",
    provider: "JsBuilder",
    version: "1",
    inputArtifactDetails: { minimumCount: 1, maximumCount: 1 },
    outputArtifactDetails: { minimumCount: 1, maximumCount: 1 },
  });
  const source = { category: "Source", owner: "AWS", provider: "S3", version: "1" };
  const watched = { S3Bucket: "js-source", S3ObjectKey: "app.bin", PollForSourceChanges: "false" };
  await send("CreatePipeline", {
    pipeline: {
      name: "js",
      roleArn: "arn:aws:iam::123456789012:role/pipeline",
      artifactStore: { type: "S3", location: "js-artifacts" },
      stages: [
        { name: "Source", actions: [action("Fetch", source, watched, [], ["Source"])] },
        { name: "Build", actions: [action("Make", builder, undefined, ["Source"], ["Binary"])] },
      ],
    },
  });
}

function jobStore(job) {
  const { accessKeyId, secretAccessKey, sessionToken } = job.data.artifactCredentials;
  return new s3.S3Client({ forcePathStyle: true, credentials: { accessKeyId, secretAccessKey, sessionToken } });
}

async function serveOne() {
  const [job] = (await send("PollForJobs", { actionTypeId: builder, maxBatchSize: 1 })).jobs;
  const { status } = await send("AcknowledgeJob", { jobId: job.id, nonce: job.nonce });
  const store = jobStore(job);
  const from = job.data.inputArtifacts[0].location.s3Location;
  const got = await store.send(new s3.GetObjectCommand({ Bucket: from.bucketName, Key: from.objectKey }));
  const input = await got.Body.transformToString();
  const to = job.data.outputArtifacts[0].location.s3Location;
  await store.send(new s3.PutObjectCommand({ Bucket: to.bucketName, Key: to.objectKey, Body: input.toUpperCase() }));
  await send("PutJobSuccessResult", { jobId: job.id, outputVariables: { made: "yes" } });
  return { status, input, jobId: job.id };
}

async function refusal(promise) {
  try {
    await promise;
    return "no error";
  } catch (error) {
    return error.name;
  }
}

async function main() {
  const store = new s3.S3Client({ forcePathStyle: true });
  await prepare(store);
  const served = await serveOne();
  const { pipelineExecutionId } = await send("StartPipelineExecution", { name: "js" });
  await serveOne();
  const { pipelineExecution } = await send("GetPipelineExecution", { pipelineName: "js", pipelineExecutionId });
  const { stageStates, created } = await send("GetPipelineState", { name: "js" });
  const seen = {
    ...served,
    execution: pipelineExecution.status,
    stages: stageStates.map((stage) => stage.latestExecution.status),
    dates: created instanceof Date,
    again: await refusal(send("PutJobSuccessResult", { jobId: served.jobId })),
    stale: await refusal(send("AcknowledgeJob", { jobId: served.jobId, nonce: "0" })),
    unknown: await refusal(send("GetPipeline", { name: "nobody" })),
    pages: 0,
  };
  for await (const page of codepipeline.paginateListActionExecutions({ client, pageSize: 1 }, { pipelineName: "js" })) {
    seen.pages += page.actionExecutionDetails.length;
  }
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
