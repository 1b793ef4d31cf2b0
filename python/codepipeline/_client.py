# SPDX-License-Identifier: MIT
"""The client: 44 operations, made from the core's model when this module is loaded. Typed in _client.pyi."""

import os

from . import _core

_OPERATIONS = {}  # by "ListPipelines" and by "list_pipelines"

# What boto3.client() calls the options of Client.
_BOTO3_NAMES = {
    "region_name": "region",
    "profile_name": "profile",
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}

_FILES = ("ca_bundle", "client_cert", "client_key")


class _Operation:
    __slots__ = ("name", "method", "doc", "input_token", "output_token", "result_key", "limit_key")

    def __init__(self, row):
        for name, value in zip(self.__slots__, row):
            setattr(self, name, value)


def own_names(options):
    """Options by our names, without those that are None."""
    own = {}
    for name, value in options.items():
        name = _BOTO3_NAMES.get(name, name)
        if name in own:
            raise TypeError(f"{name} is given twice, by our name and by boto3's")
        if value is not None:
            own[name] = os.fsencode(value) if name in _FILES else value
    if "credentials" in own or "mfa_code" in own:
        return _with_source(own)
    return own


def _with_source(own):
    credentials, mfa_code = own.pop("credentials", None), own.pop("mfa_code", None)
    if credentials is False:
        own["anonymous"] = True
        credentials = None
    if credentials is not None or mfa_code is not None:
        from ._credentials import source

        own["source"] = source(credentials, mfa_code)
    return own


def _check_name(pipeline):
    if not isinstance(pipeline, str):
        raise TypeError(f"pipeline: expected its name, got {type(pipeline)}")


def _say_absent(self, name):
    from ._absent import absent

    raise absent(f"{type(self).__name__!r} object", name, dir(type(self)))


class ServiceModel:
    """Client.meta.service_model, as far as boto3's has it for a script."""

    service_name = signing_name = endpoint_prefix = "codepipeline"
    service_id = "CodePipeline"
    api_version = "2015-07-09"
    __getattr__ = _say_absent

    @property
    def operation_names(self):
        return [row[0] for row in _core.operations()]


class Meta:
    """Client.meta, as far as boto3's has it for a script."""

    service_model = ServiceModel()
    __getattr__ = _say_absent

    def __init__(self, core):
        self.region_name = core.region
        self.endpoint_url = core.endpoint_url
        self.partition = core.partition

    @property
    def method_to_api_mapping(self):
        return {row[1]: row[0] for row in _core.operations()}


