// SPDX-License-Identifier: MIT
// sdk.cjs once | calls OPERATION:COUNT... | work COUNT: the AWS SDK for JavaScript v3.
const sdk = require("@aws-sdk/client-codepipeline");

const PARAMS = {
  ListPipelines: {},
  GetPipelineState: { name: "service-00-release" },
  ListActionExecutions: { pipelineName: "service-00-release", maxResults: 100 },
};

const client = new sdk.CodePipelineClient({});

async function run(operation, count) {
  const Command = sdk[`${operation}Command`];
  for (let i = 0; i < count; i++) await client.send(new Command(PARAMS[operation]));
}

async function calls(...wanted) {
  for (const [operation, count] of wanted.map((item) => item.split(":"))) {
    await run(operation, 200);
    const from = process.cpuUsage();
    await run(operation, +count);
    const used = process.cpuUsage(from);
    console.log(JSON.stringify({ op: operation, cpu_us: (used.user + used.system) / +count }));
  }
}

async function work(count) {
  const actionTypeId = { category: "Build", owner: "Custom", provider: "Bench", version: "1" };
  const handle = async (job) => {
    const answer = await client.send(new sdk.AcknowledgeJobCommand({ jobId: job.id, nonce: job.nonce }));
    if (answer.status === "InProgress") await client.send(new sdk.PutJobSuccessResultCommand({ jobId: job.id }));
  };
  for (let left = +count; left > 0; ) {
    const { jobs } = await client.send(new sdk.PollForJobsCommand({ actionTypeId, maxBatchSize: 8 }));
    await Promise.all(jobs.map(handle));
    left -= jobs.length;
  }
}

const modes = { once: () => run("ListPipelines", 1), calls, work };
modes[process.argv[2]](...process.argv.slice(3)).then(() => client.destroy());
