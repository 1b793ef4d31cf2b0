#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads codepipeline.api and writes what is made from it: the C tables, the types for Python and Lua, docs/api.md.

    gen.py                writes the outputs
    gen.py --check        exits 1 and names the outputs that are not what it would write
    gen.py --facts FILE   compares the model with a description of the service in JSON and prints every difference
    --api, --root         another model, another tree (for the tests)

Nothing but the standard library, Python 3.9 or later. The outputs are committed: nobody needs this to install.
README.md explains the notation.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterator, Optional

HERE = Path(__file__).resolve().parent
WIDTH = 116
C_KINDS = ("structure", "list", "map", "string", "integer", "boolean", "timestamp")


@dataclass
class Member:
    name: str
    shape: str
    required: bool
    token: bool
    doc: str
    line: int


@dataclass
class Shape:
    name: str
    kind: str
    line: int
    doc: str = ""
    members: list[Member] = field(default_factory=list)
    enum: list[str] = field(default_factory=list)
    key: str = ""
    value: str = ""  # of a map; the items of a list
    low: Optional[int] = None
    high: Optional[int] = None
    pattern: str = ""
    sensitive: bool = False
    error: bool = False
    box: bool = False

    def parts(self) -> Iterator[tuple[str, int]]:
        """The shapes this one is made of, each with the line that says so."""
        yield from ((m.shape, m.line) for m in self.members)
        yield from ((name, self.line) for name in (self.key, self.value) if name)


@dataclass
class Operation:
    name: str
    input: str
    output: str
    line: int
    doc: str = ""
    errors: list[str] = field(default_factory=list)
    pages: dict[str, str] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.name).lower()


@dataclass
class Model:
    digest: str
    version: str = ""
    target: str = ""
    operations: dict[str, Operation] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def reach(self, *roots: str) -> set[str]:
        """The shapes that can be met below roots."""
        found: set[str] = set()
        todo = [name for name in roots if name in self.shapes]
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += [part for part, _ in self.shapes[name].parts() if part in self.shapes]
        return found


# ---- reading -------------------------------------------------------------------------------------------------------

NAME = r"[A-Za-z][A-Za-z0-9]*"
RANGE = r"(?: (?P<low>\d*)\.\.(?P<high>\d*))?"
RULES = {
    "service": rf"CodePipeline (?P<version>\S+) (?P<target>\S+)",
    "op": rf"(?P<name>{NAME})\((?P<input>{NAME})\)(?: -> (?P<output>{NAME}))?",
    "struct": rf"(?P<name>{NAME})(?P<sensitive> sensitive)?",
    "error": rf"(?P<name>{NAME})",
    "enum": rf"(?P<name>{NAME}) = (?P<enum>\S+(?: \| \S+)*)",
    "string": rf"(?P<name>{NAME}){RANGE}(?P<sensitive> sensitive)?(?: /(?P<pattern>.+)/)?",
    "integer": rf"(?P<name>{NAME}){RANGE}(?P<box> box)?",
    "boolean": rf"(?P<name>{NAME})",
    "timestamp": rf"(?P<name>{NAME})",
    "list": rf"(?P<name>{NAME}) of (?P<value>{NAME}){RANGE}",
    "map": rf"(?P<name>{NAME}) of (?P<key>{NAME}) to (?P<value>{NAME}){RANGE}",
}
MEMBER = rf"(?P<name>{NAME})(?P<required>!)? (?P<shape>{NAME})(?P<token> token)?(?: \| (?P<doc>\S.*))?"
PAGES = rf"pages (?P<input_token>{NAME}) -> (?P<output_token>{NAME}) items (?P<result_key>{NAME})(?: size (?P<limit_key>{NAME}))?"


