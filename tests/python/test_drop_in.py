# SPDX-License-Identifier: MIT
"""What scripts written for boto3 use besides the operations: paginators, sessions, configurations, small members."""

import asyncio
import json
import logging
import pickle
import sys

import pytest

import codepipeline
from servers import KEYS, answering, dead_url

boto3 = pytest.importorskip("boto3")
botocore_exceptions = pytest.importorskip("botocore.exceptions")
BotoConfig = pytest.importorskip("botocore.config").Config

NAMES = [f"p{i}" for i in range(7)]


class Pages:
    """A service with seven pipelines; its tokens are numbers."""

    def __init__(self, answers):
        self.requests = answers.requests
        self.sizes = []

    def __call__(self, request):
        self.sizes.append(request.get("maxResults"))
        start = int(request.get("nextToken", "t0")[1:])
        end = start + request.get("maxResults", 3)
        page = {"pipelines": [{"name": name} for name in NAMES[start:end]]}
        return {**page, "nextToken": f"t{end}"} if end < len(NAMES) else page


@pytest.fixture(scope="module")
def server():
    with answering() as (answers, client):
        theirs = boto3.session.Session().client(
            "codepipeline",
            region_name="us-east-1",
            endpoint_url=client.endpoint_url,
            aws_access_key_id="AKID",
            aws_secret_access_key="secret",
        )
        yield answers, theirs, client


@pytest.fixture
def both(server):
    """(boto3's client, ours), before a service with seven pipelines."""
    answers, theirs, ours = server
    answers.answer = Pages(answers)
    yield theirs, ours
    answers.answer = None


def names_in(pages):
    return [[item["name"] for item in page.get("pipelines", [])] for page in pages]


# ---- paginators ----

CONFIGS = [{"MaxItems": m, "PageSize": s} for m in (None, 0, 1, 2, 3, 4, 6, 7, 8) for s in (None, 1, 2, 3, 7, 100)]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_paginator_answers_the_same_pages_and_tokens(both, config):
    theirs, ours = (client.get_paginator("list_pipelines").paginate(PaginationConfig=config) for client in both)
    assert names_in(ours) == names_in(theirs)
    assert ours.resume_token == theirs.resume_token
    assert names_in(ours) == names_in(ours)  # boto3's go once
    theirs = both[0].get_paginator("list_pipelines").paginate(PaginationConfig=config)
    assert ours.build_full_result() == theirs.build_full_result()


@pytest.mark.parametrize("config", CONFIGS[12:])
def test_either_goes_on_where_the_other_stopped(both, config):
    seen = {}
    for first in both:
        for second in both:
            token, names = None, []
            while True:
                pages = first.get_paginator("list_pipelines").paginate(
                    PaginationConfig={**config, "StartingToken": token}
                )
                names += sum(names_in(pages), [])
                token, first, second = pages.resume_token, second, first
                if token is None:
                    break
            seen[first, second] = names
    assert all(names == NAMES for names in seen.values())


@pytest.mark.parametrize("token", ["t3", "t3___1", "None___2", "eyJuZXh0VG9rZW4iOiAidDMifQ=="])
def test_tokens_of_other_makes(both, token):
    theirs, ours = (c.get_paginator("list_pipelines").paginate(PaginationConfig={"StartingToken": token}) for c in both)
    assert names_in(ours) == names_in(theirs)


@pytest.mark.parametrize("expression", ["pipelines[].name", "pipelines[?name=='p4']", "length(pipelines)", "nothing"])
def test_search(both, expression):
    theirs, ours = (client.get_paginator("list_pipelines").paginate().search(expression) for client in both)
    assert list(ours) == list(theirs)


def test_search_among_pages_that_are_awaited(both):
    async def found():
        pages = codepipeline.AsyncClient.of(both[1]).get_paginator("list_pipelines").paginate()
        return [name async for name in pages.search("pipelines[].name")]

    assert asyncio.run(found()) == NAMES


