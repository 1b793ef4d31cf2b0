# SPDX-License-Identifier: MIT
"""The main job, end to end and offline: a pipeline from source to test, served by a Python and a Lua worker.

Run it with `./dev demo`. The exit status is 0 only if the execution Succeeded and the output artifact is what the
worker made, byte for byte.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import codepipeline

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIMIT_S = 300


def action_type(category, provider, inputs, outputs, keys):
    return {
        "category": category,
        "provider": provider,
        "version": "1",
        "configurationProperties": [{"name": key, "required": True, "key": True, "secret": False} for key in keys],
        "inputArtifactDetails": {"minimumCount": inputs, "maximumCount": inputs},
        "outputArtifactDetails": {"minimumCount": outputs, "maximumCount": outputs},
    }


def prepare(emulator, client, scratch):
    """Buckets, source revision, action types, pipeline."""
    emulator.create_bucket("demo-source")
    emulator.create_bucket("demo-artifacts")
    revision = scratch / "core.zip"
    codepipeline.pack(str(ROOT / "core"), str(revision))
    client.upload_file(str(revision), "demo-source", "core.zip")
    print(f"source revision: core/ of this project, {revision.stat().st_size:,} bytes zipped")
    client.create_custom_action_type(**action_type("Build", "DemoCompiler", 1, 1, ["Program", "Optimize"]))
    client.create_custom_action_type(**action_type("Test", "DemoTester", 1, 0, ["Program", "Digest"]))
    return json.loads((HERE / "pipeline.json").read_text())["pipeline"]


def start_workers(emulator, scratch):
    """One process each; they find the emulator through the environment, as they would find AWS."""
    environ = {**os.environ, **emulator.environ}
    lua = os.environ.get("LUA", "lua5.4")
    return [
        subprocess.Popen([sys.executable, str(HERE / "build_worker.py"), str(scratch / "build.db")], env=environ),
        subprocess.Popen([lua, str(HERE / "test_worker.lua"), str(scratch / "test.db")], env=environ),
    ]


def follow(client, name, execution_id, begin, workers):
    """Prints each change of a stage or action until the execution has ended; returns its status."""
    shown = {}
    while True:
        for stage in client.get_pipeline_state(name=name)["stageStates"]:
            if stage.get("latestExecution", {}).get("pipelineExecutionId") != execution_id:
                continue
            show(shown, begin, 0, stage["stageName"], stage["latestExecution"])
            for action in stage["actionStates"]:
                show(shown, begin, 1, f"{stage['stageName']}/{action['actionName']}", action.get("latestExecution"))
        execution = client.get_pipeline_execution(pipelineName=name, pipelineExecutionId=execution_id)
        status = execution["pipelineExecution"]["status"]
        if status not in ("InProgress", "Stopping"):
            return status
        if time.monotonic() - begin > LIMIT_S or any(worker.poll() is not None for worker in workers):
            return f"given up ({status})"
        time.sleep(0.1)


def show(shown, begin, depth, name, execution):
    status = (execution or {}).get("status")
    if status is None or shown.get(name) == status:
        return
    shown[name] = status
    mark = {"InProgress": ">", "Succeeded": "+", "Failed": "!"}.get(status, "-")
    text = execution.get("summary") or execution.get("errorDetails", {}).get("message", "")
    print(f"{time.monotonic() - begin:7.2f} s {'    ' * depth}{mark} {name:<20} {status:<11} {text}", flush=True)


def output_artifacts(client, name, execution_id, scratch):
    """What the execution's actions put into the artifact store: (action, artifact, size, SHA-256, output variables)."""
    details = client.paginate("list_action_executions", pipelineName=name, filter={"pipelineExecutionId": execution_id})
    for detail in reversed(list(details)):  # oldest first
        output = detail.get("output", {}) if detail["status"] == "Succeeded" else {}
        for artifact in output.get("outputArtifacts", []):
            location = artifact["s3location"]
            path = scratch / "artifact"
            client.download_file(location["bucket"], location["key"], str(path))
            data = path.read_bytes()
            yield (
                detail["actionName"],
                artifact["name"],
                len(data),
                hashlib.sha256(data).hexdigest(),
                output.get("outputVariables", {}),
            )


def report(client, name, execution_id, status, begin, scratch):
    print(f"\nexecution {execution_id}: {status}")
    genuine = False
    for action, artifact, size, digest, variables in output_artifacts(client, name, execution_id, scratch):
        print(f"  {action + ' -> ' + artifact:<22} {size:>9,} bytes  sha256 {digest}")
        genuine = genuine or (action == "Compile" and variables.get("digest") == digest)
    print(f"output artifact is the one the worker computed: {'yes' if genuine else 'NO'}")
    print(f"{time.monotonic() - begin:.2f} seconds")
    return 0 if status == "Succeeded" and genuine else 1


def main():
    with tempfile.TemporaryDirectory() as folder, codepipeline.Emulator() as emulator:
        scratch = pathlib.Path(folder)
        client = emulator.client()
        print(f"emulator: {emulator.url}")
        pipeline = prepare(emulator, client, scratch)
        begin = time.monotonic()
        workers = start_workers(emulator, scratch)
        try:
            client.create_pipeline(pipeline=pipeline)
            run = client.list_pipeline_executions(pipelineName=pipeline["name"])["pipelineExecutionSummaries"][0]
            execution_id = run["pipelineExecutionId"]
            status = follow(client, pipeline["name"], execution_id, begin, workers)
            return report(client, pipeline["name"], execution_id, status, begin, scratch)
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait(timeout=30)


if __name__ == "__main__":
    sys.exit(main())
