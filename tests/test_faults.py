"""AWS slow, busy, in conflict with itself, or gone: one clear answer, in time, and nothing lost."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from django.utils.timezone import now
from ulid import ULID

from accounts.models import Attempts, Profile
from accounts.models.limits import hit
from config import aws, http
from config.aws_json import AwsJson
from config.https import Answer
from config.problems import ServiceUnavailable, UpstreamFailed
from config.store import connection
from config.store.items import ConditionFailed, batch_get
from learning.models.cards import Deck
from tests.callers import Caller
from tests.memory_table import MemoryTable
from tests.reminder_helpers import event_of, reminder_of
from tests.test_flashcards import card_of, deck_of
from tests.waiting import SteadyClock
from tests.wire import (
    Headers,
    Send,
    answer_of,
    operation_of,
    refusal,
    replaced,
    sending,
    table_client,
)

WRITES = frozenset({"DeleteItem", "PutItem", "UpdateItem", "TransactWriteItems"})
# Methods and paths whose calls are, between them, of all the kinds that the service makes.
REQUESTS: dict[str, Callable[[Caller], Any]] = {
    "GetItem": lambda maria: maria.get("/scheduler"),
    "Query": lambda maria: maria.get("/decks"),
    "BatchGetItem": lambda maria: maria.get("/statistics"),
    "PutItem": lambda maria: maria.post("/calendar/rotate"),
    "DeleteItem": lambda maria: maria.delete("/calendar"),
    "TransactWriteItems": lambda maria: maria.patch("/scheduler", {"fuzz": False}),
}


def conflict(operation: str, body: bytes) -> Any:
    if operation not in WRITES:
        return None
    if operation != "TransactWriteItems":
        return refusal(connection.CONFLICT)
    others = [{"Code": "None"}] * (len(json.loads(body)["TransactItems"]) - 1)
    reasons = [{"Code": "TransactionConflict"}, *others]
    return refusal("TransactionCanceledException", CancellationReasons=reasons)


def throttled(operation: str, body: bytes) -> Any:
    return refusal("ProvisionedThroughputExceededException")


def broken(operation: str, body: bytes) -> Any:
    return refusal("InternalServerError", status=500)


def silent(operation: str, body: bytes) -> Any:
    raise ReadTimeoutError(endpoint_url="")


def gone(operation: str, body: bytes) -> Any:
    raise EndpointConnectionError(endpoint_url="")


class Wire:
    """What the client sends to. `fate` is told of each try that the table has answered, and may let
    the answer get lost; `sent` has the operations of all tries."""

    def __init__(self, memory: MemoryTable) -> None:
        self.memory = memory
        self.sent: list[str] = []
        self.fate: Callable[[str, bytes], None] = lambda operation, body: None

    def send(self, body: bytes, headers: Headers) -> Answer:
        operation = operation_of(headers)
        self.sent.append(operation)
        answer = self.memory.send(body, headers)
        self.fate(operation, body)
        return answer

    def lose(self, operation: str, body: bytes = b"") -> None:
        """Lets one answer get lost, to the next try of an operation with this in its body."""
        lost: list[str] = []

        def fate(tried: str, sent: bytes) -> None:
            if tried == operation and body in sent and not lost:
                lost.append(tried)
                raise ReadTimeoutError(endpoint_url="")

        self.fate = fate


Fault = Callable[[str, bytes], Any]
FAULTS: dict[Fault, tuple[int, str]] = {
    throttled: (503, "SERVICE_UNAVAILABLE"),
    gone: (503, "SERVICE_UNAVAILABLE"),
    broken: (502, "UPSTREAM_FAILED"),
    silent: (504, "SERVICE_TIMEOUT"),
    conflict: (503, "SERVICE_UNAVAILABLE"),
}


@contextmanager
def failing(fault: Fault, *, of: str, times: int = sys.maxsize) -> Iterator[list[str]]:
    """Lets DynamoDB's operation `of` fail so many times. The value lists the calls."""
    called: list[str] = []

    def through(send: Send) -> Send:
        def failing(body: bytes, headers: Headers) -> Answer:
            operation = operation_of(headers)
            called.append(operation)
            failed = None
            if operation == of and called.count(of) <= times:
                failed = fault(operation, body)
            return failed or send(body, headers)

        return failing

    with sending(through):
        yield called


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "pause", lambda *_: None)
    monkeypatch.setattr(connection, "WITHIN_S", 0.1)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("operation", REQUESTS)
def test_a_table_that_fails_is_a_problem_with_a_hint(
    maria: Caller, operation: str, fault: Fault
) -> None:
    if fault is conflict and operation not in WRITES:
        return  # reads do not take part in transactions
    maria.post("/calendar/rotate")
    with failing(fault, of=operation):
        answer = REQUESTS[operation](maria)
    assert (answer.status_code, answer.json()["code"]) == FAULTS[fault]
    assert int(answer["Retry-After"]) > 0
    assert answer["Content-Type"] == "application/problem+json"
    assert REQUESTS[operation](maria).status_code in (200, 201, 204)


