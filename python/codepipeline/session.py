# SPDX-License-Identifier: MIT
"""The door for scripts that were written for boto3: client(), Session, Config. See docs/migrating-from-boto3.md.

>>> codepipeline.session.Session().client("codepipeline").region
'us-east-1'
"""

from __future__ import annotations

from . import _core
from ._client import Client, _say_absent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What a Config has, by the name of the option of Client it becomes.
_CONFIG = {
    "region_name": "region_name",
    "connect_timeout": "connect_timeout",
    "read_timeout": "read_timeout",
    "user_agent_extra": "user_agent_extra",
    "user_agent_appid": "app_id",
    "use_fips_endpoint": "use_fips_endpoint",
    "use_dualstack_endpoint": "use_dualstack_endpoint",
    "ignore_configured_endpoint_urls": "ignore_configured_endpoint_urls",
}
_ALSO = ("retries", "proxies", "client_cert", "signature_version", "user_agent")
# What has no meaning here: one connection a thread, one way to sign, parameters are always checked.
_IGNORED = (
    "account_id_endpoint_mode",
    "auth_scheme_preference",
    "client_context_params",
    "defaults_mode",
    "disable_request_compression",
    "endpoint_discovery_enabled",
    "inject_host_prefix",
    "max_pool_connections",
    "parameter_validation",
    "request_checksum_calculation",
    "request_min_compression_size_bytes",
    "response_checksum_validation",
    "s3",
    "sigv4a_signing_region_set",
    "tcp_keepalive",
)
_REFUSED = {"proxies_config": "ca_bundle, client_cert and client_key are for servers and proxies alike"}


class Config:
    """Options as botocore.config.Config takes them; one of that class is understood as well.

    >>> config = codepipeline.Config(read_timeout=5, retries={"max_attempts": 2})
    >>> codepipeline.client("codepipeline", config=config).region
    'us-east-1'
    """

    def __init__(self, **options: Any) -> None:
        known = [*_CONFIG, *_ALSO, *_IGNORED, *_REFUSED]
        for name in options:
            if name not in known:
                meant = _core.nearest(name, known)
                raise TypeError(f"Config takes no {name!r}" + (f'; did you mean "{meant}"?' if meant else ""))
        self.__dict__.update(options)

    def merge(self, other_config: Config) -> Config:
        """A new one with the options of both; the other's count where both have one."""
        return Config(**{**self.__dict__, **other_config.__dict__})


# Where the service is, by partition. What is not here yet works all the same, as a region_name.
_REGIONS = {
    "aws": "af-south-1 ap-east-1 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1 "
    "ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ca-central-1 eu-central-1 eu-central-2 "
    "eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1 me-south-1 sa-east-1 "
    "us-east-1 us-east-2 us-west-1 us-west-2",
    "aws-cn": "cn-north-1 cn-northwest-1",
    "aws-eusc": "eusc-de-east-1",
    "aws-iso-f": "us-isof-east-1 us-isof-south-1",
    "aws-us-gov": "us-gov-east-1 us-gov-west-1",
}


