# SPDX-License-Identifier: MIT
"""The numbers of metrics() as bars."""

from __future__ import annotations

import importlib
from typing import Any

from .table import Table

# what is shown, of which column, and what its values are multiplied with
_SHOWN = (
    ("deployments a day", "deployments_per_day", 1.0),
    ("lead time, minutes", "lead_time", 1 / 60),
    ("failure rate, %", "failure_rate", 100.0),
    ("time to restore, minutes", "time_to_restore", 1 / 60),
)


def pyplot() -> Any:
    try:
        return importlib.import_module("matplotlib.pyplot")
    except ImportError:
        raise ImportError("plot() needs matplotlib: pip install matplotlib") from None


def plot(rows: Table, axes: Any = None) -> Any:
    if axes is None:
        height = 1.2 + 0.3 * len(rows)
        axes = pyplot().subplots(1, len(_SHOWN), figsize=(12, height), sharey=True, layout="constrained")[1]
    names = [row["pipeline"] for row in reversed(rows)]
    for one, (title, column, scale) in zip(axes, _SHOWN):
        values = [row[column] for row in reversed(rows)]
        bars = one.barh(names, [(value or 0.0) * scale for value in values])
        one.bar_label(bars, ["none" if value is None else f"{value * scale:.3g}" for value in values], padding=3)
        one.margins(x=0.25)
        one.set_title(title)
    return axes
