# SPDX-License-Identifier: MIT
"""The client for asyncio. Typed in _async.pyi."""

import asyncio
import functools

from . import _core, exceptions
from ._client import _OPERATIONS, Client, _say_absent
from ._paging import Pages, Walk, finder, items_of, token_after
from ._run import Run, RunEvent, RunOutcome

_LOOK = 0.1  # seconds between two questions whether it is time to look at a run that is waited for


class AsyncPages:
    """The pages of an operation, to be iterated over with async for; as codepipeline's Pages in all else."""

    def __init__(self, client, pages, operation):
        self._client = client
        self._pages = pages
        self._operation = operation

    @property
    def resume_token(self):
        """After an iteration that max_items ended: where to go on."""
        return self._pages.resume_token

    async def walk(self):
        walk = Walk(self._pages)
        while (params := walk.ask()) is not None:
            yield walk.take(await self._client.call(self._operation.name, **params))

    async def __aiter__(self):
        async for page, _token, _skipped in self.walk():
            yield page

    async def build_full_result(self):
        """All items in one dict, with NextToken when max_items ended it."""
        pages = [page async for page in self]
        key = self._operation.result_key
        full = {key: [item for page in pages for item in page.get(key, ())]}
        if self.resume_token is not None:
            full["NextToken"] = self.resume_token
        return full

    async def search(self, expression):
        """As of the pages of a Client, for async for."""
        find = finder(expression)
        async for page in self:
            for found in find(page):
                yield found


class AsyncPaginator:
    """What get_paginator answers, as in boto3: ``async for page in paginator.paginate(...)``."""

    def __init__(self, client, paginator):
        self._client = client
        self._paginator = paginator

    def paginate(self, **params):
        """The pages; arguments as for boto3's paginators, PaginationConfig among them."""
        pages = self._paginator.paginate(**params)
        return AsyncPages(self._client, pages, pages._operation)


class AsyncItems:
    """The items of all pages, one by one: ``async for pipeline in client.paginate("list_pipelines")``."""

    def __init__(self, pages, token):
        self._pages = pages
        self._token = token
        self._items = self._walk()

    def pages(self):
        """The pages instead, from the start."""
        return self._pages

    @property
    def resume_token(self):
        """Where to go on after the items seen so far; None when nothing is left."""
        return self._token

    async def _walk(self):
        pages, operation = self._pages._pages, self._pages._operation
        async for step in self._pages.walk():
            for item, self._token in items_of(pages, operation, step):
                yield item
            self._token = token_after(pages, operation, step[0])

    def __aiter__(self):
        return self._items


class AsyncRun:
    """An execution to await: the methods of Run, each awaitable, and follow() for async for.

    What asks the service runs on the loop's default executor; between two questions no thread is kept.

        >>> async def how():
        ...     async with codepipeline.AsyncClient() as client:
        ...         run = await client.run("docs")
        ...         return str(await run.wait())
        >>> asyncio.run(how())
        'Succeeded'
    """

    def __init__(self, run):
        self._run = run

    id = property(lambda self: self._run.id, doc="Of the execution.")
    pipeline = property(lambda self: self._run.pipeline, doc="The pipeline's name.")

    async def status(self):
        """InProgress, Stopping, or how it ended."""
        return await _in_thread(lambda: self._run.status)

    async def wait(self, timeout=None):
        """Waits for the end, whatever it is: a RunOutcome. TimeoutError after timeout seconds says what for."""
        clock, core = asyncio.get_running_loop().time, self._run._core
        start = clock()
        while True:
            await _in_thread(core.refresh)  # asks no more often than once a poll interval
            if core.ended:
                return RunOutcome(self._run, core.status)
            left = _LOOK if timeout is None else timeout - (clock() - start)
            if left <= 0:
                break
            await asyncio.sleep(min(left, _LOOK))
        try:
            await _in_thread(core.wait, 0.001)  # which says what it waits for
        except exceptions.TimeoutError as error:
            told = str(error).partition(", ")[2]  # after that moment
            raise exceptions.TimeoutError(f"after {timeout:.3g} s, {told}") from None
        return RunOutcome(self._run, core.status)

    async def follow(self):
        """What happens, and what happened before, each once and in order, until the end: RunEvent."""
        core = self._run._core
        while True:
            details, due = await _in_thread(core.step)
            if details is not None:
                yield RunEvent(self._run, details)
            elif due:
                await asyncio.sleep(due)
            else:
                return

    async def rollback(self, stage, target=None):
        """Runs a stage again as an earlier execution ran it, see Run.rollback(); answers the new one, an AsyncRun."""
        target = target.id if isinstance(target, AsyncRun) else target
        return AsyncRun(await _in_thread(self._run.rollback, stage, target))

    def __repr__(self):
        return f"<codepipeline.AsyncRun {self.pipeline} {self.id}>"


