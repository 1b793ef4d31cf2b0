# SPDX-License-Identifier: MIT
"""Random sequences of operations: after each, the emulator and the reference (stage_machine.py) show the same.

A sequence is a seed and a list of steps of plain numbers, each taken modulo what there is to choose from; so any part
of a sequence is one too, and what fails is cut down step by step before it is shown. STEPS=100000 does more of them.
"""

import os
import random

import pytest

import codepipeline
from stage_machine import Refused, StageMachine

STEPS = int(os.environ.get("STEPS", "4000"))
LENGTH = 100
JOB_TYPE = {"category": "Build", "owner": "Custom", "provider": "Random", "version": "1"}
SOURCE_TYPE = {**JOB_TYPE, "category": "Source"}
APPROVAL_TYPE = {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}
ON_FAILURE = {
    "FAIL": {"result": "FAIL"},
    "SKIP": {"result": "SKIP"},
    "ROLLBACK": {"result": "ROLLBACK"},
    "RETRY_FAILED": {"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}},
    "RETRY_ALL": {"result": "RETRY", "retryConfiguration": {"retryMode": "ALL_ACTIONS"}},
}
ADVANCES = (60, 59, 1, 1800, 3600, 86400, 8 * 86400)


# ---- pipelines ----


def some_actions(dice, source):
    actions = []
    for i in range(dice.choice((1, 1, 1, 2) if source else (1, 1, 2, 3))):
        kind = "job" if source or dice.random() < 0.7 else "approval"
        actions.append({"name": f"A{i}", "kind": kind, "order": dice.choice((1, 1, 2)), "source": source})
        if not source and dice.random() < 0.3:
            actions[-1]["minutes"] = dice.choice((5, 30, 90))
    return actions


def some_stages(dice, mode):
    """Three declarations of one pipeline: as it is at first, with another stage or without its last, and edited."""
    results = [*ON_FAILURE, *(["ROLLBACK"] * 3)]
    results = [result for result in results if mode != "PARALLEL" or result != "ROLLBACK"]
    stages = []
    for i in range(3):
        stages.append({"name": f"S{i}", "actions": some_actions(dice, i == 0)})
        if dice.random() < 0.5:
            stages[-1]["on_failure"] = dice.choice(
                results if i > 0 else [result for result in results if result != "ROLLBACK"]
            )
    edited = [dict(stage) for stage in stages]
    edited[-1] = {**edited[-1], "actions": some_actions(dice, False)}
    return [stages, stages[:-1], edited]


def declaration(name, mode, stages):
    def declare(action):
        type_id = APPROVAL_TYPE if action["kind"] == "approval" else SOURCE_TYPE if action["source"] else JOB_TYPE
        more = {"timeoutInMinutes": action["minutes"]} if "minutes" in action else {}
        return {"name": action["name"], "actionTypeId": type_id, "runOrder": action["order"], **more}

    def stage_of(stage):
        more = {"onFailure": ON_FAILURE[stage["on_failure"]]} if "on_failure" in stage else {}
        return {"name": stage["name"], "actions": [declare(action) for action in stage["actions"]], **more}

    return {
        "name": name,
        "roleArn": "arn:aws:iam::123456789012:role/pipeline",
        "pipelineType": "V2",
        "executionMode": mode,
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [stage_of(stage) for stage in stages],
    }


# ---- one step, on both sides ----


def pick(items, a):
    """One of them, sooner a new one than an old one; None: there is none."""
    return items[-1 - min(a % len(items), a // 7 % len(items))] if items else None


class Pair:
    """The emulator's pipeline and the reference's, and what a caller would know."""

    def __init__(self, emulator, client, name, seed):
        dice = random.Random(seed)
        self.emulator, self.client, self.name = emulator, client, name
        self.mode = dice.choice(("SUPERSEDED", "QUEUED", "PARALLEL"))
        self.variants = some_stages(dice, self.mode)
        self.ids, self.known, self.asked = [], [], []  # executions; jobs once offered; approvals that showed a token
        client.create_pipeline(pipeline=declaration(name, self.mode, self.variants[0]))
        self.reference = StageMachine(self.mode, self.variants[0])

    def both(self, expected, call, *arguments, **given):
        """The call succeeds when the reference's does, or is refused as it is; answers both answers."""
        try:
            value = expected(*arguments)
        except Refused as refused:
            with pytest.raises(codepipeline.ClientError) as raised:
                call(**given)
            assert raised.value.response["Error"]["Code"] in refused.args
            return None, None
        return value, call(**given)

    def execution(self, a, fits=lambda one: True):
        """One that fits, mostly."""
        fitting = [one for one in self.reference.executions if fits(one)] if a % 5 else []
        return pick(fitting or self.reference.executions, a)

    def stage(self, a):
        return self.reference.versions[0][a % len(self.reference.versions[0])]["name"]

    def where(self, stage):
        return {"pipelineName": self.name, "stageName": stage}

    def do_start(self, a, b, c):
        self.both(self.reference.start, self.client.start_pipeline_execution, name=self.name)

    def do_stop(self, a, b, c):
        one, abandon = self.execution(a, lambda one: not one.over()), b % 2 == 1
        given = {"pipelineName": self.name, "pipelineExecutionId": self.ids[one.number], "abandon": abandon}
        self.both(self.reference.stop, self.client.stop_pipeline_execution, one, abandon, **given)

    def do_update(self, a, b, c):
        stages = self.variants[a % 3]
        given = {"pipeline": declaration(self.name, self.mode, stages)}
        self.both(self.reference.update, self.client.update_pipeline, stages, **given)

    def do_retry(self, a, b, c):
        one, everything = self.execution(a, lambda one: one.status in ("Failed", "Stopped")), c % 2 == 1
        stage = one.stage if b % 4 else self.stage(b)
        given = {
            "pipelineExecutionId": self.ids[one.number],
            "retryMode": ("FAILED_ACTIONS", "ALL_ACTIONS")[everything],
        }
        retry = self.client.retry_stage_execution
        self.both(self.reference.retry, retry, one, stage, everything, **self.where(stage), **given)

    def do_rollback(self, a, b, c):
        stage = self.stage(b)
        target = self.execution(a, lambda one: one.stages.get(stage, {}).get("status") == "Succeeded")
        given = {**self.where(stage), "targetPipelineExecutionId": self.ids[target.number]}
        self.both(self.reference.rollback, self.client.rollback_stage, stage, target, **given)

    def do_transition(self, a, b, c):
        stage, side, is_open = self.stage(a), ("Inbound", "Outbound")[b % 4 == 3], c % 3 > 0
        given = {**self.where(stage), "transitionType": side, **({} if is_open else {"reason": "closed"})}
        call = self.client.enable_stage_transition if is_open else self.client.disable_stage_transition
        self.both(self.reference.transition, call, stage, side, is_open, **given)

    def do_decide(self, a, b, c):
        if not self.asked:
            return
        open_ones = [action for action in self.asked if action.running()] if a % 5 else []
        action, approved = pick(open_ones or self.asked, a), b % 4 > 0
        verdict = {"summary": "", "status": "Approved" if approved else "Rejected"}
        given = {**self.where(action.stage), "actionName": action.name, "token": action.token, "result": verdict}
        declared = [s for s in self.reference.versions[-1] if s["name"] == action.stage]
        if declared and action.name in [one["name"] for one in declared[0]["actions"]]:
            self.both(self.reference.decide, self.client.put_approval_result, action, approved, **given)

    def do_poll(self, a, b, c):
        type_id, most = (SOURCE_TYPE, JOB_TYPE)[a % 3 > 0], b % 3 + 1
        jobs = self.client.poll_for_jobs(actionTypeId=type_id, maxBatchSize=most)["jobs"]
        offered = [job for job in self.reference.offer() if job.action.declared["source"] == (type_id is SOURCE_TYPE)]
        assert len(jobs) == min(most, len(offered))
        for job in jobs:
            self.deliver(job, offered)

    def deliver(self, job, offered):
        context = job["data"]["pipelineContext"]
        wanted = (context["pipelineExecutionId"], context["stage"]["name"], context["action"]["name"])
        for one in offered:
            action = one.action
            if wanted == (self.ids[action.execution.number], action.stage, action.name) and one.id in (None, job["id"]):
                assert job["data"].get("continuationToken") == one.continuation
                offered.remove(one)
                break
        else:
            pytest.fail(f"{wanted} is offered, and should not be")
        self.reference.deliver(one, job["id"], job["nonce"])
        self.known = [*(other for other in self.known if other is not one), one]

    def job(self, a):
        """One that is not over, mostly."""
        return pick([job for job in self.known if not job.over()] if a % 5 else [], a) or pick(self.known, a)

    def do_acknowledge(self, a, b, c):
        if self.known:
            job = self.job(a)
            nonce = job.nonces[0 if b % 5 == 0 else -1]
            call = self.client.acknowledge_job
            expected, answer = self.both(self.reference.acknowledge, call, job, nonce, jobId=job.id, nonce=nonce)
            assert answer is None or answer["status"] == expected

    def finish(self, a, outcome, call, **given):
        if self.known:
            job = self.job(a)
            self.both(self.reference.finish, call, job, outcome, jobId=job.id, **given)

    def do_succeed(self, a, b, c):
        self.finish(a, "Succeeded", self.client.put_job_success_result)

    def do_fail(self, a, b, c):
        details = {"type": "JobFailed", "message": "broken"}
        self.finish(a, "Failed", self.client.put_job_failure_result, failureDetails=details)

    def do_continue(self, a, b, c):
        if self.known:
            token = f"after {self.job(a).id}"
            self.finish(a, "Continued", self.client.put_job_success_result, continuationToken=token)

    def do_work(self, a, b, c):
        """What a worker does: everything that is offered, well or badly."""
        for type_number in (0, 1):
            self.do_poll(type_number, 2, 0)
        for i, job in enumerate([job for job in self.known if job.status == "Dispatched"]):
            self.both(
                self.reference.acknowledge,
                self.client.acknowledge_job,
                job,
                job.nonces[-1],
                jobId=job.id,
                nonce=job.nonces[-1],
            )
            fails = (b >> i) % 4 == 0
            details = {"failureDetails": {"type": "JobFailed", "message": "broken"}} if fails else {}
            call = self.client.put_job_failure_result if fails else self.client.put_job_success_result
            self.both(self.reference.finish, call, job, "Failed" if fails else "Succeeded", jobId=job.id, **details)

    def do_advance(self, a, b, c):
        seconds = ADVANCES[min(a % len(ADVANCES), b % len(ADVANCES))]  # mostly a little
        self.emulator.clock.advance(seconds=seconds)
        self.reference.advance(seconds)

    def do_restore(self, a, b, c):
        """As after a restart: what was derived from the documents is derived again."""
        if a % 4 == 0:
            self.emulator.restore(self.emulator.export())

    # ---- what the emulator shows ----

    def seen_stage(self, state, number):
        latest = state.get("latestExecution")
        actions = []
        for one in state["actionStates"]:
            run = one.get("latestExecution", {})
            actions.append((one["actionName"], run.get("status"), run.get("errorDetails", {}).get("code")))
        return {
            "name": state["stageName"],
            "latest": latest and (number[latest["pipelineExecutionId"]], latest["status"]),
            "inbound": sorted(number[e["pipelineExecutionId"]] for e in state.get("inboundExecutions", [])),
            "open": state["inboundTransitionState"]["enabled"],
            "actions": actions,
        }

    def seen_execution(self, one, number):
        target = one.get("rollbackMetadata", {}).get("rollbackTargetPipelineExecutionId")
        assert one["executionType"] == ("STANDARD" if target is None else "ROLLBACK")
        return one["status"], one["trigger"]["triggerType"], target and number[target]

    def seen(self):
        page = self.client.list_pipeline_executions(pipelineName=self.name, maxResults=100)
        executions = page["pipelineExecutionSummaries"][::-1]
        self.ids = [one["pipelineExecutionId"] for one in executions]
        number = {one: i for i, one in enumerate(self.ids)}
        history = {i: [] for i in range(len(self.ids))}
        for record in self.records():
            history[number[record["pipelineExecutionId"]]].append(
                (record["stageName"], record["actionName"], record["status"])
            )
        states = self.client.get_pipeline_state(name=self.name)["stageStates"]
        self.note_tokens(states, number)
        return {
            "executions": [self.seen_execution(one, number) for one in executions],
            "stages": [self.seen_stage(state, number) for state in states],
            "history": history,
        }

    def records(self):
        found, more = [], {}
        while True:
            page = self.client.list_action_executions(pipelineName=self.name, maxResults=100, **more)
            found += page["actionExecutionDetails"]
            if "nextToken" not in page:
                return found[::-1]
            more = {"nextToken": page["nextToken"]}

    def note_tokens(self, states, number):
        for state in states:
            for one in state["actionStates"]:
                token = one.get("latestExecution", {}).get("token")
                if token is None or any(action.token == token for action in self.asked):
                    continue
                runs = [
                    a for a in self.reference.actions if (a.stage, a.name) == (state["stageName"], one["actionName"])
                ]
                runs[-1].token = token
                self.asked.append(runs[-1])

    def step(self, kind, *numbers):
        getattr(self, "do_" + kind)(*numbers)
        assert self.seen() == self.reference.seen()


KINDS = (
    ["work"] * 18
    + ["start", "poll", "acknowledge", "decide", "retry"] * 6
    + ["succeed", "transition", "rollback"] * 4
    + ["fail", "continue", "stop", "update"] * 2
    + ["advance"] * 4
    + ["restore"]
)


# ---- sequences ----


def some_steps(seed):
    dice = random.Random(f"{seed} steps")
    return [(dice.choice(KINDS), *(dice.randrange(1000) for _ in range(3))) for _ in range(LENGTH)]


def run(emulator, client, seed, steps):
    """How many steps went well, and what was wrong with the next one; None: nothing."""
    pair = Pair(emulator, client, f"p{seed}", seed)
    done = 0
    try:
        assert pair.seen() == pair.reference.seen()
        for step in steps:
            pair.step(*step)
            done += 1
    except (AssertionError, pytest.fail.Exception, codepipeline.CodePipelineError) as wrong:
        return done, wrong
    finally:
        client.delete_pipeline(name=pair.name)
    return len(steps), None


def shrink(emulator, client, seed, steps):
    """The steps without those that the difference does not need."""
    i = len(steps) - 1
    while i >= 0:
        fewer = steps[:i] + steps[i + 1 :]
        done, wrong = run(emulator, client, seed, fewer)
        if wrong:
            steps = fewer[: done + 1]
        i = min(i, len(steps)) - 1
    return steps


def test_random_sequences_show_no_difference(emulator, client):
    emulator.clock.freeze()
    for category in ("Source", "Build"):
        some = {"minimumCount": 0, "maximumCount": 5}
        given = {"category": category, "inputArtifactDetails": some, "outputArtifactDetails": some}
        if category == "Source":
            given["inputArtifactDetails"] = {"minimumCount": 0, "maximumCount": 0}
        client.create_custom_action_type(provider="Random", version="1", **given)
    for seed in range(STEPS // LENGTH + 1):
        steps = some_steps(seed)
        done, wrong = run(emulator, client, seed, steps)
        if wrong is not None:
            steps = shrink(emulator, client, seed, steps[: done + 1])
            _, wrong = run(emulator, client, seed, steps)
            pytest.fail(f"seed {seed}, steps {steps}: {wrong}", pytrace=False)
