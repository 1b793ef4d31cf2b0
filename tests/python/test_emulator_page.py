# SPDX-License-Identifier: MIT
"""The emulator's control API over HTTP, and its page in a real browser."""

import http.client
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import codepipeline
from chromium import browser
from test_emulator_functions import start
from test_emulator_scripts import pipeline

__all__ = ["browser", "start"]
ROOT = Path(__file__).resolve().parents[2]
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def shown():
    with codepipeline.Emulator(ui=True) as emulator:
        yield emulator


def ask(emulator, method, name, body=None, **headers):
    connection = http.client.HTTPConnection(emulator.url.removeprefix("http://"), timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    text = body if body is None or isinstance(body, str) else json.dumps(body)
    connection.request(method, f"/_emulator/{name}", text, {**(JSON if body is not None else {}), **named})
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


def turn(emulator, name, body):
    status, text, _ = ask(emulator, "POST", name, body)
    return status, json.loads(text)


# ---- the control API ----


def test_the_clock_is_turned_and_frozen(emulator):
    status, before = turn(emulator, "freeze", {"frozen": True})
    assert status == 200 and before["frozen"]
    _, after = turn(emulator, "advance", {"seconds": 3600})
    assert after["now"] == pytest.approx(before["now"] + 3600)
    assert not turn(emulator, "freeze", {"frozen": False})[1]["frozen"]


def test_faults_scripts_the_ledger_and_their_end(emulator, client):
    _, told = turn(emulator, "fault", {"kind": "500", "operation": "ListPipelines", "times": 1})
    assert told["faults"] == [{"kind": "500", "operation": "ListPipelines", "job_id": "", "times": 1}]
    client.list_pipelines()
    assert json.loads(ask(emulator, "GET", "status")[1])["faults"] == []
    entries = json.loads(ask(emulator, "GET", "ledger")[1])
    assert [entry.get("fault") for entry in entries] == ["500", None]
    assert turn(emulator, "script", {"outcome": "succeed"})[0] == 200
    assert turn(emulator, "clear", {})[0] == 200
    assert json.loads(ask(emulator, "GET", "ledger")[1]) == []


def test_the_policy_for_repeats_is_chosen(emulator):
    assert json.loads(ask(emulator, "GET", "status")[1])["repeats"] == "refuse"
    assert turn(emulator, "repeats", {"policy": "accept"})[1]["repeats"] == "accept"
    assert turn(emulator, "repeats", {"policy": "refuse"})[1]["repeats"] == "refuse"


def git_pipeline(name="site", triggers=None):
    """A pipeline of acme/site, main, with an approval behind its source."""
    source = {
        "name": "App",
        "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1"},
        "configuration": {"ConnectionArn": "arn:c", "FullRepositoryId": "acme/site", "BranchName": "main"},
        "outputArtifacts": [{"name": "Source"}],
    }
    sign = {
        "name": "Sign",
        "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"},
    }
    made = {
        "name": name,
        "roleArn": "arn:aws:iam::123456789012:role/r",
        "pipelineType": "V2",
        "artifactStore": {"type": "S3", "location": "store"},
        "stages": [{"name": "Source", "actions": [source]}, {"name": "Gate", "actions": [sign]}],
    }
    if triggers:
        git = {"sourceActionName": "App", **triggers}
        made["triggers"] = [{"providerType": "CodeStarSourceConnection", "gitConfiguration": git}]
    return made


def test_pushes_and_pull_requests_start_pipelines(emulator, client):
    client.create_pipeline(pipeline=git_pipeline("plain"))
    client.create_pipeline(pipeline=git_pipeline("pulls", {"pullRequest": [{"events": ["OPEN"]}]}))
    push = {"repository": "acme/site", "branch": "main", "commit": "4f2a9c", "files": {"index.html": "hello"}}
    status, (plain, pulls) = turn(emulator, "git_push", push)
    assert status == 200 and plain["reason"] == "its BranchName is main"
    run = client.get_pipeline_execution(pipelineName="plain", pipelineExecutionId=plain["pipelineExecutionId"])
    assert run["pipelineExecution"]["artifactRevisions"][0]["revisionId"] == "4f2a9c"
    assert pulls == {"pipelineName": "pulls", "actionName": "App", "reason": "it has no filter push"}
    request = {"repository": "acme/site", "event": "OPEN", "source": "door", "target": "main"}
    _, (plain, pulls) = turn(emulator, "pull_request", request)
    assert "pipelineExecutionId" not in plain and "pipelineExecutionId" in pulls