async def _in_thread(function, *args, **kwargs):
    return await asyncio.get_running_loop().run_in_executor(None, functools.partial(function, *args, **kwargs))


def _in_thread_too(name):
    blocking = getattr(Run, name)

    async def method(self, *args, **kwargs):
        return await _in_thread(getattr(self._run, name), *args, **kwargs)

    method.__name__, method.__doc__ = name, blocking.__doc__
    return method


for _name in ("explain", "stop", "retry", "approve", "reject", "timeline"):
    setattr(AsyncRun, _name, _in_thread_too(_name))


class AsyncClient:
    """A Client whose operations are awaited: ``await client.list_pipelines()``. Options as for Client.

    All its calls, hundreds if need be, are moved by one thread, whatever loop awaits them. Cancelling a task gives its
    call up; whether the service has heard of it by then, nobody knows. client is the Client it speaks through.

        async with codepipeline.AsyncClient() as client:
            states = await asyncio.gather(*(client.get_pipeline_state(name=name) for name in names))

        >>> async def count():
        ...     async with codepipeline.AsyncClient() as client:
        ...         return len((await client.list_pipelines())["pipelines"])
        >>> asyncio.run(count())
        5
    """

    __getattr__ = _say_absent

    def __init__(self, region=None, **options):
        self.client = Client(region, **options)

    @classmethod
    def of(cls, client):
        """One that speaks through a Client there is already, and leaves closing it to others or to close()."""
        made = object.__new__(cls)
        made.client = client
        return made

    async def call(self, operation, /, **params):
        """Runs an operation by its name, "ListPipelines" or "list_pipelines"."""
        return await asyncio.wrap_future(self.client.submit(operation, **params))

    def paginate(self, operation, /, *, max_items=None, page_size=None, starting_token=None, **params):
        """The items of all pages, for async for; arguments as for Client.paginate()."""
        info = self.client._paged(operation)
        pages = Pages(None, info, params, max_items, page_size, starting_token)
        return AsyncItems(AsyncPages(self, pages, info), starting_token)

    def get_paginator(self, operation_name):
        """boto3's way, as Client.get_paginator(); the pages are for async for."""
        return AsyncPaginator(self, self.client.get_paginator(operation_name))

    def can_paginate(self, operation_name):
        """As Client.can_paginate()."""
        return self.client.can_paginate(operation_name)

    async def start(self, pipeline, **options):
        """Starts an execution: an AsyncRun. Arguments as for Client.start()."""
        return AsyncRun(await _in_thread(self.client.start, pipeline, **options))

    async def run(self, pipeline, execution_id=None, **options):
        """An execution that was started already, the latest one by default: an AsyncRun."""
        return AsyncRun(await _in_thread(self.client.run, pipeline, execution_id, **options))

    async def approvals(self, pipeline=None):
        """The approvals that wait: a list of Approval, whose own methods block."""
        return await _in_thread(self.client.approvals, pipeline)

    def with_options(self, **options):
        """A view with other options, as Client.with_options()."""
        return AsyncClient.of(self.client.with_options(**options))

    def on(self, stage, function):
        """As Client.on(); function is called on the thread that moves the calls."""
        return self.client.on(stage, function)

    region = property(lambda self: self.client.region, doc=Client.region.__doc__)
    endpoint_url = property(lambda self: self.client.endpoint_url, doc=Client.endpoint_url.__doc__)
    exceptions = property(lambda self: self.client.exceptions, doc=Client.exceptions.__doc__)
    meta = property(lambda self: self.client.meta, doc=Client.meta.__doc__)
    closed = property(lambda self: self.client.closed, doc=Client.closed.__doc__)

    async def close(self):
        """Refuses new calls and closes the connections; calls under way finish."""
        self.client.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *unused):
        await self.close()

    def __repr__(self):
        return f"<codepipeline.AsyncClient region={self.region!r} endpoint_url={self.endpoint_url!r}>"


def _add_operation(info):
    name = info.name

    async def method(self, **params):
        return await self.call(name, **params)

    method.__name__ = info.method
    method.__qualname__ = f"AsyncClient.{info.method}"
    method.__doc__ = getattr(Client, info.method).__doc__
    setattr(AsyncClient, info.method, method)


for _row in _core.operations():
    _add_operation(_OPERATIONS[_row[0]])
del _row, _name