class Client:
    """Speaks to the service. Every operation is a method with keyword arguments in the service's own spelling, and
    answers a dict as boto3's does, ResponseMetadata included; times in it are aware datetime objects (UTC).

    One client may be used by several threads, and survives fork. It is a context manager; leaving it closes it.

    region             default: AWS_REGION, AWS_DEFAULT_REGION, the profile's region
    profile            default: AWS_PROFILE, AWS_DEFAULT_PROFILE, "default"
    access_key_id, secret_access_key, session_token
                       default: the environment, the shared files
    credentials        instead of these: a function that answers keys (a dict, a tuple, boto3's objects) and, if they
                       expire, when; an object of boto3's; or False for requests that are not signed
    mfa_code           for a profile with mfa_serial: a function that is given the serial and answers the six digits
    endpoint_url       default: AWS_ENDPOINT_URL_CODEPIPELINE, AWS_ENDPOINT_URL, the profile, the region's
    s3_endpoint_url    the same for artifacts, with AWS_ENDPOINT_URL_S3
    ca_bundle          a PEM file or a hashed folder; default: AWS_CA_BUNDLE, the system's
    connect_timeout    seconds; default 3.1
    read_timeout       longest silence on a connection, in seconds; default 60
    total_timeout      one attempt, in seconds; default: no limit
    max_attempts       default: AWS_MAX_ATTEMPTS, 3
    response_limit     bytes; default 64 MiB
    user_agent_extra   appended to the User-Agent
    app_id             the application's name in it; default: AWS_SDK_UA_APP_ID
    retry_mode         "standard", "standard-2.0" or "adaptive"; default: AWS_RETRY_MODE, "standard"
    use_fips_endpoint, use_dualstack_endpoint
                       default: AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT, False
    ignore_configured_endpoint_urls
                       those of the environment and the profile; default: AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, False
    proxy              a URL, for all hosts, or "none"; default: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY
    client_cert, client_key
                       PEM files, for servers that ask for a certificate

    docs/settings.md says more, and what profiles have for them.

    The names boto3 has for them (region_name, profile_name, aws_access_key_id, aws_secret_access_key,
    aws_session_token) are understood too. None means the default.

    Raises ConfigurationError when there is no region or the profile cannot be read, ParamValidationError when an option
    is malformed. A call raises a subclass of exceptions.ClientError when the service refuses it, ParamValidationError
    when an argument is wrong (nothing is sent then), NetworkError or TimeoutError when the service cannot be reached.

        >>> client = codepipeline.Client()
        >>> client.get_pipeline(name="docs")["pipeline"]["version"]
        2
        >>> [pipeline["name"] for pipeline in client.paginate("list_pipelines")]
        ['assets', 'docs', 'library', 'payments', 'site']
    """

    _pump = None  # what moves submitted calls, see submit()
    __getattr__ = _say_absent

    def __init__(self, region=None, **options):
        if region is not None:
            options["region"] = region
        self._core = _core.Client(**own_names(options))
        self._call = self._core.call

    def call(self, operation, /, **params):
        """Runs an operation by its name, "ListPipelines" or "list_pipelines"."""
        return self._call(operation, params)

    def _ask(self, operation, params):  # for who keeps it, while a Stubber comes and goes
        return self._call(operation, params)

    def submit(self, operation, /, **params):
        """Begins an operation: a concurrent.futures.Future of its answer.

            client.submit("list_pipelines").add_done_callback(lambda done: print(done.result()))

        Hundreds may be under way; one thread of the client's own moves them all. What is wrong with the parameters is
        raised here. close() lets what was submitted finish, and so does the end of the program; a future's cancel()
        does not. Done-callbacks run on that thread, and hold up the other calls.
        """
        from ._submit import submit

        return submit(self, operation, params)

    def paginate(self, operation, /, *, max_items=None, page_size=None, starting_token=None, **params):
        """Iterates over the items of all pages: ``for pipeline in client.paginate("list_pipelines")``.

        Pages are asked for as the iteration gets there; .pages() gives them instead, and .resume_token is where a later
        call with starting_token goes on. max_items ends the iteration, page_size is what the service is asked for at
        once. Raises ParamValidationError when there is no such operation or it has no pages.
        """
        info = self._paged(operation)
        paging = self._paging
        return paging.Items(paging.Pages(self._ask, info, params, max_items, page_size, starting_token), info)

    def get_paginator(self, operation_name):
        """boto3's way: ``.paginate(PaginationConfig={"MaxItems": 9}, ...)`` answers an iterable of pages."""
        return self._paging.Paginator(self._ask, self._paged(operation_name))

    def can_paginate(self, operation_name):
        """Whether the operation has pages. KeyError when there is no such operation."""
        return _OPERATIONS[operation_name].output_token is not None

    def _paged(self, operation):
        info = _OPERATIONS.get(operation)
        if info is None or info.output_token is None:
            names = [name for name, other in _OPERATIONS.items() if other.output_token]
            meant = None if info else _core.nearest(str(operation), names)
            what = "has no pages" if info else "is not an operation" + (f'; did you mean "{meant}"?' if meant else "")
            raise self.exceptions.ParamValidationError(f'"{operation}" {what}', path="operation")
        return info

    @property
    def _paging(self):
        from . import _paging

        return _paging

    @property
    def waiter_names(self):
        """Always empty: the service's model has no waiters."""
        return []

    def get_waiter(self, waiter_name):
        """Raises ValueError, as boto3 does: the service has no waiters."""
        raise ValueError(f"Waiter does not exist: {waiter_name}")

    def with_options(self, **options):
        """A view of this client with other region, credentials, endpoint_url, s3_endpoint_url, timeouts, max_attempts
        or response_limit: ``client.with_options(region="us-east-1", read_timeout=5).list_pipelines()``.

        It shares the connections and whatever else is not said, hooks included. Closing the client closes it too.
        """
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._core = self._core.with_options(**own_names(options))
        view._call = view._core.call
        view._pump = None
        return view

    def on(self, stage, function):
        """Calls function(event) before each attempt of each call (stage "request") or after it ("response"); answers
        function. The event is a codepipeline.CallEvent, with what is secret masked. These are all operations that are
        asked for with this client, by runs, approvals, metrics, workers and their jobs too; not the transfer of files,
        nor what credentials are fetched with. Views made with with_options() later on have it too.

        What function raises stops the call and comes out of it. A worker and its jobs go on: there it is logged, as an
        error. function is called on the thread that waits for the call.

        The logger "codepipeline" gets the same at level DEBUG.
        """
        from ._observe import Hooks

        self._core.hook = Hooks(self._core.hook).added(stage, function)
        return function

    def start(
        self,
        pipeline,
        *,
        variables=None,
        revisions=None,
        client_request_token=None,
        poll_interval=None,
        unclaimed_after=None,
    ):
        """Starts an execution: a Run, to wait for, to follow, to explain: ``client.start("site").wait()``.

        variables        a dict of str
        revisions        {"action": {"COMMIT_ID": "1b2c"}}, or the service's own list (sourceRevisions)
        client_request_token
                         a repeated call with the same one finds the first one's execution; default: a new one
        poll_interval    seconds, default 5; a fifth of it while something moves, slowing down to twice it
        unclaimed_after  seconds without a sign of a worker until explain() calls a job unclaimed; default 60
        """
        from ._run import Run

        _check_name(pipeline)
        options = (client_request_token, poll_interval, unclaimed_after)
        return Run(_core.run_start(self._core, pipeline, variables, revisions, *options), self)

    def run(self, pipeline, execution_id=None, *, poll_interval=None, unclaimed_after=None):
        """An execution that was started already, the latest one by default: a Run."""
        from ._run import open_run

        _check_name(pipeline)

        return open_run(self, pipeline, execution_id, poll_interval, unclaimed_after)

    def approvals(self, pipeline=None):
        """The approvals that wait, in all pipelines or in one: a list of Approval."""
        from ._run import approvals

        return approvals(self, pipeline)

    def pipeline(self, name, version=None):
        """A pipeline as it is now, to look at: a Pipeline, which draws itself in a notebook."""
        from .notebook.diagram import Pipeline

        return Pipeline(self, name, version)

    def pipelines(self):
        """All pipelines: a Table of name, version, type, mode, created and updated."""
        from .notebook.table import Table

        names = {"name": "name", "version": "version", "type": "pipelineType", "mode": "executionMode"}
        names.update(created="created", updated="updated")
        items = self.paginate("list_pipelines")
        return Table(({name: item.get(key) for name, key in names.items()} for item in items), names)

    def upload_file(self, filename, bucket, key, *, progress=None):
        """A file into a bucket, with the client's own credentials, in parts when large: a source revision on its way to
        the bucket that a pipeline watches. S3 keeps its checksum.

        progress: a function of the bytes done and the bytes in all (None while they are not known), called now and then
        and at the end; what it raises stops the transfer."""
        self._core.upload(os.fsencode(filename), bucket, key, progress)

    def download_file(self, bucket, key, filename, *, progress=None):
        """An object into a file, which is written whole or not at all: in parts when large, and compared with the
        checksum that S3 has. progress: as for upload_file()."""
        self._core.download(bucket, key, os.fsencode(filename), progress)

    def job(self, event, *, work_dir=None, artifact_limit=0):
        """The job in a Lambda event (an Event, dict, str or bytes): an EventJob, to be used in a with block.

        ParamValidationError, with the path of the member at fault, when the event is malformed.
        """
        from ._event import Event
        from ._worker import EventJob

        if isinstance(event, Event):
            event = event.raw
        folder = None if work_dir is None else os.fsencode(work_dir)
        return EventJob(_core.job_from_event(self._core, event, work_dir=folder, artifact_limit=artifact_limit))

    @property
    def operations(self):
        """The names of all operations, as methods."""
        return [row[1] for row in _core.operations()]

    @property
    def exceptions(self):
        """The module codepipeline.exceptions."""
        from . import exceptions

        return exceptions

    @property
    def region(self):
        """Where its requests go: "eu-west-1"."""
        return self._core.region

    @region.setter
    def region(self, region):  # scripts note on a boto3 client which region it was made for
        if region != self.region:
            raise AttributeError(f"a client keeps its region; here: client.with_options(region={region!r})")

    @property
    def endpoint_url(self):
        """The address of the service, as it was given or is the region's."""
        return self._core.endpoint_url

    @property
    def meta(self):
        """region_name, endpoint_url and the names of the operations, where boto3 has them."""
        return Meta(self._core)

    @property
    def closed(self):
        """Whether close() was called."""
        return self._core.closed

    def close(self):
        """Closes the connections. Calls under way finish; new ones raise StateError."""
        self._core.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def __repr__(self):
        return f"<codepipeline.Client region={self.region!r} endpoint_url={self.endpoint_url!r}>"


def _add_operation(info):
    name = info.name

    def method(self, *args, **params):
        if args:
            raise TypeError(f"{info.method}() takes keyword arguments alone, in the service's spelling")
        return self._call(name, params)

    method.__name__ = info.method
    method.__qualname__ = f"Client.{info.method}"
    method.__doc__ = f"{info.doc}\n\nThe operation {name}; docs/api.md lists its arguments and its answer."
    setattr(Client, info.method, method)
    _OPERATIONS[name] = _OPERATIONS[info.method] = info


for _row in _core.operations():
    _add_operation(_Operation(_row))
del _row
