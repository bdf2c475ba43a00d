"""A field is named once: what a newcomer adds to an item goes wherever the item goes."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from pynamodb.attributes import UnicodeAttribute

from accounts.models import Profile
from config import serializers
from config.serializers import TextField
from config.store import items
from config.store.items import Item
from learning.api.decks import NewDeckSerializer
from learning.api.flashcards import NewCardSerializer
from learning.api.notes import NewNoteSerializer, NoteSerializer, WrittenNoteSerializer
from learning.api.serializers import CardSerializer, DeckSerializer, ToldDeckSerializer
from learning.models.cards import Card, Deck, Note
from learning.models.log import LogEntry
from learning.models.practice import Session, Turn
from learning.models.scheduler import Scheduler
from reminders.models import Event, Reminder
from tests.callers import Caller
from tests.test_flashcards import card_of, deck_of
from tests.test_import import send
from tests.test_reviews import review

KINDS = [Deck, Note, Card, LogEntry, Scheduler, Session, Turn, Event, Reminder, Profile]


@pytest.fixture(autouse=True)
def new_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forgets what was worked out of classes as they were, before the fields and after them."""
    caches = [items._columns, items._defaults, serializers._readers, serializers._checker]
    for each in caches:
        each.cache_clear()
    yield
    monkeypatch.undo()
    for each in caches:
        each.cache_clear()


def add_field(patch: pytest.MonkeyPatch, *kinds: type[Any]) -> None:
    """Gives items a field for a while, as somebody would add it."""
    for kind in kinds:
        attribute = UnicodeAttribute(attr_name="mood", null=True)
        attribute.__set_name__(kind, "mood")
        patch.setattr(kind, "mood", attribute, raising=False)
        patch.setitem(kind._attributes, "mood", attribute)


@pytest.fixture
def mood(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that items of every kind have."""
    add_field(monkeypatch, *KINDS)


@pytest.fixture
def written_mood(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field of decks and notes, and of what the API shows of them and of cards."""
    add_field(monkeypatch, Deck, Note)
    shapes = (
        DeckSerializer,
        NewDeckSerializer,
        ToldDeckSerializer,
        CardSerializer,
        NewCardSerializer,
        NoteSerializer,
        NewNoteSerializer,
        WrittenNoteSerializer,
    )
    for shape in shapes:
        added = TextField(max_length=20, required=False, allow_null=True)
        monkeypatch.setitem(shape._declared_fields, "mood", added)


def moods(caller: Caller, path: str) -> set[Any]:
    return {each["mood"] for each in caller.get(path).json()["results"]}


def test_a_field_of_a_deck_and_of_a_note_is_copied_exported_and_imported(
    maria: Caller, joao: Caller, written_mood: None
) -> None:
    deck_id = deck_of(maria, mood="calm", description="words")
    card_of(maria, deck_id, mood="bold")
    maria.makes("/notes", {"type": "reversed", "deckId": deck_id, "front": "sol", "back": "sun",
                           "mood": "bold"})  # fmt: skip
    copy = maria.makes(f"/decks/{deck_id}/duplicate", {"id": str(uuid4())})
    assert copy["mood"] == "calm"
    assert moods(maria, f"/flashcards?deckId={copy['id']}") == {"bold"}

    document = maria.get("/flashcards/export?format=json").content
    whole = json.loads(document)
    assert {deck["mood"] for deck in whole["decks"]} == {"calm"}
    assert {note["more"]["mood"] for note in whole["notes"]} == {"bold"}
    assert send(joao, document, "notes.json").json()["imported"] == 4
    assert moods(joao, "/decks") == {"calm"}
    assert joao.get("/decks").json()["results"][0]["description"] == "words"
    assert moods(joao, "/flashcards") == {"bold"}


def test_a_field_that_a_newer_file_says_is_brought_up_to_date(
    maria: Caller, written_mood: None
) -> None:
    def file(mood: str, day: int) -> bytes:
        note = {"id": "g", "front": "ir", "back": "to go", "deck": "Verbs", "more": {"mood": mood},
                "modifiedAt": f"2027-01-0{day}T00:00:00Z"}  # fmt: skip
        return json.dumps({"notes": [note]}).encode()

    send(maria, file("calm", 1), "notes.json")
    assert send(maria, file("bold", 2), "notes.json").json()["updated"] == 1
    assert moods(maria, "/flashcards") == {"bold"}
    assert send(maria, file("calm", 1), "notes.json").json()["updated"] == 0


def test_a_field_that_is_not_valid_is_told_and_leaves_the_rest(maria: Caller) -> None:
    note = {"id": "g", "front": "ir", "back": "to go", "deck": "Verbs"}
    odd = note | {"id": "h", "more": {"colour": "red"}}
    deck = {"name": "Verbs", "reviewsPerDay": -1}
    document = json.dumps({"decks": [deck, 7], "notes": [note, odd]}).encode()
    body = send(maria, document, "notes.json").json()
    assert (body["imported"], body["failed"]) == (1, 1)
    assert {error["field"] for error in body["errors"]} == {"decks.reviewsPerDay", "colour"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_field_is_stored_read_and_told(mood: None, maria: Caller, kind: type[Any]) -> None:
    """A value that was set is stored, and devices and exports have it, for each kind of item."""
    deck_id = deck_of(maria)
    review(maria, card_of(maria, deck_id))
    maria.patch("/scheduler", {"fuzz": False})
    found = [Item.from_raw(raw) for raw in raws(maria) if raw["kind"]["S"] == kind_name(kind)]
    assert found or kind in (Session, Turn, Event, Reminder)
    for item in found:
        item.mood = "calm"  # type: ignore[attr-defined]
        stored = item.serialize()
        assert Item.from_raw(stored).mood == "calm"  # type: ignore[attr-defined]
        if isinstance(item, LogEntry):
            again = LogEntry.as_told(maria.id, item.sk, item.told())
            assert again.mood == "calm"  # type: ignore[attr-defined]
        if isinstance(item, Scheduler):
            assert item.as_version().mood == "calm"  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_a_newer_release_has_stored_survives_a_change_by_this_one(
    maria: Caller, kind: type[Any]
) -> None:
    review(maria, card_of(maria, deck_of(maria)))
    for raw in raws(maria):
        if raw["kind"]["S"] == kind_name(kind):
            newer = raw | {"colour": {"S": "red"}}
            assert Item.from_raw(newer).serialize()["colour"] == {"S": "red"}


def kind_name(kind: type[Item]) -> str:
    attribute: Any = kind.get_attributes()["kind"]
    return str(attribute.get_discriminator(kind))


def raws(caller: Caller) -> list[Any]:
    from accounts.models import learner_key
    from config.store.items import raw_partition_page

    return list(raw_partition_page(learner_key(caller.id)).items)