def test_search_says_which_package_it_needs(both, monkeypatch):
    monkeypatch.setitem(sys.modules, "jmespath", None)
    with pytest.raises(ModuleNotFoundError, match="pip install jmespath"):
        next(both[1].get_paginator("list_pipelines").paginate().search("pipelines[].name"))


def test_items_come_one_by_one_and_can_be_resumed_after_each(both):
    ours = both[1]
    for size in (None, 1, 3, 100):
        items = ours.paginate("list_pipelines", page_size=size)
        for i, item in enumerate(items, 1):
            rest = ours.paginate("ListPipelines", starting_token=items.resume_token) if i < len(NAMES) else ()
            assert [item["name"], *(later["name"] for later in rest)] == NAMES[i - 1 :]
        assert items.resume_token is None
    some = ours.paginate("list_pipelines", max_items=4)
    assert [item["name"] for item in some] == NAMES[:4]
    assert [item["name"] for item in ours.paginate("list_pipelines", starting_token=some.resume_token)] == NAMES[4:]
    assert names_in(ours.paginate("list_pipelines", page_size=4).pages()) == [NAMES[:4], NAMES[4:]]


def test_which_operations_have_pages(both):
    theirs, ours = both
    for method in ours.operations:
        assert ours.can_paginate(method) == theirs.can_paginate(method), method
    for client in both:
        with pytest.raises(KeyError):
            client.can_paginate("list_everything")
    with pytest.raises(botocore_exceptions.OperationNotPageableError):
        theirs.get_paginator("get_pipeline")
    with pytest.raises(codepipeline.ParamValidationError):
        ours.get_paginator("get_pipeline")


def test_a_page_size_where_none_can_be_chosen(both):
    for client in both:
        with pytest.raises((botocore_exceptions.PaginationError, codepipeline.ParamValidationError)):
            client.get_paginator("list_action_types").paginate(PaginationConfig={"PageSize": 2})


def test_a_token_that_comes_back_ends_the_pages_with_an_error(server):
    server[0].say({"pipelines": [{"name": "a"}], "nextToken": "again"})
    for client, kind in zip(server[1:], (botocore_exceptions.PaginationError, codepipeline.ProtocolError)):
        pages = iter(client.get_paginator("list_pipelines").paginate())
        with pytest.raises(kind):
            for _ in range(9):
                next(pages)


# ---- small members ----


def test_there_are_no_waiters(both):
    said = []
    for client in both:
        assert client.waiter_names == []
        with pytest.raises(ValueError) as refused:
            client.get_waiter("pipeline_succeeded")
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_exceptions_are_members_of_the_client(both):
    theirs, ours = both
    for code in codepipeline._core.error_names():
        assert getattr(theirs.exceptions, code).__name__ == getattr(ours.exceptions, code).__name__ == code
    assert issubclass(ours.exceptions.JobNotFoundException, ours.exceptions.ClientError)
    for client in both:
        with pytest.raises(AttributeError):
            _ = client.exceptions.NoSuchException


@pytest.mark.parametrize(
    "name",
    ["BotoCoreError", "ClientError", "NoCredentialsError", "NoRegionError", "ParamValidationError", "ProfileNotFound",
     "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError"],
)  # fmt: skip
def test_the_names_of_botocore_s_exceptions_are_there(name):
    assert isinstance(getattr(botocore_exceptions, name), type)
    assert issubclass(getattr(codepipeline.exceptions, name), codepipeline.CodePipelineError)


def test_the_names_are_raised_when_botocore_raises_them(monkeypatch):
    with pytest.raises(codepipeline.exceptions.NoRegionError):
        codepipeline.client("codepipeline")
    with pytest.raises(codepipeline.exceptions.ProfileNotFound):
        codepipeline.Session(profile_name="nobody").client("codepipeline", region_name="us-east-1")
    with pytest.raises(codepipeline.exceptions.NoCredentialsError):
        codepipeline.client("codepipeline", region_name="us-east-1").list_pipelines()


