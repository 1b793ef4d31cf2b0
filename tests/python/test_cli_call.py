# SPDX-License-Identifier: MIT
"""codepipeline call: any operation, with its help, its skeletons and its pages, as a user of the AWS CLI tries it."""

import io
import json
import sys

import pytest

import codepipeline
import test_cli
import test_run
from codepipeline import _core
from codepipeline.cli import call, parser

cli = test_cli.cli
world = test_cli.world

ID = "11111111-1111-1111-1111-111111111111"
ARN = "arn:aws:codepipeline:us-east-1:123456789012:site"


@pytest.fixture
def misuse(cli, emulator):
    """What is said of a command line that makes no sense."""

    def said(*arguments):
        status, out, err = cli("call", *arguments)
        assert (status, out) == (parser.USAGE, "")
        assert err.startswith("codepipeline: ") and err.count("\n") == 1
        return err[len("codepipeline: ") :].strip()

    return said


@pytest.fixture
def sent(monkeypatch, cli, emulator):
    """The parameters that a command line comes to."""

    def params(operation, *arguments):
        seen = []

        def record(self, operation, /, **given):
            seen.append(given)
            return {}

        monkeypatch.setattr(codepipeline.Client, "call", record)
        status, _, err = cli("call", operation, "--no-paginate", *arguments)
        assert status == 0, err
        return seen[0]

    return params


# ---- help ----


def test_the_help_of_an_operation_is_what_the_model_says(cli):
    status, out, err = cli("call", "start-pipeline-execution", "--help")
    assert (status, err) == (0, "")
    words = " ".join(out.split())
    assert words.startswith("usage: codepipeline call start-pipeline-execution --name TEXT [OPTION]...")
    assert r"--name TEXT The pipeline's name. (required; 1 to 100 characters; matches [A-Za-z0-9.@\-_]+)" in words
    assert "one of COMMIT_ID, IMAGE_DIGEST, S3_OBJECT_VERSION_ID, S3_OBJECT_KEY" in words
    assert "inside --variables: [].name" in words
    assert "answer: pipelineExecutionId" in words
    assert "PipelineNotFoundException There is no pipeline of this name" in words
    assert "pages" not in words
    for spelt in (["StartPipelineExecution", "-h"], ["start_pipeline_execution", "help"]):
        assert cli("call", *spelt)[:2] == (0, out)
    assert cli("help", "call", "start-pipeline-execution")[:2] == (0, out)


