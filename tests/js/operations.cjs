// SPDX-License-Identifier: MIT
// The calls of tests/scenarios/operations.json with the AWS SDK for JavaScript, unmodified. The environment points at
// the emulator; the arguments are the table and the emulator's URL. Prints {operation: [what came of it]}, "" for
// success.
const assert = require("assert");
const fs = require("fs");
const codepipeline = require("@aws-sdk/client-codepipeline");

const client = new codepipeline.CodePipelineClient({ maxAttempts: 1 });
const table = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const url = process.argv[3];

const read = (value, path) => path.split(".").reduce((at, step) => (at == null ? at : at[step]), value);

function fillObject(value, names) {
  if ("$list" in value) return Array.from({ length: value.$list }, (_, i) => fill(value.of, { ...names, i }));
  if ("$text" in value) return "x".repeat(value.$text);
  if ("$time" in value) return new Date(value.$time * 1000);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, names)]));
}

function fill(value, names) {
  if (Array.isArray(value)) return value.map((item) => fill(item, names));
  if (value !== null && typeof value === "object") return fillObject(value, names);
  if (typeof value !== "string") return value;
  const whole = /^\$\{([^}]*)\}$/.exec(value);
  if (whole) return fill(names[whole[1]], names);
  return value.replace(/\$\{([^}]*)\}/g, (_, name) => String(names[name]));
}

async function turn(knob, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(`${url}/_emulator${knob}`, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
}

async function call(name, input, error) {
  const sent = client.send(new codepipeline[`${name}Command`](input));
  if (!error) return sent;
  const refused = await sent.then(() => assert.fail(`${name} succeeds`), (reason) => reason);
  assert.equal(refused.name, error, `${name}: ${refused.stack}`);
  assert(refused instanceof codepipeline[error], `${name}: ${error} is not of its class`);
  assert.equal(refused.$metadata.httpStatusCode, 400);
  assert(refused.message && refused.$metadata.requestId);
  return refused;
}

async function main() {
  const names = { ...table.let };
  const seen = {};
  for (const [name, given, options = {}] of table.calls) {
    let answer;
    for (let i = 0; i < (options.times ?? 1); i++) {
      const input = fill(given, { ...names, ...options.with, i });
      answer = await (name.startsWith("/") ? turn(name, input) : call(name, input, options.error));
    }
    if (name.startsWith("/")) continue;
    (seen[name] ??= []).push(options.error ?? "");
    for (const [key, path] of Object.entries(options.keep ?? {})) names[key] = read(answer, path);
    for (const [path, value] of Object.entries(options.expect ?? {})) {
      assert.deepEqual(read(answer, path) ?? null, fill(value, names), `${name}: ${path}`);
    }
  }
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
