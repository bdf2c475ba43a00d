"""Searches carried out: which index serves one, and what is filtered inside its pages."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pynamodb.expressions.condition import Condition

from accounts.models import learner_key
from config.problems import ValidationFailed
from config.store.items import Page, Raw, key_instant
from learning.models.cards import Card, Deck, search_key
from learning.scheduling import State
from learning.search_syntax import Search, SearchError, Term, parse
from learning.services.lists import Test, look

READ = 500  # cards looked at for one page of a search, however many there are
DECKS = 1_000  # decks whose names are looked through
COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


def search_cards(
    *, learner_id: str, text: str, limit: int, start: Raw | None, now: datetime
) -> Page[Card]:
    """One page of the cards a search finds: one query, and one more of the decks with `deck:`.

    At most 500 cards are looked at, so a page may be short, even empty, and have a next one.
    Raises ValidationFailed that names the offending position.
    """
    try:
        search = parse(text)
        decks = _decks(learner_id, search)
    except SearchError as error:
        message = f"At character {error.position + 1}: {error}"
        raise ValidationFailed.of("q", "search_syntax", message) from error
    tests = [_test(term, decks, now) for term in search.terms if term.field != "tag"]
    tagged = [term for term in search.terms if term.field == "tag"]
    index, condition = _index(search, decks, now)

    def page(condition: Condition, limit: int, start: Raw | None) -> Page[Card]:
        return look(
            learner_id,
            condition,
            index=index,
            stands=lambda card: all(test(card) for test in tests),
            says=(lambda card: all(_is_tagged(card, term) for term in tagged)) if tagged else None,
            limit=limit,
            read=READ if search.terms else limit + 1,
            start=start,
        )

    if not isinstance(condition, _Due):
        return page(condition, limit, start)
    steps, reviews = condition.steps, condition.reviews
    found: list[Card] = []
    if start is None or start[str(index)]["S"] < condition.first_review:
        first = page(steps, limit, start)
        if first.next_key:
            return first
        found, start = first.items, None
        if len(found) == limit:
            at = {"pk": learner_key(learner_id), "sk": "!", str(index): condition.first_review}
            return Page(found, {name: {"S": value} for name, value in at.items()})
    rest = page(reviews, limit - len(found), start)
    return Page([*found, *rest.items], rest.next_key)


@dataclass(frozen=True)
class _Due:
    """What is due stands in two queues, with the new cards between them."""

    steps: Condition
    reviews: Condition
    first_review: str


def _decks(learner_id: str, search: Search) -> dict[str, str]:
    """The id of each deck that is named, by id or by name whatever its case."""
    wanted = [term for term in search.terms if term.field == "deck"]
    if not wanted:
        return {}
    known: dict[str, str] = {}
    for deck in Deck.all_of(learner_id, limit=DECKS, start=None).items:
        known |= {deck.id: deck.id, search_key(deck.name): deck.id}
    for term in wanted:
        if (term.value not in known) and (search_key(term.value) not in known):
            raise SearchError(term.position, "You have no such deck.")
    return {t.value: known.get(t.value) or known[search_key(t.value)] for t in wanted}


def _index(
    search: Search, decks: Mapping[str, str], now: datetime
) -> tuple[str | None, Condition | _Due]:
    """The index that leaves the least to filter."""
    if search.front:
        return "lsi3", Card.lsi3.startswith(f"F#{search_key(search.front)}")
    plain = [term for term in search.terms if not term.negated]
    states = [term.value for term in plain if term.field == "is"]
    deck = next((decks[term.value] for term in plain if term.field == "deck"), None)
    prefix, attribute = (f"{deck}#", Card.lsi2) if deck else ("", Card.lsi1)
    index = "lsi2" if deck else "lsi1"
    if "suspended" in states:
        return index, attribute.startswith(f"{prefix}S#")
    if "due" in states:
        last = key_instant(now)
        return index, _Due(
            attribute.between(f"{prefix}L#", f"{prefix}L#{last}"),
            attribute.between(f"{prefix}R#", f"{prefix}R#{last}"),
            f"{prefix}R#",
        )
    if "tag" in [term.field for term in plain]:
        return None, Card.sk.startswith(Card.PREFIX)  # where the notes lie in the same order
    if deck:
        return index, attribute.startswith(prefix)
    if search.terms:
        return index, attribute > "0"
    return None, Card.sk.startswith(Card.PREFIX)


def _is_tagged(card: Card, term: Term) -> bool:
    return (term.value in card.tags) is not term.negated


def _test(term: Term, decks: Mapping[str, str], now: datetime) -> Test:
    """What a term asks of a card's schedule."""
    match term.field:
        case "deck":
            wanted = decks[term.value]
            return lambda card: (card.deck_id == wanted) is not term.negated
        case "prop":
            compare, number = COMPARE[term.operator], float(term.value)
            return lambda card: _compares(card, term.name, compare, number) is not term.negated
        case _:
            return lambda card: _is(card, term.value, now) is not term.negated


def _compares(card: Card, name: str, compare: Callable[[Any, Any], bool], number: float) -> bool:
    """Whether a property compares so; one that a new card has not is unequal to any number."""
    value = getattr(card, name)
    if value is None:
        return compare is operator.ne
    return bool(compare(value, number))


def _is(card: Card, state: str, now: datetime) -> bool:
    match state:
        case "due":
            free = card.buried_until is None or card.buried_until <= now
            return (
                card.state != State.NEW.value
                and card.due_at <= now
                and free
                and not (card.suspended)
            )
        case "learning":
            return card.state in (State.LEARNING.value, State.RELEARNING.value)
        case "suspended":
            return card.suspended
        case "leech":
            return card.leech
        case "buried":
            return card.buried_until is not None and card.buried_until > now
        case _:
            return card.state == state
