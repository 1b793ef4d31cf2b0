# SPDX-License-Identifier: MIT
"""Reads the notation of codepipeline.api into a Model; every mistake is kept with its line. README.md explains it."""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator, Optional


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
        ahead = [name for name in roots if name in self.shapes]
        while ahead:
            name = ahead.pop()
            if name not in found:
                found.add(name)
                ahead += [part for part, _ in self.shapes[name].parts() if part in self.shapes]
        return found


# ---- reading -------------------------------------------------------------------------------------------------------

MEMBERS_MAX, PATTERNS_MAX = 64, 32  # what core/model.c has room for
NAME = r"[A-Za-z][A-Za-z0-9]*"
RANGE = r"(?: (?P<low>\d*)\.\.(?P<high>\d*))?"
RULES = {
    "service": r"CodePipeline (?P<version>\S+) (?P<target>\S+)",
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
PAGES = (
    rf"pages (?P<input_token>{NAME}) -> (?P<output_token>{NAME})"
    rf" items (?P<result_key>{NAME})(?: size (?P<limit_key>{NAME}))?"
)


class Reader:
    """Makes a Model of the text. Every mistake is kept with its line, so that one run shows them all."""

    def __init__(self, text: str) -> None:
        self.model = Model(hashlib.sha256(text.encode()).hexdigest())
        self.mistakes: list[tuple[int, str]] = []
        self.patterns: set[str] = set()
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

    def add(self, table: dict[str, Any], item: Shape | Operation) -> None:
        if item.name in table:
            self.wrong(item.line, f'"{item.name}" is already declared in line {table[item.name].line}')
        table[item.name] = self.open = item

    def indented(self, line: int, body: str) -> None:
        owner = self.open
        pages, member = re.fullmatch(PAGES, body), re.fullmatch(MEMBER, body)
        if body.startswith("| ") and owner is not None and not owner.doc:
            owner.doc = body[2:].strip()
        elif isinstance(owner, Operation) and body.startswith("throws "):
            owner.errors += body.split()[1:]
        elif isinstance(owner, Operation) and pages:
            owner.pages = {role: name for role, name in pages.groupdict().items() if name}
        elif isinstance(owner, Shape) and owner.kind == "structure" and member:
            self.add_member(owner, line, member.groupdict())
        else:
            self.wrong(line, f'cannot read "{body}" here')

    def add_member(self, owner: Shape, line: int, got: dict[str, str]) -> None:
        name, required, token = got["name"], bool(got["required"]), bool(got["token"])
        if any(m.name == name for m in owner.members):
            self.wrong(line, f'"{owner.name}.{name}" is there twice')
        owner.members.append(Member(name, got["shape"], required, token, got["doc"] or "", line))

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
            if len(shape.members) > MEMBERS_MAX:
                self.wrong(shape.line, f'"{shape.name}" has more than {MEMBERS_MAX} members')
        used = model.reach(*(n for op in ops for n in (op.input, op.output)))
        used |= model.reach(*(s.name for s in model.shapes.values() if s.error))
        explained = {name for op in ops for name in (op.input, op.output)}  # by the operation
        for name, shape in model.shapes.items():
            if name not in used:
                self.wrong(shape.line, f'shape "{name}" is used nowhere')
            if shape.kind == "structure" and not shape.doc and name not in explained:
                self.wrong(shape.line, f'"{name}" has no documentation')
            for m in shape.members if not shape.error else ():
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
            self.patterns.add(posix_pattern(shape.pattern))
            re.compile(shape.pattern)
            if len(self.patterns) >= PATTERNS_MAX:
                self.wrong(shape.line, f"more than {PATTERNS_MAX - 1} different patterns")
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
