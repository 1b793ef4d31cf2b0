# SPDX-License-Identifier: MIT
"""How pipeline executions move, said as simply as possible: what test_stage_machine.py holds the emulator against.

Written from the user guide ("How pipeline executions work", "Stop a pipeline execution", "Retry a failed stage",
"Stage rollback", "Stage conditions") and the API reference, and from core/emulator/README.md where those are silent.
It is slow, keeps everything, and knows nothing of requests, documents or events.
"""

MINUTE = 60
JOB_LIMIT = 24 * 60 * MINUTE
APPROVAL_LIMIT = 7 * 24 * 60 * MINUTE
DELIVERY = 60  # until a job that nobody acknowledged is offered again


class Refused(Exception):
    """args are the exceptions of the service of which one must be raised; which one comes first is not published."""


class Action:
    """One run of an action."""

    def __init__(self, declared, execution, now):
        self.declared, self.execution, self.stage = declared, execution, execution.stage
        self.name, self.status, self.error = declared["name"], "InProgress", None
        limit = APPROVAL_LIMIT if declared["kind"] == "approval" else JOB_LIMIT
        self.deadline = now + declared.get("minutes", limit // MINUTE) * MINUTE
        self.token = None  # of an approval, once the service has shown it

    def running(self):
        return self.status == "InProgress"


class Job:
    def __init__(self, action, continuation=None):
        self.action, self.continuation = action, continuation
        self.status, self.id, self.nonces, self.lapses = "Queued", None, [], None

    def over(self):
        return self.status in ("Succeeded", "Failed", "TimedOut")


class Execution:
    def __init__(self, number, version, stage, trigger, target=None):
        self.number, self.version, self.trigger, self.target = number, version, trigger, target
        self.status, self.stage, self.waiting = "InProgress", stage, True
        self.stages = {}  # name -> {"status", "actions": {name: its latest run}, "retried": by itself}

    def over(self):
        return self.status not in ("InProgress", "Stopping")

    @property
    def here(self):
        return self.stages[self.stage]


class StageMachine:
    """One pipeline. stages: [{"name", "actions": [{"name", "kind", "order", "minutes"}], "on_failure"}]."""

    def __init__(self, mode, stages):
        self.mode, self.versions, self.now = mode, [stages], 0
        self.executions, self.actions, self.jobs = [], [], []
        self.latest = {}  # stage -> the execution that entered it last
        self.closed = set()  # (stage, "Inbound" or "Outbound")
        self.start("CreatePipeline")

    # ---- what is asked of it ----

    def start(self, trigger="StartPipelineExecution", stage=None, target=None):
        first = stage or self.versions[-1][0]["name"]
        self.executions.append(Execution(len(self.executions), len(self.versions), first, trigger, target))
        self.settle()

    def update(self, stages):
        self.versions.append(stages)
        names = [stage["name"] for stage in stages]
        self.closed = {(stage, side) for stage, side in self.closed if stage in names}
        self.settle()

    def stop(self, execution, abandon):
        if execution.over():
            raise Refused("PipelineExecutionNotStoppableException")
        if execution.status == "Stopping" and not abandon:
            raise Refused("DuplicatedStopRequestException")
        execution.status = "Stopped" if execution.waiting else "Stopping"
        for action in self.running(execution) if abandon else []:
            self.close_job(action, "Failed")
            action.status = "Abandoned"
        self.settle()

    def retry(self, execution, stage, everything):
        self.need_stage(stage)
        if self.latest.get(stage) is not execution:
            raise Refused("NotLatestPipelineExecutionException")
        if execution.status not in ("Failed", "Stopped") or execution.stage != stage or self.edited(execution):
            raise Refused("StageNotRetryableException")
        execution.status = "InProgress"
        self.reopen(execution, everything)
        self.settle()

    def rollback(self, stage, target):
        self.need_stage(stage)
        reasons = []
        if self.mode == "PARALLEL" or stage == self.versions[-1][0]["name"] or target.target is not None:
            reasons.append("UnableToRollbackStageException")
        if target.stages.get(stage, {}).get("status") != "Succeeded":
            reasons.append("UnableToRollbackStageException")
        if self.edited(target):
            reasons.append("PipelineExecutionOutdatedException")
        if any(other.stage == stage and not other.waiting for other in self.active()):
            reasons.append("ConflictException")
        if reasons:
            raise Refused(*reasons)
        self.start("ManualRollback", stage, target)

    def transition(self, stage, side, is_open):
        self.need_stage(stage)
        self.closed = self.closed - {(stage, side)} if is_open else self.closed | {(stage, side)}
        self.settle()

    def decide(self, action, approved):
        if not action.running():
            raise Refused("ApprovalAlreadyCompletedException")
        action.status = "Succeeded" if approved else "Failed"
        self.settle()

    def offer(self):
        """The jobs that a poll may get."""
        return [job for job in self.jobs if job.status == "Queued"]

    def deliver(self, job, job_id, nonce):
        job.id, job.status, job.lapses = job_id, "Dispatched", self.now + DELIVERY
        job.nonces.append(nonce)

    def acknowledge(self, job, nonce):
        if nonce != job.nonces[-1] or job.over():
            raise Refused("InvalidNonceException")
        job.status = "InProgress"
        return job.status

    def finish(self, job, outcome):
        """outcome: Succeeded, Failed, or Continued."""
        if job.status != "InProgress":
            raise Refused("InvalidJobStateException")
        job.status = "Failed" if outcome == "Failed" else "Succeeded"
        if outcome == "Continued":
            self.jobs.append(Job(job.action, f"after {job.id}"))
        else:
            job.action.status, job.action.error = outcome, "JobFailed" if outcome == "Failed" else None
            self.settle()

    def advance(self, seconds):
        self.now += seconds
        for job in self.jobs:
            if job.status == "Dispatched" and job.lapses <= self.now:
                job.status = "Queued"
        while True:
            late = [action for action in self.actions if action.running() and action.deadline <= self.now]
            if not late:
                return
            action = min(late, key=lambda one: one.deadline)
            self.close_job(action, "TimedOut")
            action.status, action.error = "Failed", "Timeout"
            self.settle()

    # ---- how it moves ----

    def settle(self):
        """Until nothing can move any more; who begins does not matter."""
        while any(self.move(execution) for execution in self.active()):
            pass

    def move(self, execution):
        return self.try_to_enter(execution) if execution.waiting else self.go_on(execution)

    def try_to_enter(self, execution):
        others = [other for other in self.active() if other is not execution and other.stage == execution.stage]
        if self.mode == "SUPERSEDED" and any(o.waiting and o.number > execution.number for o in others):
            execution.status = "Superseded"
            return True
        if self.mode != "PARALLEL" and any(not other.waiting for other in others):
            return False
        if self.mode == "QUEUED" and any(other.number < execution.number for other in others):
            return False
        if self.is_closed(execution):
            return False
        if execution.stage not in [stage["name"] for stage in self.versions[-1]]:
            execution.status = "Cancelled"
            return True
        execution.version, execution.waiting = len(self.versions), False
        execution.stages[execution.stage] = {"status": "InProgress", "actions": {}, "retried": False}
        self.latest[execution.stage] = execution
        return True

    def is_closed(self, execution):
        names = [stage["name"] for stage in self.versions[execution.version - 1]]
        at = names.index(execution.stage)
        return (execution.stage, "Inbound") in self.closed or (at > 0 and (names[at - 1], "Outbound") in self.closed)

    def go_on(self, execution):
        stage, begun = self.declared(execution), execution.here["actions"]
        if any(action.running() for action in begun.values()):
            return False
        missing = [action for action in stage["actions"] if action["name"] not in begun]
        if execution.status == "Stopping":
            self.end(execution, "Stopped")
        elif any(action.status != "Succeeded" for action in begun.values()):
            self.fail(execution, stage.get("on_failure"))
        elif begun and self.edited(execution):
            self.end(execution, "Cancelled")
        elif missing:
            self.begin(execution, [a for a in missing if a["order"] == min(b["order"] for b in missing)])
        else:
            self.leave(execution, "Succeeded")
        return True

    def begin(self, execution, group):
        for declared in group:
            action = Action(declared, execution, self.now)
            execution.here["actions"][action.name] = action
            self.actions.append(action)
            if declared["kind"] == "job":
                self.jobs.append(Job(action))

    def leave(self, execution, status):
        execution.here["status"] = status
        names = [stage["name"] for stage in self.versions[execution.version - 1]]
        at = names.index(execution.stage) + 1
        if at == len(names) or execution.target is not None:
            execution.status = "Succeeded"
        else:
            execution.stage, execution.waiting = names[at], True

    def fail(self, execution, result):
        if result == "SKIP":
            self.leave(execution, "Skipped")
        elif result in ("RETRY_FAILED", "RETRY_ALL") and not execution.here["retried"] and not self.edited(execution):
            execution.here["retried"] = True
            self.reopen(execution, result == "RETRY_ALL")
        else:
            self.end(execution, "Failed")
            target = self.rollback_target(execution)
            if result == "ROLLBACK" and target and execution.target is None and not self.edited(execution):
                rollback = Execution(
                    len(self.executions), len(self.versions), execution.stage, "AutomatedRollback", target
                )
                self.executions.append(rollback)

    def rollback_target(self, execution):
        good = [
            other
            for other in self.executions
            if other.target is None
            and other is not execution
            and other.version == execution.version
            and other.stages.get(execution.stage, {}).get("status") == "Succeeded"
        ]
        return good[-1] if good else None

    def reopen(self, execution, everything):
        begun = execution.here["actions"]
        keep = {} if everything else {name: a for name, a in begun.items() if a.status == "Succeeded"}
        execution.here.update(status="InProgress", actions=keep)

    def end(self, execution, status):
        execution.status = execution.here["status"] = status

    # ---- small questions ----

    def active(self):
        return [execution for execution in self.executions if not execution.over()]

    def running(self, execution):
        return [action for action in self.actions if action.execution is execution and action.running()]

    def edited(self, execution):
        return execution.version < len(self.versions)

    def declared(self, execution):
        return next(s for s in self.versions[execution.version - 1] if s["name"] == execution.stage)

    def need_stage(self, name):
        if name not in [stage["name"] for stage in self.versions[-1]]:
            raise Refused("StageNotFoundException")

    def close_job(self, action, status):
        for job in self.jobs:
            if job.action is action and not job.over():
                job.status = status

    # ---- what can be seen of it ----

    def seen_stage(self, stage):
        name, latest = stage["name"], self.latest.get(stage["name"])
        status = latest and latest.stages[name]["status"]
        if latest and status == "InProgress" and latest.status == "Stopping":
            status = "Stopping"
        actions = {}
        for action in self.actions:
            if action.stage == name:
                actions[action.name] = action
        return {
            "name": name,
            "latest": latest and (latest.number, status),
            "inbound": sorted(e.number for e in self.active() if e.waiting and e.stage == name),
            "open": (name, "Inbound") not in self.closed,
            "actions": [(a["name"], *self.seen_action(actions.get(a["name"]))) for a in stage["actions"]],
        }

    def seen_action(self, action):
        return (action.status, action.error) if action else (None, None)

    def seen(self):
        history = {e.number: [] for e in self.executions}
        for action in self.actions:
            history[action.execution.number].append((action.stage, action.name, action.status))
        return {
            "executions": [(e.status, e.trigger, e.target and e.target.number) for e in self.executions],
            "stages": [self.seen_stage(stage) for stage in self.versions[-1]],
            "history": history,
        }
