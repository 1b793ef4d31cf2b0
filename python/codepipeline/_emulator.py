# SPDX-License-Identifier: MIT
"""The offline service, in this process."""

from __future__ import annotations

import os

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from typing import Any, Literal

    from typing_extensions import Self, Unpack

    from ._client import Client
    from ._functions import Function, Handler
    from ._typing import AllOptions, Path


class Clock:
    """The clock of an Emulator. What it times (expiries, timeouts, redeliveries) follows it; signatures do not."""

    def __init__(self, core: _core.Emulator) -> None:
        self._core = core

    def now(self) -> datetime:
        """What it shows, an aware datetime."""
        from datetime import datetime, timezone

        return datetime.fromtimestamp(self._core.now(), timezone.utc)

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Turns it forward; what is due by then has happened when this returns."""
        self._core.advance(((days * 24 + hours) * 60 + minutes) * 60 + seconds)

    def freeze(self) -> None:
        """Stops it: it moves only by advance() until resume()."""
        self._core.freeze(True)

    def resume(self) -> None:
        """Lets it go on, from where it stands."""
        self._core.freeze(False)

    @property
    def frozen(self) -> bool:
        return self._core.frozen()


class Events:
    """What Emulator.events() answers: an iterator that can be asked again after it ended, and then goes on."""

    def __init__(self, feed: _core.Feed, timeout: float | None) -> None:
        self._feed = feed
        self._timeout = timeout

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        event = self._feed.next(self._timeout)
        if event is None:
            raise StopIteration
        return event


def _text(state: dict[str, Any] | str | None) -> str | None:
    if state is None or isinstance(state, str):
        return state
    import json

    return json.dumps(state)


def _given(**members: object) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def _contents(files: Iterable[str] | dict[str, str] | None, archive: Path | None) -> dict[str, object]:
    """What changed and what came along, as JSON has them. A text alone is no list of paths, and the core says so."""
    plain: object = files
    if files is not None and not isinstance(files, (str, dict)):
        plain = list(files)
    return {"files": plain, "archive": None if archive is None else os.fsdecode(archive)}


class Emulator:
    """CodePipeline and the part of S3 it needs, offline, on loopback, in this process; thousands of them, if need be.

        with codepipeline.Emulator() as emulator:
            client = emulator.client()

    port         default 0: the system picks one
    path         a SQLite file that keeps the state; default: memory only
    host         default 127.0.0.1
    region       default us-east-1
    account_id   default 123456789012
    access_key_id, secret_access_key
                 the owner's; default: fixed test values, see environ
    events       where its events go, besides events(): a file that gets a line of JSON each, or an http:// or https://
                 address that gets a POST each. It never waits for that: what does not get through in three attempts is
                 dropped, relayed tells how many, and close() warns
    state        what export() answered, or that as JSON: where it begins, also with the region and account of it, and
                 instead of what path held
    demo         begin with five pipelines and four weeks of their past, for notebooks and for a look around; the same
                 every time, ids and all. Not with state; where path has something, that is kept
    ui           serve a page for people at url + "/_emulator/": pipelines, executions and jobs as they move, the clock,
                 faults, the latest requests
    repeats      what a worker gets that repeats a result or an acknowledgement for a job that is over, which nobody
                 could see in the real service: "refuse", InvalidJobStateException or InvalidNonceException; or
                 "accept", success if it says the same. The attribute of this name changes it later

    Raises SystemFailure when the port is in use or the file cannot be opened. It is a context manager; leaving it stops
    it. For tests, not for the internet.

        >>> with codepipeline.Emulator() as emulator:
        ...     emulator.client().list_pipelines()["pipelines"]
        []
    """

    def __init__(
        self,
        port: int = 0,
        path: Path | None = None,
        *,
        host: str | None = None,
        region: str | None = None,
        account_id: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        events: Path | None = None,
        state: dict[str, Any] | str | None = None,
        ui: bool = False,
        repeats: Literal["refuse", "accept"] = "refuse",
        demo: bool = False,
    ) -> None:
        self._functions: list[Function] = []
        self._events = None if events is None else os.fspath(events)
        self._core = _core.Emulator(
            port=port,
            path=None if path is None else os.fsencode(path),
            host=host,
            region=region,
            account_id=account_id,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            events=None if events is None else os.fsencode(events),
            ui=ui,
            repeats=repeats,
            demo=demo,
            state=_text(state),
        )

    @property
    def url(self) -> str:
        """Where it listens: "http://127.0.0.1:PORT"."""
        return self._core.url

    @property
    def environ(self) -> dict[str, str]:
        """A new dict of the AWS_* variables that point any AWS SDK at it: endpoints, keys, region."""
        return self._core.environ

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._core.closed

    @property
    def repeats(self) -> str:
        """What a worker gets that repeats itself, see above: ``emulator.repeats = "accept"`` from now on.

        >>> with codepipeline.Emulator() as emulator:
        ...     emulator.repeats = "accept"
        ...     emulator.repeats
        'accept'
        """
        return self._core.repeats

    @repeats.setter
    def repeats(self, policy: Literal["refuse", "accept"]) -> None:
        self._core.set_repeats(policy)

    def client(self, **options: Unpack[AllOptions]) -> Client:
        """A new Client that talks to it with the owner's keys; options as for Client. StateError when it is closed."""
        from ._client import Client, own_names
        from .exceptions import StateError

        if self.closed:
            raise StateError("the emulator is closed")

        environ = self.environ
        ours: dict[str, Any] = {
            "region": environ["AWS_REGION"],
            "access_key_id": environ["AWS_ACCESS_KEY_ID"],
            "secret_access_key": environ["AWS_SECRET_ACCESS_KEY"],
            "endpoint_url": self.url,
            "s3_endpoint_url": environ["AWS_ENDPOINT_URL_S3"],
        }
        return Client(**{**ours, **own_names(options)})

    @property
    def clock(self) -> Clock:
        """Its clock, to be turned: ``emulator.clock.advance(hours=24)``."""
        return Clock(self._core)

    def fault(
        self,
        kind: str,
        operation: str | None = None,
        *,
        job_id: str | None = None,
        times: int | None = 1,
        after: int = 0,
        probability: float = 1.0,
        seed: int = 0,
        bytes: int = 0,
    ) -> None:
        """Trouble for requests to come: ``emulator.fault("lost-answer", "PutJobSuccessResult")``.

        kind         "reset" (nothing was done), "lost-answer" (it was), "cut-answer", "500", "502", "503", "504",
                     "throttling", "expired-token", "access-denied", "not-found", "retry-after", "redirect"
                     (nothing was done), "late-500", "no-json", "empty", "html" (it was), "stall" and "trickle" (it
                     was, see bytes)
        operation    of the service, or "GetObject", "PutObject", ... of S3; default: every one
        job_id       only requests that name this job
        times        how many are struck; None: all
        after        how many that fit are let through first
        probability  of being struck, each; the same seed strikes the same ones
        bytes        "stall": after how many of its body the answer stands still, until the caller leaves, default 0;
                     "trickle": how many of them come a second, default 1

        ParamValidationError names what is wrong.
        """
        self._core.fault(kind, operation, job_id, -1 if times is None else times, after, probability, seed, bytes)

    def script(
        self,
        outcome: str,
        *,
        pipeline: str | None = None,
        stage: str | None = None,
        action: str | None = None,
        rule: str | None = None,
        provider: str | None = None,
        after: float | None = None,
        summary: str | None = None,
        external_execution_id: str | None = None,
        output_variables: dict[str, str] | None = None,
        artifacts: dict[str, Path] | None = None,
        revision: str | None = None,
        revision_summary: str | None = None,
        code: str | None = None,
        message: str | None = None,
        times: int | None = None,
    ) -> None:
        """What becomes of actions and rules that the emulator cannot run, those of CodeBuild or CodeDeploy say:
        ``emulator.script("succeed", provider="CodeBuild", output_variables={"digest": "abc"})``. The newest script that
        fits decides when one starts; without one it fails, NotEmulated.

        outcome      "succeed", "fail", or "wait": until a script comes that fits and says otherwise
        pipeline, stage, action, provider
                     the actions it fits; default: any, and any rule; rule: one of a stage's condition, and no action
        after        seconds, by the emulator's clock, that the action takes
        summary, external_execution_id, output_variables
                     of the action; the summary begins with "emulated: "
        artifacts    output artifacts: the file of each; default: an empty zip archive
        revision, revision_summary
                     of a source action; default: the pushed commit, or one that is drawn
        code, message  of a failure
        times        how many actions it decides about; default: all

            >>> with codepipeline.Emulator() as emulator:
            ...     emulator.script("fail", provider="CodeBuild", message="the tests are red", times=1)

        ParamValidationError names what is wrong.
        """
        given = _given(
            outcome=outcome,
            pipeline=pipeline,
            stage=stage,
            action=action,
            rule=rule,
            provider=provider,
            after=after,
            summary=summary,
            external_execution_id=external_execution_id,
            output_variables=output_variables,
            artifacts=None if artifacts is None else {name: os.fspath(path) for name, path in artifacts.items()},
            revision=revision,
            revision_summary=revision_summary,
            code=code,
            message=message,
            times=times,
        )
        self._core.script(given)

    def git_push(
        self,
        repository: str,
        branch: str | None = None,
        *,
        tag: str | None = None,
        commit: str | None = None,
        message: str | None = None,
        files: Iterable[str] | dict[str, str] | None = None,
        archive: Path | None = None,
        provider: str | None = None,
    ) -> list[dict[str, str]]:
        """What a Git provider tells of a push: starts the pipelines whose source actions of provider
        CodeStarSourceConnection follow it, by the filters of their triggers, or by BranchName and DetectChanges.

        repository   "owner/name", the actions' FullRepositoryId
        branch, tag  what was pushed, one of them
        commit, message
                     default: one that is drawn, and none
        files        the paths that changed; a dict of paths and texts also makes the action's output artifact, a zip
                     archive of them
        archive      a file that is it instead
        provider     "GitHub" (default), "Bitbucket", "GitLab", ..., for the revision's summary

        With an artifact the source action succeeds; without one it ends as a script says. What is answered is what
        became of each source action of the repository: pipelineName, actionName, pipelineExecutionId (if it started)
        and reason.

            >>> with codepipeline.Emulator() as emulator:
            ...     emulator.git_push("acme/site", "main", message="mend the door", files={"index.html": "hello"})
            []

        ParamValidationError names what is wrong.
        """
        return self._core.git_push(
            _given(
                repository=repository,
                branch=branch,
                tag=tag,
                commit=commit,
                message=message,
                provider=provider,
                **_contents(files, archive),
            )
        )

    def pull_request(
        self,
        repository: str,
        event: Literal["OPEN", "UPDATED", "CLOSED"],
        *,
        source: str,
        target: str,
        commit: str | None = None,
        message: str | None = None,
        files: Iterable[str] | dict[str, str] | None = None,
        archive: Path | None = None,
        provider: str | None = None,
    ) -> list[dict[str, str]]:
        """The same of a pull request, from the branch source into target; the commit is that of source. Only triggers
        with filters for pull requests start by it.

            >>> with codepipeline.Emulator() as emulator:
            ...     emulator.pull_request("acme/site", "OPEN", source="door", target="main", files=["index.html"])
            []
        """
        return self._core.pull_request(
            _given(
                repository=repository,
                event=event,
                source=source,
                target=target,
                commit=commit,
                message=message,
                provider=provider,
                **_contents(files, archive),
            )
        )

    def function(self, name: str, handler: Handler | None = None) -> str:
        """A Lambda function that Invoke actions may name: ``emulator.function("deploy", worker.lambda_handler)``.

        handler(event, context) runs on a thread of its own, one invocation after the other; what it raises is printed.
        Without a handler the function is another process's: what is answered is the address that goes into its
        AWS_LAMBDA_RUNTIME_API. As with Lambda, an invocation that fails is made again a minute and two minutes later by
        the emulator's clock, and a job without a result fails after twenty minutes.

            >>> with codepipeline.Emulator() as emulator:
            ...     address = emulator.function("deploy", lambda event, context: print(event["CodePipeline.job"]["id"]))
        """
        address = self._core.function(name)
        if handler is not None:
            from ._functions import Function

            self._functions.append(Function(name, address, handler))
        return address

    def ledger(self, **wanted: object) -> list[dict[str, Any]]:
        """The requests it got, the newest 10,000, oldest first: seq, time, status, and where they apply operation,
        code, fault, job_id, nonce, continuation_token and jobs (handed out: id and nonce).

        ``emulator.ledger(operation="PutJobSuccessResult", status=200)``: those in which these members are so. status
        and code are the service's own, whatever a fault made of them; 0 when it did not hear of the request.
        """
        entries: list[dict[str, Any]] = self._core.ledger()
        return [entry for entry in entries if all(entry.get(name) == value for name, value in wanted.items())]

    def events(self, timeout: float | None = 0) -> Events:
        """Iterates over the events that the service would send to EventBridge, as dicts, oldest first: the state
        changes of executions, stages and actions. Each call begins with the oldest of the newest 10,000.

        timeout  the iteration ends when none came for so many seconds: 0, with those that are there now; None, when
                 the emulator is closed. Iterating on yields those that came since

            >>> with codepipeline.Emulator() as emulator:
            ...     list(emulator.events())
            []

        TooLargeError says how many were lost, because this read too late; iterating goes on behind them.
        """
        return Events(self._core.feed(), timeout)

    @property
    def relayed(self) -> dict[str, Any]:
        """What became of the events for Emulator(events=...): delivered, dropped (numbers), reason (of the last one
        dropped, or None)."""
        return dict(zip(("delivered", "dropped", "reason"), self._core.relayed()))

    def export(self, *, objects: bool = True) -> dict[str, Any]:
        """The whole state, a dict to keep as JSON: pipelines with all their versions, executions, jobs, action types,
        webhooks, tags, transitions, S3's buckets and objects (objects=False leaves these out), and the clock. What is
        secret in it is in it: do not publish one that has real secrets.

            >>> with codepipeline.Emulator() as emulator:
            ...     state = emulator.export()
            >>> codepipeline.Emulator(state=state).close()
        """
        return self._core.export(objects)

    def restore(self, state: dict[str, Any] | str) -> None:
        """Replaces the state by one that export() answered, or by that as JSON. It must be of the same region and
        account; the clock goes on from where it stood then. ParamValidationError names what is wrong in one that is
        damaged, and nothing has changed."""
        self._core.restore(_text(state) or "")

    def clear(self) -> None:
        """Forgets the faults, the scripts, the ledger, and, for new calls of events(), the events."""
        self._core.clear()

    def create_bucket(self, name: str) -> None:
        """Makes an empty bucket; nothing happens when it is there."""
        self._core.create_bucket(name)

    def close(self) -> None:
        """Stops it. A second close does nothing. Events still under way have two seconds to arrive."""
        closed = self._core.closed
        self._core.close()
        for function in self._functions:
            function.join(2)
        _, dropped, reason = self._core.relayed()
        if dropped and not closed:
            import warnings

            target = os.fsdecode(self._events or "")
            warnings.warn(f"{dropped} events did not get to {target}: {reason}", RuntimeWarning, stacklevel=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<codepipeline.Emulator {'closed' if self.closed else self.url}>"
