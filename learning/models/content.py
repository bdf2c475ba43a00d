"""Published content: scenarios, and decks that a learner copies.

Of a scenario there are the entry of the catalogue, the draft that staff edit, and the revisions
that learners play.
"""

import functools
import operator
from collections.abc import Mapping
from typing import Any

from pynamodb.attributes import (
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)
from pynamodb.expressions.condition import Condition

from config.store.items import Item, Page, Raw
from learning.search_syntax import base_letters

DRAFT, PUBLISHED, ARCHIVED = STATUSES = ("draft", "published", "archived")
SUMMARY = ("title", "context", "description", "level", "language")


class Scenario(Item, discriminator="scenario"):
    """A scenario in the catalogue: `SCENARIO#<id>` / `META`.

    gsi1: `SCENARIOS#<status>` / `<level>#<order>#<id>`. `revision` is the newest one published, 0
    before the first, and `published_digest` its digest; `draft_digest` is the draft's and
    `pack_digest` that of the file of our pack it was last loaded from. The summary (title to
    language) is that of the newest revision, before the first that of the draft.
    """

    SK = "META"

    id = UnicodeAttribute()
    status = UnicodeAttribute(default=DRAFT)
    title = UnicodeAttribute()
    context = UnicodeAttribute()
    description = UnicodeAttribute()
    level = UnicodeAttribute()
    language = UnicodeAttribute()
    order = NumberAttribute()
    search_text = UnicodeAttribute()
    revision = NumberAttribute(default=0)
    published_digest = UnicodeAttribute(null=True)
    draft_digest = UnicodeAttribute()
    pack_digest = UnicodeAttribute(null=True)
    request_digest = UnicodeAttribute(attr_name="made_from")
    created_at = UTCDateTimeAttribute()
    updated_at = UTCDateTimeAttribute()
    published_at = UTCDateTimeAttribute(null=True)
    version = VersionAttribute()

    @classmethod
    def key(cls, scenario_id: str) -> tuple[str, str]:
        return f"SCENARIO#{scenario_id}", cls.SK

    @classmethod
    def of(cls, scenario_id: str) -> "Scenario | None":
        """One consistent read."""
        return cls.get_or_none(*cls.key(scenario_id))

    @property
    def has_unpublished_changes(self) -> bool:
        return bool(self.draft_digest != self.published_digest)

    def set_summary(self, script: Mapping[str, Any]) -> None:
        """Takes over what the catalogue shows of a script, and its place there."""
        for name in SUMMARY:
            setattr(self, name, script[name])
        self.search_text = base_letters(f"{self.title}\n{self.description}\n{self.context}")
        self.set_index_keys()

    def set_index_keys(self) -> None:
        """Sets the index keys from status, level and order."""
        self.gsi1pk = f"SCENARIOS#{self.status}"
        self.gsi1sk = f"{self.level}#{int(self.order):06}#{self.id}"

    @classmethod
    def catalogue(
        cls,
        *,
        status: str,
        level: str | None = None,
        context: str | None = None,
        language: str | None = None,
        search: str | None = None,
        limit: int,
        start: Raw | None,
    ) -> "Page[Scenario]":
        """One page by level, order and id; other filters than the level work inside the page."""
        matching: list[Condition] = []
        if context is not None:
            matching.append(cls.context == context)
        if language is not None:
            matching.append(cls.language == language)
        if search is not None:
            matching.append(cls.search_text.contains(base_letters(search)))
        return cls.query_page(
            f"SCENARIOS#{status}",
            cls.gsi1sk.startswith(f"{level}#") if level else None,
            index="gsi1",
            limit=limit,
            start=start,
            matching=functools.reduce(operator.and_, matching) if matching else None,
        )


class Draft(Item, discriminator="draft"):
    """The script as staff edit it: `SCENARIO#<id>` / `DRAFT`, under the version of `META`."""

    SK = "DRAFT"

    script = JSONAttribute()

    @classmethod
    def key(cls, scenario_id: str) -> tuple[str, str]:
        return f"SCENARIO#{scenario_id}", cls.SK


class Revision(Item, discriminator="revision"):
    """A published script, which never changes nor goes: `SCENARIO#<id>` / `REVISION#<n>`."""

    PREFIX = "REVISION#"

    script = JSONAttribute()
    created_at = UTCDateTimeAttribute()

    @classmethod
    def key(cls, scenario_id: str, number: int) -> tuple[str, str]:
        return f"SCENARIO#{scenario_id}", f"{cls.PREFIX}{number:06}"

    @classmethod
    def of(cls, scenario_id: str, number: int) -> "Revision | None":
        """One consistent read."""
        return cls.get_or_none(*cls.key(scenario_id, number))


class Usage(Item, discriminator="usage"):
    """How many sessions began with a scenario: `SCENARIO#<id>` / `USAGE`.

    Apart from `META`, so that the learners' counting never collides with the staff's editing.
    """

    SK = "USAGE"

    sessions = NumberAttribute(default=0)

    @classmethod
    def key(cls, scenario_id: str) -> tuple[str, str]:
        return f"SCENARIO#{scenario_id}", cls.SK

    @classmethod
    def count_session(cls, scenario_id: str) -> None:
        """Counts one more session: one blind write."""
        cls(*cls.key(scenario_id)).update_attributes(cls.kind.set(cls), cls.sessions.add(1))


class StarterDeck(Item, discriminator="starter"):
    """What is shown of a starter deck: `STARTER#<id>` / `META`.

    gsi1: `STARTERS` / `<level>#<id>`. `digest` is that of the file it was loaded from.
    """

    SK = "META"

    id = UnicodeAttribute()
    name = UnicodeAttribute()
    description = UnicodeAttribute()
    level = UnicodeAttribute()
    language = UnicodeAttribute()
    translation = UnicodeAttribute()
    card_count = NumberAttribute()
    digest = UnicodeAttribute()

    @classmethod
    def key(cls, starter_id: str) -> tuple[str, str]:
        return f"STARTER#{starter_id}", cls.SK

    @classmethod
    def all(cls, *, limit: int, start: Raw | None) -> "Page[StarterDeck]":
        """One page by level and id."""
        return cls.query_page("STARTERS", index="gsi1", limit=limit, start=start)


class StarterCards(Item, discriminator="starter_cards"):
    """The cards of a starter deck, as fields of cards: `STARTER#<id>` / `CARDS`."""

    SK = "CARDS"

    cards = JSONAttribute()

    @classmethod
    def key(cls, starter_id: str) -> tuple[str, str]:
        return f"STARTER#{starter_id}", cls.SK
