"""Starter decks: brought into the table from our files, copied by learners."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from ulid import ULID

from config.problems import IdTaken, NotFound
from config.store.items import batch_get
from config.store.transactions import Put, transact
from learning.models.base import digest
from learning.models.cards import Deck
from learning.models.content import StarterCards, StarterDeck
from learning.services.bulk import create_cards
from learning.services.cards import NoSuchDeck, create_deck

SHOWN = ("name", "description", "level", "language", "translation")
CARDS_OF_COPIES = UUID("6f2c3f0e-2f0b-5d0e-9c1b-6a0f4f1d7a55")  # ours; only has to stay the same


def load_starter_decks(pack: Sequence[Mapping[str, Any]]) -> list[str]:
    """Brings our starter decks up to date; answers the ids of those that have changed.

    One read for 100 decks, one transaction for each that has changed. Copies stay as they are.
    """
    stored = batch_get(*(StarterDeck.key(deck["id"]) for deck in pack))
    changed = []
    for deck in pack:
        present, of_file = stored.get(StarterDeck.key(deck["id"])), digest(deck)
        if isinstance(present, StarterDeck) and present.digest == of_file:
            continue
        starter = StarterDeck(
            *StarterDeck.key(deck["id"]),
            id=deck["id"],
            card_count=len(deck["cards"]),
            digest=of_file,
            gsi1pk="STARTERS",
            gsi1sk=f"{deck['level']}#{deck['id']}",
            **{name: deck[name] for name in SHOWN},
        )
        cards = StarterCards(*StarterCards.key(deck["id"]), cards=deck["cards"])
        transact(Put(starter), Put(cards))
        changed.append(deck["id"])
    return changed


def copy_starter_deck(
    *, learner_id: str, starter_id: str, deck_id: str | None, now: datetime
) -> Deck:
    """Makes a deck of the learner's own, with all cards of a starter deck.

    One read and one write for the deck, then one of each for every 45 cards. Sent again with the
    same id it is the same deck, and what a broken-off request left out is added: the cards' ids
    follow from the deck's. A card that was deleted stays so. Raises NotFound and IdTaken.
    """
    keys = StarterDeck.key(starter_id), StarterCards.key(starter_id)
    stored = batch_get(*keys)
    starter, template = (stored.get(key) for key in keys)
    if not isinstance(starter, StarterDeck) or not isinstance(template, StarterCards):
        raise NotFound
    fields = {
        "id": deck_id or str(ULID()),
        "name": starter.name,
        "description": starter.description,
        "native_language": starter.translation,
        "target_language": starter.language,
    }
    deck = create_deck(learner_id=learner_id, fields=fields, now=now)
    cards = [
        {
            "id": str(uuid5(CARDS_OF_COPIES, f"{deck.id}/{number}")),
            "deck_id": deck.id,
            **{name: value for name, value in card.items() if value},
        }
        for number, card in enumerate(template.cards)
    ]
    results = create_cards(learner_id=learner_id, items=cards, now=now)
    if any(isinstance(result.problem, NoSuchDeck) for result in results):
        raise IdTaken("The deck is being deleted")
    return deck
