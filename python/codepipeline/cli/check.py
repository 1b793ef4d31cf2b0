# SPDX-License-Identifier: MIT
"""Commands for what lies around pipelines: lint, doctor, completion."""

from __future__ import annotations

import json
import re

from .session import Misuse, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .session import Session

# ---- lint ----


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

    text = read(path)
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
