"""GET /flashcards/due."""

import io
import zipfile
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine

from tests.callers import Caller, access_token
from tests.test_flashcards import card_of, deck_of
from tests.test_import import due_dates
from tests.test_reviews import review, without_fuzz

NOON = datetime(2026, 6, 10, 12, 0, tzinfo=UTC)


def at(moment: datetime, caller: Caller, query: str = "") -> Any:
    """The queue as it stands at a moment."""
    with time_machine.travel(moment, tick=False):
        then = Caller(caller.id, access_token(caller.id))
        answer = then.get(f"/flashcards/due?{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def fronts(queue: Any) -> list[str]:
    return [due["card"]["front"] for due in queue["results"]]


def reviewed(
    caller: Caller, deck_id: str, front: str, days_ago: float, rating: str = "easy"
) -> str:
    """A card reviewed once, some days before noon."""
    card_id = card_of(caller, deck_id, front)
    moment = NOON - timedelta(days=days_ago)
    assert review(caller, card_id, rating, moment).status_code == 201
    return card_id


def test_a_learner_without_cards_has_nothing_to_study(maria: Caller) -> None:
    queue = at(NOON, maria)
    assert queue["results"] == []
    assert queue["counts"] == {"learning": 0, "review": 0, "new": 0}
    # The day in Lisbon ends at four in the morning, which in summer is three o'clock UTC.
    assert queue["dayEndsAt"] == "2026-06-11T03:00:00Z"


def test_learning_comes_before_reviews_and_reviews_before_new_cards(maria: Caller) -> None:
    without_fuzz(maria)
    deck_id = deck_of(maria)
    card_of(maria, deck_id, "nova")
    reviewed(maria, deck_id, "revista", 30)
    reviewed(maria, deck_id, "a aprender", 0.01, "again")
    assert fronts(at(NOON, maria)) == ["a aprender", "revista", "nova"]
    assert at(NOON, maria)["counts"] == {"learning": 1, "review": 1, "new": 1}


@pytest.mark.parametrize(
    ("reviewed_at", "due_on"),
    [
        # Half past four in summer, eight days before it is half past three in winter.
        (datetime(2026, 10, 17, 3, 30, tzinfo=UTC), date(2026, 10, 25)),
        # Half past three in winter, still the day before, eight days before it is half past four.
        (datetime(2026, 3, 22, 3, 30, tzinfo=UTC), date(2026, 3, 29)),
    ],
)
def test_a_review_is_due_so_many_of_the_learners_days_later_though_clocks_change(
    maria: Caller, reviewed_at: datetime, due_on: date
) -> None:
    without_fuzz(maria)
    card_id = card_of(maria, deck_of(maria), "mudança")
    answer = review(maria, card_id, "easy", reviewed_at).json()["card"]
    due_at = datetime.fromisoformat(answer["dueAt"])
    assert due_at == reviewed_at + timedelta(days=8)  # for all devices alike
    lisbon = ZoneInfo("Europe/Lisbon")
    evening = datetime.combine(due_on - timedelta(days=1), time(23), lisbon)
    morning = datetime.combine(due_on, time(5), lisbon)
    assert fronts(at(evening, maria)) == []
    assert fronts(at(morning, maria)) == ["mudança"]
    with time_machine.travel(evening, tick=False):
        then = Caller(maria.id, access_token(maria.id))
        forecast = then.get("/statistics").json()["forecast"]
        exported = then.get("/flashcards/export?format=apkg").content
    assert [day["on"] for day in forecast if day["reviews"]] == [str(due_on)]
    with zipfile.ZipFile(io.BytesIO(exported)) as archive:
        assert due_dates(archive.read("collection.anki21")) == [str(due_on)]


def test_the_review_most_likely_forgotten_comes_first(maria: Caller) -> None:
    without_fuzz(maria)
    deck_id = deck_of(maria)
    reviewed(maria, deck_id, "há pouco", 9)
    reviewed(maria, deck_id, "há muito", 40)
    reviewed(maria, deck_id, "entre os dois", 15)
    queue = at(NOON, maria)
    assert fronts(queue) == ["há muito", "entre os dois", "há pouco"]
    chances = [due["retrievability"] for due in queue["results"]]
    assert chances == sorted(chances)
    assert all(0 < chance < 1 for chance in chances)


def test_new_cards_come_as_they_were_made_and_no_more_than_the_day_allows(maria: Caller) -> None:
    maria.patch("/scheduler", {"newCardsPerDay": 3})
    deck_id = deck_of(maria)
    cards = [card_of(maria, deck_id, f"palavra {n}") for n in range(5)]
    assert fronts(at(NOON, maria)) == ["palavra 0", "palavra 1", "palavra 2"]
    review(maria, cards[0], "easy", NOON)
    assert fronts(at(NOON, maria)) == ["palavra 1", "palavra 2"]
    tomorrow = at(NOON + timedelta(days=1), maria)
    assert fronts(tomorrow) == ["palavra 1", "palavra 2", "palavra 3"]


def test_a_decks_own_limit_holds_in_the_deck_and_in_the_whole(maria: Caller) -> None:
    few, many = deck_of(maria, newCardsPerDay=1), deck_of(maria)
    cards = [card_of(maria, few, f"pouca {n}") for n in range(3)]
    card_of(maria, many, "muita")
    assert fronts(at(NOON, maria)) == ["pouca 0", "muita"]
    assert fronts(at(NOON, maria, f"deckId={few}")) == ["pouca 0"]
    review(maria, cards[0], "easy", NOON)
    assert fronts(at(NOON, maria)) == ["muita"]
    assert fronts(at(NOON, maria, f"deckId={few}")) == []


def test_reviews_stop_at_the_days_limit(maria: Caller) -> None:
    without_fuzz(maria)
    maria.patch("/scheduler", {"reviewsPerDay": 2})
    deck_id = deck_of(maria)
    cards = [reviewed(maria, deck_id, f"palavra {n}", 30 + n) for n in range(4)]
    assert at(NOON, maria)["counts"]["review"] == 2
    review(maria, cards[3], "good", NOON)
    assert at(NOON, maria)["counts"]["review"] == 1


def test_a_review_due_later_today_is_in_todays_queue_and_one_of_tomorrow_is_not(
    maria: Caller,
) -> None:
    without_fuzz(maria)
    deck_id = deck_of(maria)
    card_id = reviewed(maria, deck_id, "hoje", 3)
    due = datetime.fromisoformat(maria.get(f"/flashcards/{card_id}").json()["dueAt"])
    assert fronts(at(due.replace(hour=5), maria)) == ["hoje"]
    assert fronts(at(due - timedelta(days=1), maria)) == []


def test_a_learning_card_waits_for_its_step(maria: Caller) -> None:
    card_id = card_of(maria, deck_of(maria), "casa")
    review(maria, card_id, "again", NOON)
    waiting = at(NOON + timedelta(seconds=59), maria)
    assert (fronts(waiting), waiting["nextLearningAt"]) == ([], "2026-06-10T12:01:00Z")
    assert fronts(at(NOON + timedelta(seconds=60), maria)) == ["casa"]


@pytest.mark.parametrize("rating", ["again", "hard", "good", "easy"])
def test_an_answer_leads_where_the_queue_said_it_would(maria: Caller, rating: str) -> None:
    card_id = reviewed(maria, deck_of(maria), "casa", 40)
    promised = at(NOON, maria)["results"][0]["answers"][rating]
    card = review(maria, card_id, rating, NOON).json()["card"]
    assert {name: card[name] for name in promised} == promised


def test_the_limit_cuts_the_list_and_not_the_counts(maria: Caller) -> None:
    deck_id = deck_of(maria)
    for n in range(4):
        card_of(maria, deck_id, f"palavra {n}")
    queue = at(NOON, maria, "limit=2")
    assert (len(queue["results"]), queue["counts"]["new"]) == (2, 4)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "deckId=x", "cursor=a", "when=now"])
