# SPDX-License-Identifier: MIT
"""Commands that act, and those that wait: start, watch, approve, reject, retry, rollback, stop, transition."""

from __future__ import annotations

import contextlib
import time

from .output import ago, took
from .session import STATUSES, TIMED_OUT, Misuse, TimedOut
from .view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._run import Approval, Run, RunEvent
    from .session import Session


# ---- waiting ----


def _event_data(event: RunEvent) -> dict[str, Any]:
    return {k: v for k, v in vars(event).items() if v is not None and k != "run"}


def _clock(timeout: float | None) -> Callable[[], float]:
    """How much is left of the time limit, at most a second; TimedOut when nothing is."""
    end = None if timeout is None else time.monotonic() + timeout

    def left() -> float:
        if end is None:
            return 1.0
        rest = end - time.monotonic()
        if rest <= 0:
            raise TimedOut(f"it did not end within {timeout:g} s; it goes on")
        return min(rest, 1.0)

    return left


def _events(run: Run, left: Callable[[], float], pause: Callable[[], None]) -> Any:
    """All events to the end; pause is called when there was none for a second."""
    while True:
        for event in run.follow(left()):
            yield event
            if event.kind == "end":
                return
            left()
        pause()


def _follow_lines(session: Session, run: Run, view: View) -> None:
    """For logs and pipes: a line for each thing that happens."""
    for event in _events(run, _clock(session.args.timeout), lambda: None):
        view.feed(event)
        if session.out.for_programs:
            continue
        passed = (event.time - view.began).total_seconds() if event.time and view.began else 0
        session.out.lines([[(f"{took(passed):>8}  ", "dim"), (str(event), "")]])


def _follow_live(session: Session, run: Run, view: View) -> None:
    """For people: the picture, redrawn in place."""
    from rich.console import Group
    from rich.live import Live

    from .output import styled

    def picture() -> Any:
        return Group(*map(styled, view.lines()), "", styled(view.progress()))

    with Live(picture(), console=session.out.console, auto_refresh=False, vertical_overflow="crop") as live:
        for event in _events(run, _clock(session.args.timeout), lambda: live.update(picture(), refresh=True)):
            view.feed(event)
            live.update(picture(), refresh=True)


def follow(session: Session, run: Run) -> int:
    """Follows it to its end, explains a bad one, and answers the exit status."""
    view = View(session.client.get_pipeline(name=run.pipeline)["pipeline"], session.out.columns)
    live = session.out.console is not None and not session.out.for_programs
    details = {"pipelineName": run.pipeline, "pipelineExecutionId": run.id}
    try:
        (_follow_live if live else _follow_lines)(session, run, view)
    except TimedOut as error:
        if session.out.for_programs:
            session.out.data({**details, "status": view.status})
        hint = f"codepipeline explain {run.pipeline} {run.id} says what it waits for"
        return session.out.complain(str(error), TIMED_OUT, hint)
    outcome = run.wait()
    if session.out.for_programs:
        from .look import explanation_data

        explanation = explanation_data(outcome.explanation)
        session.out.data({**details, "status": outcome.status, "explanation": explanation})
    else:
        if not outcome:
            session.out.say(str(outcome.explanation))
        session.out.lines([view.progress()] if not live else [])
    return STATUSES.get(outcome.status, 1)


def _started(session: Session, run: Run, what: str) -> int:
    """After an action that set something going: tells its id, or waits."""
    if session.args.wait:
        if not session.out.for_programs:
            session.out.note(f"{what} {run.id}")
        return follow(session, run)
    if session.out.for_programs:
        session.out.data({"pipelineName": run.pipeline, "pipelineExecutionId": run.id})
    else:
        print(run.id)
        session.out.note(f"follow it: codepipeline watch {run.pipeline} {run.id}")
    return 0


def _open(session: Session, name: str, execution: str | None) -> Run:
    return session.client.run(name, execution, poll_interval=_interval(session))


def _interval(session: Session) -> float | None:
    """An emulator may be asked more often than the service."""
    interval: float | None = session.args.interval
    return 0.2 if interval is None and session.emulated else interval


# ---- start and watch ----


def _variables(pairs: list[str]) -> dict[str, str]:
    variables = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise Misuse(f'--var: "{pair}" is not NAME=VALUE')
        variables[name] = value
    return variables


REVISION_TYPES = ("COMMIT_ID", "IMAGE_DIGEST", "S3_OBJECT_VERSION_ID", "S3_OBJECT_KEY")
BY_PROVIDER = {"S3": "S3_OBJECT_VERSION_ID", "ECR": "IMAGE_DIGEST"}


def _revisions(session: Session, texts: list[str]) -> list[Any]:
    """[ACTION=][TYPE:]VALUE; the pipeline says what is left out."""
    if not texts:
        return []
    pipeline = session.client.get_pipeline(name=session.args.name)["pipeline"]
    sources = {action["name"]: action["actionTypeId"]["provider"] for action in pipeline["stages"][0]["actions"]}
    revisions = []
    for text in texts:
        action, equals, value = text.rpartition("=")
        if not equals and len(sources) > 1:
            raise Misuse(f"--revision: say which source it is for: {', '.join(f'{name}={text}' for name in sources)}")
        action = action or next(iter(sources))
        if action not in sources:
            raise Misuse(f'--revision: no source is called "{action}"; there is {", ".join(sources)}')
        kind, colon, rest = value.partition(":")
        if not colon or kind not in REVISION_TYPES:
            kind, rest = BY_PROVIDER.get(sources[action], "COMMIT_ID"), value
        revisions.append({"actionName": action, "revisionType": kind, "revisionValue": rest})
    return revisions