def _attempts(retries: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "total_max_attempts" in retries:
        options["max_attempts"] = retries["total_max_attempts"]
    elif "max_attempts" in retries:
        options["max_attempts"] = retries["max_attempts"] + 1
    if retries.get("mode") not in (None, "legacy"):
        options["retry_mode"] = retries["mode"]
    return options


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _of_config(config: Any, scheme: str) -> dict[str, Any]:
    if config is None:
        return {}
    for name, why in _REFUSED.items():
        if getattr(config, name, None):
            raise ValueError(f"{name}: {why}")
    values = {name: getattr(config, name, None) for name in _CONFIG}
    options = {_CONFIG[name]: value for name, value in values.items() if value is not None}
    if getattr(config, "user_agent", None):
        options["user_agent_extra"] = f"{config.user_agent} {options.get('user_agent_extra', '')}".rstrip()
    options.update(_attempts(getattr(config, "retries", None) or {}))
    certificate = getattr(config, "client_cert", None)
    if isinstance(certificate, tuple):
        options["client_cert"], options["client_key"] = certificate
    elif certificate is not None:
        options["client_cert"] = certificate
    if type(getattr(config, "signature_version", None)).__name__ == "UNSIGNED":  # botocore's
        options["credentials"] = False
    proxies = getattr(config, "proxies", None)
    if proxies is not None:
        options["proxy"] = proxies.get(scheme) or "none"
    return options


class Session:
    """Keys, region and profile for the clients made from it. botocore_session: one of botocore's, whose credentials
    these clients use, as long as it renews them.

    >>> codepipeline.Session(region_name="us-east-1").client("codepipeline").can_paginate("list_pipelines")
    True
    """

    def __init__(
        self,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        region_name: str | None = None,
        botocore_session: Any = None,
        profile_name: str | None = None,
        aws_account_id: str | None = None,
    ) -> None:
        self._botocore = botocore_session
        if botocore_session is not None:
            region_name = region_name or botocore_session.get_config_variable("region")
            profile_name = profile_name or botocore_session.profile
        self._options: dict[str, Any] = {
            "aws_access_key_id": aws_access_key_id,
            "aws_secret_access_key": aws_secret_access_key,
            "aws_session_token": aws_session_token,
            "region_name": region_name,
            "profile_name": profile_name,
        }

    if not TYPE_CHECKING:  # for which a name that is not there stays one
        __getattr__ = _say_absent

    def client(
        self,
        service_name: str = "codepipeline",
        region_name: str | None = None,
        api_version: str | None = None,
        use_ssl: bool | None = None,
        verify: bool | str | None = None,
        endpoint_url: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        config: Any = None,
        aws_account_id: str | None = None,
        **options: Any,
    ) -> Client:
        """A new Client, with the session's own where the arguments say nothing; they are boto3's, and those of Client.

        Certificates are always verified: verify may be a file or folder of authorities."""
        if service_name != "codepipeline":
            raise ValueError(f'the only service here is "codepipeline"; boto3 has {service_name!r}')
        if verify is False:
            raise ValueError("verify=False: certificates are always verified; verify may name the authorities to trust")
        if isinstance(verify, str):
            options["ca_bundle"] = verify
        if "region" in options:
            region_name = options.pop("region")
        options.update(
            region_name=region_name,
            endpoint_url=endpoint_url,
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
        )
        if self._botocore is not None and not (aws_access_key_id or self._options["aws_access_key_id"]):
            options.setdefault("credentials", self._botocore.get_credentials())
        scheme = "http" if str(endpoint_url).startswith("http:") else "https"
        return Client(**{**_of_config(config, scheme), **_given(self._options), **_given(options)})

    def __repr__(self) -> str:
        return f"Session(region_name={self.region_name!r})"

    @property
    def profile_name(self) -> str:
        """As it was given, or "default"."""
        return str(self._options["profile_name"] or "default")

    @property
    def region_name(self) -> str | None:
        """Of the clients it makes; None where none is found."""
        from .exceptions import ConfigurationError

        try:
            return Client(**self._options).region
        except ConfigurationError:
            return None

    def get_partition_for_region(self, region_name: str) -> str:
        """The partition a region is of: "aws" for "eu-west-1"."""
        return Client(region_name, credentials=False).meta.partition

    def get_available_services(self) -> list[str]:
        """This one service."""
        return ["codepipeline"]

    def get_available_partitions(self) -> list[str]:
        """aws, aws-cn and so on."""
        return list(_REGIONS)

    def get_available_regions(
        self, service_name: str = "codepipeline", partition_name: str = "aws", allow_non_regional: bool = False
    ) -> list[str]:
        """The regions that had the service when this version was made."""
        return _REGIONS.get(partition_name, "").split() if service_name == "codepipeline" else []


def _get_default_session() -> Session:
    """Where boto3 keeps it, so that a test may put it there, or None."""
    import codepipeline

    if codepipeline.DEFAULT_SESSION is None:
        codepipeline.DEFAULT_SESSION = Session()
    return codepipeline.DEFAULT_SESSION


def client(*args: Any, **options: Any) -> Client:
    """A new Client; takes what boto3.client() takes, so ``client("codepipeline", region_name="eu-west-1")`` works, and
    what Client takes.

        >>> codepipeline.client("codepipeline").get_pipeline(name="docs")["pipeline"]["version"]
        2
    """
    return _get_default_session().client(*args, **options)


def set_stream_logger(name: str = "codepipeline", level: int = 10, format_string: str | None = None) -> None:
    """Writes the logger's messages to stderr: at level DEBUG, every request and answer, with secrets masked.

    >>> import logging
    >>> codepipeline.set_stream_logger(level=logging.ERROR)
    """
    import logging

    if name in ("boto3", "botocore", "boto3.resources"):
        name = "codepipeline"
    handler = logging.StreamHandler()
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter(format_string or "%(asctime)s %(name)s [%(levelname)s] %(message)s"))
    logger = logging.getLogger(name)
    logger.setLevel(level)
    logger.addHandler(handler)


def setup_default_session(**options: Any) -> None:
    """What client() takes from now on where its arguments say nothing; the arguments of Session.

    >>> codepipeline.setup_default_session(region_name="us-east-1")
    >>> codepipeline.client("codepipeline").region
    'us-east-1'
    """
    import codepipeline

    codepipeline.DEFAULT_SESSION = Session(**options)
