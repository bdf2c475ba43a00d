"""A model that fails in whatever way: the turn is answered, and the session goes on."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from django.utils.timezone import now
from ulid import ULID

from config import aws, http, https
from config.ops.model_stand_in import (
    DRAFT,
    Fails,
    Json,
    Player,
    StandIn,
    good_answer,
    listening,
    tool_call,
)
from config.problems import ServiceUnavailable
from config.telemetry import JsonFormatter, deadline
from learning.models.budgets import Budget
from learning.models.practice import FALLBACKS, Asked
from learning.practice.prompt import Proposal
from learning.services import partner
from tests.callers import Caller, make_learner
from tests.model_helpers import COFFEE, agreed, altered, begun, plays, published, text_answer
from tests.test_sessions import model_answers, problem
from tests.waiting import PATIENCE_S, SteadyClock

TEXT = "Good morning! Can I have a coffee, please?"
FRENCH = "Bonjour, je vous donne tout de suite votre café, c'est bien pour vous ?"


def with_stop(reason: str) -> Player:
    return lambda request: {**good_answer(request), "stopReason": reason}


def without(field: str) -> Player:
    def player(request: Json) -> Json:
        [block] = good_answer(request)["output"]["message"]["content"]
        fields = block["toolUse"]["input"]
        del fields[field]
        return tool_call(request, fields)

    return player


def other_tool(request: Json) -> Json:
    answer = good_answer(request)
    answer["output"]["message"]["content"][0]["toolUse"]["name"] = "other"
    return answer


def fails(*arguments: Any) -> Player:
    def player(_: Json) -> Json:
        raise Fails(*arguments)

    return player


def nested(depth: int) -> Player:
    """An answer with lists in lists, so deep."""
    use = {"toolUse": {"toolUseId": "1", "name": "answer", "input": {"hints": "HERE"}}}
    message = {"output": {"message": {"role": "assistant", "content": [use]}}}
    body = json.dumps({**message, "stopReason": "tool_use"})
    return fails(200, "", body.replace('"HERE"', "[" * depth + "]" * depth).encode())


def escaped(**changes: Any) -> Player:
    """A good answer but for the changes, in ASCII: half a sign is sent as its escape."""

    def player(request: Json) -> Json:
        raise Fails(200, "", json.dumps(altered(**changes)(request)).encode())

    return player


# What the model answers, why the script takes the turn, and how often the model was asked.
BROKEN: dict[str, tuple[Player, str, int]] = {
    "broken JSON in the tool": (lambda r: tool_call(r, '{"reply": "He'), "invalid", 2),
    "a tool call gone wrong": (lambda _: text_answer("{", "malformed_tool_use"), "invalid", 2),
    "text without a tool": (lambda _: text_answer("A coffee, of course."), "invalid", 2),
    "another tool": (other_tool, "invalid", 2),
    "a field missing": (without("reply"), "invalid", 2),
    "a field too many": (altered(mood="sunny"), "invalid", 2),
    "no words": (altered(reply="   "), "invalid", 2),
    "another language": (altered(reply=FRENCH), "invalid", 2),
    "too long": (altered(reply="You can have that. " * 20), "invalid", 2),
    "another role": (altered(speaker="customer"), "invalid", 2),
    "cut off by its limit": (lambda _: text_answer("A cof", "max_tokens"), "invalid", 2),
    "a body cut off": (fails(200, "", b'{"output": {"message": {"ro'), "invalid", 2),
    "lists in lists": (nested(900), "invalid", 2),
    "lists in lists without end": (nested(100_000), "invalid", 2),
    "half a sign": (escaped(reply="All right \ud800."), "invalid", 2),
    "a sign that ends texts": (escaped(reply="All right \0."), "invalid", 2),
    "letters turned about": (escaped(reply="All right \u202e."), "invalid", 2),
    "a refusal": (lambda _: text_answer("No.", "content_filtered"), "refused", 1),
    "the guardrail": (lambda _: text_answer("No.", "guardrail_intervened"), "refused", 1),
    "too many requests": (fails(429, "ThrottlingException"), "busy", 1),
    "a model not ready": (fails(429, "ModelNotReadyException"), "busy", 1),
    "a model's own time-out": (fails(408, "ModelTimeoutException"), "timeout", 1),
    "no right to it": (fails(403, "AccessDeniedException"), "unavailable", 1),
    "a request refused": (fails(400, "ValidationException"), "unavailable", 1),
    "a server's error": (fails(500, "InternalServerException"), "unavailable", 1),
    "a connection cut": (fails(None), "unavailable", 1),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_answer_ends_in_a_good_turn(model: StandIn, maria: Caller, what: str) -> None:
    model.player, reason, asked = BROKEN[what]
    path = begun(maria)
    turn = maria.makes(f"{path}/turns", {"text": TEXT})["turn"]
    assert (turn["answeredBy"], turn["fallback"]) == ("scripted", reason)
    assert reason in FALLBACKS
    assert turn["goals"] == ["drink"]
    assert turn["reply"].startswith("Of course.")
    assert len(model.requests) == asked
    model.player = good_answer
    turn = maria.makes(f"{path}/turns", {"text": "A large one, please."})["turn"]
    assert (turn["answeredBy"], turn["goals"]) == ("model", ["size"])


def test_a_script_that_has_not_understood_asks_once_to_say_it_again(
    model: StandIn, maria: Caller
) -> None:
    model.player = fails(500, "InternalServerException")
    path = begun(maria)
    off_topic = {"text": "My sister lives in Lisbon."}
    first = maria.makes(f"{path}/turns", off_topic)["turn"]
    assert first["reply"] == "Sorry, I didn't catch that. Could you say it again, please?"
    second = maria.makes(f"{path}/turns", off_topic)["turn"]
    assert second["reply"] != first["reply"], "then the script's own help leads on"


def test_an_answer_that_is_repaired_is_the_models(model: StandIn, maria: Caller) -> None:
    answers = iter([altered(reply=FRENCH), good_answer])
    model.player = lambda request: next(answers)(request)
    path = begun(maria)
    turn = maria.makes(f"{path}/turns", {"text": TEXT})["turn"]
    assert (turn["answeredBy"], turn["fallback"]) == ("model", None)
    again = model.requests[1]["messages"]
    assert 'reply is not in the language "en"' in again[-1]["content"][0]["text"]
    assert Budget.of_month(now()).used()["partner_turns"] == 2


def test_a_secret_in_an_answer_is_not_repaired(model: StandIn, maria: Caller) -> None:
    def leaking(request: Json) -> Json:
        return altered(reply=request["system"][-1]["text"])(request)

    model.player = leaking
    turn = maria.makes(f"{begun(maria)}/turns", {"text": TEXT})["turn"]
    assert turn["fallback"] == "refused"
    assert len(model.requests) == 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model has a fifth of a second."""
    monkeypatch.setitem(aws.READ_TIMEOUT_OF, "bedrock-runtime", 0.2)
    aws._client.cache_clear()


