# SPDX-License-Identifier: MIT
"""What is said about a name that is not there: what was meant, or what stands here for a thing of boto3's."""

from __future__ import annotations

from . import _core

_SHAPES = "the shapes are in docs/api.md; in place of botocore.stub.Stubber, there is codepipeline.testing.Stubber"
_SHOWN = "credentials are not shown; codepipeline.doctor() says which are used"
_RESOURCES = "this service has none; keep boto3 for those of others"

_INSTEAD = {
    # of a client
    "generate_presigned_url": 'requests are signed as they are sent; boto3.client("codepipeline") makes signed URLs',
    "_endpoint": "client.endpoint_url",
    "_client_config": "client.region, client.endpoint_url; codepipeline.doctor() tells the rest",
    "_make_api_call": "client.call(operation, **parameters); for tests, codepipeline.testing.Stubber",
    "_make_request": 'client.call(operation, **parameters); client.on("request", f) sees what is sent',
    "_request_signer": _SHOWN,
    "_service_model": "client.meta.service_model",
    # of client.meta
    "config": "client.region, client.endpoint_url; codepipeline.doctor() tells the rest",
    "events": 'there are no handlers by name: client.on("request", f), client.on("response", f); for tests, '
    "codepipeline.testing.Stubber",
    # of client.meta.service_model
    "operation_model": _SHAPES,
    "shape_for": _SHAPES,
    "shape_names": _SHAPES,
    "metadata": _SHAPES,
    # of an AsyncClient
    "submit": "calls are awaited; client.client.submit(), for a future",
    # of the exceptions
    "WaiterError": "the service has no waiters; what run.wait() raises is a TimeoutError",
    # of a session, and of the package
    "available_profiles": "codepipeline.doctor() says which one is used, and where it was looked for",
    "get_credentials": _SHOWN,
    "get_available_resources": _RESOURCES,
    "resource": _RESOURCES,
    "_get_default_session": "codepipeline.DEFAULT_SESSION; None until it is needed",
}


def absent(what: str, name: str, names: list[str]) -> AttributeError:
    """The error for a name that is not there. names: those that are."""
    hint = ""
    if name in _INSTEAD:
        hint = f"; here: {_INSTEAD[name]}"
    elif name.isidentifier() and (meant := _core.nearest(name, [other for other in names if other[0] != "_"])):
        hint = f'; did you mean "{meant}"?'
    error = AttributeError(f"{what} has no attribute {name!r}{hint}")
    error.name = name  # or the interpreter looks for what was meant, too
    return error
