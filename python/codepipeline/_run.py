# SPDX-License-Identifier: MIT
"""Runs: executions of pipelines to wait for, to follow, to explain and to act upon."""

from __future__ import annotations

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from typing import Any

    from ._client import Client
    from .notebook.live import Follow
    from .notebook.timeline import Timeline


def _moment(seconds: float | None) -> datetime | None:
    if not seconds:
        return None
    from datetime import datetime, timezone

    return datetime.fromtimestamp(seconds, timezone.utc)


def _show(thing: object, *names: str) -> str:
    shown = " ".join(f"{name}={value!r}" for name in names if (value := getattr(thing, name)) is not None)
    return f"<codepipeline.{type(thing).__name__} {shown}>"


class RunEvent:
    """Something that moved. What does not apply is None.

    kind     "run" (a new status that is no end), "stage" (entered: status InProgress, or ended), "action" (started or
             ended), "progress" (of an action under way), "approval" (an action waits for a decision), "transition"
             (it waits in front of a stage whose transition is disabled) or "end" (the last one)
    time     when it happened, an aware datetime
    stage, action, status
    message  summary, error message or reason
    code     of an action's error
    url      the action's execution at its provider; what an approver should look at
    external_execution_id, by
    percent  of an action's progress
    run      the Run

        >>> events = client.run("docs").follow()
        >>> [event.stage for event in events if event.kind == "stage" and event.status == "Succeeded"]
        ['Source', 'Build', 'Ship']
    """

    kind: str
    status: str

    def __init__(self, run: Run, details: dict[str, Any]) -> None:
        self.run = run
        self.kind = details["kind"]
        self.time = _moment(details["time"])
        self.status = details["status"]
        self.stage: str | None = details["stage"]
        self.action: str | None = details["action"]
        self.message: str | None = details["message"]
        self.code: str | None = details["code"]
        self.url: str | None = details["url"]
        self.external_execution_id: str | None = details["external_execution_id"]
        self.by: str | None = details["by"]
        self.percent: int | None = details["percent"] or None

    def __str__(self) -> str:
        where = "/".join(name for name in (self.stage, self.action) if name) or self.run.pipeline
        what = "waits for approval" if self.kind == "approval" else self.status
        if self.kind == "transition":
            what = "transition disabled"
        return ": ".join(text for text in (where, what, self.code, self.message) if text)

    def __repr__(self) -> str:
        return _show(self, "kind", "stage", "action", "status", "message")


class Finding:
    """A reason; what does not apply is None.

    kind     "failed_action", "approval", "unclaimed_job", "running_action", "disabled_transition", "queued",
             "superseded", "stopped", "cancelled" or "failed"
    text     the reason as a sentence
    check    what to look at, a list of str
    stage, action, owner, category, provider, code, message, external_execution_id, url, by
    since    an aware datetime
    execution_id  the other execution: the one in the way, the one that overtook this one

        >>> finding = client.run("library").explain().findings[0]
        >>> finding.kind, finding.stage, finding.action
        ('failed_action', 'Test', 'Unit')
    """

    def __init__(self, details: dict[str, Any]) -> None:
        self.kind: str = details["kind"]
        self.text: str = details["text"]
        self.check: list[str] = details["check"]
        self.since = _moment(details.get("since"))
        self.stage: str | None = details.get("stage")
        self.action: str | None = details.get("action")
        self.owner: str | None = details.get("owner")
        self.category: str | None = details.get("category")
        self.provider: str | None = details.get("provider")
        self.code: str | None = details.get("code")
        self.message: str | None = details.get("message")
        self.external_execution_id: str | None = details.get("external_execution_id")
        self.url: str | None = details.get("url")
        self.by: str | None = details.get("by")
        self.execution_id: str | None = details.get("execution_id")

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return _show(self, "kind", "stage", "action", "text")