class Reader:
    """Makes a Model of the text. Every mistake is kept with its line, so that one run shows them all."""

    def __init__(self, text: str) -> None:
        self.model = Model(hashlib.sha256(text.encode()).hexdigest())
        self.mistakes: list[tuple[int, str]] = []
        self.open: Optional[Shape | Operation] = None  # what indented lines belong to
        for number, line in enumerate(text.split("\n"), 1):
            body = line.rstrip()
            if not body or body.startswith("#"):
                continue
            (self.indented if body[0] == " " else self.declaration)(number, body.strip())

    def wrong(self, line: int, what: str) -> None:
        self.mistakes.append((line, what))

    def declaration(self, line: int, body: str) -> None:
        self.open = None
        word, _, rest = body.partition(" ")
        match = re.fullmatch(RULES[word], rest) if word in RULES else None
        if match is None:
            return self.wrong(line, f'cannot read "{body}"')
        got = match.groupdict()
        if word == "service":
            self.model.version, self.model.target = got["version"], got["target"]
        elif word == "op":
            self.add(self.model.operations, Operation(got["name"], got["input"], got["output"] or "", line))
        else:
            self.add(self.model.shapes, self.shape(word, line, got))

    def shape(self, word: str, line: int, got: dict[str, Optional[str]]) -> Shape:
        low, high = got.get("low"), got.get("high")
        kind = {"struct": "structure", "error": "structure", "enum": "string"}.get(word, word)
        shape = Shape(str(got["name"]), kind, line, key=got.get("key") or "", value=got.get("value") or "")
        shape.low, shape.high = (int(n) if n else None for n in (low, high))
        shape.enum = (got.get("enum") or "").split(" | ") if word == "enum" else []
        shape.pattern = got.get("pattern") or ""
        shape.sensitive, shape.box, shape.error = bool(got.get("sensitive")), bool(got.get("box")), word == "error"
        if low == high == "" or (low and high and int(low) > int(high)):
            self.wrong(line, f'"{shape.name}" has a bad range')
        if len(set(shape.enum)) != len(shape.enum):
            self.wrong(line, f'"{shape.name}" has a value twice')
        return shape

    def add(self, table: dict, item: Shape | Operation) -> None:
        if item.name in table:
            self.wrong(item.line, f'"{item.name}" is already declared in line {table[item.name].line}')
        table[item.name] = self.open = item

    def indented(self, line: int, body: str) -> None:
        owner = self.open
        if body.startswith("| ") and owner is not None and not owner.doc:
            owner.doc = body[2:].strip()
        elif isinstance(owner, Operation) and body.startswith("throws "):
            owner.errors += body.split()[1:]
        elif isinstance(owner, Operation) and re.fullmatch(PAGES, body):
            owner.pages = {k: v for k, v in re.fullmatch(PAGES, body).groupdict().items() if v}
        elif isinstance(owner, Shape) and owner.kind == "structure" and re.fullmatch(MEMBER, body):
            got = re.fullmatch(MEMBER, body).groupdict()
            if any(m.name == got["name"] for m in owner.members):
                self.wrong(line, f'"{owner.name}.{got["name"]}" is there twice')
            required, token = bool(got["required"]), bool(got["token"])
            owner.members.append(Member(got["name"], got["shape"], required, token, got["doc"] or "", line))
        else:
            self.wrong(line, f'cannot read "{body}" here')

    def check(self) -> None:
        """What can only be said of the whole: unknown and unused shapes, missing documentation, pages, patterns."""
        model, ops = self.model, list(self.model.operations.values())
        for op in ops:
            self.check_operation(op)
        for shape in model.shapes.values():
            for name, line in shape.parts():
                if name not in model.shapes:
                    self.wrong(line, f'unknown shape "{name}"')
            if shape.pattern:
                self.check_pattern(shape)
        used = model.reach(*(n for op in ops for n in (op.input, op.output)))
        used |= model.reach(*(s.name for s in model.shapes.values() if s.error))
        written = model.reach(*(op.input for op in ops))
        inputs = {op.input for op in ops}
        for name, shape in model.shapes.items():
            if name not in used:
                self.wrong(shape.line, f'shape "{name}" is used nowhere')
            if not shape.doc and (shape.error or (shape.kind == "structure" and name in written - inputs)):
                self.wrong(shape.line, f'"{name}" has no documentation')
            for m in shape.members if name in written else ():
                if not m.doc:
                    self.wrong(m.line, f'"{name}.{m.name}" has no documentation')

    def check_operation(self, op: Operation) -> None:
        shapes = self.model.shapes
        if not op.doc:
            self.wrong(op.line, f'"{op.name}" has no documentation')
        for name in filter(None, (op.input, op.output)):
            if name not in shapes or shapes[name].kind != "structure":
                self.wrong(op.line, f'unknown structure "{name}"')
        for name in op.errors:
            if name not in shapes or not shapes[name].error:
                self.wrong(op.line, f'unknown error "{name}"')
        for role, name in op.pages.items():
            owner = op.input if role in ("input_token", "limit_key") else op.output
            if owner in shapes and all(m.name != name for m in shapes[owner].members):
                self.wrong(op.line, f'"{owner}" has no member "{name}"')

    def check_pattern(self, shape: Shape) -> None:
        try:
            posix_pattern(shape.pattern)
            re.compile(shape.pattern)
        except (re.error, ValueError) as error:
            self.wrong(shape.line, f'"{shape.name}" has a bad pattern: {error}')


