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
import json
import sys
from pathlib import Path
from typing import Any, Iterator

from notation import Model, Shape, read_model
from outputs import OUTPUTS

HERE = Path(__file__).resolve().parent


def shape_as_facts(s: Shape) -> dict[str, Any]:
    fact: dict[str, Any] = {"type": s.kind, "enum": s.enum, "pattern": s.pattern}
    fact.update({"sensitive": s.sensitive, "exception": s.error, "box": s.box})
    fact["required"] = [m.name for m in s.members if m.required]
    fact = {key: value for key, value in fact.items() if value}
    fact.update({key: value for key, value in (("min", s.low), ("max", s.high)) if value is not None})
    if s.kind == "structure":
        fact["members"] = {m.name: {"shape": m.shape} for m in s.members}
        for m in (m for m in s.members if m.token):
            fact["members"][m.name]["idempotencyToken"] = True
    if s.kind == "list":
        fact["member"] = {"shape": s.value}
    if s.kind == "map":
        fact.update(key={"shape": s.key}, value={"shape": s.value})
    return fact


def model_as_facts(model: Model) -> dict[str, Any]:
    """The model in the words of the service's own description."""
    operations, shapes = {}, {}
    for op in model.operations.values():
        fact = {"input": op.input, "output": op.output, "errors": op.errors, "pagination": op.pages}
        operations[op.name] = {key: value for key, value in fact.items() if value}
    for shape in model.shapes.values():
        shapes[shape.name] = shape_as_facts(shape)
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
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the stale outputs")
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