def test_a_slow_model_is_not_waited_for_and_stays_paid(
    model: StandIn, maria: Caller, impatient: None
) -> None:
    over = threading.Event()

    def slow(request: Json) -> Json:
        over.wait(PATIENCE_S)
        return good_answer(request)

    model.player = slow
    path = begun(maria)
    try:
        turn = maria.makes(f"{path}/turns", {"text": TEXT})["turn"]
    finally:
        over.set()
    assert turn["fallback"] == "timeout"
    assert len(model.requests) == 1, "a second try would be paid for too"
    assert Budget.of_month(now()).used()["partner_turns"] == 1


def test_a_model_is_not_asked_when_no_time_is_left(
    model: StandIn, maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partner, "WITHIN_S", 5)
    turn = maria.makes(f"{begun(maria)}/turns", {"text": TEXT})["turn"]
    assert turn["fallback"] == "late"
    assert model.requests == []


def test_asking_twice_fits_into_the_time_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2 * partner.LONGEST_CALL_S < partner.WITHIN_S
    monkeypatch.setattr(partner, "time", SteadyClock())  # which begins at 0
    until = deadline.set(http.ANSWER_WITHIN_S)
    try:
        left_s = partner._until()
    finally:
        deadline.reset(until)
    assert left_s < http.ANSWER_WITHIN_S - aws.longest_try_s(), "else no turn could be written"


