"""Our own client and botocore's, its reference, through the same calls and the same faults.

Where the two differ, the tests say so: ours is the stricter one.
"""

import gc
import gzip
import json
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ChecksumError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from botocore.retries import standard

from config import aws_json
from config.aws_json import AwsJson, Keys
from config.https import BUNDLE, MOST_MIB
from config.ops.cloudformation import LOCAL_REGION
from config.problems import ServiceTimeout, UpstreamFailed
from tests.aws_server import (
    GOOD,
    Act,
    Request,
    Server,
    chunked,
    cut,
    drip,
    good,
    good_then_closed,
    html,
    late,
    no_json,
    packed,
    refuses,
    reset,
    says,
    serving,
    slow,
    truncated,
    wrong_checksum,
)
from tests.memory_table import MemoryTable
from tests.test_memory_table import (
    batches,
    conditions,
    queries,
    transactions,
    updates,
    values,
)

PATIENT_S, IMPATIENT_S = 10, 0.4  # the second for what never comes; a busy machine takes its time
GET = {"TableName": "table", "Key": {"pk": {"S": "ana"}}}
Call = Callable[[str, dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("certificates")
    with pytest.MonkeyPatch.context() as patch, serving(folder) as server:
        patch.setenv(BUNDLE, str(server.trust))
        yield server


@pytest.fixture
def server(certified: Server) -> Server:
    certified.script, certified.always, certified.seen = [], good, []
    certified.connections, certified.open = 0, set()
    return certified


@contextmanager
def ours(url: str, *, wait_s: float = PATIENT_S, **more: Any) -> Iterator[AwsJson]:
    settings: dict[str, Any] = {
        "keys": lambda: Keys("id", "secret", "token"),
        "connect_timeout_s": PATIENT_S,
    }
    client = AwsJson(
        "dynamodb",
        "DynamoDB_20120810",
        "1.0",
        region=LOCAL_REGION,
        endpoint_url=url,
        read_timeout_s=wait_s,
        **settings | more,
    )
    vars(client)["sleep"] = lambda seconds: None
    yield client
    client.close()


@contextmanager
def botocores(url: str, *, wait_s: float = PATIENT_S) -> Iterator[Any]:
    session = botocore.session.get_session()
    session.set_credentials("id", "secret", "token")
    config = Config(
        connect_timeout=PATIENT_S,
        read_timeout=wait_s,
        retries={"mode": "standard", "total_max_attempts": 3},
        parameter_validation=False,
        max_pool_connections=50,
    )
    client = session.create_client("dynamodb", LOCAL_REGION, endpoint_url=url, config=config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda s: None))
        yield SimpleNamespace(call=client._make_api_call)
    client.close()


CLIENTS = {"own": ours, "botocore": botocores}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, server: Server) -> Iterator[Any]:
    with CLIENTS[request.param](server.url) as made:
        made.name = request.param
        yield made


@pytest.fixture(params=CLIENTS)
def impatient(request: pytest.FixtureRequest, server: Server) -> Iterator[Any]:
    with CLIENTS[request.param](server.url, wait_s=IMPATIENT_S) as made:
        made.name = request.param
        yield made


@pytest.fixture
def own(server: Server) -> Iterator[AwsJson]:
    with ours(server.url) as made:
        yield made


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


# --- What both do alike --------------------------------------------------------------------------


CLOSED = says(200, GOOD, keep=False, Connection="close")


@pytest.mark.parametrize("act", [good, chunked, CLOSED], ids=["kept", "chunked", "closed"])
def test_an_answer_is_read_however_it_is_sent(client: Any, server: Server, act: Act) -> None:
    server.always = act
    for _ in range(3):
        answer = client.call("GetItem", GET)
        assert plain(answer) == GOOD
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert answer["ResponseMetadata"]["RetryAttempts"] == 0
    assert len(server.seen) == 3


def test_a_request_says_what_it_wants_and_who_asks(client: Any, server: Server) -> None:
    client.call("GetItem", GET)
    [request] = server.seen
    assert json.loads(request.body) == GET
    assert request.headers["x-amz-target"] == "DynamoDB_20120810.GetItem"
    assert request.headers["content-type"] == "application/x-amz-json-1.0"
    assert request.headers["x-amz-security-token"] == "token"
    assert f"/{LOCAL_REGION}/dynamodb/aws4_request" in request.headers["authorization"]
    assert request.headers["host"] == server.url.removeprefix("https://")


