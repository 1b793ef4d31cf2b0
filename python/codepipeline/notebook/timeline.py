# SPDX-License-Identifier: MIT
"""An execution as a timeline: a bar for each time an action ran, with what went wrong behind it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from .bars import pyplot
from .page import badge, between, dig, duration, escape, link, look, moment, page
from .table import Row, Table

if TYPE_CHECKING:
    from .._client import Client

_COLUMNS = ("stage", "action", "attempt", "status", "started", "ended", "seconds", "message", "summary", "url")
_OVER = ("Succeeded", "Failed", "Abandoned")


def _rows(client: Client, pipeline: str, execution_id: str) -> list[Row]:
    """Each time an action ran, in the order of starting."""
    details = list(
        client.paginate("list_action_executions", pipelineName=pipeline, filter={"pipelineExecutionId": execution_id})
    )
    # the service tells the newest first; a stable sort keeps those that started together in their order
    details = sorted(reversed(details), key=lambda item: item["startTime"])
    rows: list[Row] = []
    attempts: dict[tuple[str, str], int] = {}
    for item in details:
        key = (item["stageName"], item["actionName"])
        attempts[key] = attempts.get(key, 0) + 1
        ended = item.get("lastUpdateTime") if item.get("status") in _OVER else None
        row: Row = {"stage": key[0], "action": key[1], "attempt": attempts[key], "status": item.get("status")}
        row.update(started=item["startTime"], ended=ended, seconds=between(item["startTime"], ended))
        result = dig(item, "output", "executionResult")
        row["message"] = dig(result, "errorDetails", "message")
        row["summary"] = dig(result, "externalExecutionSummary")
        row["url"] = dig(result, "externalExecutionUrl")
        rows.append(row)
    return rows


class Timeline:
    """An execution as it went so far; from Run.timeline(). Draws itself; rows is a Table."""

    def __init__(self, client: Client, pipeline: str, execution_id: str) -> None:
        execution = client.call("get_pipeline_execution", pipelineName=pipeline, pipelineExecutionId=execution_id)
        self.pipeline = pipeline
        self.execution_id = execution_id
        self.status: str = execution["pipelineExecution"].get("status", "InProgress")
        self.rows = Table(_rows(client, pipeline, execution_id), _COLUMNS)

    @property
    def seconds(self) -> float:
        """From the first action's start to the last one's end so far."""
        start, end = self._span()
        return between(start, end) or 0.0

    def to_frame(self, library: str | None = None) -> Any:
        """rows as a frame of pandas or polars."""
        return self.rows.to_frame(library)

    def plot(self, axes: Any = None) -> Any:
        """The same as horizontal bars of matplotlib, which must be installed; answers the axes."""
        if axes is None:
            axes = pyplot().subplots()[1]
        start, end = self._span()
        colours = {"good": "tab:green", "bad": "tab:red", "busy": "tab:blue"}
        for row in reversed(self.rows):
            name = f"{row['stage']}/{row['action']}" + (f" ({row['attempt']})" if row["attempt"] > 1 else "")
            width = between(row["started"], row["ended"] or end) or 0.0
            hue = colours.get(look(row["status"])[0], "tab:gray")
            axes.barh(name, width, left=between(start, row["started"]), color=hue)
        axes.set_xlabel("seconds since the first action started")
        axes.set_title(f"{self.pipeline} {self.execution_id[:8]}: {self.status}")
        return axes

    def _span(self) -> tuple[datetime | None, datetime | None]:
        times = [time for row in self.rows for time in (row["started"], row["ended"]) if time is not None]
        if any(row["ended"] is None for row in self.rows) and times:
            times.append(datetime.now(times[0].tzinfo))  # what still runs goes on to now
        return (min(times), max(times)) if times else (None, None)

    def _bar(self, row: Row, start: datetime, total: float) -> str:
        left = 100 * (between(start, row["started"]) or 0.0) / total
        took = row["seconds"]
        if took is None:
            took = total - (between(start, row["started"]) or 0.0)
        return (
            f'<td class="{look(row["status"])[0]}"><div class="track">'
            f'<div class="bar" title="{escape(duration(took))}" '
            f'style="left:{left:.2f}%;width:{100 * took / total:.2f}%"></div></div></td>'
        )

    def _told(self, row: Row) -> str:
        """What there is to say of it; failures open to their message."""
        texts = [text for text in (row["message"], row["summary"]) if text]
        more = link(row["url"], "details") if row["url"] else ""
        if not texts:
            return f'<td class="told">{more}</td>'
        if row["status"] == "Failed" or len(texts[0]) > 60:
            first = texts[0].split("\n")[0][:60]
            body = "".join(f"<pre>{escape(text)}</pre>" for text in texts)
            return f'<td class="told"><details><summary>{escape(first)}</summary>{body}{more}</details></td>'
        return f'<td class="told">{escape(texts[0])} {more}</td>'

    def _repr_html_(self) -> str:
        start, _end = self._span()
        head = (
            f"<div><b>{escape(self.pipeline)}</b> {badge(self.status)} "
            f'<span class="soft">{escape(self.execution_id)} \u00b7 {escape(moment(start))} \u00b7 '
            f"{escape(duration(self.seconds))}</span></div>"
        )
        if start is None:
            return page(head + '<p class="soft">no action has started</p>')
        total = max(self.seconds, 0.001)
        body, before = [], None
        for row in self.rows:
            stage = row["stage"] if row["stage"] != before else ""
            before = row["stage"]
            again = f' <span class="soft">attempt {row["attempt"]}</span>' if row["attempt"] > 1 else ""
            body.append(
                f"<tr><td>{escape(stage)}</td><td>{escape(row['action'])}{again}</td><td>{badge(row['status'])}</td>"
                f'<td class="num">{escape(duration(row["seconds"]))}</td>{self._bar(row, start, total)}'
                f"{self._told(row)}</tr>"
            )
        return page(f"{head}<table><tbody>{''.join(body)}</tbody></table>")

    def __repr__(self) -> str:
        return f"<codepipeline.Timeline {self.pipeline} {self.execution_id} {self.status}>"