@pytest.mark.parametrize("operation", sorted(WRITES & REQUESTS.keys()))
def test_a_conflict_that_passes_is_not_seen(
    maria: Caller, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WITHIN_S", 20.0)
    maria.post("/calendar/rotate")
    with failing(conflict, of=operation, times=3) as called:
        answer = REQUESTS[operation](maria)
    assert answer.status_code in (200, 201, 204)
    assert called.count(operation) == 4


def test_a_try_is_counted_once_though_a_transaction_held_its_counter(table: None) -> None:
    with failing(conflict, of="UpdateItem", times=2):
        hit("verify_email", "maria@example.org", now=now())
    attempts = Attempts.at("verify_email", "maria@example.org")
    assert attempts.count_up({"all": 9}, now=now(), within_s=60, renew=False) == {"all": 2}


def test_keys_that_a_batch_left_out_are_read_again(maria: Caller) -> None:
    deck_id = deck_of(maria)
    key = Deck.key(maria.id, deck_id)
    calls = 0

    def partly(operation: str, body: bytes) -> Any:
        nonlocal calls
        calls += 1
        left = json.loads(body)["RequestItems"]
        return answer_of(200, {"Responses": {}, "UnprocessedKeys": left})

    with failing(partly, of="BatchGetItem", times=2):
        assert list(batch_get(key)) == [key]
    assert calls == 2
    with failing(partly, of="BatchGetItem"), pytest.raises(ServiceUnavailable):
        batch_get(key)
    card_of(maria, deck_id)


@pytest.fixture
def wire(maria: Caller, memory_table: MemoryTable) -> Iterator[Wire]:
    """The table behind the client's retries."""
    made = Wire(memory_table)
    with replaced(table_client(), send=made.send, tries=AwsJson.tries):
        yield made


def test_a_change_whose_answer_got_lost_is_no_conflict_with_itself(
    maria: Caller, wire: Wire
) -> None:
    path = f"/decks/{deck_of(maria)}"
    wire.lose("TransactWriteItems")
    changed = maria.patch(path, {"name": "Galego"}, If_Match='"1"')
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    assert wire.sent.count("TransactWriteItems") == 3  # the deck, the change, and the change again
    again = maria.patch(path, {"name": "Mirandês"}, If_Match='"2"')
    assert again.json() == maria.get(path).json()
    assert maria.patch(path, {"name": "Asturiano"}, If_Match='"2"').status_code == 412


def test_a_change_whose_answer_got_lost_does_not_hide_that_of_another(
    maria: Caller, wire: Wire
) -> None:
    profile = Profile.of(maria.id)
    assert profile is not None

    def another_writes(operation: str, body: bytes) -> None:
        if operation == "PutItem":
            wire.fate = lambda operation, body: None
            assert maria.patch("/profile", {"firstName": "Ana"}).status_code == 200
            raise ReadTimeoutError(endpoint_url="")

    wire.fate = another_writes
    profile.daily_goal = 30
    with pytest.raises(ConditionFailed):
        profile.put()
    assert maria.get("/profile").json()["firstName"] == "Ana"


@pytest.mark.parametrize("path", ["/decks", "/events", "/reminders"])
def test_a_deletion_whose_answer_got_lost_is_done(maria: Caller, wire: Wire, path: str) -> None:
    made = {"/decks": deck_of, "/events": event_of, "/reminders": reminder_of}[path](maria)
    thing = f"{path}/{made if isinstance(made, str) else made['id']}"
    wire.lose("TransactWriteItems", b"tombstone")
    assert maria.delete(thing).status_code == 204
    assert maria.get(thing).status_code == 404


def test_a_review_whose_answer_got_lost_is_one_review(maria: Caller, wire: Wire) -> None:
    path = f"/flashcards/{card_of(maria, deck_of(maria))}/reviews"
    before = len(wire.sent)
    wire.lose("TransactWriteItems")
    review = {"id": str(ULID()), "rating": "good", "reviewedAt": now().isoformat()}
    assert maria.post(path, review).status_code == 201
    assert wire.sent[before:] == ["BatchGetItem", "TransactWriteItems", "TransactWriteItems"]
    assert [each["id"] for each in maria.get("/reviews").json()["results"]] == [review["id"]]


def silence(operation: str, body: bytes) -> None:
    raise ReadTimeoutError(endpoint_url="")


def test_a_silent_table_is_asked_three_times(maria: Caller, wire: Wire) -> None:
    wire.fate = silence
    assert maria.get("/decks").status_code == 504
    assert wire.sent == ["GetItem"] * 3


def test_no_try_is_begun_that_might_end_after_the_gateway_gave_up(
    maria: Caller, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, longest_s = SteadyClock(), aws.CONNECT_TIMEOUT_S + aws.READ_TIMEOUT_S
    monkeypatch.setattr(http, "time", clock)
    monkeypatch.setattr(aws, "time", clock)

    def keep_waiting(operation: str, body: bytes) -> None:
        clock.sleep(http.ANSWER_WITHIN_S - longest_s + 0.1)
        silence(operation, body)

    wire.fate = keep_waiting
    answer = maria.get("/decks")
    assert (answer.status_code, answer.json()["code"]) == (504, "SERVICE_TIMEOUT")
    assert int(answer["Retry-After"]) > 0
    assert wire.sent == ["GetItem"]


def test_the_limit_of_a_request_does_not_outlive_it(
    maria: Caller, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "ANSWER_WITHIN_S", 0)
    assert maria.get("/decks").status_code == 504
    assert Deck.of(maria.id, "nowhere") is None  # as what runs by the clock would ask


def test_a_key_that_is_disabled_is_ours_to_mend(moto_stack: Any) -> None:
    def disabled(model: Any, **_: Any) -> Any:
        meta = {"HTTPStatusCode": 400}
        refused = {"Error": {"Code": "DisabledException", "Message": "made by a test"}}
        return SimpleNamespace(status_code=400), refused | {"ResponseMetadata": meta}

    events = aws.client("kms").meta.events
    events.register("before-call.kms", disabled)
    try:
        with pytest.raises(UpstreamFailed) as refused:
            aws.kms_decrypt(b"sealed", owner="maria")
    finally:
        events.unregister("before-call.kms", disabled)
    assert refused.value.retry_after_s