class Explanation:
    """Why a run is stuck, or how it ended: summary (one sentence), findings, and as str() all of it to print.

    >>> print(client.run("library").explain().summary)
    execution "..." of pipeline "library" is Failed: action "Unit" of stage "Test" failed: ...
    """

    def __init__(self, details: dict[str, Any]) -> None:
        self.pipeline: str = details["pipeline"]
        self.execution_id: str = details["execution_id"]
        self.status: str = details["status"]
        self.summary: str = details["summary"]
        self.text: str = details["text"]
        self.findings = [Finding(finding) for finding in details["findings"]]

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        from .notebook.page import badge, escape, link, page

        found = []
        for finding in self.findings:
            checks = "".join(f"<li>{escape(check)}</li>" for check in finding.check)
            more = link(finding.url, "details") if finding.url else ""
            found.append(f"<details open><summary>{escape(finding.text)}</summary><ul>{checks}</ul>{more}</details>")
        head = f"<div><b>{escape(self.pipeline)}</b> {badge(self.status)} {escape(self.summary)}</div>"
        return page(head + "".join(found))

    def __repr__(self) -> str:
        return _show(self, "summary")


class RunOutcome:
    """How a run ended: status is Succeeded, Failed, Stopped, Superseded or Cancelled. True only if it succeeded.

    >>> outcome = client.run("library").wait()
    >>> bool(outcome), outcome.status
    (False, 'Failed')
    """

    def __init__(self, run: Run, status: str) -> None:
        self.run = run
        self.status = status
        self._explanation: Explanation | None = None

    @property
    def explanation(self) -> Explanation:
        """Asked for when first wanted."""
        if self._explanation is None:
            self._explanation = self.run.explain()
        return self._explanation

    def __bool__(self) -> bool:
        return self.status == "Succeeded"

    def __str__(self) -> str:
        return self.status

    def _repr_html_(self) -> str:
        return self.explanation._repr_html_()

    def __repr__(self) -> str:
        return _show(self, "status")


class Run:
    """One execution; from Client.start() and Client.run(). For one thread at a time; the runs of one client share their
    answers and the pace at which the service is asked.

        run = client.start("site", variables={"tag": "v2"})
        for event in run.follow():
            print(event)
        if not run.wait():
            print(run.explain())

        >>> client.run("docs").status
        'Succeeded'
    """

    def __init__(self, core: _core.Run, client: Client) -> None:
        self._core = core
        self._client = client

    @property
    def id(self) -> str:
        """Of the execution."""
        return self._core.id

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return self._core.pipeline

    @property
    def status(self) -> str:
        """InProgress, Stopping, or how it ended. Asks the service, but not more often than once a poll interval."""
        self._core.refresh()
        return self._core.status

    def wait(self, timeout: float | None = None) -> RunOutcome:
        """Waits for the end, whatever it is. TimeoutError after timeout seconds says what it still waits for.

        Polls that fail for a reason that passes are repeated; while the service throttles, all runs of the client slow
        down.
        """
        self._core.wait(timeout)
        return RunOutcome(self, self._core.status)

    def follow(self, timeout: float | None = None) -> Follow:
        """Iterates over what happens, and what happened before, each once and in order, until the end: RunEvent.

        With a timeout, the iteration also ends when nothing happened for so many seconds; another one goes on there.
        As the last line of a notebook's cell it draws itself, with a progress bar, until the end.
        """
        from .notebook.live import Follow

        return Follow(self, self._events(timeout))

    def _events(self, timeout: float | None) -> Iterator[RunEvent]:
        while True:
            details = self._core.next(timeout)
            if details is None:
                return
            yield RunEvent(self, details)

    def explain(self) -> Explanation:
        """Why is it stuck, or how did it end: failed actions, approvals, disabled transitions, jobs nobody takes."""
        return Explanation(self._core.explain())

    def timeline(self) -> Timeline:
        """What ran when, as far as it got: draws itself, and has rows and to_frame()."""
        from .notebook.timeline import Timeline

        return Timeline(self._client, self.pipeline, self.id)

    def _repr_html_(self) -> str:
        return self.timeline()._repr_html_()

    def stop(self, reason: str | None = None, *, abandon: bool = False) -> None:
        """Stops it once the actions under way have ended, or at once (abandon)."""
        self._core.stop(reason, abandon)

    def retry(self, stage: str, *, all_actions: bool = False) -> None:
        """Runs the failed actions of a stage again, or all of them. This run goes on, and so do its events."""
        self._core.retry(stage, all_actions)

    def rollback(self, stage: str, target: str | Run | None = None) -> Run:
        """Runs a stage again as an earlier execution ran it (its id, or a Run); answers the new execution.

        Without a target it is the newest other execution of the pipeline's present version that succeeded in the stage,
        for the service goes back to no other version; StateError when there is none.
        """
        return Run(self._core.rollback(stage, target.id if isinstance(target, Run) else target), self._client)

    def approve(self, stage: str, action: str, summary: str = "") -> None:
        """Approves an action of this very execution: StateError when a newer one waits there by now, or none."""
        self._core.decide(stage, action, True, summary)

    def reject(self, stage: str, action: str, summary: str = "") -> None:
        """Rejects it; see approve()."""
        self._core.decide(stage, action, False, summary)

    def __repr__(self) -> str:
        return f"<codepipeline.Run {self.pipeline} {self.id} {self._core.status}>"