def test_the_help_says_what_has_pages(cli):
    words = " ".join(cli("call", "list-pipelines", "--help")[1].split())
    assert "all of them are asked for; --no-paginate, --next-token or --max-results asks for one" in words


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_every_operation_has_a_help_that_fits(cli, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    for name, *_ in _core.operations():
        status, out, _ = cli("call", name, "--help")
        words, told = " ".join(out.split()), codepipeline.describe(name)
        assert status == 0
        for member in told["parameters"]:
            assert f"--{call.kebab(member['name'])}" in words and member["doc"] in words, (name, member["name"])
        for error in told["errors"]:
            assert error["code"] in words, (name, error["code"])
        wide = [line for line in out.splitlines()[1:] if len(line) > int(columns) and len(line.split()) > 1]
        assert not wide, name


def test_a_structure_is_told_once(cli):
    out = cli("call", "create-pipeline", "--help")[1]
    assert "stages[].onSuccess.conditions[] as stages[].beforeEntry.conditions[] above" in " ".join(out.split())
    assert len(out.splitlines()) < 400


def test_without_an_operation_all_are_listed(cli):
    status, out, _ = cli("call", "--help")
    assert status == 0
    for row in _core.operations():
        assert f"\n  {call.kebab(row[0])}" in out
    assert cli("call") == (parser.USAGE, "", out)


def test_no_parameter_is_hidden_by_an_option_of_the_command():
    commands = parser.make()._subparsers._group_actions[0].choices
    own = set(commands["call"]._option_string_actions)
    for row in _core.operations():
        for member in codepipeline.describe(row[1])["parameters"]:
            assert f"--{call.kebab(member['name'])}" not in own, (row[1], member["name"])


# ---- names ----


def test_call_runs_any_operation(cli, world):
    world(test_run.GATE)
    for name in ("get-pipeline", "GetPipeline", "get_pipeline", "getPipeline"):
        assert json.loads(cli("call", name, "--name", "site", "--version", 1)[1])["pipeline"]["version"] == 1
    assert json.loads(cli("call", "list-pipelines", "--max-results", "5")[1])["pipelines"][0]["name"] == "site"
    assert cli("call", "get-pipeline", "--params", '{"name": "site"}', "--query", "pipeline.name")[1] == "site\n"
    status, _, err = cli("call", "get-pipeline", "--name", "5")  # a text that looks like a number
    assert status == 4 and "'5'" in err


def test_an_operation_that_is_none_is_told_also_without_an_account(cli):
    for end in ([], ["--help"], ["--generate-skeleton"]):
        status, out, err = cli("call", "get-pipelin", *end)
        assert (status, out) == (parser.USAGE, "")
        assert err.startswith('codepipeline: "get-pipelin" is no operation; did you mean get-pipeline')
    assert cli("call", "xyzzy")[2] == 'codepipeline: "xyzzy" is no operation; codepipeline call --help lists them\n'


def test_parameters_are_found_in_any_spelling_and_guessed(sent, misuse):
    for name in ("--pipeline-name", "--pipelineName", "--pipeline_name", "--PipelineName"):
        assert sent("list-pipeline-executions", name, "site") == {"pipelineName": "site"}
    assert misuse("get-pipeline", "--nam", "x") == "get-pipeline has no parameter --nam; did you mean --name?"
    assert misuse("get-pipeline", "--colour", "x").endswith("; codepipeline call get-pipeline --help lists them")


# ---- values ----


def test_values_are_what_the_model_says_they_are(sent):
    assert sent("get-pipeline", "--name", "5", "--version", "5") == {"name": "5", "version": 5}
    stop = ("stop-pipeline-execution", "--pipeline-name", "true", "--pipeline-execution-id", ID)
    for option, value in ((["--abandon"], True), (["--no-abandon"], False), (["--abandon=false"], False)):
        assert sent(*stop, *option)["abandon"] is value
    assert sent(*stop, "--reason=--why")["reason"] == "--why"
    assert sent(*stop, "--reason", "-")["reason"] == "-"


def test_structures_and_lists_are_json_or_short(sent):
    kind = {"category": "Build", "owner": "Custom", "provider": "Maker", "version": "1"}
    for text in (json.dumps(kind), "category=Build,owner=Custom,provider=Maker,version=1"):
        assert sent("poll-for-jobs", "--action-type-id", text) == {"actionTypeId": kind}
    assert sent("poll-for-jobs", "--action-type-id", json.dumps(kind), "--query-param", "Project=site")[
        "queryParam"
    ] == {"Project": "site"}
    pairs = [{"name": "tag", "value": "v=2"}, {"name": "b", "value": ""}]
    for texts in (["name=tag,value=v=2", "name=b,value="], [json.dumps(pairs)], list(map(json.dumps, pairs))):
        assert sent("start-pipeline-execution", "--name", "site", "--variables", *texts)["variables"] == pairs
    for texts in (["a", "b"], ['["a", "b"]']):
        assert sent("untag-resource", "--resource-arn", ARN, "--tag-keys", *texts)["tagKeys"] == ["a", "b"]


def test_values_come_from_files_and_from_the_standard_input(sent, tmp_path, monkeypatch):
    given = {"name": "site", "version": 2}
    (tmp_path / "all.json").write_text(json.dumps(given))
    (tmp_path / "tags.json").write_text('["a"]')
    (tmp_path / "name").write_text("other")
    for text in (json.dumps(given), f"@{tmp_path}/all.json", f"file://{tmp_path}/all.json"):
        for option in ("--params", "--cli-input-json"):
            assert sent("get-pipeline", option, text) == given
    assert sent("get-pipeline", "--params", json.dumps(given), "--name", f"file://{tmp_path}/name")["name"] == "other"
    tags = ("untag-resource", "--resource-arn", ARN, "--tag-keys")
    assert sent(*tags, f"file://{tmp_path}/tags.json")["tagKeys"] == ["a"]
    monkeypatch.setattr(sys, "stdin", io.StringIO('["b"]'))
    assert sent(*tags, "-")["tagKeys"] == ["b"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(given)))
    assert sent("get-pipeline", "--params", "-") == given


