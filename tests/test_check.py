"""What follows from a learner's notes and log is worked out anew: what differs is named, mended."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account, Address, Head, learner_key
from accounts.models.account import account_cache
from config.stack import Stack
from learning.services.check import Fault, _readable, check, repair
from tests.callers import Caller, make_learner
from tests.memory_table import MemoryTable
from tests.reminder_helpers import event_of, reminder_of
from tests.test_changes import Device, fresh, gone
from tests.test_flashcards import card_of, deck_of
from tests.test_holding import set_long_ago
from tests.test_import import send
from tests.test_reviews import review
from tests.test_stored_items import ITEMS

Stored = dict[str, dict[str, Any]]
DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Kept:
    """A learner with something of every kind, made once, and a device that is in step."""

    maria: Caller
    device: Device
    restore: Callable[[], None]


@pytest.fixture(scope="module")
def kept(moto_stack: Stack, memory_table: MemoryTable) -> Kept:
    memory_table.clear()
    account_cache.forget()
    maria = make_learner("maria", timezone="Europe/Lisbon")
    study_all_kinds(maria)
    device = Device(maria)
    device.sync()
    return Kept(maria, device, memory_table.remember())


@pytest.fixture
def maria(kept: Kept, table: None) -> Caller:
    kept.restore()
    return kept.maria


@pytest.fixture
def studied(maria: Caller, memory_table: MemoryTable) -> Stored:
    """Maria's partition."""
    return memory_table.items[learner_key(maria.id)]


def study_all_kinds(maria: Caller) -> None:
    deck, other = deck_of(maria), deck_of(maria, reviewsPerDay=9)
    cards = [card_of(maria, deck, f"casa {n}") for n in range(4)]
    note = maria.makes(
        "/notes", {"type": "cloze", "deckId": deck, "front": "{{c1::gato}} {{c2::cama}}"}
    )
    for days in (3, 2, 0):
        for card in (*cards[:3], f"{note['id']}.0"):
            review(maria, card, at=now() - days * DAY)
    for minutes in range(20):
        review(maria, cards[0], at=now() - DAY + timedelta(minutes=minutes))  # late
    maria.post(f"/flashcards/{cards[1]}/undo", {"id": str(uuid4())})
    maria.post(f"/flashcards/{cards[3]}/bury")
    maria.post(f"/flashcards/{cards[2]}/suspend")
    maria.patch(f"/flashcards/{cards[2]}", {"deckId": other, "front": "mesa"})
    maria.patch(f"/notes/{note['id']}", {"front": "{{c1::gato}} {{c3::rato}}"})
    assert send(maria, b"front;back\nir;to go\n", deckId=deck).status_code == 200
    maria.patch("/scheduler", {"fuzz": False, "dayStartsAtHour": 3})
    event = event_of(maria)
    reminder = reminder_of(maria, kind="event", eventId=event["id"], offsetMinutes=[5, 60])
    maria.post(f"/reminders/{reminder['id']}/dismiss")
    doomed = card_of(maria, deck, "adeus")
    review(maria, doomed)
    maria.delete(f"/flashcards/{doomed}")


def of(stored: Stored, kind: str, where: Callable[[Any], bool] = lambda raw: True) -> Any:
    """The first item of a kind."""
    found = (raw for raw in stored.values() if raw["kind"]["S"] == kind and where(raw))
    return next(found)


def reviewed(raw: Any) -> bool:
    return int(raw["e"]["N"]) > 0


def faults(caller: Caller) -> list[Fault]:
    return check(learner_id=caller.id, now=now())


def test_nothing_is_wrong_of_what_the_service_has_written(maria: Caller, studied: Stored) -> None:
    before = json.dumps(studied, default=str, sort_keys=True)
    assert faults(maria) == []
    assert json.dumps(studied, default=str, sort_keys=True) == before
    kinds = {raw["kind"]["S"] for raw in studied.values()}
    assert {"card", "note", "entry", "day", "head", "journal", "tombstone", "event"} <= kinds


def test_a_learner_of_whom_nothing_is_stored_is_in_order(maria: Caller) -> None:
    assert repair(learner_id=str(uuid4()), now=now(), new_line=True) == ([], [])


def change_schedule(stored: Stored) -> str:
    card = of(stored, "card", reviewed)
    card["m"] = {"S": json.dumps({**json.loads(card["m"]["S"]), "r": 77, "f": 5})}
    return "reps is 77"


def change_entries(stored: Stored) -> str:
    of(stored, "card", reviewed)["e"] = {"N": "40"}
    return "entries is 40"


