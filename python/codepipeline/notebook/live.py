# SPDX-License-Identifier: MIT
"""A run that is followed in a cell: its stages and a progress bar, drawn again in place whenever something moves."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._run import Run, RunEvent

_LINES = 8  # the latest events under the bar


class Follow:
    """What Run.follow() answers: an iterator of RunEvent. As the last thing in a notebook's cell it draws itself, and
    goes on doing so until the run has ended; interrupting the kernel stops it."""

    def __init__(self, run: Run, events: Iterator[RunEvent]) -> None:
        self._run = run
        self._events = events
        self._seen: list[RunEvent] = []
        self._stages: dict[str, str] = {}
        self._names: list[str] = []

    def __iter__(self) -> Iterator[RunEvent]:
        return self

    def __next__(self) -> RunEvent:
        event = next(self._events)
        self._seen.append(event)
        del self._seen[:-_LINES]
        if event.kind == "stage" and event.stage:
            self._stages[event.stage] = event.status
        return event

    def _repr_html_(self) -> str:
        """As it stands, without asking for more."""
        from .page import badge, escape, page

        if not self._names:
            structure = self._run._client.call("get_pipeline", name=self._run.pipeline)
            self._names = [stage["name"] for stage in structure["pipeline"]["stages"]]
        names = self._names
        done = sum(self._stages.get(name) in ("Succeeded", "Skipped") for name in names)
        status = self._seen[-1].status if self._seen and self._seen[-1].kind == "end" else "InProgress"
        chain = " \u2192 ".join(
            f"{escape(name)} {badge(self._stages[name])}" if name in self._stages else escape(name) for name in names
        )
        lines = "\n".join(escape(event) for event in self._seen)
        return page(
            f"<div><b>{escape(self._run.pipeline)}</b> {badge(status)} "
            f'<progress max="{len(names) or 1}" value="{done}"></progress> '
            f'<span class="soft">{done} of {len(names)} stages</span></div><div>{chain}</div><pre>{lines}</pre>'
        )

    def _ipython_display_(self) -> None:
        import importlib

        display = importlib.import_module("IPython.display").display
        shown = display({"text/html": self._repr_html_(), "text/plain": repr(self)}, raw=True, display_id=True)
        for _event in self:
            shown.update({"text/html": self._repr_html_(), "text/plain": repr(self)}, raw=True)

    def __repr__(self) -> str:
        return f"<codepipeline.Follow {self._run.pipeline} {self._run.id}>"
