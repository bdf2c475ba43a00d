"""No route of our own OpenAPI document shows another learner's items."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils.timezone import now
from ulid import ULID

from accounts.models import Session, learner_key
from config.client_info import ClientInfo
from config.store import jobs
from config.store.transactions import transact
from learning.models.recordings import Recording
from learning.services import scenarios
from tests.callers import Caller, make_learner
from tests.contract import contract
from tests.reminder_helpers import event_of, reminder_of
from tests.test_flashcards import card_of, deck_of
from tests.test_sessions import COFFEE, of_pack

Operation = tuple[str, str, dict[str, Any]]


@cache
def operations() -> list[Operation]:
    """Method, path and description of every operation we publish."""
    paths = contract()["paths"]
    return [(verb, path, said) for path, verbs in paths.items() for verb, said in verbs.items()]


def kind_of(operation: Operation) -> str:
    return operation[1].split("/")[1]


def some_id(operation: Operation) -> str:
    """An id of the form that the path takes, of nothing there is."""
    for parameter in operation[2].get("parameters", []):
        if parameter["name"] == "id" and parameter["in"] == "path":
            ulid = str(ULID())
            return ulid if re.search(parameter["schema"].get("pattern", ""), ulid) else "nowhere"
    return ""


PRIVATE = [each for each in operations() if each[2].get("security")]
# What is the same for everyone: staff look after it, learners only read or copy it.
COMMON = {"deliveries", "jobs", "reports", "scenarios", "starter-decks", "users"}
STAFF = [
    each
    for each in PRIVATE
    if kind_of(each) in COMMON and "403" in each[2]["responses"] and {} not in each[2]["security"]
]
OF_ONE = [each for each in PRIVATE if "{id}" in each[1] and kind_of(each) not in COMMON]


def session_of(owner: Caller) -> str:
    """A session of a scenario that is published for everyone."""
    scenarios.load_scenarios([of_pack(COFFEE)], now=now())
    return str(owner.makes("/sessions", {"scenarioId": COFFEE})["id"])


def login_session_of(owner: Caller) -> str:
    session = Session.at(owner.id, str(uuid4()))
    transact(session.use_write(ClientInfo("10.0.0.1"), now()))
    return session.id


def job_of(owner: Caller, what: str) -> str:
    job = jobs.start(
        learner_key(owner.id), what, id=str(ULID()), arguments={"digest": "", "format": "csv"}
    )
    return str(job.id)


def medium_of(owner: Caller) -> str:
    body = {"contentType": "image/png", "sizeBytes": 9, "sha256": f"{uuid4().hex}{uuid4().hex}"}
    return str(owner.makes("/media", body)["id"])


def recording_of(owner: Caller) -> str:
    id = str(ULID())
    made = {"id": id, "language": "pt-PT", "seconds": 1, "created_at": now(), "state": "done"}
    Recording(*Recording.key(owner.id, id), **made).create()
    return id


# What the owner has of each kind, by the first word of the path.
MAKERS: dict[str, Callable[[Caller], str]] = {
    "auth": login_session_of,
    "decks": deck_of,
    "events": lambda owner: str(event_of(owner)["id"]),
    "flashcards": lambda owner: card_of(owner, deck_of(owner)),
    "exports": lambda owner: job_of(owner, "export"),
    "imports": lambda owner: job_of(owner, "import"),
    "media": medium_of,
    "recordings": recording_of,
    "notes": lambda owner: card_of(owner, deck_of(owner)),
    "sessions": session_of,
    "reminders": lambda owner: str(reminder_of(owner)["id"]),
}
# Bodies for those operations that look at one before they look for the thing.
BODIES: dict[str, Any] = {
    "addTurn": {"text": "Hello"},
    "reportTurn": {"turn": 1},
    "savePhrase": {"deckId": str(ULID()), "turn": 1, "front": "hello", "back": "olá"},
    "replaceDeck": {"name": "Meu"},
    "replaceFlashcard": {"deckId": str(ULID()), "front": "a", "back": "b"},
    "replaceEvent": {"title": "Minha", "startsAt": "2030-01-01T00:00:00Z"},
    "replaceReminder": {"kind": "once", "title": "Meu", "at": "2030-01-01T00:00:00Z"},
    "changeFollowing": {"occurrence": "20300606T190000"},
    "snoozeReminder": {"until": "2030-01-01T00:00:00Z"},
    "reviewFlashcard": {
        "id": str(ULID()),
        "rating": "good",
        "reviewedAt": "2026-01-01T00:00:00Z",
    },
    "understandRecording": {"language": "pt"},
    "acceptProposals": {"deckId": str(ULID())},
    "replaceNote": {"deckId": str(ULID()), "front": "a", "back": "b"},
    "duplicateDeck": {"id": str(ULID())},
    "undoFlashcard": {"id": str(ULID())},
    "resetFlashcard": {"id": str(ULID())},
    "rescheduleFlashcard": {"id": str(ULID()), "dueAt": "2030-01-01T00:00:00Z"},
}


@pytest.mark.parametrize("operation", PRIVATE, ids=lambda each: f"{each[0]} {each[1]}")
def test_without_a_token_every_private_route_is_401(operation: Operation, table: None) -> None:
    verb, path, said = operation
    if {} in said["security"]:
        return  # open to all, with more to see for those with a token
    path = path.replace("{id}", some_id(operation))
    answer = Client().generic(verb.upper(), path, "{}", "application/json")
    assert (answer.status_code, answer.json()["code"]) == (401, "NOT_AUTHENTICATED")


@pytest.mark.parametrize("operation", OF_ONE, ids=lambda each: f"{each[0]} {each[1]}")
def test_what_another_learner_has_is_404(operation: Operation, maria: Caller, joao: Caller) -> None:
    verb, path, said = operation
    kind = kind_of(operation)
    assert kind in MAKERS, f"say in MAKERS how a learner comes to have one of /{kind}"
    own = MAKERS[kind](maria)
    body = BODIES.get(said["operationId"], {} if "requestBody" in said else None)
    answer = joao.send(verb, path.replace("{id}", own), body)
    assert answer.status_code == 404, f"{answer.content!r}: give {said['operationId']} a BODY?"
    there = maria.get("/auth/sessions" if kind == "auth" else f"/{kind}/{own}")
    assert (there.status_code, own in there.content.decode()) == (200, True)


def test_staff_and_admins_see_nothing_that_a_learner_has_made(maria: Caller, table: None) -> None:
    own = {kind: make(maria) for kind, make in MAKERS.items()}
    member = make_learner("amalia", groups=("staff", "admin"))
    for verb, path, said in OF_ONE:
        body = BODIES.get(said["operationId"], {} if "requestBody" in said else None)
        answer = member.send(verb, path.replace("{id}", own[path.split("/")[1]]), body)
        assert answer.status_code == 404, (verb, path)


@pytest.mark.parametrize("operation", STAFF, ids=lambda each: f"{each[0]} {each[1]}")
def test_what_is_for_staff_is_403_to_a_learner(operation: Operation, joao: Caller) -> None:
    verb, path, said = operation
    body = BODIES.get(said["operationId"], {} if "requestBody" in said else None)
    answer = joao.send(verb, path.replace("{id}", some_id(operation)), body)
    assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_DENIED")


# What these tell a newcomer is of the newcomer.
OWN = {"/profile/export", "/changes"}


def test_a_newcomer_is_told_of_no_changes_but_of_their_own_profile(
    maria: Caller, joao: Caller
) -> None:
    card_of(maria, deck_of(maria))
    (told,) = joao.get("/changes").json()["results"]
    assert (told["kind"], told["data"]["firstName"]) == ("profile", "Joao")


def test_a_list_shows_only_what_is_the_callers_own(maria: Caller, joao: Caller) -> None:
    card_of(maria, deck_of(maria))
    for verb, path, _ in PRIVATE:
        if verb == "get" and "{" not in path and path not in OWN:
            answer = joao.get(path)
            if isinstance(body := answer.json(), dict) and "results" in body:
                assert body["results"] == [], path
