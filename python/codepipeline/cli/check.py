# SPDX-License-Identifier: MIT
"""Commands for what lies around pipelines: lint, call, doctor, completion."""

from __future__ import annotations

import contextlib
import json
import re
import sys

from .. import exceptions
from .session import Misuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .session import Session

# ---- lint ----


def _read(path: str) -> str:
    try:
        if path == "-":
            return sys.stdin.read()
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise Misuse(f'"{path}": {error.strerror}') from None
    except UnicodeDecodeError:
        raise Misuse(f'"{path}" is no text in UTF-8') from None


def _marks(node: Any, path: str, found: dict[str, tuple[int, int]]) -> None:
    """Where each path of a YAML document begins."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = f"{path}.{key.value}" if path else str(key.value)
            found[below] = (key.start_mark.line + 1, key.start_mark.column + 1)
            _marks(value, below, found)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            below = f"{path}[{number}]"
            found[below] = (value.start_mark.line + 1, value.start_mark.column + 1)
            _marks(value, below, found)


def _place(path: str, marks: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """Of the path, or of the longest part of it that is there."""
    while path and path not in marks:
        path = re.sub(r"(\.[^.\[]*|\[\d+\]|^[^.\[]+)$", "", path)
    return marks.get(path, (1, 1))


def _lint_yaml(text: str, region: str | None) -> list[dict[str, Any]]:
    from .._lint import lint

    try:
        import yaml
    except ImportError:
        raise Misuse("YAML needs the package PyYAML: pip install 'codepipeline[cli]'") from None
    marks: dict[str, tuple[int, int]] = {}
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = getattr(error, "problem", None) or str(error)
        return [{"path": "", "code": "SerializationException", "message": message, "line": line, "column": column}]
    _marks(node, "", marks)
    found = []
    for complaint in lint(json.dumps(document, default=str), region=region):
        line, column = _place(complaint.path, marks)
        found.append({**vars(complaint), "line": line, "column": column})
    return sorted(found, key=lambda one: (one["line"], one["column"]))


def _lint_one(path: str, region: str | None) -> list[dict[str, Any]]:
    from .._lint import lint

    text = _read(path)
    looks_yaml = path.endswith((".yaml", ".yml")) or (path == "-" and not text.lstrip().startswith(("{", "[")))
    found = _lint_yaml(text, region) if looks_yaml else [vars(one) for one in lint(text, region=region)]
    return [{"file": path, **one} for one in found]


def lint(session: Session) -> int:
    region = getattr(session.args, "region", None)
    found = [one for path in session.args.files for one in _lint_one(path, region)]
    if session.out.for_programs:
        session.out.data(found)
        return 1 if found else 0
    for one in found:
        where = f"{one['file']}:{one['line']}:{one['column']}: "
        path = f"{one['path']}: " if one["path"] else ""
        session.out.lines([[(where, "bold"), (path, "cyan"), (one["message"], "")]])
    if not found:
        session.out.note("nothing that the service would refuse; action types that are not of AWS were taken on trust")
    return 1 if found else 0


# ---- call ----


def _member(option: str) -> str:
    """--max-results and --maxResults are maxResults."""
    head, *rest = option[2:].split("-")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _option(member: str) -> str:
    return "--" + re.sub("([A-Z])", lambda found: "-" + found[1].lower(), member)


def _value(text: str) -> Any:
    """As it looks; what looks like JSON and is none stays a text, which it may be."""
    if re.match(r"\s*[\[{]", text) or re.fullmatch(r"-?\d+|true|false", text):
        with contextlib.suppress(ValueError):
            return json.loads(text)
    return text


def _parameters(session: Session) -> tuple[dict[str, Any], dict[str, str | None]]:
    """The parameters, and those that were given as options, as they were written; None: without a value."""
    rest: list[str] = list(session.args.rest)
    written: dict[str, str | None] = {}
    while rest:
        option, equals, text = rest.pop(0).partition("=")
        if not option.startswith("--") or len(option) < 3:
            raise Misuse(f'"{option}" is no option; parameters are written --max-results 5')
        if not equals and (not rest or rest[0].startswith("--")):
            written[_member(option)] = None
        else:
            written[_member(option)] = text if equals else rest.pop(0)
    params: dict[str, Any] = {}
    if session.args.params:
        given = session.args.params
        try:
            params = json.loads(_read(given[1:]) if given.startswith("@") else given)
        except ValueError as error:
            raise Misuse(f"--params: {error}") from None
        if not isinstance(params, dict):
            raise Misuse("--params: not a JSON object")
    return {**params, **{name: text is None or _value(text) for name, text in written.items()}}, written


def _operation(given: str) -> str:
    from .. import _core

    rows = {name: row[1] for row in _core.operations() for name in (row[0], row[1], row[1].replace("_", "-"))}
    if given not in rows:
        import difflib

        close = difflib.get_close_matches(given, [name for name in rows if "-" in name], 3)
        if close:
            raise Misuse(f'"{given}" is no operation; did you mean {" or ".join(close)}?')
        import textwrap

        names = ", ".join(name for name in rows if "-" in name)
        raise Misuse(textwrap.fill(f'"{given}" is no operation; there is {names}', 100, break_on_hyphens=False))
    return rows[given]


def _complaint(error: exceptions.ParamValidationError, written: str) -> str:
    """What the model says, and how a list or a structure is written."""
    wanted = re.search(r"expected a (list|structure|map), got a string", str(error))
    if not wanted:
        return str(error)
    if written.lstrip()[:1] in ("[", "{"):
        try:
            json.loads(written)
        except ValueError as wrong:
            return f"{_option(error.path or '')}: this is no JSON: {wrong}"
    example = """'["...", "..."]'""" if wanted[1] == "list" else """'{"name": "value"}'"""
    return f"{error}; it is written as JSON: {_option(error.path or '')} {example}"


def call(session: Session) -> None:
    operation = _operation(session.args.operation)
    params, written = _parameters(session)
    while True:
        try:
            session.out.data(session.client.call(operation, **params))
            return
        except exceptions.ParamValidationError as error:
            name = error.path or ""  # 5 may be a number or a text: the model knows, and nothing was sent
            text = written.get(name, "")
            if text is None:
                raise Misuse(f"{_option(name)} needs a value") from None
            if name not in written or "expected a string, " not in str(error):
                raise Misuse(_complaint(error, text)) from None
            params[name] = text


# ---- doctor, completion ----


def doctor(session: Session) -> int:
    import io

    from .._doctor import doctor as examine

    report = examine(file=io.StringIO(), **session.options)
    if session.out.for_programs:
        session.out.data(report)
    else:
        print(report["text"], end="")
        session.out.say("healthy" if report["healthy"] else "not healthy", "green" if report["healthy"] else "bold red")
    return 0 if report["healthy"] else 1


def completion(session: Session) -> None:
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError:
        raise Misuse("completion needs the package argcomplete: pip install 'codepipeline[cli]'") from None
    print(shellcode(["codepipeline"], shell=session.args.shell))
