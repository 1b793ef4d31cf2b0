# SPDX-License-Identifier: MIT
"""The commands around pipelines: lint, action-type, worker run, completion, and what the command loads."""

import io
import json
import os
import subprocess
import sys
import types

import pytest

import codepipeline
import test_cli
import test_run
from test_cli import parser

cli, world = test_cli.cli, test_run.world

HANDLERS = """
from __future__ import annotations

import dataclasses
from typing import Annotated, Optional, TypedDict

try:
    from typing import Required
except ImportError:  # Python 3.10 and before
    from typing_extensions import Required

import codepipeline

class Configuration(TypedDict, total=False):
    Project: Required[Annotated[str, "queryable", "whose sources these are"]]
    Optimize: bool
    Token: Annotated[str, "secret"]

def Maker(job: codepipeline.Job, configuration: Configuration, Source: codepipeline.Input) -> None:
    pass

@dataclasses.dataclass
class Checks:
    level: int
    words: Optional[str]
    strict: bool = True

def check(job, checks: Checks, source: codepipeline.Input, report: codepipeline.Output):
    pass

def wrong(job, checks: Wrong):
    pass

class Bad(TypedDict):
    items: list

def bad(job, configuration: Bad):
    pass

worker = codepipeline.Worker(codepipeline.Client(), poll_interval=0.05)

@worker.job(category="Build", provider="Maker")
def build(job):
    worker.stop()
    return {"done": "yes"}
"""

YAML = """\
pipeline:
  name: site
  roleArn: arn:aws:iam::123456789012:role/pipeline
  artifactStore: {type: S3, location: artifacts}
  stages:
    - name: Source
      actions:
        - name: Fetch
          actionTypeId: {category: Source, owner: AWS, provider: S3, version: '1'}
          configuration:
            S3Bucket: source
            S3ObjectKey: app.zip
            Colour: red
          outputArtifacts: [{name: App}]
    - name: Build
      actions:
        - name: Make
          actionTypeId: {category: Build, owner: Custom, provider: Maker, version: '1'}
          inputArtifacts:
            - name: Ap
"""


@pytest.fixture
def handlers(tmp_path, monkeypatch, emulator):
    """A folder with a module of handlers, which is the present one."""
    (tmp_path / "handlers.py").write_text(HANDLERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "handlers", raising=False)
    yield tmp_path
    sys.modules.pop("handlers", None)


# ---- lint ----