LOST: dict[Act, type[Exception]] = {
    cut: ConnectionClosedError,
    reset: ConnectionClosedError,
}
REFUSED: dict[Act, tuple[int, str]] = {
    html: (503, "503"),
    refuses("InternalServerError", 500): (500, "InternalServerError"),
    refuses("ThrottlingException"): (400, "ThrottlingException"),
    refuses("ProvisionedThroughputExceededException"): (
        400,
        "ProvisionedThroughputExceededException",
    ),
    refuses("TransactionInProgressException"): (400, "TransactionInProgressException"),
    refuses("SomethingNew", 429): (429, "SomethingNew"),
}


@pytest.mark.parametrize("act", [*LOST, *REFUSED, truncated, wrong_checksum])
@pytest.mark.parametrize("times", [1, 2])
def test_what_fails_once_or_twice_is_tried_again(
    client: Any, server: Server, act: Act, times: int
) -> None:
    server.script = [act] * times
    answer = client.call("GetItem", GET)
    assert (plain(answer), len(server.seen)) == (GOOD, times + 1)
    assert answer["ResponseMetadata"]["RetryAttempts"] == times


@pytest.mark.parametrize("act", LOST)
def test_what_is_lost_three_times_is_an_error_of_the_network(
    client: Any, server: Server, act: Act
) -> None:
    server.always = act
    with pytest.raises(LOST[act]):
        client.call("GetItem", GET)
    assert len(server.seen) == 3


def test_a_server_that_is_silent_is_given_up_and_asked_again(
    impatient: Any, server: Server
) -> None:
    server.script = [slow]
    answer = impatient.call("GetItem", GET)
    assert plain(answer) == GOOD
    assert answer["ResponseMetadata"]["RetryAttempts"]
    server.always = slow
    with pytest.raises(ReadTimeoutError):
        impatient.call("GetItem", GET)


@pytest.mark.parametrize("act", REFUSED)
def test_what_is_refused_three_times_is_an_error_of_aws(
    client: Any, server: Server, act: Act
) -> None:
    server.always = act
    with pytest.raises(ClientError) as refused:
        client.call("GetItem", GET)
    response: Any = refused.value.response
    meta = response["ResponseMetadata"]
    assert (meta["HTTPStatusCode"], response["Error"]["Code"]) == REFUSED[act]
    assert (meta["RetryAttempts"], len(server.seen)) == (2, 3)


@pytest.mark.parametrize(
    "code", ["ExpiredTokenException", "ValidationException", "TransactionConflictException"]
)
def test_what_another_try_would_not_mend_is_not_tried(
    client: Any, server: Server, code: str
) -> None:
    server.script = [refuses(code)]
    with pytest.raises(ClientError) as refused:
        client.call("GetItem", GET)
    assert refused.value.response["Error"] == {"Code": code, "Message": "made by a test"}
    assert refused.value.operation_name == "GetItem"
    assert len(server.seen) == 1


def test_a_cancelled_transaction_tells_the_reasons_and_the_items(
    client: Any, server: Server
) -> None:
    item = {"pk": {"S": "ana"}, "b": {"B": "AP8="}, "l": {"L": [{"BS": ["AQ=="]}]}}
    lost = {"Code": "ConditionalCheckFailed", "Message": "lost", "Item": item}
    reasons = [lost, {"Code": "None"}]
    server.script = [refuses("TransactionCanceledException", CancellationReasons=reasons)]
    with pytest.raises(ClientError) as refused:
        client.call("TransactWriteItems", {"TransactItems": []})
    response: Any = refused.value.response
    assert response["Error"]["Code"] == "TransactionCanceledException"
    assert response["CancellationReasons"][1] == {"Code": "None"}
    assert response["CancellationReasons"][0]["Item"] == {
        "pk": {"S": "ana"},
        "b": {"B": b"\x00\xff"},
        "l": {"L": [{"BS": [b"\x01"]}]},
    }


