# SPDX-License-Identifier: MIT
"""codepipeline call --help, and codepipeline call OPERATION --help: laid out by argparse, told by the core."""

from __future__ import annotations

import argparse
import shutil
import textwrap

from .call import described, kebab, ordered
from .parser import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .call import Described

    Row = tuple[str, str]  # what stands on the left, and what is said of it

METAVARS = {"string": "TEXT", "integer": "N", "timestamp": "TIME"}  # of the others: JSON
UNITS = {"string": " characters", "list": " entries", "map": " entries"}


class _Whole(argparse.HelpFormatter):
    """Breaks lines at spaces alone: there are hyphens in patterns."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


def _size(shape: Described) -> str:
    low, high, unit = shape.get("min"), shape.get("max"), UNITS.get(shape["type"], "")
    if low is not None and high is not None:
        return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"
    return f"at least {low}{unit}" if low is not None else f"at most {high}{unit}" if high is not None else ""


def _facts(member: Described, kind: str = "") -> str:
    """Its line of documentation, and what the model asks of it in brackets."""
    shape = member
    while shape["type"] == "list":
        shape = shape["items"]
    facts = [
        kind,
        "required" if member.get("required") else "",
        _size(member),
        _size(shape) + " each" if shape is not member and _size(shape) else "",
        f"one of {', '.join(shape['enum'])}" if "enum" in shape else "",
        f"matches {shape['pattern']}" if "pattern" in shape else "",
    ]
    told = "; ".join(filter(None, facts))
    return " ".join(filter(None, [member.get("doc", ""), f"({told})" if told else ""]))


def _below(shape: Described, path: str, seen: dict[str, str]) -> Iterable[Row]:
    """What is inside a list, a map or a structure; a structure that was told already is not told again."""
    if shape["type"] == "list":
        yield from _below(shape["items"], f"{path}[]", seen)
    elif shape["type"] == "map":
        below = f"{path}.KEY".lstrip(".")
        yield below, _facts(shape["keys"])
        yield from _below(shape["values"], below, seen)
    elif shape["type"] == "structure" and shape["shape"] in seen:
        yield path, f"as {seen[shape['shape']]} above"
    elif shape["type"] == "structure":
        seen[shape["shape"]] = path
        for member in ordered(shape["members"]):
            below = f"{path}.{member['name']}".lstrip(".")
            yield below, _facts(member, member["type"])
            yield from _below(member, below, seen)


def _list(parser: Parser, title: str, rows: Iterable[Row]) -> None:
    group: argparse._ArgumentGroup | None = None
    for left, text in rows:
        group = group or parser.add_argument_group(title)
        group.add_argument(left, metavar=left, help=text.replace("%", "%%"))


def add_parameters(parser: Parser, operation: Described) -> None:
    """As options of a parser that shows or completes them."""
    group = parser.add_argument_group("parameters")
    for member in ordered(operation["parameters"]):
        option = f"--{kebab(member['name'])}"
        text = _facts(member).replace("%", "%%")
        if member["type"] == "boolean":
            group.add_argument(option, action="store_true", help=text)
        else:
            metavar = METAVARS.get(member["type"], "JSON")
            group.add_argument(option, metavar=metavar, choices=member.get("enum"), help=text)


def _wrapped(start: str, words: list[str]) -> str:
    """A usage that is not wider than what argparse writes below it."""
    lines, width = [start], shutil.get_terminal_size().columns - 2 - len("usage: ")
    for word in words:
        if len(lines[-1]) + 1 + len(word) > width:
            lines.append("        ")
        lines[-1] += f" {word}"
    return "\n".join(lines)


def of_operation(operation: Described) -> str:
    name = kebab(operation["name"])
    needed = [member for member in operation["parameters"] if member["required"]]
    words = [f"--{kebab(member['name'])} {METAVARS.get(member['type'], 'JSON')}" for member in needed]
    parser = Parser(add_help=False, description=operation["doc"], formatter_class=_Whole)
    parser.usage = _wrapped(f"codepipeline call {name}", [*words, "[OPTION]..."])
    add_parameters(parser, operation)
    for member in ordered(operation["parameters"]):
        _list(parser, f"inside --{kebab(member['name'])}", _below(member, "", {}))
    _list(parser, "answer", ((member["name"], _facts(member, member["type"])) for member in operation["answer"]))
    _list(parser, "errors", ((error["code"], error["doc"]) for error in operation["errors"]))
    pages = operation.get("pages")
    if pages:
        limit = f" or --{kebab(pages['limit_key'])}" if "limit_key" in pages else ""
        one = f"--no-paginate, --{kebab(pages['input_token'])}{limit}"
        parser.epilog = f"It has pages, and all of them are asked for; {one} asks for one."
    return parser.format_help() + "\nWhat else it takes: codepipeline call --help\n"


def _of_all(call: argparse.ArgumentParser) -> str:
    from .. import _core

    operations = Parser(usage="", add_help=False)
    _list(operations, "operations", ((kebab(row[0]), row[2]) for row in _core.operations()))
    return call.format_help() + operations.format_help().partition("\n")[2]


def text(call: argparse.ArgumentParser, operation: str | None) -> str:
    """The help of one operation, or of the command with the list of all."""
    return of_operation(described(operation)) if operation else _of_all(call)
