# SPDX-License-Identifier: MIT
"""The event with which CodePipeline invokes a Lambda function."""

from __future__ import annotations

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Credentials:
    """The credentials for a job's artifacts. Shown, all but the key's id is "***"."""

    def __init__(self, values: dict[str, str]) -> None:
        self.access_key_id = values["accessKeyId"]
        self.secret_access_key = values["secretAccessKey"]
        self.session_token = values["sessionToken"]

    def __repr__(self) -> str:
        return f"Credentials(access_key_id={self.access_key_id!r}, secret_access_key='***', session_token='***')"


class Artifact:
    """name, and revision, bucket and key, which are None where the event does not tell them."""

    def __init__(self, values: dict[str, Any]) -> None:
        place = values.get("location", {}).get("s3Location", {})
        self.name: str = values["name"]
        self.revision: str | None = values.get("revision")
        self.bucket: str | None = place.get("bucketName")
        self.key: str | None = place.get("objectKey")

    def __repr__(self) -> str:
        return f"Artifact(name={self.name!r}, revision={self.revision!r}, bucket={self.bucket!r}, key={self.key!r})"


class Event:
    """The event with which CodePipeline invokes a Lambda function, given as a dict, str or bytes.

    id                  of the job; correlation_id is another name for it
    account_id          the pipeline's account, or None
    function_name       the configuration's FunctionName, or None
    user_parameters     the configuration's UserParameters, or None; user_parameters_json() decodes them
    configuration       all of it, a dict of str
    input_artifacts, output_artifacts
                        tuples of Artifact
    credentials         for the artifacts, or None
    encryption_key      the id of the KMS key for the outputs, or None
    continuation_token  what the job before this one left, or None

    An event that is none raises ParamValidationError, with the path of the member at fault.

        >>> event = codepipeline.Event(codepipeline.sample_event(user_parameters='{"level": 3}'))
        >>> event.user_parameters_json()
        {'level': 3}
    """

    def __init__(self, event: dict[str, Any] | str | bytes) -> None:
        job = _core.read_event(event)
        data = job["data"]
        self._event = event
        self.id: str = job["id"]
        self.account_id: str | None = job.get("accountId")
        self.configuration: dict[str, str] = data.get("actionConfiguration", {}).get("configuration", {})
        self.function_name = self.configuration.get("FunctionName")
        self.user_parameters = self.configuration.get("UserParameters")
        self.input_artifacts = tuple(map(Artifact, data.get("inputArtifacts", ())))
        self.output_artifacts = tuple(map(Artifact, data.get("outputArtifacts", ())))
        credentials = data.get("artifactCredentials")
        self.credentials = None if credentials is None else Credentials(credentials)
        self.encryption_key: str | None = data.get("encryptionKey", {}).get("id")
        self.continuation_token: str | None = data.get("continuationToken")

    @property
    def correlation_id(self) -> str:
        """The job's id, under the name that AWS's libraries for Lambda look for."""
        return self.id

    def user_parameters_json(self, *needed: str) -> Any:
        """The user parameters decoded; None when there are none. ParamValidationError when they are not JSON, or have
        no member of a name that is needed."""
        return decode_parameters(self.user_parameters, needed)

    @property
    def raw(self) -> dict[str, Any]:
        """The event as it came, with the credentials in the clear. Do not log it."""
        if isinstance(self._event, dict):
            return self._event
        import json

        decoded: dict[str, Any] = json.loads(self._event)
        return decoded

    def __repr__(self) -> str:
        return f"<codepipeline.Event {self.id} for {self.function_name}>"


def decode_parameters(text: str | None, needed: tuple[str, ...] = ()) -> Any:
    import json

    from .exceptions import ParamValidationError

    hint = f"; the action needs a JSON object with {', '.join(needed)}" if needed else ""
    if text is None:
        if needed:
            raise ParamValidationError(f"UserParameters: missing{hint}", path="UserParameters")
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ParamValidationError(f"UserParameters: not JSON: {error}{hint}", path="UserParameters") from None
    if needed and not isinstance(value, dict):
        raise ParamValidationError(f"UserParameters: not an object{hint}", path="UserParameters")
    for name in needed:
        if name not in value:
            path = f"UserParameters.{name}"
            raise ParamValidationError(f"{path}: missing{hint}", path=path)
    return value


def sample_event(
    *,
    id: str | None = None,
    account_id: str | None = None,
    function_name: str | None = None,
    user_parameters: str | None = None,
    input_bucket: str | None = None,
    input_key: str | None = None,
    output_bucket: str | None = None,
    output_key: str | None = None,
    continuation_token: str | None = None,
    encryption_key: str | None = None,
) -> dict[str, Any]:
    """An event for tests. What is not given gets an example's value; user_parameters, continuation_token and
    encryption_key (the ARN of a KMS key) are left out.

        >>> codepipeline.sample_event(function_name="check")["CodePipeline.job"]["data"]["actionConfiguration"]
        {'configuration': {'FunctionName': 'check'}}
    """
    options = {name: value for name, value in locals().items() if value is not None}
    return _core.sample_event(**options)