def test_call_says_what_is_wrong_before_anything_is_sent(misuse):
    hint = "; codepipeline call get-pipeline --help tells what it takes"
    assert misuse("get-pipeline") == f"name: missing{hint}"
    assert misuse("get-pipeline", "--name", '{"a": 1}').startswith("name: does not match")
    assert misuse("get-pipeline", "x") == '"x" is no option; parameters are written --max-results 5'
    assert misuse("get-pipeline", "--name", "a", "b").startswith('"b" is no option')
    assert misuse("get-pipeline", "--name") == "--name needs a value"
    assert misuse("get-pipeline", "--name", "--version", "1") == "--name needs a value"
    assert misuse("get-pipeline", "--name", "y", "--version", "x") == '--version: "x" is not a whole number'
    assert misuse("get-pipeline", "--params", "[]") == "--params: not a JSON object"
    assert misuse("get-pipeline", "--params", "{").startswith("--params: this is no JSON: ")
    assert "No such file" in misuse("get-pipeline", "--params", "file://nowhere.json")
    assert "No such file" in misuse("get-pipeline", "--name", "file://nowhere")
    assert misuse("list-pipelines", "--max-results", "5000").startswith("maxResults: larger than 1000; ")
    stop = ("stop-pipeline-execution", "--pipeline-name", "site", "--pipeline-execution-id", ID)
    assert misuse(*stop, "--abandon", "maybe") == '--abandon: "maybe" is neither true nor false'
    assert misuse(*stop, "--no-abandon", "true") == "--no-abandon takes no value"
    assert misuse(*stop, "--no-reason").startswith("stop-pipeline-execution has no parameter --no-reason")


def test_call_says_how_a_structure_is_written(misuse):
    kind = """--action-type-id '{"category": "Source", "owner": "AWS", "provider": "", "version": ""}'"""
    for text in ("Build", "category=Build,Custom"):
        assert misuse("poll-for-jobs", "--action-type-id", text).endswith(f"as JSON it is {kind}")
    assert "as JSON it is --pipeline '{" in misuse("create-pipeline", "--pipeline", "stages=none")
    assert misuse("untag-resource", "--resource-arn", ARN, "--tag-keys", '["a').startswith(
        "--tag-keys: this is no JSON: Unterminated"
    )


# ---- skeletons ----


def test_a_skeleton_has_every_member_and_no_wrong_one(cli, client):
    for name, method, *_ in _core.operations():
        status, out, _ = cli("call", method, "--generate-skeleton")
        skeleton = json.loads(out)
        assert status == 0 and set(skeleton) == {member["name"] for member in codepipeline.describe(name)["parameters"]}
        try:
            client.call(name, **skeleton)
        except codepipeline.ParamValidationError as error:  # too short is all that it may be
            for wrong in ("unknown member", "expected ", "not one of", "missing", "null"):
                assert wrong not in str(error), name
        except codepipeline.ClientError as error:
            assert error.code != "SerializationException", name


def test_a_skeleton_of_the_answer(cli):
    assert json.loads(cli("call", "start-pipeline-execution", "--generate-cli-skeleton", "output")[1]) == {
        "pipelineExecutionId": ""
    }


# ---- pages and answers ----


@pytest.fixture
def many(client, world):
    """Five pipelines, and a page has two."""
    world(test_run.GATE)
    site = client.get_pipeline(name="site")["pipeline"]
    for number in range(4):
        client.create_pipeline(pipeline={**site, "name": f"p{number}"})
    return ["p0", "p1", "p2", "p3", "site"]


