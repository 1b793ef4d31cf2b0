# SPDX-License-Identifier: MIT
"""A pipeline as it is drawn: its stages one under the other, its actions beside a line, what is held and why."""

from __future__ import annotations

import sys
from datetime import datetime, timezone

from .output import STYLES, took

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from .._run import RunEvent
    from .output import Line

MARKS = {
    "Succeeded": "✓",
    "Failed": "✗",
    "InProgress": "●",
    "Stopping": "●",
    "Stopped": "■",
    "Abandoned": "■",
    "Superseded": "»",
    "Cancelled": "■",
    "Skipped": "»",
    "": "○",
}
ASCII = str.maketrans("✓✗●■»○│┌├└┊━╸─·…", "+!*#>o|,|`:=>-.~")
BAR = 24
NARROW = 64  # columns below which providers give way to how it goes


class Step:
    """A stage or an action as far as it got."""

    def __init__(self) -> None:
        self.status = ""
        self.started: datetime | None = None
        self.ended: datetime | None = None
        self.percent: int | None = None
        self.message = ""

    @property
    def open(self) -> bool:
        return self.status in ("InProgress", "Stopping")

    def seconds(self, now: datetime) -> float | None:
        end = now if self.open else self.ended
        return (end - self.started).total_seconds() if self.started and end else None


