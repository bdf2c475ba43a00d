"""Starter decks: ready-made decks that a learner copies."""

from pynamodb.attributes import JSONAttribute, NumberAttribute, UnicodeAttribute

from config.store.items import Item, Page, Raw


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
