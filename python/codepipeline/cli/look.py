# SPDX-License-Identifier: MIT
"""Commands that look: ls, show, history, explain, diff, metrics."""

from __future__ import annotations

from datetime import datetime, timedelta

from .output import ago, took, when
from .session import Misuse
from .view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .._metrics import Durations, Metrics, PipelineMetrics
    from .session import Session


def ls(session: Session) -> None:
    found: list[dict[str, Any]] = []
    for pipeline in session.client.paginate("list_pipelines"):
        past = session.client.list_pipeline_executions(pipelineName=pipeline["name"], maxResults=1)
        latest = next(iter(past["pipelineExecutionSummaries"]), None)
        found.append({**pipeline, "latestExecution": latest})
    if session.out.for_programs:
        session.out.data(found)
        return
    if not found:
        session.out.note(f"no pipelines in {session.client.region}")
        return
    rows = []
    for item in found:
        last: Mapping[str, Any] = item["latestExecution"] or {}
        about = [item.get("pipelineType", "V1"), item.get("executionMode", "SUPERSEDED")]
        rows.append([item["name"], last.get("status", "never ran"), ago(last.get("startTime")), *about])
    session.out.table(["NAME", "STATUS", "STARTED", "TYPE", "MODE"], rows, ["MODE"])


def show(session: Session) -> None:
    name = session.args.name
    pipeline = session.client.get_pipeline(name=name)["pipeline"]
    state = session.client.get_pipeline_state(name=name)
    if session.out.for_programs:
        session.out.data({"pipeline": pipeline, "state": state})
        return
    view = View(pipeline, session.out.columns)
    view.fill(state)
    session.out.lines(view.lines())


def _row(item: Mapping[str, Any]) -> list[str]:
    started, status = item.get("startTime"), item["status"]
    ended = None if status in ("InProgress", "Stopping") else item.get("lastUpdateTime")
    seconds = (ended - started).total_seconds() if started and ended else None
    trigger = item.get("trigger", {})
    revisions = [source.get("revisionId", "")[:8] for source in item.get("sourceRevisions", [])]
    cells = [item["pipelineExecutionId"], status, when(started), took(seconds), trigger.get("triggerType", "")]
    return [*cells, " ".join(revisions)]


def history(session: Session) -> None:
    args = session.args
    if args.limit < 1:
        raise Misuse("--limit: at least 1")
    page = min(args.limit, 100)
    items = session.client.paginate(
        "list_pipeline_executions", pipelineName=args.name, max_items=args.limit, page_size=page
    )
    found = list(items)
    if session.out.for_programs:
        session.out.data(found)
    elif not found:
        session.out.note(f"{args.name} never ran")
    else:
        names = ["EXECUTION", "STATUS", "STARTED", "TOOK", "TRIGGER", "REVISION"]
        session.out.table(names, [_row(item) for item in found], ["TRIGGER"])


def explain(session: Session) -> None:
    explanation = session.client.run(session.args.name, session.args.execution).explain()
    if session.out.for_programs:
        session.out.data(explanation_data(explanation))
    else:
        session.out.say(str(explanation))


def explanation_data(explanation: Any) -> dict[str, Any]:
    """As JSON has it; what does not apply is left out."""
    findings = [{k: v for k, v in vars(finding).items() if v is not None} for finding in explanation.findings]
    return {**vars(explanation), "findings": findings}


def diff(session: Session) -> int:
    args = session.args
    name = args.name
    new = session.client.get_pipeline(name=name, **({"version": args.new} if args.new else {}))["pipeline"]
    old_version = args.old or new["version"] - 1
    if old_version < 1:
        raise Misuse(f"{name} has one version")
    old = session.client.get_pipeline(name=name, version=old_version)["pipeline"]
    lines = _compare(name, old, new)
    if session.out.for_programs:
        session.out.data({"old": old, "new": new, "diff": lines})
    elif lines:
        session.out.diff(lines)
    else:
        session.out.note(f"versions {old['version']} and {new['version']} of {name} say the same")
    return 1 if lines else 0


def _compare(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    import difflib
    import json

    def text(version: Mapping[str, Any]) -> list[str]:
        return json.dumps({**version, "version": None}, indent=2, sort_keys=True).splitlines()

    names = [f"{name} version {version['version']}" for version in (old, new)]
    return list(difflib.unified_diff(text(old), text(new), names[0], names[1], lineterm=""))


# ---- metrics ----


def _since(text: str) -> datetime | timedelta:
    units = {"h": "hours", "d": "days", "w": "weeks"}
    if text[:-1].isdigit() and text[-1] in units:
        return timedelta(**{units[text[-1]]: int(text[:-1])})
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Misuse(
            f'--since: "{text}" is neither an age such as 12h, 30d or 8w nor a date such as 2026-01-31'
        ) from None


def _median(durations: Durations) -> str:
    return took(durations.median) or "-"


def _numbers(name: str, item: PipelineMetrics) -> list[str]:
    rate = "-" if item.failure_rate is None else f"{item.failure_rate:.0%}"
    often = f"{item.deployments} ({item.deployment_frequency:.2g} a day)"
    times = [_median(item.lead_time), _median(item.duration), _median(item.time_to_restore), _median(item.approvals)]
    return [name, often, rate, *times]


def _dated(report: Metrics) -> dict[str, Any]:
    """All of a report, with its times as the service's answers have them."""
    pipelines = [dict(item) for item in report.raw["pipelines"]]
    for item in pipelines:
        broken = report.pipelines[item["pipeline"]].broken_since
        if broken:
            item["broken_since"] = broken
    return {**report.raw, "since": report.since, "until": report.until, "pipelines": pipelines}


def metrics(session: Session) -> None:
    from .._metrics import metrics as measure

    args = session.args
    report = measure(session.client, args.name or None, since=_since(args.since))
    if session.out.for_programs:
        session.out.data(_dated(report))
        return
    rows = [_numbers(name, item) for name, item in report.pipelines.items()]
    if len(rows) > 1:
        rows.append(_numbers("all", report.total))
    session.out.say(f"since {when(report.since)}; medians")
    names = ["PIPELINE", "DEPLOYMENTS", "FAILED", "LEAD TIME", "DURATION", "TO RESTORE", "APPROVAL"]
    session.out.table(names, rows)
    steps = [
        [
            name,
            stage.stage,
            step.action,
            str(step.executions),
            str(step.failed),
            _median(step.time),
            took(step.time.max),
        ]
        for name, item in report.pipelines.items()
        for stage in item.stages
        for step in stage.actions
    ]
    if steps:
        print()
        session.out.table(["PIPELINE", "STAGE", "ACTION", "RUNS", "FAILED", "MEDIAN", "LONGEST"], steps)