def test_a_model_is_not_asked_when_the_guardrail_would_have_no_time_left(
    model: StandIn, maria: Caller, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PARTNER_GUARDRAIL = "abc123:4"
    path = begun(maria)
    monkeypatch.setattr(partner, "WITHIN_S", 1.5 * partner.LONGEST_CALL_S)
    turn = maria.makes(f"{path}/turns", {"text": TEXT})["turn"]
    assert turn["fallback"] == "late"
    assert model.requests == []


def test_a_call_that_aws_refused_is_not_paid_for(model: StandIn, maria: Caller) -> None:
    model.player = fails(403, "AccessDeniedException")
    maria.makes(f"{begun(maria)}/turns", {"text": TEXT})
    assert Budget.of_month(now()).used() == {"partner_turns": 0, "partner_tokens": 0}


@pytest.mark.parametrize("change", [{"PARTNER_MODEL": "eu.amazon.nova-pro-v1:0"}, {}])
def test_a_session_keeps_its_model_and_prompt_or_goes_on_by_the_script(
    model: StandIn, maria: Caller, settings: Any, monkeypatch: Any, change: dict[str, str]
) -> None:
    path = begun(maria)
    for name, value in change.items():
        setattr(settings, name, value)
    if not change:
        monkeypatch.setattr("learning.practice.prompt.VERSION", 99)
    turn = maria.makes(f"{path}/turns", {"text": TEXT})["turn"]
    assert turn["fallback"] == "retired"
    assert model.requests == []


def test_the_guardrail_sees_what_the_learner_says_and_what_is_answered(
    model: StandIn, maria: Caller, settings: Any
) -> None:
    settings.PARTNER_GUARDRAIL = "abc123:4"
    path = begun(maria)
    turn = maria.makes(f"{path}/turns", {"text": TEXT})["turn"]
    assert turn["answeredBy"] == "model"
    [request] = model.requests
    assert request["guardrailConfig"] == {
        "guardrailIdentifier": "abc123",
        "guardrailVersion": "4",
    }
    [block] = request["messages"][-1]["content"]
    assert json.loads(block["guardContent"]["text"]["text"]) == {"learner": TEXT}
    model.blocked = "All right"
    try:
        turn = maria.makes(f"{path}/turns", {"text": "A large one, please."})["turn"]
    finally:
        model.blocked = ""
    assert turn["fallback"] == "refused"


# An answer with all of its texts, and a word of each that the guardrail refuses.
TEXTS: Json = {
    "reply": "All right. What size would you like?",
    "hints": ["Think of a number.", "A large one, please."],
    "corrections": [{"said": "wants", "better": "would like", "why": "It is politer."}],
    "newWords": [{"term": "size", "meaning": "how big it is", "example": "A shoe has a size."}],
}


@pytest.fixture
def guardrail(model: StandIn, settings: Any) -> Iterator[StandIn]:
    settings.PARTNER_GUARDRAIL = "abc123:4"
    yield model
    model.blocked = ""


@pytest.mark.parametrize(
    "word",
    ["All right", "number", "large one", "would like", "politer", "size", "how big", "shoe"],
)
def test_the_guardrail_sees_every_text_of_an_answer(
    guardrail: StandIn, maria: Caller, word: str
) -> None:
    guardrail.player, said = altered(**TEXTS), {"text": "I wants a coffee, please."}
    path = begun(maria)
    turn = maria.makes(f"{path}/turns", said)["turn"]
    assert (turn["answeredBy"], len(turn["corrections"])) == ("model", 1)
    guardrail.blocked = word
    turn = maria.makes(f"{path}/turns", said)["turn"]
    assert (turn["answeredBy"], turn["fallback"]) == ("scripted", "refused")


def test_the_guardrail_sees_the_title_and_the_draft_of_a_scenario(guardrail: StandIn) -> None:
    def draft() -> Proposal:
        return partner.draft(
            learner_id="stefan",
            title="At the kiosk",
            level="A1",
            language="en",
            accept=lambda proposal: proposal,
        )

    assert draft().farewell == DRAFT["farewell"]
    [request] = guardrail.requests
    [block] = request["messages"][-1]["content"]
    assert "At the kiosk" in block["guardContent"]["text"]["text"]
    assert request["guardrailConfig"]["guardrailIdentifier"] == "abc123"
    for guardrail.blocked in ("good journey", "what to ask for the price", "Practise numbers"):
        with pytest.raises(ServiceUnavailable):
            draft()


def test_half_a_sign_in_any_text_is_left_out(model: StandIn, maria: Caller) -> None:
    half = "\ud800 one"
    model.player = escaped(
        hints=[half],
        corrections=[{"said": "wants", "better": half, "why": "So."}],
        newWords=[{"term": "size", "meaning": half, "example": "A shoe."}],
    )
    turn = maria.makes(f"{begun(maria)}/turns", {"text": "I wants a coffee, please."})["turn"]
    assert (turn["answeredBy"], turn["newWords"], turn["corrections"]) == ("model", [], [])


def test_half_a_sign_in_a_draft_is_asked_for_once_more(model: StandIn) -> None:
    def player(request: Json) -> Json:
        first = len(model.requests) == 1
        answer = tool_call(request, {**DRAFT, "notes": "\ud800"} if first else DRAFT)
        raise Fails(200, "", json.dumps(answer).encode())

    model.player = player
    told = {"title": "At the kiosk", "level": "A1", "language": "en"}
    drafted = partner.draft(learner_id="stefan", **told, accept=lambda proposal: proposal)
    assert (drafted.notes, len(model.requests)) == (DRAFT["notes"], 2)


# --- One at a time, once --------------------------------------------------------------------------


def together(count: int, act: Callable[[int], Any]) -> list[Any]:
    results: list[Any] = [None] * count
    begins = threading.Barrier(count)

    def run(number: int) -> None:
        begins.wait()
        results[number] = act(number)

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def another(caller: Caller) -> Caller:
    return Caller(caller.id, caller.token)


def test_one_turn_sent_four_times_at_once_is_asked_and_paid_for_once(
    model: StandIn, maria: Caller
) -> None:
    path, body = begun(maria), {"id": str(ULID()), "text": TEXT}
    answers = together(4, lambda _: another(maria).post(f"{path}/turns", body))
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({json.dumps(answer.json()["turn"]) for answer in answers}) == 1
    assert len(model.requests) == 1
    assert Budget.of_month(now()).used()["partner_turns"] == 1


def test_turns_at_once_are_answered_one_after_the_other(model: StandIn, maria: Caller) -> None:
    path = begun(maria)
    texts = ["A coffee, please.", "A large one, please.", "How much is it?"]
    answers = together(3, lambda n: another(maria).post(f"{path}/turns", {"text": texts[n]}))
    assert sorted(answer.json()["turn"]["number"] for answer in answers) == [1, 2, 3]
    told = [len(request["messages"]) for request in model.requests]
    assert told == [1, 3, 5], "each is told what was said until then"


def test_fifty_turns_at_once_stay_within_the_stages_budget(
    model: StandIn, table: None, settings: Any
) -> None:
    settings.BUDGETS = {"partner_turns": (10, 12), "partner_tokens": (10**9, 10**9)}
    published(COFFEE)
    learners = [make_learner(f"ana{number}") for number in range(5)]
    paths: list[str] = []
    for learner in learners:
        agreed(learner)
        fields = {"scenarioId": COFFEE, "partner": "model"}
        paths += [f"/sessions/{learner.makes('/sessions', fields)['id']}" for _ in range(10)]

    def say(number: int) -> Any:
        learner = another(learners[number // 10])
        return learner.post(f"{paths[number]}/turns", {"text": TEXT})

    answers = together(50, say)
    codes = [answer.status_code for answer in answers]
    assert (codes.count(201), codes.count(429)) == (12, 38)
    assert len(model.requests) == 12
    assert Budget.of_month(now()).used()["partner_turns"] == 12


def test_a_spent_budget_is_429_and_the_script_goes_on(
    model: StandIn, maria: Caller, settings: Any
) -> None:
    settings.BUDGETS = {"partner_turns": (1, 100), "partner_tokens": (10**6, 10**6)}
    path = begun(maria)
    maria.makes(f"{path}/turns", {"text": TEXT})
    answer = maria.post(f"{path}/turns", {"text": "A large one, please."})
    assert problem(answer) == (429, "PARTNER_BUDGET_SPENT")
    assert 0 < int(answer["Retry-After"]) <= 86_400
    assert "Go on with the scenario's script" in answer.json()["detail"]
    assert maria.get(path).json()["turnCount"] == 1
    said = maria.makes(f"{path}/turns", {"text": "A large one, please.", "partner": "scripted"})
    assert (said["turn"]["answeredBy"], said["turn"]["fallback"]) == ("scripted", None)
    assert said["turn"]["goals"] == ["size"]
    done = maria.post(f"{path}/complete").json()
    assert (done["scoredBy"], done["scores"]["goals"]["value"]) == ("scripted", 50)
    assert done["scoringFallback"] == "budget"


def test_after_a_process_that_ended_while_asking_the_turn_is_asked_again(
    model: StandIn, maria: Caller
) -> None:
    path, body = begun(maria), {"id": str(ULID()), "text": TEXT}
    session_id = path.rpartition("/")[2]
    long_ago = now() - timedelta(seconds=Asked.WITHIN_S + 5)
    Asked.claim(maria.id, session_id, body["id"], long_ago)
    assert maria.makes(f"{path}/turns", body)["turn"]["answeredBy"] == "model"
    assert Asked.get_or_none(*Asked.key(maria.id, session_id)) is None


def test_while_another_is_asking_a_turn_waits_and_is_told_to_come_again(
    model: StandIn, maria: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learning.services.practice.WAIT_S", 0.0)
    path = begun(maria)
    Asked.claim(maria.id, path.rpartition("/")[2], "other", now())
    answer = maria.post(f"{path}/turns", {"text": TEXT})
    assert problem(answer) == (503, "SERVICE_UNAVAILABLE")
    assert answer["Retry-After"]
    assert model.requests == []


# --- What is logged -------------------------------------------------------------------------------


def test_neither_log_nor_metrics_have_what_was_said(
    model: StandIn, maria: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    path = begun(maria)
    with caplog.at_level(logging.DEBUG, logger="parley"):
        plays(maria, path, model_answers(COFFEE, "customer"))
        model.player = lambda _: text_answer("I will not serve you, Elena.")
        maria.post(f"{path}/turns", {"text": "My name is Elena.", "id": str(ULID())})
        maria.post(f"{path}/complete")
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    ours = [line for line in lines if line["logger"].startswith("parley.")]
    names = {name for line in ours for name in line if name.startswith("Partner")}
    assert {"PartnerTokens", "PartnerSeconds"} <= names
    logged = json.dumps(ours)
    for words in ("coffee", "Elena", "large", "pounds"):
        assert words not in logged.replace(COFFEE, "")


# --- A server of OpenAI's API in local runs -------------------------------------------------------


@contextmanager
def chat_server(answer: Callable[[Json], tuple[int, Any]]) -> Iterator[tuple[str, list[Json]]]:
    asked: list[Json] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({"path": self.path, **body})
            status, reply = answer(body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(reply if isinstance(reply, bytes) else json.dumps(reply).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with listening(Handler) as url:
        yield f"{url}/v1", asked


def completion(fields: Any) -> Json:
    arguments = fields if isinstance(fields, str) else json.dumps(fields)
    call = {"type": "function", "function": {"name": "answer", "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    usage = {"prompt_tokens": 900, "completion_tokens": 80, "total_tokens": 980}
    return {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": usage}


GOOD = {
    "speaker": "barista",
    "reply": "Here you are. What size would you like?",
    "goalsReached": [{"goal": "drink", "evidence": "Can I have a coffee"}],
    "corrections": [],
    "newWords": [{"term": "size", "meaning": "how big it is", "example": "What size?"}],
    "hints": [],
    "ended": False,
}


def test_a_local_run_speaks_with_any_server_of_openais_api(
    table: None, maria: Caller, settings: Any
) -> None:
    with chat_server(lambda _: (200, completion(GOOD))) as (url, asked):
        settings.LOCAL_MODEL_URL, settings.PARTNER_MODEL = url, "qwen3:4b"
        path = begun(maria)
        turn = maria.makes(f"{path}/turns", {"text": TEXT})["turn"]
    assert (turn["answeredBy"], turn["reply"]) == ("model", GOOD["reply"])
    assert turn["newWords"] == GOOD["newWords"]
    [request] = asked
    assert (request["path"], request["model"]) == ("/v1/chat/completions", "qwen3:4b")
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert request["tools"][0]["function"]["parameters"]["type"] == "object"
    assert Budget.of_month(now()).used()["partner_tokens"] == 980


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        ((404, {"error": "no such model"}), "answered 404"),
        ((200, b"<html>"), "no completion"),
        ((200, {"choices": []}), "no completion"),
        ((200, completion("{")), "no completion"),
        ((200, completion("[" * 100_000)), "no completion"),
        ((200, completion({**GOOD, "reply": FRENCH})), "of no use"),
    ],
)
def test_a_failure_of_a_local_model_is_said(
    table: None, maria: Caller, settings: Any, answer: tuple[int, Any], detail: str
) -> None:
    with chat_server(lambda _: answer) as (url, _):
        settings.LOCAL_MODEL_URL, settings.PARTNER_MODEL = url, "qwen3:4b"
        path = begun(maria)
        refused = maria.post(f"{path}/turns", {"text": TEXT})
    assert problem(refused) == (502, "LOCAL_MODEL_FAILED")
    assert detail in refused.json()["detail"]
    assert maria.get(path).json()["turnCount"] == 0


@pytest.mark.parametrize("tokens", ["many", -900, 1.5, True, [900], 10**40])
def test_a_local_server_that_counts_nonsense_is_counted_as_one_that_does_not(
    table: None, maria: Caller, settings: Any, tokens: Any
) -> None:
    answer = completion(GOOD)
    answer["usage"]["prompt_tokens"] = tokens
    with chat_server(lambda _: (200, answer)) as (url, _):
        settings.LOCAL_MODEL_URL, settings.PARTNER_MODEL = url, "qwen3:4b"
        turn = maria.makes(f"{begun(maria)}/turns", {"text": TEXT})["turn"]
    assert turn["answeredBy"] == "model"
    assert Budget.of_month(now()).used()["partner_tokens"] > 980


def test_a_session_can_be_completed_while_the_local_model_is_down(
    table: None, maria: Caller, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with chat_server(lambda _: (200, completion(GOOD))) as (url, _):
        settings.LOCAL_MODEL_URL, settings.PARTNER_MODEL = url, "qwen3:4b"
        path = begun(maria)
        maria.makes(f"{path}/turns", {"text": TEXT})
    said = maria.post(f"{path}/turns", {"text": "A large one, please.", "partner": "scripted"})
    assert said.json()["turn"]["answeredBy"] == "scripted", "the way on"
    with caplog.at_level(logging.WARNING, logger="parley.partner"):
        done = maria.post(f"{path}/complete")
    assert done.status_code == 200, done.content
    assert (done.json()["scoredBy"], done.json()["scoringFallback"]) == ("scripted", "unavailable")
    assert done.json()["scores"]["goals"]["value"] == 50
    [line] = [record for record in caplog.records if "no scores" in record.getMessage()]
    assert "cannot be reached" in line.fields["why"]  # type: ignore[attr-defined]


def test_a_local_model_that_is_slow_leaves_time_for_what_is_written_after_it(
    table: None, maria: Caller, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LOCAL_MODEL_URL, settings.PARTNER_MODEL = "http://127.0.0.1:9/v1", "qwen3:4b"
    given: list[float] = []

    def slow(*_: Any, timeout_s: float, **__: Any) -> None:
        given.append(timeout_s)
        raise TimeoutError

    monkeypatch.setattr(partner, "fetch", slow)
    refused = maria.post(f"{begun(maria)}/turns", {"text": TEXT})
    assert "took longer" in refused.json()["detail"]
    assert given[0] < http.ANSWER_WITHIN_S - aws.longest_try_s() - partner.RECORDED_WITHIN_S


def test_a_local_server_that_answers_without_end_is_said(
    table: None, maria: Caller, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "MOST_MIB", 0)
    with chat_server(lambda _: (200, completion(GOOD))) as (url, _):
        settings.LOCAL_MODEL_URL, settings.PARTNER_MODEL = url, "qwen3:4b"
        refused = maria.post(f"{begun(maria)}/turns", {"text": TEXT})
    assert problem(refused) == (502, "LOCAL_MODEL_FAILED")
    assert "more than any model writes" in refused.json()["detail"]


def test_a_local_server_that_is_not_there_is_said(
    table: None, maria: Caller, settings: Any
) -> None:
    settings.LOCAL_MODEL_URL, settings.PARTNER_MODEL = "http://127.0.0.1:9/v1", "qwen3:4b"
    refused = maria.post(f"{begun(maria)}/turns", {"text": TEXT})
    assert problem(refused) == (502, "LOCAL_MODEL_FAILED")
    assert "cannot be reached" in refused.json()["detail"]
    settings.STAGE = "prod"
    assert "model" not in maria.get(f"/scenarios/{COFFEE}").json()["partners"]
