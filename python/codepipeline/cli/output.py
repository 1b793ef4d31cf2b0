# SPDX-License-Identifier: MIT
"""JSON for programs, tables and pictures for people; colours on a terminal alone, by rich if it is installed."""

from __future__ import annotations

import re
import sys
from datetime import datetime, timezone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from rich.console import Console

    Line = Sequence[tuple[str, str]]  # pieces of text, each with a style of rich, or ""

STYLES = {
    "Succeeded": "green",
    "Approved": "green",
    "Failed": "bold red",
    "Rejected": "bold red",
    "InProgress": "cyan",
    "Stopping": "yellow",
    "Stopped": "yellow",
    "Superseded": "dim",
    "Cancelled": "yellow",
    "Abandoned": "yellow",
}


def took(seconds: float | None) -> str:
    """A duration for people: 0:07, 12:40, 3:05:00, 12 days."""
    if seconds is None:
        return ""
    whole = max(int(seconds), 0)
    if whole >= 10 * 86400:
        return f"{whole // 86400} days"
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def when(moment: datetime | None) -> str:
    """A point in time for people, in their zone."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def ago(moment: datetime | None) -> str:
    """How long since, roughly: 5s ago, 3m ago, 2h ago, 12d ago."""
    if moment is None:
        return ""
    seconds = max(int((datetime.now(timezone.utc) - moment).total_seconds()), 0)
    for size, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{letter} ago"
    return f"{seconds}s ago"


def visible(text: str) -> str:
    """With its control characters written out: a worker's message must not steer the terminal of who reads it."""
    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found[0]):02x}", text)


def plain(value: Any) -> Any:
    """An answer as JSON has it: without ResponseMetadata, times as text, secrets masked."""
    from .._secret import Secret

    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if name != "ResponseMetadata"}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    return "***" if isinstance(value, Secret) else value


class Output:
    """Where a command tells what it found: for_programs says that JSON is wanted."""

    def __init__(self, json: bool, query: str | None) -> None:
        self.for_programs = json or query is not None
        self.query = query
        self._console: Console | None = None
        self._looked = False

    @property
    def terminal(self) -> bool:
        """People look on, and can be asked."""
        return sys.stdin.isatty() and sys.stdout.isatty()

    @property
    def console(self) -> Console | None:
        """rich's, where people look on and it is installed."""
        if not self._looked:
            self._looked = True
            if sys.stdout.isatty():
                try:
                    from rich.console import Console
                except ImportError:
                    return None
                self._console = Console(highlight=False)
        return self._console

    @property
    def columns(self) -> int | None:
        """How wide the terminal is; None where there is none, and a line may be as long as it likes."""
        return None if self.console is None else self.console.width

    def found(self, value: Any) -> Any:
        """What JSON has of it, or what the query finds in that."""
        value = plain(value)
        return value if self.query is None else self._search(self.query, value)

    def data(self, value: Any) -> None:
        """JSON, or what the query finds in it; a text that it finds is printed as it is."""
        import json

        value = self.found(value)
        if self.query is not None and isinstance(value, str):
            print(value)
            return
        print(json.dumps(value, indent=2, ensure_ascii="utf" not in (sys.stdout.encoding or "").lower()))

    def _search(self, query: str, value: Any) -> Any:
        from .session import Misuse

        try:
            import jmespath
            from jmespath.exceptions import JMESPathError
        except ImportError:
            raise Misuse("--query needs the package jmespath: pip install 'codepipeline[cli]'") from None
        try:
            return jmespath.search(query, value)
        except JMESPathError as error:
            raise Misuse(f"--query: {error}") from None

    def lines(self, lines: Iterable[Line]) -> None:
        for line in lines:
            if self.console is not None:
                self.console.print(styled(line), soft_wrap=True)
            else:
                print(visible("".join(text for text, _ in line).rstrip()))

    def say(self, text: str, style: str = "") -> None:
        self.lines([[(text, style)]])

    def note(self, text: str) -> None:
        """What is not the result: on standard error."""
        sys.stdout.flush()
        print(visible(text), file=sys.stderr)

    def table(self, names: Sequence[str], rows: Sequence[Sequence[str]], shrink: Sequence[str] = ()) -> None:
        """Columns; a cell that is a status has its colour. On a narrow terminal the columns to shrink are cut first,
        and the first column, which is what other commands are told, never."""
        rows = [[" ".join(visible(cell).split()) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(names, *rows)]
        if self.console is not None:
            from rich.table import Table

            table = Table(box=None, header_style="bold", pad_edge=False)
            for number, name in enumerate(names):
                table.add_column(name, no_wrap=name not in shrink, min_width=None if number else widths[0])
            for row in rows:
                table.add_row(*(styled([(cell, STYLES.get(cell, ""))]) for cell in row))
            self.console.print(table)
            return
        for row in [names, *rows]:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())

    def diff(self, lines: Iterable[str]) -> None:
        styles = {"+": "green", "-": "red", "@": "cyan"}
        self.lines([(line, styles.get(line[:1], ""))] for line in lines)

    def complain(self, text: str, status: int, hint: str = "") -> int:
        """On standard error; answers the exit status."""
        self.note(f"codepipeline: {text}")
        if hint:
            self.note(f"codepipeline: {hint}")
        return status

    def ask(self, question: str) -> str:
        """A person's answer; empty at the end of the input."""
        try:
            return input(visible(question)).strip()
        except EOFError:
            return ""


def styled(line: Line) -> Any:
    """A line for rich; nothing in it is taken for markup."""
    from rich.text import Text

    return Text.assemble(*((visible(text), style) for text, style in line), overflow="ellipsis", no_wrap=True)