def test_all_tries_of_a_transaction_carry_one_token(client: Any, server: Server) -> None:
    server.script = [cut, html]
    for _ in range(2):
        client.call("TransactWriteItems", {"TransactItems": []})
    tokens = [json.loads(request.body)["ClientRequestToken"] for request in server.seen]
    assert len(tokens) == 4
    assert len(set(tokens[:3])) == 1
    assert tokens[3] != tokens[0]


def test_bytes_travel_in_base64_and_come_back_as_bytes(client: Any, server: Server) -> None:
    item = {
        "B": {"S": 'an attribute of this name, and text with "B" in it'},
        "BS": {"M": {"B": {"B": b"\x00\xff"}}},
        "flag": {"BOOL": True},
        "many": {"BS": [b"\x01", b"\x02"]},
        "deep": {"L": [{"M": {"b": {"B": b""}}}, {"BOOL": False}]},
    }

    def echo(request: Request, connection: socket.socket) -> bool:
        return says(200, {"Attributes": json.loads(request.body)["Item"]})(request, connection)

    server.script = [echo]
    answer = client.call("PutItem", {"TableName": "B", "Item": item})
    assert plain(answer) == {"Attributes": item}
    assert json.loads(server.seen[0].body)["Item"]["many"] == {"BS": ["AQ==", "Ag=="]}


def test_a_connection_that_was_closed_while_idle_costs_no_try(client: Any, server: Server) -> None:
    """As after a freeze of Lambda's."""
    server.always = good_then_closed
    for _ in range(3):
        assert client.call("GetItem", GET)["ResponseMetadata"]["RetryAttempts"] == 0
        while server.open:
            time.sleep(0.01)
    assert (len(server.seen), server.connections) == (3, 3)


def test_sixteen_threads_get_their_own_answers(client: Any, server: Server) -> None:
    def echo(request: Request, connection: socket.socket) -> bool:
        return says(200, {"Item": json.loads(request.body)["Key"]})(request, connection)

    def ask(number: int) -> bool:
        key = {"pk": {"S": f"learner {number}"}}
        found = client.call("GetItem", {"TableName": "table", "Key": key})
        return bool(found["Item"] == key)

    server.always = echo
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(480)))
    assert server.connections <= 16


@pytest.mark.parametrize("calls", [conditions, updates, values, queries, transactions, batches])
def test_both_clients_answer_every_call_alike(
    server: Server, calls: Callable[[], list[tuple[str, dict[str, Any]]]]
) -> None:
    """Answers and errors, whole, of the table in memory over the net."""
    outcomes = []
    for make in CLIENTS.values():
        server.always = tabular(MemoryTable("TABLE"))
        with make(server.url) as client:
            outcomes.append([outcome(client.call, each) for each in calls()])
    assert outcomes[0] == outcomes[1]
    assert any("Error" in each for each in outcomes[0]) or calls is values


def tabular(memory: MemoryTable) -> Act:
    def act(request: Request, connection: socket.socket) -> bool:
        headers = {"X-Amz-Target": request.headers["x-amz-target"]}
        status, _, body = memory.send(request.body, headers)
        return says(status, body)(request, connection)

    return act