def start(session: Session) -> int:
    args = session.args
    variables, revisions = _variables(args.var), _revisions(session, args.revision)
    run = session.client.start(
        args.name, variables=variables or None, revisions=revisions or None, poll_interval=_interval(session)
    )
    return _started(session, run, "started")


def _under_way(session: Session) -> str:
    """The one pipeline with an execution in progress."""
    names = []
    for pipeline in session.client.paginate("list_pipelines"):
        past = session.client.list_pipeline_executions(pipelineName=pipeline["name"], maxResults=1)
        if any(item["status"] in ("InProgress", "Stopping") for item in past["pipelineExecutionSummaries"]):
            names.append(pipeline["name"])
    if not names:
        raise Misuse("nothing is under way; codepipeline watch NAME shows how a pipeline's latest execution ended")
    return names[0] if len(names) == 1 else _choose(session, names, "which pipeline")


def _choose(session: Session, texts: list[str], question: str) -> str:
    if not session.out.terminal:
        raise Misuse(f"{question}? {', '.join(texts)}")
    for number, text in enumerate(texts, 1):
        print(f"  {number}  {text}")
    answer = session.out.ask(f"{question}? [1-{len(texts)}] ")
    if not answer.isdigit() or not 1 <= int(answer) <= len(texts):
        raise Misuse("nothing was chosen")
    return texts[int(answer) - 1]


def watch(session: Session) -> int:
    name = session.args.name or _under_way(session)
    return follow(session, _open(session, name, session.args.execution))


# ---- approvals ----


def _wanted(session: Session) -> list[Approval]:
    args = session.args
    found = session.client.approvals(args.name)
    return [item for item in found if args.stage in (None, item.stage) and args.action in (None, item.action)]


def _describe(item: Approval) -> list[str]:
    return [item.pipeline, f"{item.stage}/{item.action}", ago(item.since), item.message or "", item.url or ""]


def _approval_data(item: Approval) -> dict[str, Any]:
    return {name: value for name, value in vars(item).items() if not name.startswith("_") and value is not None}


def _decide(session: Session, approve: bool) -> int:
    args, out = session.args, session.out
    waiting = _wanted(session)
    if not waiting:
        out.note("nothing waits for approval" + (f" in {args.name}" if args.name else ""))
        return 1
    if not out.for_programs:
        names = ["PIPELINE", "APPROVAL", "SINCE", "MESSAGE", "LINK"]
        out.table(names, [_describe(item) for item in waiting], ["MESSAGE", "LINK"])
    verb = "approve" if approve else "reject"
    if out.for_programs and not args.yes:
        out.data([_approval_data(item) for item in waiting])
        raise Misuse(f"nothing was decided: with --json nobody is asked; --yes {verb}s it")
    if len(waiting) > 1:
        names = [f"{item.pipeline} {item.stage}/{item.action} {item.execution_id}" for item in waiting]
        chosen = waiting[names.index(_choose(session, names, f"{verb} which of them"))]
    else:
        chosen = waiting[0]
    if not args.yes:
        if not out.terminal:
            raise Misuse(f"nothing was decided: nobody is here to ask; --yes {verb}s it")
        answer = out.ask(f"{verb} {chosen.stage}/{chosen.action} of {chosen.pipeline}? [y/N] ")
        if answer.lower() not in ("y", "yes"):
            out.note("nothing was decided")
            return 1
    (chosen.approve if approve else chosen.reject)(args.summary)
    if out.for_programs:
        out.data({**_approval_data(chosen), "status": "Approved" if approve else "Rejected"})
    else:
        out.say(f"{chosen.stage}/{chosen.action} of {chosen.pipeline}: {'approved' if approve else 'rejected'}")
    return 0


def approve(session: Session) -> int:
    return _decide(session, True)


def reject(session: Session) -> int:
    return _decide(session, False)


# ---- stages ----


def _failed_stage(session: Session, name: str) -> str:
    state = session.client.get_pipeline_state(name=name)
    for stage in state["stageStates"]:
        if stage.get("latestExecution", {}).get("status") in ("Failed", "Stopped"):
            return str(stage["stageName"])
    raise Misuse(f"no stage of {name} failed")


def retry(session: Session) -> int:
    args = session.args
    stage = args.stage or _failed_stage(session, args.name)
    run = _open(session, args.name, args.execution)
    run.retry(stage, all_actions=args.all_actions)
    return _started(session, run, f"runs stage {stage} again:")


def rollback(session: Session) -> int:
    args = session.args
    run = _open(session, args.name, args.to).rollback(args.stage, args.to)
    with contextlib.suppress(session.client.exceptions.PipelineExecutionNotFoundException):  # it may take a moment
        made = session.client.get_pipeline_execution(pipelineName=args.name, pipelineExecutionId=run.id)
        target = made["pipelineExecution"]["rollbackMetadata"]["rollbackTargetPipelineExecutionId"]
        session.out.note(f"runs stage {args.stage} as execution {target} did")
    return _started(session, run, "started")


def stop(session: Session) -> int:
    args = session.args
    run = _open(session, args.name, args.execution)
    run.stop(args.reason, abandon=args.abandon)
    return _started(session, run, "stops")


def transition(session: Session) -> None:
    args, client = session.args, session.client
    where = {"pipelineName": args.name, "stageName": args.stage, "transitionType": "Inbound"}
    if args.state == "on":
        client.enable_stage_transition(**where)
    elif not args.reason:
        raise Misuse("--reason: the service wants to know why, and so do those who find it off")
    else:
        client.disable_stage_transition(**where, reason=args.reason)
    if session.out.for_programs:
        session.out.data({**where, "enabled": args.state == "on"})
    else:
        session.out.say(f"the transition into {args.stage} of {args.name} is {args.state}")