def test_all_pages_are_asked_for_unless_one_is(cli, client, many, monkeypatch):
    ask, asked = codepipeline.Client.call, []

    def by_two(self, operation, /, **given):
        asked.append(given)
        return ask(self, operation, **{"maxResults": 2, **given})

    monkeypatch.setattr(codepipeline.Client, "call", by_two)
    monkeypatch.setattr(
        codepipeline.Client, "list_pipelines", lambda self, **given: self.call("list_pipelines", **given)
    )

    def names(*arguments):
        status, out, err = cli("call", "list-pipelines", *arguments)
        assert status == 0, err
        answer = json.loads(out)
        return [item["name"] for item in answer["pipelines"]], answer

    assert names() == (many, {"pipelines": names()[1]["pipelines"]})
    for one in (["--no-paginate"], ["--max-results", "2"]):
        found, answer = names(*one)
        assert found == many[:2] and answer["nextToken"]
    assert names("--next-token", answer["nextToken"])[0] == many[2:4]
    found, answer = names("--max-items", "3")
    assert found == many[:3]
    assert names("--starting-token", answer["NextToken"]) == (many[3:], {"pipelines": names()[1]["pipelines"][3:]})
    assert names("--max-items", "1", "--starting-token", answer["NextToken"])[0] == many[3:4]


def test_what_has_no_pages_is_told(misuse, cli):
    assert misuse("get-pipeline", "--name", "x", "--max-items", "1").startswith("get-pipeline has no pages: ")
    assert misuse("list-pipelines", "--no-paginate", "--max-items", "1").startswith("--no-paginate asks for one page")
    for wrong in ("0", "x"):
        status, _, err = cli("call", "list-pipelines", "--max-items", wrong)
        assert status == parser.USAGE and f"not a whole number above 0: '{wrong}'" in err


def test_answers_for_cut_and_for_people(cli, many):
    pytest.importorskip("jmespath")
    names = ("call", "list-pipelines", "--query", "pipelines[].name")
    assert cli(*names, "--output", "text")[1] == "\t".join(many) + "\n"
    assert cli(*names, "--output", "table")[1].split() == ["value", *many]
    assert json.loads(cli(*names, "--output", "json")[1]) == many
    pairs = cli(*names[:2], "--query", "pipelines[].[name,version]", "--output", "text")[1]
    assert pairs.startswith("p0\t1\np1\t1\n")
    table = cli("call", "list-pipelines", "--output", "table")[1].splitlines()
    assert table[0].split()[:2] == ["name", "version"] and table[5].split()[:2] == ["site", "1"]
    text = cli("call", "get-pipeline", "--name", "site", "--output", "text")[1].splitlines()
    assert any(line.startswith("STAGES\tGate") for line in text) and text[0].startswith("METADATA\t")


def test_text_and_tables_of_odd_answers():
    assert call.text_lines({}) == [] and call.text_lines([]) == []
    assert call.text_lines({"b": 1, "a": "x", "l": [1, 2], "s": {"t": True}}) == ["x\t1", "L\t1", "L\t2", "S\tTrue"]
    assert call.text_lines(None) == ["None"]
    assert call.table_of({"name": "x", "items": {"a": None}}) == (
        ["name", "value"],
        [["name", "x"], ["items", '{"a": null}']],
    )
    assert call.table_of([1, None]) == (["value"], [["1"], [""]])
    assert call.table_of([{"a": 1}, {"b": "x"}]) == (["a", "b"], [["1", ""], ["", "x"]])


# ---- the same for programs ----


def test_describe_tells_what_the_core_knows():
    told = codepipeline.describe("ListActionExecutions")
    assert (told["name"], told["method"]) == ("ListActionExecutions", "list_action_executions")
    assert told["pages"]["result_key"] == "actionExecutionDetails"
    name = next(member for member in told["parameters"] if member["name"] == "pipelineName")
    assert (name["type"], name["required"], name["min"], name["max"]) == ("string", True, 1, 100)
    with pytest.raises(codepipeline.ParamValidationError, match='did you mean "list_pipelines"'):
        codepipeline.describe("list_pipeline")
    with pytest.raises(TypeError, match="must be str, not None"):
        codepipeline.describe(None)