def test_an_operation_is_called_as_the_owner_calls_it(emulator, client):
    turn(emulator, "script", {"outcome": "succeed", "output_variables": {"digest": "1"}})
    status, made = turn(emulator, "call", {"operation": "CreatePipeline", "input": {"pipeline": pipeline()}})
    assert status == 200 and made["pipeline"]["name"] == "site"
    assert client.run("site", poll_interval=0.02).wait(timeout=10).status == "Succeeded"
    status, refused = turn(emulator, "call", {"operation": "GetPipeline", "input": {"name": "other"}})
    assert status == 400 and refused["__type"] == "PipelineNotFoundException"
    assert turn(emulator, "call", {"operation": "Nothing"})[1]["__type"] == "UnknownOperationException"


def test_jobs_are_listed(emulator, client, start):
    assert json.loads(ask(emulator, "GET", "status")[1])["jobs"] == []
    emulator.function("check")
    run = start()
    (job,) = json.loads(ask(emulator, "GET", "status")[1])["jobs"]
    assert (job["type"], job["status"], job["executionId"]) == ("Invoke:AWS:Lambda:1", "InProgress", run.id)


@pytest.mark.parametrize(
    "name, body, path",
    [
        ("advance", {"seconds": -1}, "seconds"),
        ("advance", {}, "seconds"),
        ("advance", {"seconds": "soon"}, "seconds"),
        ("freeze", {"frozen": 1}, "frozen"),
        ("fault", {"kind": "flood"}, "kind"),
        ("fault", {"kind": "500", "operation": "Nothing"}, "operation"),
        ("fault", {"kind": "500", "times": 1e300}, "times"),
        ("fault", {"kind": "500", "times": 0.5}, "times"),
        ("fault", {"kind": "500", "after": "soon"}, "after"),
        ("fault", {"kind": "500", "seed": -1}, "seed"),
        ("fault", {"kind": "stall", "bytes": -1}, "bytes"),
        ("fault", {"kind": "reset", "bytes": 7}, "bytes"),
        ("script", {"outcome": "maybe"}, "outcome"),
        ("repeats", {"policy": "maybe"}, "policy"),
        ("repeats", {}, "policy"),
        ("git_push", {"branch": "main"}, "repository"),
        ("git_push", {"repository": "acme/site", "branch": "main", "files": [1]}, "files[0]"),
        ("pull_request", {"repository": "acme/site", "event": "OPEN", "source": "door"}, "target"),
        ("advance", "[1]", ""),
        ("advance", "{", ""),
    ],
)
def test_what_is_wrong_is_named(emulator, name, body, path):
    status, told = turn(emulator, name, body)
    assert status == 400 and told["path"] == path and told["message"]


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Host": "localhost:1"}, 200),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
    ],
)
def test_another_sites_page_gets_nothing_through(emulator, headers, status):
    assert ask(emulator, "POST", "clear", {}, **headers)[0] == status


def test_what_is_not_there_is_said(emulator):
    assert ask(emulator, "GET", "nothing")[0] == ask(emulator, "POST", "nothing", {})[0] == 404
    assert ask(emulator, "PUT", "status", {})[0] == 405
    assert ask(emulator, "GET", "")[0] == 404  # without ui=True


def test_a_fault_does_not_strike_the_control_api(emulator):
    emulator.fault("reset", times=None)
    assert ask(emulator, "GET", "status")[0] == 200
    assert emulator.ledger() == []


# ---- the page ----


def test_the_page_may_load_nothing_from_elsewhere(shown):
    status, text, headers = ask(shown, "GET", "")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "http" not in text and "src=" not in text and "@import" not in text
    assert not re.search(r"innerHTML\s*\+?=[^=]|insertAdjacentHTML|document\.write|\beval\b", text)


