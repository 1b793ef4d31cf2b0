# SPDX-License-Identifier: MIT
"""Page after page: what Client.paginate and Client.get_paginator answer.

A token to resume from is what boto3 and the AWS CLI make of the service's token and a number of items, so that either
side can go on where the other stopped.
"""

from __future__ import annotations

import base64
import json
from typing import Generic, TypeVar

from .exceptions import ParamValidationError, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Protocol

    Page = dict[str, Any]

    class Operation(Protocol):
        name: str
        input_token: str
        output_token: str
        result_key: str
        limit_key: str | None


Item = TypeVar("Item")
_SKIPPED = "boto_truncate_amount"  # how many items of the page are behind the token already


def _encode(name: str, token: str | None, skipped: int | None = None) -> str:
    position: dict[str, Any] = {name: token}
    if skipped is not None:
        position[_SKIPPED] = skipped
    return base64.b64encode(json.dumps(position).encode()).decode()


def _decode(name: str, text: str) -> tuple[str | None, int]:
    """The service's token and the number of items to skip. What is not made by _encode is a token of the service."""
    try:
        position = json.loads(base64.b64decode(text))
        if position.keys() | {_SKIPPED} == {name, _SKIPPED}:
            return position[name], int(position.get(_SKIPPED, 0))
    except (ValueError, TypeError, AttributeError):
        pass
    token, _, skipped = text.rpartition("___")
    if token and skipped.isdecimal():  # the AWS CLI of old
        return None if token == "None" else token, int(skipped)
    return text, 0


def finder(expression: str) -> Callable[[Page], list[Any]]:
    """A function that answers what a JMESPath expression finds in a page, a list item by item."""
    import importlib

    try:
        compiled = importlib.import_module("jmespath").compile(expression)
    except ModuleNotFoundError:
        text = "search() needs the package jmespath: pip install jmespath"
        raise ModuleNotFoundError(text, name="jmespath") from None

    def find(page: Page) -> list[Any]:
        found = compiled.search(page)
        return found if isinstance(found, list) else [found]

    return find


class Pages:
    """The pages of an operation, each as the service answered it, apart from what max_items and starting_token cut off.
    Every iteration asks anew.

    resume_token   after an iteration that max_items ended: where to go on
    """

    def __init__(
        self,
        call: Callable[[str, dict[str, Any]], Page],
        operation: Operation,
        params: dict[str, Any],
        max_items: int | None = None,
        page_size: int | None = None,
        starting_token: str | None = None,
    ) -> None:
        self._call = call
        self._operation = operation
        self._params = dict(params)
        self._max_items = None if max_items is None else int(max_items)
        self.starting_token = starting_token
        self.resume_token: str | None = None
        if page_size is not None:
            if operation.limit_key is None:
                raise ParamValidationError(f'"{operation.name}" does not let choose the page size', path="page_size")
            self._params[operation.limit_key] = int(page_size)

    def __iter__(self) -> Iterator[Page]:
        for page, _token, _skipped in self.walk():
            yield page

    def walk(self) -> Iterator[tuple[Page, str | None, int]]:
        """Each page with the token that led to it, and how many items were skipped."""
        walk = Walk(self)
        while (params := walk.ask()) is not None:
            yield walk.take(self._call(self._operation.name, params))

    def build_full_result(self) -> dict[str, Any]:
        """All items in one dict, with NextToken when max_items ended it."""
        key = self._operation.result_key
        lists = [page[key] for page in self if key in page]
        full: dict[str, Any] = {key: [item for items in lists for item in items]} if lists else {}
        if self.resume_token is not None:
            full["NextToken"] = self.resume_token
        return full

    def search(self, expression: str) -> Iterator[Any]:
        """What a JMESPath expression finds in each page, lists item by item. Needs the package jmespath."""
        find = finder(expression)
        for page in self:
            yield from find(page)


class Walk:
    """Where somebody is in the pages, whatever way they are asked for."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._operation = pages._operation
        self._left = pages._max_items
        self._token, self._skip = pages._params.get(self._operation.input_token), 0
        if pages.starting_token is not None:
            self._token, self._skip = _decode(self._operation.input_token, pages.starting_token)
        pages.resume_token = None
        self._over = self._repeated = False

    def ask(self) -> dict[str, Any] | None:
        """The parameters of the next page, None at the end."""
        if self._repeated:
            raise ProtocolError("the service repeated a page token", operation=self._operation.name)
        if self._over:
            return None
        params = dict(self._pages._params)
        params.pop(self._operation.input_token, None)
        if self._token:
            params[self._operation.input_token] = self._token
        return params

    def take(self, page: Page) -> tuple[Page, str | None, int]:
        """What is wanted of the answer to ask(), the token that led to it, and how many items were skipped."""
        name, key = self._operation.input_token, self._operation.result_key
        token, skip = self._token, self._skip
        count = len(page.get(key, ()))
        beyond = max(skip - count, 0)  # the pages were larger when the token was made
        self._over = True
        if skip:
            page[key] = page.get(key, [])[skip:]
            count = len(page[key])
        if self._left is not None and count > self._left:
            page[key] = page[key][: self._left]
            self._pages.resume_token = _encode(name, token, skip + self._left)
            return page, token, skip
        following = page.get(self._operation.output_token)
        if not following:
            return page, token, skip
        if self._left is not None:
            self._left -= count
            if self._left == 0:
                self._pages.resume_token = _encode(name, following, beyond or None)
                return page, token, skip
        self._over, self._repeated = False, following == token
        self._token, self._skip = following, beyond
        return page, token, skip


def token_after(pages: Pages, operation: Operation, page: Page) -> str | None:
    """Where to go on after the page that was taken last."""
    following = page.get(operation.output_token)
    return pages.resume_token or (_encode(operation.input_token, following) if following else None)


def items_of(
    pages: Pages, operation: Operation, step: tuple[Page, str | None, int]
) -> Iterator[tuple[Any, str | None]]:
    """The items of that page, each with where to go on after it."""
    page, token, skipped = step
    items, last = page.get(operation.result_key, ()), token_after(pages, operation, page)
    for i, item in enumerate(items, 1):
        yield item, last if i == len(items) else _encode(operation.input_token, token, skipped + i)


class Items(Generic[Item]):
    """The items of all pages, one by one; pages are asked for as the iteration gets there."""

    def __init__(self, pages: Pages, operation: Operation) -> None:
        self._pages = pages
        self._operation = operation
        self._token = pages.starting_token
        self._items = self._walk()

    def pages(self) -> Pages:
        """The pages instead, from the start."""
        return self._pages

    @property
    def resume_token(self) -> str | None:
        """Where to go on after the items seen so far, as starting_token of a later call; None when nothing is left."""
        return self._token

    def _walk(self) -> Iterator[Item]:
        for step in self._pages.walk():
            for item, token in items_of(self._pages, self._operation, step):
                self._token = token
                yield item
            self._token = token_after(self._pages, self._operation, step[0])

    def __iter__(self) -> Items[Item]:
        return self

    def __next__(self) -> Item:
        return next(self._items)


class Paginator:
    """What get_paginator answers."""

    def __init__(self, call: Callable[[str, dict[str, Any]], Page], operation: Operation) -> None:
        self._call = call
        self._operation = operation

    def paginate(self, *, PaginationConfig: dict[str, Any] | None = None, **params: Any) -> Pages:
        """The pages; PaginationConfig may have MaxItems, PageSize and StartingToken."""
        config = PaginationConfig or {}
        return Pages(
            self._call,
            self._operation,
            params,
            config.get("MaxItems"),
            config.get("PageSize"),
            config.get("StartingToken"),
        )
