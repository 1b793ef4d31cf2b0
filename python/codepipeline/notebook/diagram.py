# SPDX-License-Identifier: MIT
"""A pipeline as a diagram: stages from left to right, actions that run together side by side, artifacts as threads
between them, transitions that are shut with their reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .page import between, clipped, dig, escape, look, page
from .table import Row, Table

if TYPE_CHECKING:
    from .._client import Client

_WIDE, _HIGH = 168, 58  # an action's box
_GAP, _INSET, _HEAD, _BETWEEN, _SHUT = 22, 12, 34, 46, 150
_HUES = ("#8250df", "#0969da", "#bf3989", "#1b7c83", "#953800", "#4d7c0f", "#6639ba", "#0550ae")


def groups_of(stage: Row) -> list[list[Row]]:
    """The actions of a stage in the order they run; those of a group run together."""
    orders: dict[int, list[Row]] = {}
    for action in stage.get("actions", ()):
        orders.setdefault(action.get("runOrder", 1), []).append(action)
    return [orders[order] for order in sorted(orders)]


class _Sheet:
    """Where everything goes, and what was drawn."""

    def __init__(self, structure: Row, state: Row | None) -> None:
        self.structure = structure
        self.states = {stage["stageName"]: stage for stage in dig(state, "stageStates") or ()}
        self.places: dict[tuple[str, str], tuple[float, float]] = {}
        self.stages: list[str] = []
        self.actions: list[str] = []
        self.height = 0.0
        self.width = float(_INSET)

    def stage(self, stage: Row) -> None:
        groups = groups_of(stage)
        across = max((len(group) for group in groups), default=1)
        wide = across * _WIDE + (across - 1) * _GAP + 2 * _INSET
        high = _HEAD + len(groups) * (_HIGH + _GAP) - _GAP + _INSET
        status = dig(self.states.get(stage["name"]), "latestExecution", "status")
        hue, sign = look(status)
        x, y = self.width, float(_INSET)
        self.stages.append(
            f'<g class="{hue}"><rect class="box" x="{x}" y="{y}" width="{wide}" height="{high}" rx="8"/>'
            f'<text x="{x + _INSET}" y="{y + 21}" font-weight="600">{escape(clipped(stage["name"], 22 * across))}'
            f"<title>{escape(stage['name'])}</title></text>"
            f'<text class="hue" x="{x + wide - _INSET}" y="{y + 21}" text-anchor="end">{sign}'
            f"<title>{escape(status or 'did not run')}</title></text></g>"
        )
        for row, group in enumerate(groups):
            for column, action in enumerate(group):
                at = (x + _INSET + column * (_WIDE + _GAP), y + _HEAD + row * (_HIGH + _GAP))
                self.places[stage["name"], action["name"]] = at
                self.action(stage["name"], action, *at)
        self.width = x + wide
        self.height = max(self.height, y + high)

    def action(self, stage: str, action: Row, x: float, y: float) -> None:
        kind = action["actionTypeId"]
        states = dig(self.states.get(stage), "actionStates") or ()
        latest = next((s.get("latestExecution") for s in states if s["actionName"] == action["name"]), None)
        status = dig(latest, "status")
        hue, sign = look(status)
        if status == "InProgress" and kind["category"] == "Approval":
            hue, sign = "wait", "?"
        told = [f"{stage}/{action['name']}: {status or 'did not run'}", f"{kind['owner']} {kind['provider']}"]
        told += [str(text) for text in (dig(latest, "summary"), dig(latest, "errorDetails", "message")) if text]
        self.actions.append(
            f'<g class="{hue}"><title>{escape(chr(10).join(told))}</title>'
            f'<rect class="box" x="{x}" y="{y}" width="{_WIDE}" height="{_HIGH}" rx="5"/>'
            f'<rect class="fill" x="{x}" y="{y}" width="5" height="{_HIGH}" rx="2"/>'
            f'<text class="hue" x="{x + 14}" y="{y + 22}">{sign}</text>'
            f'<text x="{x + 30}" y="{y + 22}" font-weight="600">{escape(clipped(action["name"], 19))}</text>'
            f'<text class="soft" x="{x + 14}" y="{y + 43}">{escape(clipped(kind["category"], 9))} \u00b7 '
            f"{escape(clipped(kind['provider'], 15))}</text></g>"
        )

    def transition(self, stage: Row) -> None:
        """The arrow in front of a stage, and room for it."""
        gate = dig(self.states.get(stage["name"]), "inboundTransitionState")
        shut = gate is not None and not gate.get("enabled", True)
        x, y, end = self.width, _INSET + 17, self.width + (_SHUT if shut else _BETWEEN)
        if shut:
            reason = dig(gate, "disabledReason") or "no reason given"
            told = f"transition into {stage['name']} disabled: {reason}"
            middle = (x + end) / 2
            self.stages.append(
                f'<g class="bad"><title>{escape(told)}</title><path class="go" d="M{x} {y}H{end - 4}"/>'
                f'<path class="shut" d="M{middle} {y - 12}V{y + 12}"/>'
                f'<text class="hue" x="{middle}" y="{y + 28}" text-anchor="middle">'
                f"{escape(clipped(reason, 20))}</text></g>"
            )
        else:
            self.stages.append(f'<path class="go" d="M{x} {y}H{end - 4}m-6 -5l6 5l-6 5"/>')
        self.width = end

    def thread(self, source: tuple[float, float], target: tuple[float, float]) -> str:
        """The path from an action's box to another's: out on the right and in on the left, or from above to below."""
        (a, b), (x, y) = source, target
        if x > a:
            a, b, y = a + _WIDE, b + _HIGH - 12, y + _HIGH - 12
            bend = max((x - a) / 2, _GAP)
            return f"M{a} {b}C{a + bend} {b} {x - bend} {y} {x} {y}"
        a, b, x = a + _WIDE / 2, b + _HIGH, x + _WIDE / 2
        return f"M{a} {b}C{a} {b + _GAP} {x} {y - _GAP} {x} {y}"

    def flows(self) -> list[str]:
        made: dict[str, tuple[float, float]] = {}
        drawn: list[str] = []
        hues: dict[str, str] = {}
        for stage in self.structure["stages"]:
            for action in [action for group in groups_of(stage) for action in group]:
                place = self.places[stage["name"], action["name"]]
                for name in [taken["name"] for taken in action.get("inputArtifacts", ()) if taken["name"] in made]:
                    line = f'stroke="{hues[name]}" d="{self.thread(made[name], place)}"'
                    drawn.append(f'<path class="flow" {line}><title>{escape(name)}</title></path>')
                for name in [given["name"] for given in action.get("outputArtifacts", ())]:
                    hues.setdefault(name, _HUES[len(hues) % len(_HUES)])
                    made[name] = place
        x = float(_INSET)
        for name, hue in hues.items():
            shown = clipped(name, 24)
            drawn.append(f'<path stroke="{hue}" stroke-width="3" d="M{x} {self.height + 18}h18"/>')
            drawn.append(f'<text class="soft" x="{x + 24}" y="{self.height + 22}">{escape(shown)}</text>')
            x += 44 + 7 * len(shown)
        self.width = max(self.width, x)
        return drawn

    def svg(self) -> str:
        for number, stage in enumerate(self.structure["stages"]):
            if number:
                self.transition(stage)
            self.stage(stage)
        # threads lie over the stages and under the actions
        drawn = "".join([*self.stages, *self.flows(), *self.actions])
        width, height = round(self.width + _INSET), round(self.height + 34)
        label = escape(f"pipeline {self.structure['name']}")
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}">{drawn}</svg>'
        )


class Pipeline:
    """A pipeline as it is now; from Client.pipeline(). Draws itself as a diagram.

    structure  what GetPipeline answers as pipeline
    state      what GetPipelineState answers
    """

    def __init__(self, client: Client, name: str, version: int | None = None) -> None:
        self._client = client
        self._version = version
        self.name = name
        self.refresh()

    def refresh(self) -> None:
        """Asks the service again."""
        version = {} if self._version is None else {"version": self._version}
        self.structure: Row = dict(self._client.call("get_pipeline", name=self.name, **version)["pipeline"])
        self.state: Row = dict(self._client.call("get_pipeline_state", name=self.name))

    @property
    def svg(self) -> str:
        """The diagram alone, which takes its colours from the page it is in."""
        return _Sheet(self.structure, self.state).svg()

    def runs(self, limit: int = 20) -> Table:
        """The latest executions: id, status, started, seconds, trigger, revision. A Table."""
        rows = []
        asked = self._client.paginate("list_pipeline_executions", max_items=limit, pipelineName=self.name)
        for item in asked:
            revisions = [r.get("revisionId", "") for r in item.get("sourceRevisions", ())]
            rows.append(
                {
                    "id": item.get("pipelineExecutionId"),
                    "status": item.get("status"),
                    "started": item.get("startTime"),
                    "seconds": between(item.get("startTime"), item.get("lastUpdateTime")),
                    "trigger": dig(item, "trigger", "triggerType"),
                    "revision": ", ".join(filter(None, revisions)),
                    "mode": item.get("executionMode"),
                }
            )
        return Table(rows, ("id", "status", "started", "seconds", "trigger", "revision", "mode"))

    def actions(self) -> Table:
        """The actions and how they stand: stage, action, category, owner, provider, status, since, summary."""
        rows = []
        for stage in self.structure["stages"]:
            state = next((s for s in self.state["stageStates"] if s["stageName"] == stage["name"]), None)
            latest = {s["actionName"]: s.get("latestExecution") for s in dig(state, "actionStates") or ()}
            for action in [action for group in groups_of(stage) for action in group]:
                told = latest.get(action["name"])
                row: Row = {"stage": stage["name"], "action": action["name"]}
                row.update({name: action["actionTypeId"][name] for name in ("category", "owner", "provider")})
                row.update(status=dig(told, "status"), since=dig(told, "lastStatusChange"))
                row["summary"] = dig(told, "summary") or dig(told, "errorDetails", "message")
                rows.append(row)
        return Table(rows)

    def to_frame(self, library: str | None = None) -> Any:
        """actions() as a frame of pandas or polars."""
        return self.actions().to_frame(library)

    def _repr_html_(self) -> str:
        version = f"version {escape(self.structure.get('version', '?'))}"
        return page(f'<div><b>{escape(self.name)}</b> <span class="soft">{version}</span></div>{self.svg}')

    def __repr__(self) -> str:
        return f"<codepipeline.Pipeline {self.name} version={self.structure.get('version')}>"
