# SPDX-License-Identifier: MIT
"""What all drawings share: escaping, colours, moments and durations in words."""

from __future__ import annotations

import html
import re
from datetime import datetime, timezone
from typing import Any

# What XML cannot carry, escaped or not; SVG in a page may be read as XML.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# status: (class, sign), so that colour is never the only difference
_LOOKS = {
    "Succeeded": ("good", "\u2713"),
    "Approved": ("good", "\u2713"),
    "Failed": ("bad", "\u2717"),
    "Rejected": ("bad", "\u2717"),
    "InProgress": ("busy", "\u25b6"),
    "Stopping": ("busy", "\u25a0"),
    "Stopped": ("idle", "\u25a0"),
    "Superseded": ("idle", "\u00bb"),
    "Cancelled": ("idle", "\u25a0"),
    "Abandoned": ("idle", "\u25a0"),
}

# JupyterLab says by its variables whether the page is dark; elsewhere the browser does.
STYLE = """<style>
.cpl{--ink:var(--jp-content-font-color1,#1f2328);--soft:var(--jp-content-font-color2,#59636e);
--paper:var(--jp-layout-color0,#fff);--line:var(--jp-border-color1,#c4ccd4);--good:#1a7f37;--bad:#cf222e;--busy:#0969da;
--idle:#6e7781;--wait:#9a6700;color:var(--ink);font:13px/1.4 system-ui,sans-serif;overflow-x:auto;max-width:100%}
@media(prefers-color-scheme:dark){.cpl{--ink:var(--jp-content-font-color1,#e6edf3);--soft:var(--jp-content-font-color2,
#9198a1);--paper:var(--jp-layout-color0,#0d1117);--line:var(--jp-border-color1,#3d444d);--good:#3fb950;--bad:#f85149;
--busy:#4493f8;--idle:#9198a1;--wait:#d29922}}
[data-jp-theme-light=true] .cpl{--good:#1a7f37;--bad:#cf222e;--busy:#0969da;--idle:#6e7781;--wait:#9a6700}
[data-jp-theme-light=false] .cpl{--good:#3fb950;--bad:#f85149;--busy:#4493f8;--idle:#9198a1;--wait:#d29922}
.cpl .good{--hue:var(--good)}.cpl .bad{--hue:var(--bad)}.cpl .busy{--hue:var(--busy)}.cpl .idle{--hue:var(--idle)}
.cpl .wait{--hue:var(--wait)}.cpl .none{--hue:var(--line)}
.cpl svg{display:block}.cpl svg text{fill:var(--ink);font:12px system-ui,sans-serif}.cpl svg text.soft{fill:var(--soft)}
.cpl svg text.hue,.cpl svg .fill{fill:var(--hue)}.cpl svg .box{fill:var(--paper);stroke:var(--hue,var(--line))}
.cpl svg .flow{fill:none;stroke-width:1.5;opacity:.75}.cpl svg .go{fill:none;stroke:var(--soft);stroke-width:2}
.cpl svg .shut{fill:none;stroke:var(--bad);stroke-width:3}
.cpl table{border-collapse:collapse;margin:0}.cpl.cpl th,.cpl.cpl td{text-align:left;padding:3px 9px;vertical-align:top;
border-bottom:1px solid var(--line);background:none;color:var(--ink)}.cpl th{color:var(--soft);font-weight:600}
.cpl .hue{color:var(--hue)}.cpl .soft{color:var(--soft)}.cpl pre{white-space:pre-wrap;margin:4px 0;color:var(--ink)}
.cpl .track{position:relative;width:240px;height:16px}.cpl.cpl td.told{white-space:normal;overflow-wrap:anywhere}
.cpl .bar{position:absolute;top:2px;height:12px;min-width:2px;
border-radius:3px;background:var(--hue)}.cpl .num{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.cpl.cpl .state{white-space:nowrap}.cpl a{color:var(--busy)}.cpl summary{cursor:pointer}.cpl progress{width:240px}
</style>"""


def escape(value: object) -> str:
    """A value as text between tags or in quotes."""
    return html.escape(_UNPRINTABLE.sub("\ufffd", str(value)))


def page(content: str) -> str:
    return f'{STYLE}<div class="cpl">{content}</div>'


def look(status: str | None) -> tuple[str, str]:
    """The class and the sign of a status."""
    return _LOOKS.get(status or "", ("none", "\u25cb"))


def badge(status: str | None) -> str:
    hue, sign = look(status)
    return f'<span class="state {hue}"><span class="hue">{sign} {escape(status or "did not run")}</span></span>'


def link(url: str | None, text: str) -> str:
    """A link, if it is one for a browser; a javascript: address is shown as text."""
    if not url or not re.match(r"https?://", url):
        return escape(text)
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(text)}</a>'


def duration(seconds: float | None) -> str:
    """ "2 h 05 min", "3 min 20 s", "4.2 s"; "" for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24:02d} h"


def moment(time: datetime | None) -> str:
    return "" if time is None else time.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds; None when one of them is not known."""
    return None if start is None or end is None else max((end - start).total_seconds(), 0.0)


def clipped(text: str, count: int) -> str:
    return text if len(text) <= count else text[: count - 1] + "\u2026"


def dig(thing: Any, *path: str) -> Any:
    """A member of a member of a dict; None where one is missing."""
    for name in path:
        thing = thing.get(name) if isinstance(thing, dict) else None
    return thing