def test_the_command_serves_it_and_says_where():
    command = [sys.executable, "-c", "import sys; from codepipeline._commands import emulator; sys.exit(emulator())"]
    running = subprocess.Popen(
        [*command, "--ui", "--repeats", "accept"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        url = running.stdout.readline().strip()
        assert running.stderr.readline() == f"codepipeline-emulator: the page is {url}/_emulator/\n"
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
        connection.request("GET", "/_emulator/")
        assert "<title>codepipeline emulator</title>" in connection.getresponse().read().decode()
        connection.request("GET", "/_emulator/status")
        assert json.loads(connection.getresponse().read())["repeats"] == "accept"
    finally:
        running.terminate()
        running.communicate(timeout=20)


def test_a_person_approves_turns_the_clock_and_injects_a_fault(shown, browser):
    client = shown.client()
    shown.script("succeed", output_variables={"digest": "1"})
    shown.script("succeed", provider="CodeDeploy", after=7200, summary="<img src=x onerror=alert(1)>")
    made = pipeline()
    sign = {
        "name": "Sign",
        "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"},
    }
    made["stages"].insert(2, {"name": "Gate", "actions": [sign]})
    client.create_pipeline(pipeline=made)
    run = client.run("site", poll_interval=0.02)
    browser.go(shown.url + "/_emulator/")
    site = "document.querySelector('[data-pipeline=site]')"
    browser.wait(f"!!{site}")
    browser.click("approve", site)
    browser.wait(f"{site}.innerText.includes('emulated: <img src=x onerror=alert(1)>')")
    assert browser.run("document.images.length") == 0
    browser.click("+1 h")
    browser.click("+1 h")
    browser.wait(f"{site}.querySelectorAll('.stage .Succeeded').length >= 8")
    assert run.wait(timeout=10).status == "Succeeded"
    browser.run(
        "byId('kind').value = 'throttling'; byId('operation').value = 'ListActionTypes'; byId('times').value = 2"
    )
    browser.click("inject")
    browser.wait("byId('faults').innerText.includes('throttling')")
    with pytest.raises(codepipeline.ClientError, match="Rate exceeded"):
        client.with_options(max_attempts=1).list_action_types()
    browser.run(
        "byId('kind').value = 'stall'; byId('kind').dispatchEvent(new Event('change')); byId('times').value = 1"
    )
    assert not browser.run("byId('bytes').hidden")
    browser.run("byId('operation').value = 'ListPipelines'; byId('bytes').value = 7")
    browser.click("inject")
    browser.wait("byId('faults').innerText.includes('stall 7')")
    with pytest.raises(codepipeline.TimeoutError):
        client.with_options(max_attempts=1, read_timeout=0.2).list_pipelines()
    browser.wait("byId('ledger').innerText.includes('ListActionTypes')")
    assert browser.complaints == []


def test_the_page_offers_every_kind_of_fault_and_the_guide_lists_them(shown, browser):
    kinds = json.loads(ask(shown, "GET", "fault_kinds")[1])
    names = [kind["kind"] for kind in kinds]
    assert len(names) == len(set(names)) >= 19
    assert [kind["kind"] for kind in kinds if kind["bytes"]] == ["stall", "trickle"]
    for name in names:
        shown.fault(name)
    browser.go(shown.url + "/_emulator/")
    browser.wait("!!document.querySelector('#kind option')")
    assert browser.run("[...byId('kind').options].map(option => option.value)") == names
    guide = (ROOT / "docs/emulator.md").read_text().partition("| kind |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in guide.splitlines()[2:]]
    assert sorted(re.findall(r"`([\w-]+)`", " ".join(rows))) == sorted(names)
    for told in (codepipeline.Emulator.fault.__doc__, (ROOT / "core/codepipeline.h").read_text()):
        assert [name for name in names if f'"{name}"' not in told] == []


def test_a_person_pushes(shown, browser):
    client = shown.client()
    shown.script("succeed")
    triggers = {"push": [{"branches": {"includes": ["main"]}, "filePaths": {"includes": ["src/**"]}}]}
    client.create_pipeline(pipeline=git_pipeline(triggers=triggers))
    browser.go(shown.url + "/_emulator/")
    browser.wait("!!document.querySelector('[data-pipeline=site]')")
    browser.run("byId('repository').value = 'acme/site'; byId('changed').value = 'README.md'")
    browser.click("push")
    browser.wait("byId('pushed').innerText.includes('push[0] by its filePaths')")
    browser.run("byId('changed').value = 'README.md src/app.js'")
    browser.click("push")
    browser.wait("byId('pushed').innerText.includes('its filter push[0] fits')")
    started = client.list_pipeline_executions(pipelineName="site")["pipelineExecutionSummaries"][0]
    assert started["trigger"]["triggerType"] == "WebhookV2"
    assert started["pipelineExecutionId"][:8] in browser.run("byId('pushed').innerText")
    assert browser.complaints == []


def test_a_person_retries_what_failed_and_is_told_what_is_refused(shown, browser):
    client = shown.client()
    shown.script("succeed")
    shown.script("fail", provider="CodeBuild", message="the tests are red", times=1)
    client.create_pipeline(pipeline=pipeline())
    browser.go(shown.url + "/_emulator/")
    site = "document.querySelector('[data-pipeline=site]')"
    browser.wait(f"{site} && {site}.innerText.includes('the tests are red')")
    shown.script("succeed", output_variables={"digest": "1"})
    browser.click("retry", site)
    browser.wait(f"!{site}.innerText.includes('the tests are red')")
    browser.click("start", site)
    browser.wait(f"{site}.querySelector('.top').innerText.split('Succeeded').length === 3")
    browser.run("byId('operation').value = 'Nothing'")
    browser.click("inject")
    browser.wait("byId('trouble').innerText.includes('operation: \"Nothing\"')")
    # the browser itself notes each answer of 400
    assert [one for one in browser.complaints if "400" not in one.get("text", "")] == []
