# SPDX-License-Identifier: MIT
"""Custom action types, made from the signature of the function that handles their jobs.

The configuration is the parameter annotated with a TypedDict or a dataclass: its fields are the properties, what
has a default or is not required is optional, and Annotated[str, "secret"], "queryable" or a sentence says the rest.
Parameters annotated with Input and Output count the artifacts.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import typing

from .. import Input, Output
from .session import Misuse
from .worker import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from .session import Session

TYPES = {str: "String", int: "Number", float: "Number", bool: "Boolean"}
MARKS = ("secret", "queryable")
LIMIT = 10  # configuration properties that the service takes


def _hints(thing: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(thing, include_extras=True)
    except NameError as error:
        raise Misuse(f"the annotations of {thing.__name__} cannot be read: {error}") from None


def _property(name: str, hint: Any, required: bool) -> dict[str, Any]:
    notes: tuple[Any, ...] = ()
    wrapper = getattr(typing.get_origin(hint), "_name", None)
    if wrapper in ("Required", "NotRequired"):  # where annotations are texts, the TypedDict itself does not know
        hint, required = typing.get_args(hint)[0], wrapper == "Required"
    if hasattr(hint, "__metadata__"):
        notes, hint = hint.__metadata__, hint.__origin__
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    if type(None) in typing.get_args(hint) and len(options) == 1:
        hint, required = options[0], False
    if hint not in TYPES:
        raise Misuse(f'property "{name}": str, int, float or bool, not {getattr(hint, "__name__", hint)}')
    made: dict[str, Any] = {"name": name, "required": required, "key": False, "type": TYPES[hint]}
    made.update({mark: mark in notes for mark in MARKS})
    words = [note for note in notes if isinstance(note, str) and note not in MARKS]
    if words:
        made["description"] = words[0]
    if made["queryable"] and (made["secret"] or not required):
        raise Misuse(f'property "{name}": a queryable one is required, and no secret')
    return made


def _properties(kind: Any) -> list[dict[str, Any]]:
    hints, title = _hints(kind), kind.__name__
    if dataclasses.is_dataclass(kind):
        empty = dataclasses.MISSING
        optional = {f.name for f in dataclasses.fields(kind) if not f.default is f.default_factory is empty}
    else:
        optional = set(kind.__optional_keys__)
    found = [_property(name, hint, name not in optional) for name, hint in hints.items()]
    if len(found) > LIMIT:
        raise Misuse(f"{title} has {len(found)} properties; the service takes {LIMIT}")
    if sum(one["queryable"] for one in found) > 1:
        raise Misuse(f"{title}: one property can be queryable")
    return found


def _is_configuration(hint: Any) -> bool:
    return isinstance(hint, type) and (dataclasses.is_dataclass(hint) or hasattr(hint, "__optional_keys__"))


def _count(text: str | None, said: int) -> dict[str, int]:
    if text is None:
        return {"minimumCount": said, "maximumCount": said}
    least, _, most = text.partition("-")
    if not least.isdigit() or not (most or least).isdigit() or not int(least) <= int(most or least) <= 5:
        raise Misuse(f'"{text}" is not a number of artifacts from 0 to 5, or two of them: 0-5')
    return {"minimumCount": int(least), "maximumCount": int(most or least)}


def of(handler: Callable[..., Any], args: Any) -> dict[str, Any]:
    """The parameters of CreateCustomActionType."""
    hints = _hints(handler)
    hints.pop("return", None)
    kinds = [hint for hint in hints.values() if _is_configuration(hint)]
    if len(kinds) > 1:
        raise Misuse(f"{handler.__name__} has {len(kinds)} parameters that look like a configuration")
    counts = {kind: sum(hint is kind for hint in hints.values()) for kind in (Input, Output)}
    made = {
        "category": args.category,
        "provider": args.provider or handler.__name__,
        "version": args.version,
        "configurationProperties": _properties(kinds[0]) if kinds else [],
        "inputArtifactDetails": _count(args.inputs, counts[Input]),
        "outputArtifactDetails": _count(args.outputs, counts[Output]),
    }
    return {name: value for name, value in made.items() if value != []}


# ---- what is printed ----


def cloudformation(made: dict[str, Any]) -> dict[str, Any]:
    """A template with the one resource."""

    def upper(value: Any) -> Any:
        if isinstance(value, dict):
            return {name[0].upper() + name[1:]: upper(item) for name, item in value.items()}
        return [upper(item) for item in value] if isinstance(value, list) else value

    resource = {"Type": "AWS::CodePipeline::CustomActionType", "Properties": upper(made)}
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"ActionType": resource}}


def policy(made: dict[str, Any], region: str, account: str) -> dict[str, Any]:
    """What a worker for this type must be allowed, and no more. The service ties polling to the type; a job it does not
    know how to tie to anything, and artifacts come with credentials of their own."""
    name = f"Custom/{made['category']}/{made['provider']}/{made['version']}"
    jobs = ["AcknowledgeJob", "GetJobDetails", "PutJobFailureResult", "PutJobSuccessResult"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "codepipeline:PollForJobs",
                "Resource": f"arn:aws:codepipeline:{region}:{account}:actiontype:{name}",
            },
            {"Effect": "Allow", "Action": [f"codepipeline:{job}" for job in jobs], "Resource": "*"},
        ],
    }


def _present(session: Session, made: dict[str, Any]) -> dict[str, Any] | None:
    """The account's type of that name, in the form in which it was created."""
    names = ("category", "provider", "version")
    items: Iterable[Mapping[str, Any]] = session.client.paginate("list_action_types", actionOwnerFilter="Custom")
    for item in items:
        if all(item["id"][name] == made[name] for name in names):
            rest = {"configurationProperties": item.get("actionConfigurationProperties", [])}
            counts = {name: item[name] for name in ("inputArtifactDetails", "outputArtifactDetails")}
            found = {**{name: made[name] for name in names}, **rest, **counts}
            return {name: value for name, value in found.items() if value != []}
    return None