def read_model(path: Path) -> Model:
    reader = Reader(path.read_text(encoding="utf-8"))
    reader.check()
    for line, what in sorted(reader.mistakes):
        print(f"{path.name}:{line}: {what}", file=sys.stderr)
    if reader.mistakes:
        sys.exit(2)
    return reader.model


def posix_pattern(source: str) -> str:
    """The pattern as an anchored POSIX extended expression; empty for one that anything matches.

    Only what the service's patterns use is translated. In POSIX brackets a backslash is an ordinary character and a
    literal '-' stands last.
    """
    text = source[1:] if source.startswith("^") else source
    text = text[:-1] if text.endswith("$") and not text.endswith("\\$") else text
    if text in ("", ".*"):
        return ""
    out, at = [], 0
    while at < len(text):
        end = at + 1
        if text[at] == "[":
            end = text.index("]", at) + 1
            out.append(posix_bracket(text[at + 1 : end - 1]))
        elif text[at] == "\\":
            end = at + 2
            out.append(posix_bracket(text[at:end]) if text[at + 1].isalnum() else text[at:end])
        else:
            out.append(text[at])
        at = end
    return f"^({''.join(out)})$"


def posix_bracket(inside: str) -> str:
    parts = re.findall(r"\\.|[^\\]-[^\\]|.", inside)
    if inside.startswith("^") or any(re.fullmatch(r"\\[A-Za-vx-z0-9]", p) for p in parts):
        raise ValueError(f'"[{inside}]" is not in the small language gen.py translates')
    classes = ["A-Za-z0-9_" if p == r"\w" else p[1:] if p[0] == "\\" else p for p in parts]
    return f"[{''.join(c for c in classes if c != '-')}{'-' if '-' in classes else ''}]"


# ---- C -------------------------------------------------------------------------------------------------------------


def c_text(text: Optional[str]) -> str:
    return "NULL" if not text else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def c_table(declaration: str, rows: list[str]) -> list[str]:
    return [f"const {declaration}[] = {{", *(f"    {row}" for row in rows), "};", ""]


def emit_c(model: Model) -> str:
    shapes = [model.shapes[name] for name in sorted(model.shapes)]
    index = {shape.name: i for i, shape in enumerate(shapes, 1)}
    names = sorted({m.name for shape in shapes for m in shape.members})
    patterns = sorted({shape.pattern for shape in shapes if posix_pattern(shape.pattern)})
    errors = [shape.name for shape in shapes if shape.error]
    members, enums, rows = [], [], ['{"", CPL_SHAPE_NONE, 0, 0, 0, 0, 0, 0, 0, 0},']
    for s in shapes:
        own = members if s.kind == "structure" else enums
        first, count = len(own) if s.members or s.enum else 0, len(s.members) + len(s.enum)
        for m in sorted(s.members, key=lambda m: m.name):
            flags = "CPL_MEMBER_REQUIRED" if m.required else "CPL_MEMBER_TOKEN" if m.token else "0"
            members.append(f"{{{names.index(m.name)}, {index[m.shape]}, {flags}}}, /* {s.name}.{m.name}: {m.shape} */")
        enums += [f"{c_text(value)}, /* {s.name} */" for value in s.enum]
        pattern = patterns.index(s.pattern) + 1 if s.pattern in patterns else 0
        flags = [("SENSITIVE", s.sensitive), ("ERROR", s.error), ("HAS_MIN", s.low is not None), ("HAS_MAX", s.high is not None)]
        flags = " | ".join(f"CPL_SHAPE_{flag}" for flag, on in flags if on) or "0"
        refs = f"{index.get(s.key, 0)}, {index.get(s.value, 0)}, {s.low or 0}, {s.high or 0}"
        rows.append(f'{{"{s.name}", CPL_SHAPE_{s.kind.upper()}, {flags}, {pattern}, {first}, {count}, {refs}}}, /* {index[s.name]} */')
    operations, throws = [], []
    for op in (model.operations[name] for name in sorted(model.operations)):
        pages = ", ".join(c_text(op.pages.get(k)) for k in ("input_token", "output_token", "result_key", "limit_key"))
        info = f"{{{c_text(op.name)}, {c_text(op.method)}, {c_text(op.doc)}, {pages}}}"
        operations.append(f"{{{info}, {index[op.input]}, {index.get(op.output, 0)}, {len(throws)}, {len(op.errors)}}},")
        throws += [f"{index[name]}, /* {op.name}: {name} */" for name in op.errors]
    out = [f"/* {stamp(model)} */", "/* SPDX-License-Identifier: MIT */", '#include "model.h"', "", "/* clang-format off */"]
    out += c_table("cpl_shape cpl_model_shapes", rows)
    out += c_table("cpl_member cpl_model_members", members)
    out += c_table("char *const cpl_model_names", [f"{c_text(name)}," for name in names])
    out += c_table("char *const cpl_model_enums", enums)
    out += c_table("char *const cpl_model_patterns", ["NULL,"] + [f"{c_text(posix_pattern(p))}," for p in patterns])
    out += c_table("char *const cpl_model_pattern_sources", ["NULL,"] + [f"{c_text(p)}," for p in patterns])
    out += c_table("cpl_operation cpl_model_operations", operations)
    out += c_table("uint16_t cpl_model_operation_errors", throws)
    out += c_table("uint16_t cpl_model_errors", [f"{index[name]}, /* {name} */" for name in errors])
    counts = {"shape": "shapes", "names": "names", "patterns": "patterns", "operations": "operations", "errors": "errors"}
    out += [f"const size_t cpl_model_{name}_count = CPL_COUNT(cpl_model_{table});" for name, table in counts.items()]
    out += [f'const char cpl_model_target_prefix[] = "{model.target}";', f'const char cpl_model_api_version[] = "{model.version}";']
    return "\n".join(out) + "\n"