def test_lint_names_file_line_and_column(cli, tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    pipeline = {"name": "site", "roleArn": "arn:aws:iam::123456789012:role/pipeline", "stages": []}
    bad.write_text(json.dumps({"pipeline": pipeline}, indent=1))
    status, out, _ = cli("lint", bad)
    assert status == 1
    assert f"{bad}:5:3: pipeline.stages: Pipeline has only 0 stage(s)." in out
    good.write_text("{")
    status, out, _ = cli("lint", good, "--json")
    assert status == 1 and json.loads(out)[0]["line"] == 1
    status, _, err = cli("lint", tmp_path / "none.json")
    assert status == parser.USAGE and "none.json" in err


def test_lint_reads_yaml_and_finds_its_lines(cli, tmp_path):
    pytest.importorskip("yaml")
    path = tmp_path / "pipeline.yaml"
    path.write_text(YAML)
    out = cli("lint", path)[1].splitlines()
    assert [line.split(": ")[0] for line in out] == [f"{path}:13:13", f"{path}:20:15"]
    path.write_text(YAML.replace("            Colour: red\n", "").replace("Ap\n", "App\n"))
    assert cli("lint", path)[:2] == (0, "")
    path.write_text("pipeline: [")
    assert cli("lint", path)[1].startswith(f"{path}:1:")


def test_a_file_that_is_not_there_is_misuse_and_not_a_finding(cli, tmp_path):
    assert cli("lint", "nowhere.json") == (
        parser.USAGE,
        "",
        'codepipeline: "nowhere.json": No such file or directory\n',
    )
    assert cli("call", "get-pipeline", "--params", "@nowhere.json")[0] == parser.USAGE
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    assert "no text in UTF-8" in cli("lint", tmp_path / "binary.json")[2]


# ---- action-type ----


def test_an_action_type_is_made_from_a_signature(cli, handlers):
    made = json.loads(cli("action-type", "new", "handlers:Maker")[1])
    assert (made["category"], made["provider"], made["version"]) == ("Build", "Maker", "1")
    assert made["inputArtifactDetails"] == {"minimumCount": 1, "maximumCount": 1}
    assert made["outputArtifactDetails"] == {"minimumCount": 0, "maximumCount": 0}
    project, optimize, token = made["configurationProperties"]
    assert project["required"] and project["queryable"] and project["description"] == "whose sources these are"
    assert optimize["type"] == "Boolean" and not optimize["required"] and token["secret"]
    made = json.loads(cli("action-type", "new", "handlers:check", "--category", "Test", "--inputs", "1-3")[1])
    assert [one["type"] for one in made["configurationProperties"]] == ["Number", "String", "Boolean"]
    assert [one["required"] for one in made["configurationProperties"]] == [True, False, False]
    assert made["inputArtifactDetails"]["maximumCount"] == 3 and made["outputArtifactDetails"]["minimumCount"] == 1


def test_it_is_printed_for_cloudformation_and_with_the_policy_of_its_worker(cli, handlers):
    template = json.loads(cli("action-type", "new", "handlers:Maker", "--format", "cloudformation")[1])
    properties = template["Resources"]["ActionType"]["Properties"]
    assert properties["ConfigurationProperties"][0]["Name"] == "Project"
    command = ("action-type", "new", "handlers:Maker", "--format", "policy", "--region", "eu-west-1")
    policy = json.loads(cli(*command)[1])
    assert policy["Statement"][0]["Resource"] == "arn:aws:codepipeline:eu-west-1:*:actiontype:Custom/Build/Maker/1"
    assert len(policy["Statement"][1]["Action"]) == 4


def test_it_is_registered_once_and_compared(cli, handlers, client):
    assert cli("action-type", "diff", "handlers:Maker")[:2] == (1, "")
    status, out, err = cli("action-type", "diff", "handlers:Maker", "--json")
    assert status == 1 and json.loads(out)["account"] is None and "codepipeline action-type register" in err
    assert cli("action-type", "register", "handlers:Maker")[0] == 0
    out = cli("action-type", "register", "handlers:check", "--json")[1]
    assert json.loads(out)["actionType"]["id"]["provider"] == "check"
    assert cli("action-type", "diff", "handlers:Maker")[:2] == (0, "")
    assert cli("action-type", "register", "handlers:Maker")[0] == 4
    status, out, _ = cli("action-type", "diff", "handlers:check", "--provider", "Maker")
    assert status == 1 and '"name": "level"' in out


@pytest.mark.parametrize(
    "target, why",
    [
        ("handlers", "MODULE:HANDLER"),
        ("nowhere:x", "no module"),
        ("handlers:none", 'no "none"'),
        ("handlers:worker", "not a function"),
        ("handlers:wrong", "cannot be read"),
        ("handlers:bad", "items"),
    ],
)
def test_a_handler_that_will_not_do_is_refused_with_a_reason(cli, handlers, target, why):
    status, _, err = cli("action-type", "new", target)
    assert status == parser.USAGE and why in err


def test_the_clients_of_a_handlers_module_go_where_the_command_was_told(cli, handlers, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    status, _, err = cli("action-type", "new", "handlers:Maker")
    assert status == parser.USAGE and "no region" in err
    sys.modules.pop("handlers", None)
    assert cli("action-type", "new", "handlers:Maker", "--region", "eu-west-1")[0] == 0


def test_what_a_module_raises_is_told_from_its_own_lines_on(cli, handlers):
    with open("broken.py", "w") as file:
        file.write("import json\n\njson.no_such_function()\n")
    with open("needy.py", "w") as file:
        file.write("import no_such_package\n")
    status, _, err = cli("worker", "run", "broken:worker")
    assert status == parser.USAGE and err.startswith('codepipeline: module "broken" cannot be loaded:\n')
    assert "broken.py" in err and "line 3" in err and "no_such_function" in err
    assert "importlib" not in err and "cli/worker.py" not in err
    assert "No module named 'no_such_package'" in cli("action-type", "new", "needy:handler")[2]


# ---- worker, completion, loading ----


def test_worker_run_runs_a_worker_of_the_present_folder(cli, handlers, world):
    run = world(test_run.BUILD)
    list(run.follow(0.1))
    status, _, err = cli("worker", "run", "handlers:worker")
    assert status == 0 and "succeeded=1" in err
    assert run.wait()
    assert cli("worker", "run", "handlers:Maker")[0] == parser.USAGE


def test_a_worker_without_its_action_type_is_told_how_that_is_made(cli, handlers):
    status, _, err = cli("worker", "run", "handlers:worker")
    assert status == 4 and "Build/Maker/1 does not exist" in err
    assert err.endswith("codepipeline: codepipeline action-type register handlers:HANDLER creates it\n")


def test_artifacts_have_bars_while_they_come_and_go(monkeypatch):
    console = pytest.importorskip("rich.console").Console(file=io.StringIO(), force_terminal=True, width=100)
    from codepipeline.cli import worker

    bars = worker.Bars(console)
    job = types.SimpleNamespace(id="1", pipeline="site", stage="Build", action="Make")
    event = types.SimpleNamespace(id="2", pipeline=None, stage=None, action=None)

    def shown():
        return [(task.description, task.completed, task.total) for task in bars.picture.tasks]

    with bars.picture:
        bars(job, "Source", 0, None)
        bars(job, "Source", 50, 200)
        bars(event, "Code", 5, None)
        assert shown() == [("site/Build/Make Source", 50, 200), ("2 Code", 5, None)]
        bars(job, "Source", 200, 200)
        assert shown() == [("2 Code", 5, None)]
        monkeypatch.setattr(worker, "_FORGOTTEN", -1.0)  # the other one failed, and nobody said so
        bars(job, "Source", 1, 2)
        assert bars.picture.tasks == []
    assert "site/Build/Make Source" in console.file.getvalue()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_lines_name_the_command(cli, shell):
    pytest.importorskip("argcomplete")
    assert "codepipeline" in cli("completion", shell)[1]


def completed(line, emulator, tmp_path):
    """What argcomplete answers a shell."""
    answer = tmp_path / "completions"
    path = os.path.dirname(os.path.dirname(codepipeline.__file__))
    names = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    env = {
        **os.environ,
        **emulator.environ,
        **names,
        "PYTHONPATH": path,
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    command = [sys.executable, "-c", "from codepipeline.cli.parser import main; main()"]
    subprocess.run(command, env=env, timeout=30, check=False)
    return [word.strip() for word in answer.read_text().split("\n")]


def test_a_shell_completes_commands_pipelines_and_operations(emulator, world, tmp_path):
    pytest.importorskip("argcomplete")
    world(test_run.GATE)
    assert completed("codepipeline sto", emulator, tmp_path) == ["stop"]
    assert completed("codepipeline show s", emulator, tmp_path) == ["site"]
    assert completed("codepipeline call list-web", emulator, tmp_path) == ["list-webhooks"]
    assert completed("codepipeline call get-pipeline --ver", emulator, tmp_path) == ["--version"]
    line = "codepipeline call disable-stage-transition --transition-type "
    assert completed(line, emulator, tmp_path) == ["Inbound", "Outbound"]
    assert completed("codepipeline call nonsense --ver", emulator, tmp_path) == [""]


def test_the_package_does_not_load_the_command_nor_the_command_what_it_does_not_need():
    script = "import codepipeline, sys; assert not any('cli' in name or name == 'argparse' for name in sys.modules)"
    path = os.path.dirname(os.path.dirname(codepipeline.__file__))
    env = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", script], env=env, check=True, timeout=30)
    script = (
        "import sys; from codepipeline.cli.parser import main; main(['call', 'list-pipelines', '--region', 'x']);"
        "assert not {'rich', 'jmespath', 'yaml', 'argcomplete'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], env=env, check=True, timeout=30, stderr=subprocess.DEVNULL)


def test_what_is_optional_is_asked_for_by_name(cli, emulator, monkeypatch, tmp_path):
    for module in ("jmespath", "yaml", "argcomplete", "argcomplete.shell_integration"):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "p.yaml").write_text("{}")
    for command in (["ls", "--query", "x"], ["lint", tmp_path / "p.yaml"], ["completion", "bash"]):
        status, _, err = cli(*command)
        assert status == parser.USAGE and "codepipeline[cli]" in err
