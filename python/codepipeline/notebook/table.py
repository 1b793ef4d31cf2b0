# SPDX-License-Identifier: MIT
"""Lists of dicts as tables, and as frames of pandas or polars."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from .page import badge, duration, escape, link, moment, page

Row = dict[str, Any]

_STATUS = ("status", "latest_status")
_IDS = ("id", "execution_id")
_RATES = ("failure_rate",)
_LINKS = ("url",)
_SECONDS = ("seconds", "lead_time", "duration", "time_to_restore", "waiting_for_approvals")
_SHOWN = 200  # rows of a table that is drawn; a frame has all


def flat(row: Row, prefix: str = "") -> Row:
    """Members of members with a dot between their names; lists stay as they are."""
    out: Row = {}
    for name, value in row.items():
        if isinstance(value, dict) and value:
            out.update(flat(value, f"{prefix}{name}."))
        else:
            out[prefix + name] = value
    return out


def frame(rows: Iterable[Row], library: str | None = None, columns: Iterable[str] = ()) -> Any:
    """One row an item, one column a name. library: "pandas" or "polars"; default: the first that is installed.

    Raises ImportError when there is none, ValueError when library is another one.
    """
    if library not in (None, "pandas", "polars"):
        raise ValueError(f'library: "{library}" is neither "pandas" nor "polars"')
    rows = [flat(row) for row in rows]
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    data = {name: [row.get(name) for row in rows] for name in names}
    for name in [library] if library else ["pandas", "polars"]:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        options = {"columns": names} if name == "pandas" else {"strict": False}
        return module.DataFrame(data, **options)
    raise ImportError(f"to_frame() needs pandas or polars: pip install {library or 'pandas'}")


def cell(name: str, value: object) -> str:
    if value is None:
        return "<td></td>"
    if name in _STATUS:
        return f"<td>{badge(str(value))}</td>"
    if isinstance(value, datetime):
        return f'<td class="state">{escape(moment(value))}</td>'
    if name in _IDS:
        return f'<td class="state">{escape(value)}</td>'
    if name in _RATES and isinstance(value, float):
        return f'<td class="num">{value:.0%}</td>'
    if name in _LINKS:
        return f"<td>{link(str(value), str(value))}</td>"
    if name in _SECONDS and isinstance(value, (int, float)):
        return f'<td class="num">{escape(duration(value))}</td>'
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f'<td class="num">{escape(value)}</td>'
    return f"<td>{escape(value)}</td>"


class Table(list[Row]):
    """A list of dicts that draws itself as a table; to_frame() makes a frame of it.

    columns  the names to show, in this order; default: all there are
    """

    def __init__(self, rows: Iterable[Row] = (), columns: Iterable[str] = ()) -> None:
        super().__init__(rows)
        self._columns = list(columns)

    @property
    def columns(self) -> list[str]:
        return self._columns or list(dict.fromkeys(name for row in self for name in flat(row)))

    def to_frame(self, library: str | None = None) -> Any:
        """A tidy frame of pandas or polars, whichever is installed; library names one."""
        return frame(self, library, self._columns)

    def _repr_html_(self) -> str:
        columns = self.columns
        head = "".join(f"<th>{escape(name)}</th>" for name in columns)
        body = []
        for row in map(flat, self[:_SHOWN]):
            body.append("<tr>" + "".join(cell(name, row.get(name)) for name in columns) + "</tr>")
        more = f'<p class="soft">and {len(self) - _SHOWN} more</p>' if len(self) > _SHOWN else ""
        if not self:
            more = '<p class="soft">nothing here</p>'
        return page(f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>{more}")