def change_newest(stored: Stored) -> str:
    of(stored, "card", reviewed)["l"] = {"S": "9999"}
    return "last_entry is '9999'"


def change_queue(stored: Stored) -> str:
    of(stored, "card")["lsi1"] = {"S": "R#2001-01-01T00:00:00.000000Z"}
    return "lsi1 is 'R#2001"


def change_front(stored: Stored) -> str:
    of(stored, "card")["lsi3"] = {"S": "F#zzz"}
    return "lsi3 is some front"


def change_deck_of_card(stored: Stored) -> str:
    of(stored, "card")["d"] = {"S": "nowhere"}
    return "deck_id is 'nowhere'"


def garble_card(stored: Stored) -> str:
    of(stored, "card", reviewed)["m"] = {"S": "{"}
    return "cannot be read"


def lose_card(stored: Stored) -> str:
    del stored[of(stored, "card", reviewed)["sk"]["S"]]
    return "is not there, and its note is"


def lose_note(stored: Stored) -> str:
    note = of(stored, "note", lambda raw: raw["front"]["S"] == "casa 0")
    del stored[note["sk"]["S"]]
    return "no note makes it"


def change_place_of_note(stored: Stored) -> str:
    del of(stored, "note", lambda raw: raw["type"]["S"] == "cloze")["lsi5"]
    return "lsi5 is nothing"


def lose_entry(stored: Stored) -> str:
    del stored[of(stored, "entry")["sk"]["S"]]
    return "is not in the log, and change"


def garble_entry(stored: Stored) -> str:
    of(stored, "entry", lambda raw: "r" in raw)["r"] = {"N": "9"}
    return "cannot be read"


def change_day(stored: Stored) -> str:
    of(stored, "day")["reviews"] = {"N": "70"}
    return "reviews is 70"


def garble_day(stored: Stored) -> str:
    of(stored, "day")["reviews"] = {"S": "many"}
    return "cannot be read"


def lose_day(stored: Stored) -> str:
    del stored[of(stored, "day")["sk"]["S"]]
    return "reviews is nothing"


def stray_day(stored: Stored) -> str:
    """A row of the head's own day, as a torn restore leaves it."""
    row = of(stored, "day")
    on = f"DAY#{Head.from_raw(stored['HEAD']).day}"
    stored[on] = row | {"sk": {"S": on}}
    return "this row is one too many"


def stray_past_day(stored: Stored) -> str:
    stored["DAY#2001-01-01"] = of(stored, "day") | {"sk": {"S": "DAY#2001-01-01"}}
    return "DAY#2001-01-01: "


def change_totals(stored: Stored) -> str:
    stored["HEAD"]["cards"] = {"N": "100"}
    return "cards is 100"


def change_streak(stored: Stored) -> str:
    stored["HEAD"]["sd"] = {"N": "99"}
    return "streak_days is 99"


def lower_number(stored: Stored) -> str:
    stored["HEAD"]["n"] = {"N": str(int(stored["HEAD"]["n"]["N"]) - 1)}
    return "there is a change"


def garble_head(stored: Stored) -> str:
    stored["HEAD"]["j"] = {"B": b"\x01nonsense"}
    return "HEAD: cannot be read"


def lose_head(stored: Stored) -> str:
    del stored["HEAD"]
    return "HEAD: "


def lose_journal(stored: Stored) -> str:
    journals = sorted(sk for sk in stored if sk.startswith("J#"))
    del stored[journals[1]]
    return f"{journals[2]}: the numbers"


def lose_newest_journal(stored: Stored) -> str:
    del stored[max(sk for sk in stored if sk.startswith("J#"))]
    return "HEAD: its changes are not those from"


def garble_journal(stored: Stored) -> str:
    of(stored, "journal")["j"] = {"B": b"\x01nonsense"}
    return "cannot be read"


def shorten_journal(stored: Stored) -> str:
    of(stored, "journal")["z"] = {"N": "2"}
    return "does not hold the numbers"


def double_journal(stored: Stored) -> str:
    journal = of(stored, "journal")
    journal["sk"], sk = {"S": "J#000000000003"}, journal["sk"]["S"]
    stored["J#000000000003"] = journal
    stored[sk] = journal | {"sk": {"S": sk}}
    return "J#000000000003: "


def lower_number_of_item(stored: Stored) -> str:
    of(stored, "note")["n"] = {"N": "0"}
    return "its number is 0"


def forget_tombstone(stored: Stored) -> str:
    del of(stored, "tombstone")["expires_at"]
    return "stays for ever"


def lose_tombstone(stored: Stored) -> str:
    del stored[of(stored, "tombstone")["sk"]["S"]]
    return "is not there, and change"