def test_a_parameter_that_is_not_valid_is_refused(maria: Caller, query: str) -> None:
    answer = maria.get(f"/flashcards/due?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


def test_the_queue_goes_on_with_next_in_the_order_of_its_first_page(maria: Caller) -> None:
    without_fuzz(maria)
    deck_id = deck_of(maria)
    for number in range(5):
        reviewed(maria, deck_id, f"seen {number}", 40 - number)
    for number in range(4):
        card_of(maria, deck_id, f"new {number}")
    whole = fronts(at(NOON, maria, "limit=100"))
    assert len(whole) == 9
    first = at(NOON, maria, f"limit=4&deckId={deck_id}")
    shown, page = fronts(first), first
    while page["next"]:
        page = at(NOON + timedelta(hours=1), maria, page["next"].partition("?")[2])
        shown += fronts(page)
    assert shown == whole
    assert at(NOON, maria, "limit=9")["next"] is None


def test_what_is_answered_meanwhile_shifts_no_card_off_the_next_page(maria: Caller) -> None:
    deck_id = deck_of(maria)
    for number in range(6):
        card_of(maria, deck_id, f"new {number}")
    first = at(NOON, maria, "limit=3")
    for due in first["results"]:
        assert review(maria, due["card"]["id"], "good", NOON).status_code == 201
    later = at(NOON + timedelta(minutes=2), maria, first["next"].partition("?")[2])
    assert fronts(first) + fronts(later) == [f"new {number}" for number in range(6)]
    assert later["next"] is None


def test_a_cursor_of_another_queue_is_refused(maria: Caller, joao: Caller) -> None:
    deck_id = deck_of(maria)
    for number in range(2):
        card_of(maria, deck_id, f"new {number}")
    query = maria.get("/flashcards/due?limit=1").json()["next"].partition("?")[2]
    assert joao.get(f"/flashcards/due?{query}").json()["errors"][0]["field"] == "cursor"
    assert maria.get(f"/flashcards/due?{query}&deckId={deck_id}").status_code == 400
