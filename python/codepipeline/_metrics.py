# SPDX-License-Identifier: MIT
"""What the past of pipelines says in numbers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ._client import Client
    from .notebook.table import Table


def _number(details: dict[str, Any], name: str) -> float | None:
    return float(details[name]) if name in details else None


class Durations:
    """Times that were measured: count, and in seconds total, mean, median, p90 and max. True if there were any; without
    them the seconds are None.

        >>> codepipeline.metrics(client, "docs").total.duration.count
        18
    """

    def __init__(self, details: dict[str, Any] | None) -> None:
        details = details or {}
        self.count: int = details.get("count", 0)
        self.total = _number(details, "total")
        self.mean = _number(details, "mean")
        self.median = _number(details, "median")
        self.p90 = _number(details, "p90")
        self.max = _number(details, "max")

    def __bool__(self) -> bool:
        return self.count > 0

    def __repr__(self) -> str:
        return f"<codepipeline.Durations count={self.count} median={self.median} max={self.max}>"


class ActionMetrics:
    """An action: stage, action, category, provider, executions, failed, and time (Durations).

    >>> stage = codepipeline.metrics(client, "library").pipelines["library"].stages[1]
    >>> [(action.action, action.failed) for action in stage.actions]
    [('Unit', 4)]
    """

    def __init__(self, stage: str, details: dict[str, Any]) -> None:
        self.stage = stage
        self.action: str = details["action"]
        self.category: str = details["category"]
        self.provider: str = details["provider"]
        self.executions: int = details["executions"]
        self.failed: int = details["failed"]
        self.time = Durations(details.get("time"))

    def __repr__(self) -> str:
        return f"<codepipeline.ActionMetrics {self.stage}/{self.action} {self.time!r}>"


class StageMetrics:
    """A stage: stage, time (Durations, from the first action's start to the last one's end) and actions.

    >>> [stage.stage for stage in codepipeline.metrics(client, "docs").pipelines["docs"].stages]
    ['Source', 'Build', 'Ship']
    """

    def __init__(self, details: dict[str, Any]) -> None:
        self.stage: str = details["stage"]
        self.time = Durations(details.get("time"))
        self.actions = [ActionMetrics(self.stage, action) for action in details["actions"]]

    def __repr__(self) -> str:
        return f"<codepipeline.StageMetrics {self.stage} {self.time!r}>"


class PipelineMetrics:
    """One pipeline, or all of them (pipeline is None then, and stages empty).

    executions, succeeded, failed, stopped, superseded, cancelled, in_progress, rollbacks
                         how many
    deployments          those that succeeded and are no rollback
    deployment_frequency of them, a day
    failure_rate         of those that succeeded or failed, 0 to 1; None when there were none
    lead_time            from revision to success, once for each revision (Durations)
    duration             of the deployments
    time_to_restore      from a failure to the next success
    approvals            waiting on approvals that were answered
    broken_since         when it failed, if it did not succeed since: an aware datetime
    stages               a list of StageMetrics, in the order in which they ran

        >>> library = codepipeline.metrics(client, "library").pipelines["library"]
        >>> library.deployments, round(library.failure_rate, 2), library.broken_since is None
        (20, 0.09, False)
    """

    def __init__(self, details: dict[str, Any]) -> None:
        self.pipeline: str | None = details.get("pipeline")
        self.executions: int = details["executions"]
        self.succeeded: int = details["succeeded"]
        self.failed: int = details["failed"]
        self.stopped: int = details["stopped"]
        self.superseded: int = details["superseded"]
        self.cancelled: int = details["cancelled"]
        self.in_progress: int = details["in_progress"]
        self.rollbacks: int = details["rollbacks"]
        self.deployments: int = details["deployments"]
        self.deployment_frequency = float(details["deployments_per_day"])
        self.failure_rate = _number(details, "failure_rate")
        self.lead_time = Durations(details.get("lead_time"))
        self.duration = Durations(details.get("duration"))
        self.time_to_restore = Durations(details.get("time_to_restore"))
        self.approvals = Durations(details.get("approvals"))
        broken = details.get("broken_since")
        self.broken_since = datetime.fromtimestamp(broken, timezone.utc) if broken else None
        self.stages = [StageMetrics(stage) for stage in details.get("stages", ())]

    def __repr__(self) -> str:
        name = self.pipeline or "all"
        return f"<codepipeline.PipelineMetrics {name} deployments={self.deployments} failed={self.failed}>"


class Metrics:
    """From metrics(): since and until (aware datetimes), calls (how many requests it took), total (PipelineMetrics of
    all together) and pipelines (a dict of PipelineMetrics by name); raw is all of it as the core answered it.

        >>> report = codepipeline.metrics(client, since=datetime.timedelta(days=7))
        >>> sorted(report.pipelines)
        ['assets', 'docs', 'library', 'payments', 'site']
    """

    def __init__(self, details: dict[str, Any]) -> None:
        self.raw = details
        self.since = datetime.fromtimestamp(details["since"], timezone.utc)
        self.until = datetime.fromtimestamp(details["until"], timezone.utc)
        self.calls: int = details["calls"]
        self.total = PipelineMetrics(details["total"])
        self.pipelines = {item["pipeline"]: PipelineMetrics(item) for item in details["pipelines"]}

    @property
    def rows(self) -> Table:
        """One row a pipeline, times in seconds (medians): a list of dicts that draws itself, and has to_frame()."""
        from .notebook.table import Table

        return Table(
            {
                "pipeline": name,
                "deployments": one.deployments,
                "deployments_per_day": round(one.deployment_frequency, 2),
                "failure_rate": one.failure_rate,
                "lead_time": one.lead_time.median,
                "duration": one.duration.median,
                "time_to_restore": one.time_to_restore.median,
                "waiting_for_approvals": one.approvals.median,
                "broken_since": one.broken_since,
            }
            for name, one in self.pipelines.items()
        )

    def to_frame(self, library: str | None = None) -> Any:
        """rows as a frame of pandas or polars, whichever is installed; library names one."""
        return self.rows.to_frame(library)

    def plot(self, axes: Any = None) -> Any:
        """Deployment frequency, lead time, failure rate and time to restore of each pipeline, as bars of matplotlib,
        which must be installed; answers the four axes."""
        from .notebook.bars import plot

        return plot(self.rows, axes)

    def _repr_html_(self) -> str:
        return self.rows._repr_html_()

    def __repr__(self) -> str:
        return f"<codepipeline.Metrics since={self.since:%Y-%m-%d} pipelines={len(self.pipelines)}>"


def _seconds(since: datetime | timedelta | float | None) -> float:
    if since is None:
        return 0.0
    if isinstance(since, timedelta):
        since = datetime.now(timezone.utc) - since
    if isinstance(since, datetime):
        return since.timestamp()
    if isinstance(since, str):
        raise TypeError(f"since: a datetime, a timedelta or seconds since 1970, not {since!r}")
    return float(since)


def metrics(
    client: Client, pipelines: str | Iterable[str] | None = None, *, since: datetime | timedelta | float | None = None
) -> Metrics:
    """How often pipelines deliver, how long that takes, how often it fails and how soon it works again.

    pipelines  a name, several, or None for all
    since      what began before does not count: a datetime (a naive one is local time), a timedelta back from now, or
               seconds since 1970; default: 30 days ago

    It pages through each pipeline's executions and actions as far back as since, and asks for each delivered revision
    once, because the service tells when a revision was made nowhere else.

        >>> report = codepipeline.metrics(client, "site")
        >>> report.pipelines["site"].deployments
        6
        >>> round(report.total.failure_rate, 2)
        0.33
    """
    if not hasattr(client, "_core"):
        raise TypeError(f"the client comes first, and not {client!r}")
    names = [pipelines] if isinstance(pipelines, str) else None if pipelines is None else list(pipelines)
    return Metrics(_core.metrics(client._core, names, _seconds(since)))
