# SPDX-License-Identifier: MIT
"""call: any operation, with parameters as the AWS CLI writes them. All it knows of them the core tells."""

from __future__ import annotations

import json
import re

from .. import exceptions
from .session import Misuse, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .session import Session

    Described = dict[str, Any]  # what codepipeline.describe() says of an operation, a member or a shape

# ---- names ----


def kebab(name: str) -> str:
    """PipelineName, pipelineName and pipeline_name as pipeline-name."""
    return re.sub("(?<!^)(?=[A-Z])", "-", name).replace("_", "-").lower()


def _bare(name: str) -> str:
    """What all spellings of a name have in common."""
    return name.replace("-", "").replace("_", "").lower()


def _near(name: str, names: list[str], count: int = 1) -> str:
    """Those that may have been meant, as a question; empty when none is near."""
    import difflib

    close = difflib.get_close_matches(name, names, count)
    return f"did you mean {' or '.join(close)}?" if close else ""


def described(given: str) -> Described:
    """The operation of that name, in any spelling."""
    from .. import _core

    methods = {_bare(row[1]): row[1] for row in _core.operations()}
    if _bare(given) in methods:
        return _core.describe(methods[_bare(given)])
    meant = _near(kebab(given), [kebab(method) for method in methods.values()], 3)
    raise Misuse(f'"{given}" is no operation; {meant or "codepipeline call --help lists them"}')


# ---- parameters ----


def _json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Misuse(f"{option}: this is no JSON: {error}") from None


def _from_file(text: str) -> str:
    return read(text[len("file://") :]) if text.startswith("file://") else text


def _shorthand(option: str, shape: Described, text: str) -> Any:
    """name=tag,value=v2, for a structure or a map of plain values."""
    kinds = {member["name"]: member["type"] for member in shape.get("members", ())}
    values = {}
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        kind = kinds.get(name, "string")
        if not equals or kind in ("structure", "list", "map"):
            example = json.dumps(example_of(shape))
            raise Misuse(f"{option}: neither JSON nor NAME=VALUE,...; as JSON it is {option} '{example}'")
        values[name] = _plain(option, kind, value)
    return values


def _plain(option: str, kind: str, text: str) -> Any:
    if kind == "integer":
        if not re.fullmatch(r"[+-]?\d+", text):
            raise Misuse(f'{option}: "{text}" is not a whole number')
        return int(text)
    if kind == "boolean":
        if text not in ("true", "false"):
            raise Misuse(f'{option}: "{text}" is neither true nor false')
        return text == "true"
    return text


def _value(option: str, shape: Described, texts: list[str]) -> Any:
    """What the texts behind an option are, by the parameter's type."""
    kind = shape["type"]
    if not texts:
        if kind == "boolean":
            return True
        raise Misuse(f"{option} needs a value")
    if kind == "list" and (len(texts) > 1 or texts[0].lstrip()[:1] != "["):
        if not (len(texts) == 1 and (texts[0] == "-" or texts[0].startswith("file://"))):
            return [_value(option, shape["items"], [text]) for text in texts]
    if len(texts) > 1:
        raise Misuse(f'"{texts[1]}" is no option; parameters are written --max-results 5')
    if kind not in ("structure", "list", "map"):
        return _plain(option, kind, _from_file(texts[0]))
    text = read("-") if texts[0] == "-" else _from_file(texts[0])
    if text == texts[0] and text.lstrip()[:1] not in ("{", "["):
        return _shorthand(option, shape, text)
    return _json(option, text)


def _options(rest: list[str]) -> list[tuple[str, list[str]]]:
    """Each option with the texts behind it."""
    found: list[tuple[str, list[str]]] = []
    for word in rest:
        if word.startswith("--") and len(word) > 2:
            option, equals, text = word.partition("=")
            found.append((option, [text] if equals else []))
        elif found:
            found[-1][1].append(word)
        else:
            raise Misuse(f'"{word}" is no option; parameters are written --max-results 5')
    return found


def _member(operation: Described, option: str) -> tuple[Described, bool]:
    """The parameter that an option names, and whether it is --no-PARAMETER."""
    members = {_bare(member["name"]): member for member in operation["parameters"]}
    name = _bare(option)
    if name in members:
        return members[name], False
    if option.startswith("--no-") and members.get(name[2:], {}).get("type") == "boolean":
        return members[name[2:]], True
    called = kebab(operation["name"])
    meant = _near(option, [f"--{kebab(member['name'])}" for member in operation["parameters"]])
    raise Misuse(f"{called} has no parameter {option}; {meant or f'codepipeline call {called} --help lists them'}")


