"""Every form of /browse is filled in and sent once, as a browser does."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import boto3
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils.timezone import now

from accounts.browse.routes import routes
from config.stack import stack
from learning.services import scenarios, starters
from reminders.models import DEAD
from tests import test_media, test_recordings
from tests.browsers import Browser, signed_in
from tests.callers import Caller, make_learner
from tests.reminder_helpers import event_of, reminder_of
from tests.test_deliveries import delivery_of
from tests.test_flashcards import card_of, deck_of
from tests.test_media import bucket, s3  # noqa: F401  (fixtures)
from tests.test_scenarios import COFFEE, PACK, of_pack
from tests.test_transfers import uploaded
from tests.voice_helpers import voice, voice_served  # noqa: F401  (fixtures)

DECKS = PACK.parent / "decks"
IN_2030 = "2030-01-01T09:00:00Z"
CALENDAR = b"""BEGIN:VCALENDAR\r
VERSION:2.0\r
BEGIN:VEVENT\r
UID:1\r
DTSTAMP:20260101T000000Z\r
DTSTART:20300101T090000Z\r
SUMMARY:Aula\r
END:VEVENT\r
END:VCALENDAR\r
"""


def scenario_of(stefan: Caller) -> str:
    return str(stefan.makes("/scenarios", of_pack(COFFEE))["id"])


def session_of(stefan: Caller) -> str:
    scenarios.load_scenarios([of_pack(COFFEE)], now=now())
    session_id = str(stefan.makes("/sessions", {"scenarioId": COFFEE})["id"])
    stefan.makes(f"/sessions/{session_id}/turns", {"text": "A large coffee, please."})
    return session_id


def note_of(stefan: Caller) -> str:
    note = {"type": "basic", "deckId": deck_of(stefan), "front": "casa", "back": "house"}
    return str(stefan.makes("/notes", note)["id"])


def export_of(stefan: Caller) -> str:
    return str(stefan.post("/exports", {"format": "json"}).json()["id"])


def upload_of(stefan: Caller) -> str:
    return uploaded(in_bucket(), stefan, b"casa,house\n")


def import_of(stefan: Caller) -> str:
    return str(stefan.post("/imports", {"uploadKey": upload_of(stefan)}).json()["id"])


def starter_of(stefan: Caller) -> str:
    starters.load_starter_decks([json.loads(next(DECKS.glob("*.json")).read_text())])
    return str(stefan.get("/starter-decks").json()["results"][0]["id"])


def in_bucket() -> Any:
    return boto3.client("s3", region_name=stack().region)


def medium_of(stefan: Caller) -> str:
    picture = test_media.png()
    offer = test_media.offered(stefan, picture, "image/png")
    test_media.put(in_bucket(), offer["upload"]["url"], picture)
    return str(offer["id"])


def recording_of(stefan: Caller) -> str:
    id = test_recordings.uploaded(stefan, in_bucket(), test_recordings.recorded())
    test_recordings.understood(stefan, id)
    return id


def recording(stefan: Caller) -> dict[str, str]:
    test_recordings.agreed(stefan)
    return {"sizeBytes": "100", "sha256": "a" * 64}


# What the {id} of an address is, by its first word.
THINGS: dict[str, Callable[[Caller], str]] = {
    "decks": deck_of,
    "deliveries": lambda stefan: delivery_of(stefan, DEAD).id,
    "events": lambda stefan: str(event_of(stefan, rrule="FREQ=DAILY;COUNT=3")["id"]),
    "exports": export_of,
    "flashcards": lambda stefan: card_of(stefan, deck_of(stefan)),
    "media": medium_of,
    "recordings": recording_of,
    "imports": lambda stefan: str(
        stefan.post("/imports", {"uploadKey": upload_of(stefan)}).json()["id"]
    ),
    "notes": note_of,
    "reminders": lambda stefan: str(reminder_of(stefan)["id"]),
    "scenarios": scenario_of,
    "sessions": session_of,
    "starter-decks": starter_of,
}


def card(stefan: Caller) -> dict[str, Any]:
    return {"deckId": deck_of(stefan), "front": "casa", "back": "house"}


def change(stefan: Caller) -> dict[str, Any]:
    return {"kind": "deck", "verb": "create", "id": str(uuid4()), "data": {"name": "Verbos"}}


def review(stefan: Caller) -> dict[str, Any]:
    card_id = card_of(stefan, deck_of(stefan))
    return {
        "id": str(uuid4()),
        "cardId": card_id,
        "rating": "good",
        "reviewedAt": now().isoformat(),
    }


def by_json(body: Any) -> dict[str, str]:
    return {"_content": json.dumps(body)}


def file(name: str, content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


# What is filled in, by operation; the rest is sent as the page has it.
VALUES: dict[str, Callable[[Caller], dict[str, Any]]] = {
    "acceptProposals": lambda stefan: by_json({"deckId": deck_of(stefan)}),
    "changeFollowing": lambda stefan: by_json({"occurrence": "20300604T190000"}),
    "createDeck": lambda stefan: {"name": "Português"},
    "createEvent": lambda stefan: by_json(
        {"title": "Aula", "startsAt": IN_2030, "endsAt": "2030-01-01T10:00:00Z"}
    ),
    "createFlashcard": card,
    "createFlashcards": lambda stefan: by_json({"cards": [card(stefan)]}),
    "createMedium": lambda stefan: test_media.as_declared(test_media.png(), "image/png"),
    "createRecording": recording,
    "createSpeech": lambda stefan: by_json({"text": "Olá", "language": "pt-PT"}),
    "lookUp": lambda stefan: by_json({"text": "mesa", "from": "pt", "to": "en"}),
    "understandRecording": lambda stefan: {"language": "pt"},
    "createNote": lambda stefan: {"type": "basic", **card(stefan)},
    "createReminder": lambda stefan: {"kind": "once", "title": "Ligar", "at": IN_2030},
    "createScenario": lambda stefan: by_json(of_pack(COFFEE)),
    "createSession": lambda stefan: {"scenarioId": session_of(stefan) and COFFEE},
    "createUpload": lambda stefan: {"sizeBytes": "10"},
    "duplicateDeck": lambda stefan: {"id": str(uuid4())},
    "importEvents": lambda stefan: {"file": file("aula.ics", CALENDAR)},
    "importFlashcards": lambda stefan: {
        "file": file("words.csv", b"casa,house\nmesa,table\n"),
        "deckId": deck_of(stefan),
    },
    "importUpload": lambda stefan: {"uploadKey": upload_of(stefan), "deckId": deck_of(stefan)},
    "reorderScenarios": lambda stefan: {"ids": [scenario_of(stefan)]},
    "reportTurn": lambda stefan: {"turn": "1"},
    "rescheduleFlashcard": lambda stefan: {"id": str(uuid4()), "dueAt": IN_2030},
    "resetFlashcard": lambda stefan: {"id": str(uuid4())},
    "reviewFlashcard": lambda stefan: {
        "id": str(uuid4()),
        "rating": "good",
        "reviewedAt": now().isoformat(),
    },
    "savePhrase": lambda stefan: {
        "deckId": deck_of(stefan),
        "turn": "1",
        "front": "coffee",
        "back": "café",
    },
    "addTurn": lambda stefan: {"text": "How much is it?"},
    "snoozeReminder": lambda stefan: {"until": (now() + timedelta(days=1)).isoformat()},
    "startExport": lambda stefan: {"format": "json"},
    "startImport": lambda stefan: {"uploadKey": upload_of(stefan)},
    "submitChanges": lambda stefan: by_json({"changes": [change(stefan)]}),
    "submitReviews": lambda stefan: by_json({"reviews": [review(stefan)]}),
    "undoFlashcard": lambda stefan: {"id": str(uuid4())},
}
# A card that was never reviewed, an address that takes mails.
NOTHING_TO_DO = {"undoFlashcard": "NOTHING_TO_UNDO", "requestMailsAgain": "NOT_SUPPRESSED"}

FORMS = {
    route.operation(method).id: (route, method)
    for route in routes()
    for method in route.handlers
    if method != "get" and not (method == "patch" and "put" in route.handlers)
}
OF_ACCOUNTS = {
    id for id, (route, _) in FORMS.items() if route.words[0] in ("auth", "users", "profile")
}
IN_PROCESS = sorted(FORMS.keys() - OF_ACCOUNTS | {"updateUserProfile"})


@pytest.mark.parametrize("operation", IN_PROCESS)
def test_a_form_that_is_filled_in_does_what_its_button_says(
    operation: str,
    voice: Any,  # noqa: F811
) -> None:
    stefan = make_learner("stefan", groups=("staff", "admin"))
    route, _ = FORMS[operation]
    id = THINGS[route.words[0]](stefan) if "{id}" in route.words else ""
    values = VALUES.get(operation, lambda stefan: {})(stefan)
    page = send(signed_in(stefan, groups=("staff", "admin")), operation, id, values)
    if operation in NOTHING_TO_DO:
        assert NOTHING_TO_DO[operation] in said(page)
    else:
        assert page.status_code < 400, said(page)


def send(browser: Browser, operation: str, id: str, values: dict[str, Any]) -> Any:
    """Sends the form of an operation; with a file as a browser sends files."""
    route, method = FORMS[operation]
    path = "/".join(("/browse", *route.words)).replace("{id}", id)
    forms = browser.forms_of(browser.get(path))
    meant = [form for form in forms if form.values.get("_method") == [method.upper()]]
    if "_content" in values or not meant:  # the buttons of such a form say which method
        meant = [form for form in forms if "_content" in form.fields]
        values = {**values, "_method": method.upper()}
    [form] = meant
    assert form.fields >= values.keys(), values.keys() - form.fields
    if "file" not in values:
        return browser.send(form, **values)
    assert form.values.pop("file") == [""]
    return browser.client.post(form.action, form.values | values)


def said(page: Any) -> str:
    text = unescape(page.content.decode())
    return f"{page.status_code} " + " ".join(
        re.findall(r"(?s)<div class=\"problem\".*?</div>", text)
    )
