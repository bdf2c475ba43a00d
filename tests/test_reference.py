"""Random histories through the store as it once was, in some lines, and as it is: equal cards.

Before, a card was one item with its text and its schedule, and a row of the log was known by its
own id alone. What a learner saw of a card must not have changed with it.
"""

from dataclasses import dataclass, field
from uuid import uuid4

from hypothesis import given

from learning.models.cards import Card
from learning.scheduling import Entry, Memory, Void, apply, fold
from learning.services.review import Submission, submit
from tests.examples import tried
from tests.memory_table import MemoryTable
from tests.test_convergence import (
    CARDS,
    NOW,
    START,
    Versions,
    deliveries,
    entry_of,
    memory,
    put_cards,
)

__all__ = ["memory"]  # a fixture
VERSIONS = Versions()
SETTINGS = {int(each.number): each.settings() for each in VERSIONS}


@dataclass
class FormerCard:
    """One item: its state, the order of its newest entry, whether a void waits for its target."""

    id: str
    memory: Memory = field(default_factory=lambda: Memory.new(START))
    last_entry: tuple[object, str] | None = None
    early_void: bool = False


@dataclass
class FormerStore:
    """Rows by their ids alone, in one order by time; cards that a row moves on, or its log."""

    cards: dict[str, FormerCard] = field(
        default_factory=lambda: {card_id: FormerCard(card_id) for card_id in CARDS}
    )
    rows: dict[str, tuple[str, Entry]] = field(default_factory=dict)

    def take(self, sent: Submission) -> None:
        entry, card = entry_of(sent, VERSIONS), self.cards[sent.card_id]
        if sent.id in self.rows:
            return
        self.rows[sent.id] = sent.card_id, entry
        follows = card.last_entry is None or entry.order > card.last_entry
        if follows and not card.early_void and not isinstance(entry, Void):
            card.memory = apply(card.memory, entry, settings=SETTINGS, seed=card.id)
        else:
            log = [each for card_id, each in self.rows.values() if card_id == card.id]
            card.memory = fold(log, created_at=START, settings=SETTINGS, seed=card.id)
            ids = {each.id for each in log}
            voids = [each for each in log if isinstance(each, Void)]
            card.early_void = any(void.target_id not in ids for void in voids)
        card.last_entry = max(card.last_entry or entry.order, entry.order)


@tried(300)
@given(delivery=deliveries())
def test_any_history_leads_to_the_cards_of_before(
    memory: MemoryTable,
    delivery: tuple[list[Submission], list[list[Submission]]],
) -> None:
    _, batches = delivery
    learner_id, former = str(uuid4()), FormerStore()
    put_cards(learner_id)
    for batch in batches:
        for each in batch:
            former.take(each)
        submit(learner_id=learner_id, submissions=batch, now=NOW)
    now = {card_id: Card.of(learner_id, card_id) for card_id in CARDS}
    assert {id_: card and card.memory for id_, card in now.items()} == {
        card.id: card.memory for card in former.cards.values()
    }
