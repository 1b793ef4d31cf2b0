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
        operation, params = self._operation, dict(self._params)
        name, key = operation.input_token, operation.result_key
        token, skip = params.get(name), 0
        left = self._max_items
        if self.starting_token is not None:
            token, skip = _decode(name, self.starting_token)
        self.resume_token = None
        while True:
            if token:
                params[name] = token
            else:
                params.pop(name, None)
            page = self._call(operation.name, params)
            count = len(page.get(key, ()))
            beyond = max(skip - count, 0)  # the pages were larger when the token was made
            if skip:
                page[key] = page.get(key, [])[skip:]
                count = len(page[key])
            if left is not None and count > left:
                page[key] = page[key][:left]
                self.resume_token = _encode(name, token, skip + left)
                yield page, token, skip
                return
            yield page, token, skip
            following = page.get(operation.output_token)
            if not following:
                return
            if left is not None:
                left -= count
                if left == 0:
                    self.resume_token = _encode(name, following, beyond or None)
                    return
            if following == token:
                raise ProtocolError("the service repeated a page token", operation=operation.name)
            token, skip = following, beyond

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
        import importlib

        compiled = importlib.import_module("jmespath").compile(expression)
        for page in self:
            found = compiled.search(page)
            if isinstance(found, list):
                yield from found
            else:
                yield found


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
        name, key = self._operation.input_token, self._operation.result_key
        for page, token, skipped in self._pages.walk():
            items = page.get(key, ())
            following = page.get(self._operation.output_token)
            last = self._pages.resume_token or (_encode(name, following) if following else None)
            for i, item in enumerate(items, 1):
                self._token = last if i == len(items) else _encode(name, token, skipped + i)
                yield item
            self._token = last

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