def exaggerate_tombstone(stored: Stored) -> str:
    of(stored, "tombstone", lambda raw: "e" in raw)["e"] = {"N": "50"}
    return "knows of 50 lines"


def change_limits(stored: Stored) -> str:
    stored["SCHEDULER"]["decks"] = {"S": "{}"}
    return "decks' own limits"


def change_end_of_event(stored: Stored) -> str:
    of(stored, "event")["lsi4"] = {"S": "EVENT#2001"}
    return "lsi4 is 'EVENT#2001'"


def forget_reminder(stored: Stored) -> str:
    reminder = of(stored, "reminder")
    del reminder["gsi1pk"], reminder["gsi1sk"]
    return "gsi1pk is nothing"


def change_place_of_delivery(stored: Stored) -> str:
    of(stored, "delivery").update(gsi1pk={"S": "DEAD"}, gsi1sk={"S": "2030#x"})
    return "gsi1pk is 'DEAD', must be nothing"


def change_mail_of_delivery(stored: Stored) -> str:
    of(stored, "delivery")["mail_id"] = {"S": "01K"}
    return "lsi4 is nothing, must be 'MAIL#01K'"


def change_leech(stored: Stored) -> str:
    card = of(stored, "card", reviewed)
    card["m"] = {"S": json.dumps({**json.loads(card["m"]["S"]), "L": True})}
    return "leech is True, must be False"


def change_suspension(stored: Stored) -> str:
    card = of(stored, "card", lambda raw: reviewed(raw) and "suspended" not in raw["m"]["S"])
    card["m"] = {"S": json.dumps({**json.loads(card["m"]["S"]), "x": "leech"})}
    return "suspended_by is 'leech', must be nothing"


CORRUPTIONS = [
    value for name, value in list(globals().items())
    if name.split("_")[0] in {"change", "garble", "lose", "stray", "lower", "shorten", "double",
                              "forget", "exaggerate"} and callable(value)
]  # fmt: skip


@pytest.mark.parametrize("corrupt", CORRUPTIONS, ids=lambda corrupt: corrupt.__name__)
def test_what_differs_is_named_and_repaired_when_asked(
    kept: Kept, maria: Caller, studied: Stored, corrupt: Callable[[Stored], str]
) -> None:
    device = Device(maria)
    device.cursor = kept.device.cursor
    named = corrupt(studied)
    found = faults(maria)
    assert any(named in str(fault) for fault in found), [*map(str, found)]
    again, left = repair(learner_id=maria.id, now=now())
    assert again == found  # it was only looked at before
    assert left == []
    assert faults(maria) == []
    assert gone(device.ask())
    assert device.sync()
    assert maria.get("/reviews").status_code == 200


def test_a_leech_is_suspended_as_its_log_and_the_settings_of_its_last_answer_say(
    table: None, memory_table: MemoryTable
) -> None:
    maria = make_learner("maria")
    set_long_ago(maria, {"leechThreshold": 1, "leechAction": "suspend"})
    card = card_of(maria, deck_of(maria), "sanguessuga")
    for hours, rating in ((50, "easy"), (3, "again")):
        review(maria, card, rating, at=now() - timedelta(hours=hours))
    path = f"/flashcards/{card}"
    assert (maria.get(path).json()["leech"], maria.get(path).json()["suspended"]) == (True, True)
    assert faults(maria) == []
    studied = memory_table.items[learner_key(maria.id)]
    of_log = studied[f"CARD#{card}"]["m"]["S"]
    maria.post(f"{path}/unsuspend")  # the learner has forgiven it
    maria.patch("/scheduler", {"leechThreshold": 9})
    assert faults(maria) == []
    studied[f"CARD#{card}"]["m"] = {"S": json.dumps(json.loads(of_log) | {"L": False, "x": None})}
    del studied[f"CARD#{card}"]["p"]
    (fault,) = (fault for fault in faults(maria) if fault.sk == f"CARD#{card}")
    assert "leech is False, must be True, suspended_by is nothing, must be 'leech'" in str(fault)
    repair(learner_id=maria.id, now=now())
    assert maria.get(path).json()["suspended"] is True


def test_what_was_studied_is_as_before_once_it_is_repaired(maria: Caller, studied: Stored) -> None:
    def seen() -> Any:
        held = {key: value for key, value in fresh(maria).items() if key[0] in ("card", "review")}
        return held, maria.get("/statistics").json(), maria.get("/profile").json()["cardsLearned"]

    before = seen()
    for corrupt in (change_schedule, lose_entry, lose_day, change_totals, garble_head):
        corrupt(studied)
    repair(learner_id=maria.id, now=now())
    assert seen() == before


