"""Searches carried out: which index serves one, and what is filtered inside its pages."""

import functools
import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pynamodb.expressions.condition import Condition, Not

from config.problems import ValidationFailed
from config.store.items import Page, Raw, key_instant
from learning.models.cards import Card, Deck, search_key
from learning.scheduling import State
from learning.search_syntax import Search, SearchError, Term, parse

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
    conditions = [_condition(term, decks, now) for term in search.terms]
    matching = functools.reduce(operator.and_, conditions) if conditions else None
    index, condition = _index(search, decks, now)
    return Card.search(
        learner_id,
        condition,
        index=index,
        matching=matching,
        limit=limit,
        read=READ if conditions else limit + 1,
        start=start,
    )


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


def _index(search: Search, decks: Mapping[str, str], now: datetime) -> tuple[str | None, Condition]:
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
        return index, attribute.between(f"{prefix}L#", f"{prefix}R#{key_instant(now)}")
    if deck:
        return index, attribute.startswith(prefix)
    return None, Card.sk.startswith(Card.PREFIX)


def _condition(term: Term, decks: Mapping[str, str], now: datetime) -> Condition:
    """What a term asks of a card."""
    condition: Condition
    match term.field:
        case "deck":
            condition = Card.deck_id == decks[term.value]
        case "tag":
            condition = Card.tags.contains(term.value)
        case "prop":
            attribute = Card.get_attributes()[term.name]
            compare: Callable[[Any, float], Condition] = COMPARE[term.operator]
            condition = compare(attribute, float(term.value))
        case "is":
            condition = _is(term.value, now)
    return Not(condition) if term.negated else condition


def _is(state: str, now: datetime) -> Condition:
    match state:
        case "due":
            studied: Condition = Card.state != State.NEW.value
            free = Card.buried_until.does_not_exist() | (Card.buried_until <= now)
            due: Condition = (Card.due_at <= now) & (Card.suspended == False)  # noqa: E712
            all_of: list[Condition] = [studied, due, free]
            return functools.reduce(operator.and_, all_of)
        case "learning":
            return Card.state.is_in(State.LEARNING.value, State.RELEARNING.value)
        case "suspended":
            return Card.suspended == True  # noqa: E712
        case "leech":
            return Card.leech == True  # noqa: E712
        case "buried":
            return Card.buried_until > now
        case _:
            return Card.state == state