def _parameters(session: Session, operation: Described) -> dict[str, Any]:
    params: dict[str, Any] = {}
    given = session.args.params
    if given:
        text = read("-") if given == "-" else read(given[1:]) if given.startswith("@") else _from_file(given)
        params = _json("--params", text)
        if not isinstance(params, dict):
            raise Misuse("--params: not a JSON object")
    for option, texts in _options(session.args.rest):
        member, negated = _member(operation, option)
        if negated and texts:
            raise Misuse(f"{option} takes no value")
        params[member["name"]] = False if negated else _value(option, member, texts)
    return params


# ---- a skeleton ----


def ordered(members: list[Described]) -> list[Described]:
    """What is required comes first."""
    return sorted(members, key=lambda member: not member["required"])


def example_of(shape: Described) -> Any:
    """A value of that shape, to be filled in."""
    kind = shape["type"]
    if kind == "structure":
        return {member["name"]: example_of(member) for member in ordered(shape["members"])}
    if kind == "list":
        return [example_of(shape["items"])]
    if kind == "map":
        return {"KEY": example_of(shape["values"])}
    if kind == "timestamp":
        return "1970-01-01T00:00:00Z"
    if kind == "boolean":
        return False
    return shape.get("min", 0) if kind == "integer" else shape.get("enum", [""])[0]


def _skeleton(operation: Described, which: str) -> Any:
    members = operation["parameters" if which == "input" else "answer"]
    return example_of({"type": "structure", "members": members})


# ---- the command ----


def _by_pages(session: Session, operation: Described, params: dict[str, Any]) -> bool:
    """All pages are wanted, as the AWS CLI has it: unless a page is asked for."""
    args, pages = session.args, operation.get("pages")
    limited = args.max_items is not None or args.starting_token is not None
    if limited and not pages:
        raise Misuse(f"{kebab(operation['name'])} has no pages: --max-items and --starting-token are not for it")
    if limited and args.no_paginate:
        raise Misuse("--no-paginate asks for one page: --max-items and --starting-token do not go with it")
    one = args.no_paginate or not pages or pages["input_token"] in params or pages.get("limit_key") in params
    return limited or not one


def _ask(session: Session, operation: Described, params: dict[str, Any]) -> Any:
    method = operation["method"]
    if not _by_pages(session, operation, params):
        return session.client.call(method, **params)
    limits = {"MaxItems": session.args.max_items, "StartingToken": session.args.starting_token}
    return session.client.get_paginator(method).paginate(PaginationConfig=limits, **params).build_full_result()


def call(session: Session) -> None:
    operation = described(session.args.operation)
    if session.args.rest == ["help"]:  # as the AWS CLI has it
        from .call_help import of_operation

        print(of_operation(operation), end="")
        return
    if session.args.generate_skeleton:
        session.out.data(_skeleton(operation, session.args.generate_skeleton))
        return
    params = _parameters(session, operation)
    try:
        answer = _ask(session, operation, params)
    except exceptions.ParamValidationError as error:
        raise Misuse(f"{error}; codepipeline call {kebab(operation['name'])} --help tells what it takes") from None
    if session.args.output == "text":
        for line in text_lines(session.out.found(answer)):
            print(line)
    elif session.args.output == "table":
        session.out.table(*table_of(session.out.found(answer)))
    else:
        session.out.data(answer)


# ---- answers for people and for cut and awk ----


def text_lines(value: Any, label: str = "") -> list[str]:
    """Lines of words with tabs between them, as the AWS CLI writes them: what is below has its name in front."""
    if isinstance(value, list):
        if value and not label and not any(isinstance(item, (dict, list)) for item in value):
            return ["\t".join(map(str, value))]
        return [line for item in value for line in text_lines(item, label)]
    if not isinstance(value, dict):
        return ["\t".join(filter(None, (label, str(value))))]
    flat = [str(value[name]) for name in sorted(value) if not isinstance(value[name], (dict, list))]
    lines = ["\t".join([*filter(None, [label]), *flat])] if flat else []
    below = [name for name in sorted(value) if isinstance(value[name], (dict, list))]
    return lines + [line for name in below for line in text_lines(value[name], name.upper())]


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def table_of(value: Any) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and rows: a list's items, or the members of a structure."""
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        if len(lists) != 1:
            return ["name", "value"], [[name, _cell(item)] for name, item in value.items()]
        (value,) = lists
    rows = value if isinstance(value, list) else [value]
    names = list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))
    if not names:
        return ["value"], [[_cell(row)] for row in rows]
    return names, [[_cell(row.get(name)) if isinstance(row, dict) else _cell(row) for name in names] for row in rows]