class View:
    """Made of a declaration, filled from GetPipelineState or by events, drawn as lines that are cut off behind columns
    (None: nowhere)."""

    def __init__(self, pipeline: Mapping[str, Any], columns: int | None = None) -> None:
        self.narrow = columns is not None and columns < NARROW
        self.name: str = pipeline["name"]
        self.stages: Sequence[Mapping[str, Any]] = pipeline["stages"]
        self.about = f"{pipeline.get('pipelineType', 'V1')} · {pipeline.get('executionMode', 'SUPERSEDED')}"
        self.about += f" · version {pipeline.get('version', 1)}"
        self.steps: dict[tuple[str, str], Step] = {}
        self.held: dict[str, str] = {}  # stage -> why its transition is off
        self.approvals: set[tuple[str, str]] = set()
        self.status = ""
        self.began: datetime | None = None
        self.ended: datetime | None = None

    def step(self, stage: str, action: str = "") -> Step:
        return self.steps.setdefault((stage, action), Step())

    # ---- filling ----

    def fill(self, state: Mapping[str, Any]) -> None:
        """From an answer of GetPipelineState."""
        for stage in state["stageStates"]:
            name = stage["stageName"]
            transition = stage.get("inboundTransitionState", {})
            if not transition.get("enabled", True):
                self.held[name] = transition.get("disabledReason", "")
            self.step(name).status = stage.get("latestExecution", {}).get("status", "")
            for action in stage.get("actionStates", []):
                latest = action.get("latestExecution", {})
                step = self.step(name, action["actionName"])
                step.status = latest.get("status", "")
                step.ended = latest.get("lastStatusChange")
                step.percent = latest.get("percentComplete")
                step.message = latest.get("errorDetails", {}).get("message") or latest.get("summary", "")
                if latest.get("token"):
                    self.approvals.add((name, action["actionName"]))

    def feed(self, event: RunEvent) -> None:
        """With something that happened to an execution."""
        if event.time and (self.began is None or event.time < self.began):
            self.began = event.time
        if event.kind in ("run", "end"):
            self.status = event.status
            self.ended = event.time if event.kind == "end" else None
        if event.kind == "transition" and event.stage:
            self.held[event.stage] = event.message or ""
        if event.stage is None or event.kind == "transition":
            return
        step = self.step(event.stage, event.action or "")
        if event.kind == "approval":
            self.approvals.add((event.stage, event.action or ""))
        elif event.kind == "progress":
            step.percent = event.percent
        else:
            self._change(step, event)
        step.message = event.message or step.message

    def _change(self, step: Step, event: RunEvent) -> None:
        step.status, step.message = event.status, ""
        if step.open:
            step.started, step.ended, step.percent = event.time, None, None
            self.held.pop(event.stage or "", None)
        else:
            step.ended = event.time
            self.approvals.discard((event.stage or "", event.action or ""))

    # ---- drawing ----

    def lines(self, now: datetime | None = None) -> list[Line]:
        return list(readable(self._lines(now or datetime.now(timezone.utc))))

    def _lines(self, now: datetime) -> Iterator[Line]:
        yield [(self.name, "bold"), (f"  {self.about}", "dim")]
        for number, stage in enumerate(self.stages):
            if number > 0:
                yield [("│", "dim")]
            if stage["name"] in self.held:
                why = self.held[stage["name"]]
                yield [("┊ ", "yellow"), ("transition off" + (f": {why}" if why else ""), "yellow")]
            yield self._row("", stage["name"], self.step(stage["name"]), now)
            yield from self._actions(stage, now)

    def _actions(self, stage: Mapping[str, Any], now: datetime) -> Iterator[Line]:
        """One under the other; those that run side by side are held by a bracket."""
        actions = sorted(stage["actions"], key=lambda action: action.get("runOrder", 1))
        orders = [action.get("runOrder", 1) for action in actions]
        for number, action in enumerate(actions):
            before = number > 0 and orders[number - 1] == orders[number]
            after = number + 1 < len(actions) and orders[number + 1] == orders[number]
            bracket = {(False, True): "┌ ", (True, True): "├ ", (True, False): "└ "}.get((before, after), "  ")
            step = self.step(stage["name"], action["name"])
            line = self._row(f"│ {bracket}", action["name"], step, now, action["actionTypeId"]["provider"])
            if (stage["name"], action["name"]) in self.approvals and step.open:
                message = [(f": {line.pop()[0]}", "dim")] if step.message else []  # what is cut off on narrow screens
                line += [(f"waits for codepipeline approve {self.name}", "yellow"), *message]
            yield line

    def _row(self, lead: str, name: str, step: Step, now: datetime, provider: str = "") -> list[tuple[str, str]]:
        colour = STYLES.get(step.status, "dim")
        mark = MARKS.get(step.status, "○")
        width = (12 if self.narrow else 24) - len(lead)
        row = [(lead, "dim"), (f"{mark} {name:<{width}.{width}} ", colour if provider else f"bold {colour}")]
        if not self.narrow:
            row.append((f"{provider:<14.14} ", "dim"))
        row.append((f"{step.status or 'not run':<11} ", colour))
        row.append((f"{took(step.seconds(now)):>8}  ", ""))
        if step.percent and step.open:
            row.append((f"{step.percent}% ", "cyan"))
        if step.message:
            row.append((" ".join(step.message.split())[:120], "red" if step.status == "Failed" else "dim"))
        return row

    def progress(self, now: datetime | None = None) -> Line:
        """One line: how far, how long, what it waits for."""
        now = now or datetime.now(timezone.utc)
        names = [(stage["name"], action["name"]) for stage in self.stages for action in stage["actions"]]
        done = sum(self.step(*name).status == "Succeeded" for name in names)
        width = BAR // 4 if self.narrow else BAR
        filled = width * done // max(len(names), 1)
        style = STYLES.get(self.status, "cyan")
        bar: list[tuple[str, str]] = [("━" * filled, style), ("─" * (width - filled), "dim")]
        bar.append((f" {done}/{len(names)} actions", ""))
        if self.began:
            bar.append((f" · {took(((self.ended or now) - self.began).total_seconds())}", ""))
        bar.append((f" · {self.status or 'InProgress'}", style))
        waits = [f"{stage}/{action}" for stage, action in names if (stage, action) in self.approvals]
        if waits and not self.ended:
            bar.append((f" · waits for approval of {', '.join(waits)}", "yellow"))
        if self.held and not self.ended:
            bar.append((f" · the transition into {', '.join(self.held)} is off", "yellow"))
        return next(readable([bar]))


def readable(lines: Iterable[Line]) -> Iterator[Line]:
    """In the characters that the terminal has."""
    fancy = "utf" in (sys.stdout.encoding or "").lower()
    for line in lines:
        yield line if fancy else [(text.translate(ASCII), style) for text, style in line]