def _comparable(made: dict[str, Any]) -> list[str]:
    """Without what the service does not tell of a type: the types and texts of properties."""
    hidden = ("type", "description")
    properties = [
        {name: value for name, value in {"queryable": False, **one}.items() if name not in hidden}
        for one in made.get("configurationProperties", [])
    ]
    properties.sort(key=lambda one: str(one["name"]))
    return json.dumps({**made, "configurationProperties": properties}, indent=2, sort_keys=True).splitlines()


def _diff(session: Session, made: dict[str, Any]) -> int:
    import difflib

    present = _present(session, made)
    name = f"{made['category']}/{made['provider']}/{made['version']}"
    if present is None:
        session.out.note(f"the account has no {name}; codepipeline action-type register creates it")
    lines = list(difflib.unified_diff(_comparable(present or {}), _comparable(made), "account", "handler", lineterm=""))
    if session.out.for_programs:
        session.out.data({"account": present, "handler": made, "diff": lines})
    elif present is not None:
        session.out.diff(lines)
    if lines and present is not None:
        session.out.note(f"{name} cannot be changed; register the handler's as another --version")
    return 1 if lines else 0


def main(session: Session) -> int:
    args = session.args
    handler = load(session, "HANDLER")
    if not inspect.isfunction(handler):
        raise Misuse(f"{args.target} is a {type(handler).__name__}, not a function written in Python")
    made = of(handler, args)
    if args.verb == "diff":
        return _diff(session, made)
    if args.verb == "register":
        answer = session.client.create_custom_action_type(**made)
        if session.out.for_programs:
            session.out.data(answer)
        session.out.note(f"registered {made['category']}/{made['provider']}/{made['version']}")
        return 0
    if args.format == "policy":
        session.out.data(policy(made, getattr(args, "region", None) or "*", "*"))
    else:
        session.out.data(cloudformation(made) if args.format == "cloudformation" else made)
    return 0