def outcome(call: Call, wanted: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    operation, arguments = wanted
    if not operation.startswith(("batch", "transact")):
        arguments = {"TableName": "TABLE"} | arguments
    try:
        return plain(call(operation.title().replace("_", ""), arguments))
    except ClientError as error:
        found: Any = plain(dict(error.response))
        found.pop("__type", None)  # what ours leaves of the body, and botocore's takes out
        return {name: value for name, value in found.items() if name not in ("message", "Message")}


# --- Where ours is stricter ----------------------------------------------------------------------


def test_a_wrong_checksum_three_times_is_no_answer(client: Any, server: Server) -> None:
    server.always = wrong_checksum
    if client.name == "botocore":
        assert plain(client.call("GetItem", GET)) == GOOD  # it cannot know that it is
    else:
        with pytest.raises(ChecksumError):
            client.call("GetItem", GET)
    assert len(server.seen) == 3


def test_half_an_answer_three_times_is_none(client: Any, server: Server) -> None:
    server.always = truncated
    if client.name == "botocore":
        assert plain(client.call("GetItem", GET)) == {}  # as if there were no such item
    else:
        with pytest.raises(ConnectionClosedError):
            client.call("GetItem", GET)
    assert len(server.seen) == 3


def test_an_answer_that_drips_is_given_up(impatient: Any, server: Server) -> None:
    server.always = drip
    if impatient.name == "botocore":
        assert plain(impatient.call("GetItem", GET)) == GOOD  # after a second, or an hour
    else:
        with pytest.raises(ReadTimeoutError):
            impatient.call("GetItem", GET)


def test_a_clock_that_is_wrong_is_put_right_by_the_answer(client: Any, server: Server) -> None:
    server.script = [late(minutes=20)]
    if client.name == "botocore":
        with pytest.raises(ClientError, match="InvalidSignatureException"):
            client.call("GetItem", GET)
        return
    answer = client.call("GetItem", GET)
    assert (plain(answer), answer["ResponseMetadata"]["RetryAttempts"]) == (GOOD, 1)
    client.call("GetItem", GET)
    first, second, third = (stamp(request) for request in server.seen)
    for corrected in (second, third):
        assert 1190 < (corrected - first).total_seconds() < 1260


def stamp(request: Request) -> datetime:
    return datetime.fromisoformat(request.headers["x-amz-date"])


def test_a_wrong_signature_by_a_right_clock_is_an_error_at_once(
    own: AwsJson, server: Server
) -> None:
    server.always = late(minutes=1)
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        own.call("GetItem", GET)
    assert len(server.seen) == 1


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Nov 2026 10:00:00 GMT"])
def test_an_answer_without_a_date_puts_no_clock_right(
    own: AwsJson, server: Server, date: str
) -> None:
    body = {"__type": "InvalidSignatureException:http://aws/#x", "message": "expired"}
    server.always = says(400, body, **({"Date": date} if date else {}))
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        own.call("GetItem", GET)
    assert len(server.seen) == 1


def test_a_clock_is_put_right_once_and_not_for_ever(own: AwsJson, server: Server) -> None:
    server.always = late(minutes=20)
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        own.call("GetItem", GET)
    assert len(server.seen) == 2


def test_a_packed_answer_is_unpacked(own: AwsJson, server: Server) -> None:
    server.script = [packed]
    assert plain(own.call("GetItem", GET)) == GOOD
    assert server.seen[0].headers["accept-encoding"] == "identity"  # though we ask for none


def test_an_answer_that_is_no_json_is_tried_again_and_then_an_error(
    own: AwsJson, server: Server
) -> None:
    server.script = [no_json]
    assert plain(own.call("GetItem", GET)) == GOOD
    server.always = no_json
    with pytest.raises(HTTPClientError):
        own.call("GetItem", GET)


# --- Ours alone ----------------------------------------------------------------------------------


def test_the_codes_that_are_tried_again_are_botocores(own: AwsJson) -> None:
    checker = standard.ThrottledRetryableChecker
    assert set(checker._THROTTLED_ERROR_CODES) == aws_json.THROTTLED_CODES
    transient = standard.TransientRetryableChecker
    assert set(transient._TRANSIENT_STATUS_CODES) == aws_json.TRANSIENT
    model = botocore.session.get_session().get_service_model("dynamodb")
    modeled = {
        name
        for name in model.shape_names
        if "retryable" in getattr(model.shape_for(name), "metadata", {})
    }
    known = aws_json.TRANSIENT_CODES | aws_json.THROTTLED_CODES
    assert {*transient._TRANSIENT_ERROR_CODES, *modeled} <= known
    quota = standard.RetryQuotaChecker
    assert (quota._RETRY_COST, quota._THROTTLING_RETRY_COST) == (14, 5)
    assert (aws_json.COST, aws_json.THROTTLED_COST, aws_json.QUOTA) == (14, 5, 500)


def test_the_operations_with_a_token_are_botocores() -> None:
    from config.aws import OWN_SERVICES
    from config.ops.pruning import OPERATIONS

    for service in OWN_SERVICES:
        model = botocore.session.get_session().get_service_model(service)
        with_token = {
            name for name in OPERATIONS[service] if model.operation_model(name).idempotent_members
        }
        assert with_token == aws_json.WITH_TOKEN & set(OPERATIONS[service])


def test_an_outage_is_not_met_with_three_times_the_load(own: AwsJson, server: Server) -> None:
    server.always = html
    for _ in range(100):
        with pytest.raises(ClientError):
            own.call("GetItem", GET)
    assert len(server.seen) == 100 + aws_json.QUOTA // aws_json.COST
    server.always = good
    for _ in range(20):
        own.call("GetItem", GET)
    server.script = [html]
    assert plain(own.call("GetItem", GET)) == GOOD  # what succeeds earns repetitions again


def test_pauses_grow_and_are_longer_when_aws_is_busy(own: AwsJson, server: Server) -> None:
    pauses: list[float] = []
    vars(own)["sleep"] = pauses.append
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aws_json.random, "uniform", lambda low, high: high)
        for act in (html, refuses("ThrottlingException")):
            server.script = [act, act]
            own.call("GetItem", GET)
    assert pauses == [0.025, 0.05, 1, 2]