@pytest.mark.parametrize(
    "response",
    [
        {"Error": {"Code": "ThrottlingException", "Message": "slow"}},
        {"Error": {"Code": 400, "Message": "Boom!", "Type": "Sender"}},
        {"Error": {"Code": "X", "Message": "m"}, "ResponseMetadata": {"MaxAttemptsReached": True, "RetryAttempts": 4}},
        {"Error": {}},
        {},
        {"Error": {"Code": "X", "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "r"}, "a": 1},
    ],
)
def test_errors_are_made_by_hand_as_in_botocore(both, response):
    made = [module.ClientError(response, "GetPipeline") for module in (botocore_exceptions, codepipeline.exceptions)]
    assert str(made[0]) == str(made[1])
    assert [error.operation_name for error in made] == ["GetPipeline"] * 2
    assert made[0].response is made[1].response is response
    assert made[1].http_status == response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    assert (made[1].members or {}).get("a") == response.get("a")
    theirs, ours = both
    for client in both:
        error = client.exceptions.PipelineNotFoundException(
            error_response={"Error": {"Code": "PipelineNotFoundException", "Message": "no"}},
            operation_name="GetPipeline",
        )
        with pytest.raises(client.exceptions.ClientError, match="when calling the GetPipeline operation: no"):
            raise error
    again = pickle.loads(pickle.dumps(made[1]))
    assert (str(again), again.response) == (str(made[1]), made[1].response)


# ---- making a client ----


def test_client_takes_what_boto3_takes(server):
    url = server[2].endpoint_url
    keys = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
    for module in (boto3, codepipeline):
        made = module.client("codepipeline", "eu-west-1", None, True, None, url, **keys)
        assert (made.meta.region_name, made.meta.endpoint_url) == ("eu-west-1", url)
        made = module.client(
            service_name="codepipeline", region_name="eu-west-1", use_ssl=False, endpoint_url=url, **keys
        )
        assert made.meta.region_name == "eu-west-1"
        session = module.session.Session(region_name="eu-west-2", **keys)
        assert session.region_name == "eu-west-2"
        assert session.profile_name == "default"
        assert session.client("codepipeline").meta.region_name == "eu-west-2"
        assert session.client("codepipeline", region_name="eu-west-3").meta.region_name == "eu-west-3"
        assert "codepipeline" in session.get_available_services()


def test_a_default_session_is_what_clients_are_made_from(server):
    keys = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
    server[0].say({"pipelines": []})
    try:
        codepipeline.setup_default_session(region_name="eu-west-2", **keys)
        made = codepipeline.client("codepipeline", endpoint_url=server[2].endpoint_url)
        assert made.region == "eu-west-2"
        assert made.list_pipelines()["pipelines"] == []
        assert codepipeline.client("codepipeline", "eu-west-3").region == "eu-west-3"
        assert codepipeline.Session(region_name="eu-west-1").client("codepipeline").region == "eu-west-1"
    finally:
        codepipeline.setup_default_session()
    with pytest.raises(codepipeline.exceptions.NoRegionError):
        codepipeline.client("codepipeline")


def test_the_default_session_is_where_boto3_has_it():
    try:
        for module in (boto3, codepipeline):
            module.DEFAULT_SESSION = None
            assert module.client("codepipeline", "eu-west-3").meta.region_name == "eu-west-3"
            assert isinstance(module.DEFAULT_SESSION, module.Session)
            module.DEFAULT_SESSION = module.Session(region_name="eu-west-2")
            assert module.client("codepipeline").meta.region_name == "eu-west-2"
            assert repr(module.DEFAULT_SESSION) == "Session(region_name='eu-west-2')"
    finally:
        boto3.DEFAULT_SESSION = codepipeline.DEFAULT_SESSION = None


def test_a_session_of_botocore_s_lends_its_credentials_and_region(server):
    from botocore.credentials import RefreshableCredentials
    from botocore.session import get_session

    answers, _, ours = server
    answers.say({"pipelines": []})

    def renew():
        keys = {"access_key": "AKID", "secret_key": "secret", "token": "lent"}
        return {**keys, "expiry_time": "2999-01-01T00:00:00Z"}

    lender = get_session()
    lender._credentials = RefreshableCredentials.create_from_metadata(renew(), renew, "sts-assume-role")
    lender.set_config_variable("region", "eu-west-2")
    session = codepipeline.Session(botocore_session=lender)
    assert session.region_name == "eu-west-2"
    for keys, token in (({}, "lent"), ({"aws_access_key_id": "A", "aws_secret_access_key": "s"}, None)):
        client, seen = session.client("codepipeline", endpoint_url=ours.endpoint_url, **keys), []
        client.on("request", seen.append)
        client.list_pipelines()
        assert seen[0].headers["authorization"] == "***"
        assert ("x-amz-security-token" in seen[0].headers) == (token is not None)


def test_a_client_may_be_told_the_region_it_has(server):
    client = codepipeline.client("codepipeline", "eu-west-2", **KEYS)
    client.region = "eu-west-2"
    with pytest.raises(AttributeError, match="with_options\\(region='eu-west-1'\\)"):
        client.region = "eu-west-1"


def test_a_session_knows_the_region_a_client_would_find(monkeypatch):
    assert codepipeline.Session().region_name is None
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert codepipeline.Session().region_name == boto3.Session().region_name == "eu-north-1"


@pytest.mark.parametrize("kind", [BotoConfig, codepipeline.Config])
def test_a_configuration_is_understood(server, kind):
    answers, _, ours = server
    answers.error("InternalFailure", status=500)
    for retries, attempts in (({"max_attempts": 0}, 1), ({"total_max_attempts": 2, "mode": "standard"}, 2)):
        config = kind(
            region_name="eu-west-1", retries=retries, connect_timeout=5, read_timeout=7, user_agent_extra="x/1"
        )
        client = codepipeline.client("codepipeline", endpoint_url=ours.endpoint_url, config=config, **KEYS)
        assert client.region == "eu-west-1"
        before = len(answers.requests)
        with pytest.raises(codepipeline.ClientError):
            client.list_pipelines()
        assert len(answers.requests) - before == attempts
    client = codepipeline.client("codepipeline", "eu-west-2", config=kind(region_name="eu-west-1"), **KEYS)
    assert client.region == "eu-west-2"


@pytest.mark.parametrize("kind", [BotoConfig, codepipeline.Config])
@pytest.mark.parametrize("in_environment", ["true", "false"])
@pytest.mark.parametrize("told", [True, False, None])
def test_configured_endpoints_are_ignored_on_request(monkeypatch, kind, in_environment, told):
    monkeypatch.setenv("AWS_ENDPOINT_URL_CODEPIPELINE", "http://configured.test")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", in_environment)
    theirs = boto3.session.Session()
    for url in (None, "http://argument.test"):
        config = kind(ignore_configured_endpoint_urls=told)
        made = codepipeline.client("codepipeline", "eu-west-1", endpoint_url=url, config=config)
        config = BotoConfig(ignore_configured_endpoint_urls=told)
        wanted = theirs.client("codepipeline", "eu-west-1", endpoint_url=url, config=config)
        assert made.meta.endpoint_url == wanted.meta.endpoint_url


@pytest.mark.parametrize("kind", [BotoConfig, codepipeline.Config])
@pytest.mark.parametrize("proxies", [{}, {"https": dead_url()}, {"http": dead_url()}, {"http": dead_url()[7:]}, None])
def test_proxies_are_those_of_the_endpoint_s_scheme(server, monkeypatch, kind, proxies):
    monkeypatch.setenv("http_proxy", dead_url())
    monkeypatch.setenv("no_proxy", "")
    answers, _, ours = server
    answers.say({"pipelines": []})
    reached = []
    for module, of in ((boto3.session.Session(), BotoConfig), (codepipeline, kind)):
        config = of(proxies=proxies, retries={"total_max_attempts": 1})
        keys = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
        made = module.client("codepipeline", "eu-west-1", endpoint_url=ours.endpoint_url, config=config, **keys)
        try:
            made.list_pipelines()
            reached.append(True)
        except (botocore_exceptions.ProxyConnectionError, codepipeline.NetworkError):
            reached.append(False)
    assert reached[0] == reached[1] == (proxies is not None and "http" not in proxies)


def test_configurations_are_merged():
    one, two = ({"region_name": "eu-west-1", "read_timeout": 7}, {"read_timeout": 9})
    for kind in (BotoConfig, codepipeline.Config):
        merged = kind(**one).merge(kind(**two))
        assert (merged.region_name, merged.read_timeout) == ("eu-west-1", 9)


def test_where_the_service_is():
    theirs, ours = boto3.session.Session(), codepipeline.Session()
    for partition in ours.get_available_partitions():
        # botocore knows those of its own day: what it has is not to be missing here
        assert set(theirs.get_available_regions("codepipeline", partition)) <= set(
            ours.get_available_regions("codepipeline", partition)
        )
    assert ours.get_available_regions("s3") == [] == ours.get_available_regions("codepipeline", "aws-iso")
    for region, partition in (("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")):
        for module in (boto3, codepipeline):
            assert module.client("codepipeline", region).meta.partition == partition


def test_the_log_goes_to_a_stream(server, capsys):
    answers, _, ours = server
    answers.say({"pipelines": []})
    logger = logging.getLogger("codepipeline")
    before = list(logger.handlers), logger.level
    try:
        codepipeline.set_stream_logger("", logging.INFO)
        codepipeline.set_stream_logger("botocore", logging.DEBUG, "seen: %(message)s")
        ours.list_pipelines()
    finally:
        logger.handlers[:], root = before[0], logging.getLogger()
        logger.setLevel(before[1])
        root.removeHandler(root.handlers[-1])
        root.setLevel(logging.WARNING)
    assert "seen: request ListPipelines attempt=1" in capsys.readouterr().err


def test_handlers_by_name_are_refused_with_what_there_is(server):
    with pytest.raises(AttributeError, match='client.on\\("request", f\\)'):
        server[2].meta.events.register("before-call.codepipeline", print)


def test_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match="the only service"):
        codepipeline.client("s3")
    with pytest.raises(ValueError, match="always verified"):
        codepipeline.client("codepipeline", "eu-west-1", verify=False)
    with pytest.raises(TypeError):
        codepipeline.Config(colour="red")


SCRIPT = """
import {module} as boto3
from {exceptions} import ClientError

def main(url):
    session = boto3.session.Session(aws_access_key_id="AKID", aws_secret_access_key="secret", region_name="us-east-1")
    client = session.client("codepipeline", endpoint_url=url)
    seen = []
    for page in client.get_paginator("list_pipelines").paginate(PaginationConfig={{"PageSize": 2}}):
        seen += [pipeline["name"] for pipeline in page["pipelines"]]
    try:
        client.get_pipeline(name="none")
    except client.exceptions.PipelineNotFoundException as error:
        seen.append(error.response["Error"]["Code"])
    try:
        client.get_pipeline(name="none")
    except ClientError as error:
        seen.append(str(error))
    return seen
"""


def test_a_script_runs_with_its_import_changed(server):
    answers = server[0]

    def answer(request):
        if "name" in request:
            return 400, {"__type": "PipelineNotFoundException", "message": json.dumps(request)}
        return Pages(answers)(request)

    answers.answer = answer
    results = []
    for module, exceptions in (("boto3", "botocore.exceptions"), ("codepipeline", "codepipeline.exceptions")):
        scope = {}
        exec(SCRIPT.format(module=module, exceptions=exceptions), scope)
        results.append(scope["main"](server[2].endpoint_url))
    answers.answer = None
    assert results[0] == results[1]
    assert results[0][:7] == NAMES