class Approval:
    """An approval that waits: pipeline, stage, action, execution_id, since (datetime), message and url.

    >>> approval = client.approvals("site")[0]
    >>> approval.stage, approval.action, approval.message
    ('Gate', 'Sign', 'look twice')
    """

    def __init__(self, client: Client, details: dict[str, Any]) -> None:
        self._client = client
        self.pipeline: str = details["pipeline"]
        self.stage: str = details["stage"]
        self.action: str = details["action"]
        self.execution_id: str = details["execution_id"]
        self.since = _moment(details["since"])
        self.message: str | None = details.get("message")
        self.url: str | None = details.get("url")

    @property
    def run(self) -> Run:
        """The execution that waits for it."""
        return open_run(self._client, self.pipeline, self.execution_id, None, None)

    def approve(self, summary: str = "") -> None:
        """Approves it; StateError when it is no longer the one that waits."""
        self.run.approve(self.stage, self.action, summary)

    def reject(self, summary: str = "") -> None:
        """Rejects it; see approve()."""
        self.run.reject(self.stage, self.action, summary)

    def __repr__(self) -> str:
        return _show(self, "pipeline", "stage", "action", "execution_id", "message")


def open_run(
    client: Client, pipeline: str, execution_id: str | None, poll_interval: float | None, unclaimed_after: float | None
) -> Run:
    return Run(_core.run_open(client._core, pipeline, execution_id, poll_interval, unclaimed_after), client)


class Approvals(list[Approval]):
    """What Client.approvals() answers: a list that draws itself."""

    def _repr_html_(self) -> str:
        from .notebook.table import Table

        names = ("pipeline", "stage", "action", "since", "message", "url", "execution_id")
        return Table(({name: getattr(item, name) for name in names} for item in self), names)._repr_html_()


def approvals(client: Client, pipeline: str | None) -> list[Approval]:
    return Approvals(Approval(client, details) for details in _core.approvals(client._core, pipeline))


def follow(runs: Iterable[Run], timeout: float | None = None) -> Iterator[RunEvent]:
    """Follows many runs in one thread: what happens in any of them, until all have ended. event.run tells which it was.

        for event in codepipeline.follow([client.start(name) for name in names]):
            print(event.run.pipeline, event)

    With a timeout, the iteration also ends when nothing happened for so many seconds. One request answers all runs that
    want to know the same. No run may be in use elsewhere meanwhile.

        >>> runs = [client.run("docs"), client.run("library")]
        >>> sorted((event.run.pipeline, event.status) for event in codepipeline.follow(runs) if event.kind == "end")
        [('docs', 'Succeeded'), ('library', 'Failed')]
    """
    if isinstance(runs, Run):
        raise TypeError("follow() takes a list of runs; a single one has a method follow()")
    runs = list(runs)
    if not all(isinstance(run, Run) for run in runs):
        raise TypeError(f"follow() takes a list of runs, not of {runs}")
    handles = [run._core for run in runs]
    while (moved := _core.runs_next(handles, timeout)) is not None:
        yield RunEvent(runs[moved[0]], moved[1])