def test_no_try_is_begun_when_there_is_no_time_left(server: Server) -> None:
    left = iter([True, True])

    def in_time() -> None:
        if not next(left, False):
            raise ServiceTimeout

    server.always = html
    with ours(server.url, before_try=in_time) as own, pytest.raises(ServiceTimeout):
        own.call("GetItem", GET)
    assert len(server.seen) == 2


def test_keys_are_read_anew_for_each_try(server: Server) -> None:
    keys = iter([Keys("first", "a"), Keys("second", "b")])
    server.script = [html]
    with ours(server.url, keys=lambda: next(keys, None)) as own:
        own.call("GetItem", GET)
        with pytest.raises(NoCredentialsError):
            own.call("GetItem", GET)
    first, second = (request.headers for request in server.seen)
    assert "Credential=first/" in first["authorization"]
    assert "Credential=second/" in second["authorization"]
    assert "x-amz-security-token" not in first


def test_nobody_there_is_an_error_of_the_network() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for make in CLIENTS.values():
            with make(url) as client, pytest.raises(EndpointConnectionError):
                client.call("GetItem", GET)


def test_a_host_that_does_not_shake_hands_is_given_up() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(8)
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        client = ours(url, connect_timeout_s=IMPATIENT_S)
        with client as own, pytest.raises(ConnectTimeoutError):
            own.call("GetItem", GET)


def test_a_host_that_nobody_vouches_for_is_not_spoken_to(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.aws_server import certificates

    another, _ = certificates(tmp_path)
    monkeypatch.setenv(BUNDLE, str(another))
    for make in CLIENTS.values():
        with make(server.url) as client, pytest.raises(SSLError):
            client.call("GetItem", GET)
    assert server.seen == []


def test_an_answer_that_unpacks_to_more_than_its_limit_is_refused(
    own: AwsJson, server: Server
) -> None:
    bomb = gzip.compress(bytes(MOST_MIB * 2**20 + 1))
    server.script = [says(200, bomb, Content_Encoding="gzip")]
    with pytest.raises(UpstreamFailed):
        own.call("GetItem", GET)
    assert len(server.seen) == 1


@pytest.mark.parametrize("left", [0, 10, -8], ids=["nothing", "its head", "all but its sum"])
def test_an_answer_that_breaks_off_is_no_empty_one(own: AwsJson, server: Server, left: int) -> None:
    part = gzip.compress(b"{}")[:left]
    server.always = says(200, part, Content_Encoding="gzip")
    with pytest.raises(HTTPClientError):
        own.call("GetItem", GET)


def test_a_client_that_is_forgotten_closes_its_connections(server: Server) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with ours(server.url) as own:
            own.call("GetItem", GET)
            assert len(own._idle) == 1
        assert not own._idle
        own.call("GetItem", GET)
        sockets = [connection.sock for connection in own._idle]
        del own
        gc.collect()
    assert [each.fileno() for each in sockets] == [-1]


def test_a_connection_that_was_broken_off_is_used_by_nobody(own: AwsJson, server: Server) -> None:
    class Stop(BaseException):
        pass

    def stop(*_: Any, **__: Any) -> Any:
        raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aws_json, "read_answer", stop)
        with pytest.raises(Stop):
            own.call("GetItem", GET)
    assert not own._idle
    assert plain(own.call("GetItem", GET)) == GOOD
    assert server.connections == 2
