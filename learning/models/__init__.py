"""The items of learning; `docs/access-patterns.md` has every pattern with its key and cost.

All kinds are imported here: a read of several kinds at once must know each.
"""

from learning.models.base import Tombstone
from learning.models.budgets import Budget
from learning.models.cards import Card, Deck, DeckCopy, Note
from learning.models.content import Draft, Revision, Scenario, StarterCards, StarterDeck, Usage
from learning.models.dictionary import Translation
from learning.models.log import Day, LogEntry
from learning.models.media import MediaShelf, Medium
from learning.models.practice import Asked, Report, Session, Turn
from learning.models.recordings import Recording
from learning.models.scheduler import Optimization, Scheduler
from learning.models.transfers import ImportRow

__all__ = [
    "Asked",
    "Budget",
    "Card",
    "Day",
    "Deck",
    "DeckCopy",
    "Draft",
    "ImportRow",
    "LogEntry",
    "MediaShelf",
    "Medium",
    "Note",
    "Optimization",
    "Recording",
    "Report",
    "Revision",
    "Scenario",
    "Scheduler",
    "Session",
    "StarterCards",
    "StarterDeck",
    "Tombstone",
    "Translation",
    "Turn",
    "Usage",
]