def test_what_only_a_backup_can_put_right_is_named_and_left(maria: Caller, studied: Stored) -> None:
    note = of(studied, "note", lambda raw: raw["front"]["S"] == "casa 0")
    del note["front"]
    before = dict(studied)
    found, left = repair(learner_id=maria.id, now=now())
    assert [str(fault) for fault in left] == [f"{note['sk']['S']}: cannot be read"]
    assert found == left
    assert studied == before


def test_nothing_is_written_over_what_a_later_release_may_have_packed(
    maria: Caller, studied: Stored
) -> None:
    of(studied, "journal")["v"] = {"N": "2"}
    of(studied, "journal")["j"] = {"B": b"\x09something"}
    before = dict(studied)
    _, left = repair(learner_id=maria.id, now=now())
    assert [fault.lasting for fault in left] == [True]
    assert studied == before


# --- The commands ---------------------------------------------------------------------------------


def told_by(command: str, *arguments: str) -> str:
    output = io.StringIO()
    call_command(command, *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def registered(maria: Caller) -> Caller:
    """Maria, whom the list of accounts has too."""
    account = Account.of(maria.id)
    assert account is not None
    Address(
        f"EMAIL#{account.email}", Address.SK, owner="", lease_until=0, learner_id=maria.id
    ).save()
    return maria


def test_a_card_is_shown_with_its_log(registered: Caller, studied: Stored) -> None:
    card_id = of(studied, "card", reviewed)["sk"]["S"].removeprefix("CARD#")
    shown = told_by("show_card", registered.id, card_id)
    log = registered.get(f"/reviews?cardId={card_id}&limit=100").json()["results"]
    assert log
    for entry in log:
        assert f"{entry['id']} " in shown
    assert f"rating {log[-1]['rating']}" in shown
    assert "state review" in shown or "state learning" in shown
    assert "casa" not in shown
    with pytest.raises(CommandError, match="has no card"):
        told_by("show_card", registered.id, "none")


def test_a_learner_is_shown_with_all_changes_in_order(registered: Caller, studied: Stored) -> None:
    account = Account.of(registered.id)
    assert account is not None
    shown = told_by("show_learner", account.email)
    head = Head.of(registered.id)
    numbers = [
        int(line.split()[0])
        for line in shown.splitlines()
        if line[:2] == "  " and line[2].isdigit()
    ]
    assert numbers == [*range(1, int(head.n) + 1)]
    assert f"HEAD of line {head.line}" in shown
    assert f"{head.streak_days} in a row" in shown
    assert "rating good" in shown
    assert "casa" not in shown


def test_what_cannot_be_read_is_no_traceback(registered: Caller, studied: Stored) -> None:
    garble_head(studied)
    with pytest.raises(CommandError, match="check_learner"):
        told_by("show_learner", registered.id)
    with pytest.raises(CommandError, match="Nobody here is joao"):
        told_by("show_learner", "joao@example.org")


def test_all_learners_are_checked_and_repaired_when_asked(
    registered: Caller, studied: Stored
) -> None:
    change_totals(studied)
    output = io.StringIO()
    with pytest.raises(CommandError, match="--repair"):
        call_command("check_learner", stdout=output)
    assert f"{registered.id} HEAD: cards is 100" in output.getvalue()
    assert "(repaired)" not in output.getvalue()
    assert "(repaired)" in told_by("check_learner", registered.id, "--repair")
    assert told_by("check_learner") == "Checked: 1. Not as they must be: 0\n"


def test_a_check_that_runs_out_of_time_says_where_to_go_on(registered: Caller) -> None:
    output = told_by("check_learner", "--seconds", "1e-9")
    assert f"--after {registered.id}" in output
    assert "Checked: 0" in told_by("check_learner", "--after", registered.id)


def test_a_restore_ends_the_line_that_devices_follow(kept: Kept, registered: Caller) -> None:
    device = Device(registered)
    device.cursor = kept.device.cursor
    assert device.ask().status_code == 200
    told_by("check_learner", registered.id, "--repair")
    assert device.ask().status_code == 200  # there was nothing to repair
    told_by("check_learner", registered.id, "--repair", "--new-line")
    assert gone(device.ask())


@pytest.mark.parametrize("raw", ITEMS, ids=lambda raw: raw["kind"]["S"])
def test_every_kind_of_item_can_be_read_when_it_is_checked(raw: Any) -> None:
    assert _readable(raw).sk == raw["sk"]["S"]