def stamp(model: Model) -> str:
    return f"generated by core/model/gen.py from codepipeline.api (sha256 {model.digest}) - do not edit"


# ---- the command ---------------------------------------------------------------------------------------------------

OUTPUTS: dict[str, Callable[[Model], str]] = {
    "core/model_data.c": emit_c,
}


def model_as_facts(model: Model) -> dict:
    """The model in the words of the service's own description."""
    operations, shapes = {}, {}
    for op in model.operations.values():
        fact = {"input": op.input, "output": op.output, "errors": op.errors, "pagination": op.pages}
        operations[op.name] = {key: value for key, value in fact.items() if value}
    for s in model.shapes.values():
        fact: dict = {"type": s.kind, "enum": s.enum, "pattern": s.pattern, "sensitive": s.sensitive, "exception": s.error, "box": s.box}
        fact["required"] = [m.name for m in s.members if m.required]
        fact = {key: value for key, value in fact.items() if value}
        fact.update({key: value for key, value in (("min", s.low), ("max", s.high)) if value is not None})
        if s.kind == "structure":
            fact["members"] = {m.name: {"shape": m.shape, **({"idempotencyToken": True} if m.token else {})} for m in s.members}
        if s.kind == "list":
            fact["member"] = {"shape": s.value}
        if s.kind == "map":
            fact.update(key={"shape": s.key}, value={"shape": s.value})
        shapes[s.name] = fact
    service = {"apiVersion": model.version, "targetPrefix": model.target}
    return {"service": service, "operations": operations, "shapes": shapes}


def differences(model: object, facts: object, path: str) -> Iterator[str]:
    if isinstance(model, dict) and isinstance(facts, dict):
        for key in sorted({*model, *facts}):
            at = f"{path}.{key}".lstrip(".")
            if key not in model:
                yield f"{at}: missing, the service has {json.dumps(facts[key])}"
            elif key not in facts:
                yield f"{at}: extra, the service has no such thing"
            else:
                yield from differences(model[key], facts[key], at)
    elif model != facts:
        yield f"{path}: {json.dumps(model)}, the service says {json.dumps(facts)}"


def compare(model: Model, path: Path) -> int:
    facts = json.loads(path.read_text(encoding="utf-8"))
    ours = model_as_facts(model)
    facts["service"] = {key: facts["service"].get(key) for key in ours["service"]}
    found = list(differences(ours, {key: facts[key] for key in ours}, ""))
    print("\n".join(found) or f"{len(model.operations)} operations and {len(model.shapes)} shapes, no difference")
    return 1 if found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the outputs that are stale")
    parser.add_argument("--facts", type=Path, help="compare the model with the service's description in this file")
    parser.add_argument("--api", type=Path, default=HERE / "codepipeline.api", help="the model")
    parser.add_argument("--root", type=Path, default=HERE.parent.parent, help="where the outputs lie")
    args = parser.parse_args()
    model = read_model(args.api)
    if args.facts:
        return compare(model, args.facts)
    stale = 0
    for name, emit in OUTPUTS.items():
        path, text = args.root / name, emit(model)
        if path.is_file() and path.read_bytes() == text.encode():
            continue
        stale += 1
        print(f"{name}: stale; run core/model/gen.py" if args.check else f"{name}: written")
        if not args.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
