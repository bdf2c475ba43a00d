"""Entries of bare words, which are the same for everybody."""

import unicodedata
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Self

from pynamodb.attributes import UnicodeAttribute

from config.store.items import Item


class Translation(Item, discriminator="translation"):
    """What a bare word means: `WORD#<digest of languages, word and model>` / `WORD`, for 90 days.

    Only answers of Amazon Translate stand here, and those of a model that was asked for this word
    alone: nobody else can put one in. It holds no word of a sentence that somebody wrote. A model's
    answer is never given out as Translate's, nor as another model's.
    """

    SK = "WORD"
    KEPT = timedelta(days=90)
    DETAILS = ("part_of_speech", "ipa", "example")

    translation = UnicodeAttribute()
    part_of_speech = UnicodeAttribute(null=True)
    ipa = UnicodeAttribute(null=True)
    example = UnicodeAttribute(null=True)

    @classmethod
    def at(cls, text: str, source: str, target: str, *, model: str | None = None) -> Self:
        """The place of a word, as it is written: Translate's, or a model's."""
        asked = [source, target, unicodedata.normalize("NFC", text), *([model] if model else [])]
        digest = sha256("\x1f".join(asked).encode()).hexdigest()
        return cls(f"WORD#{digest[:40]}", cls.SK)

    def found(self, now: datetime) -> Self | None:
        """The entry, if it is kept: one consistent read."""
        stored = self.get_or_none(self.pk, self.sk)
        return stored if stored and stored.expires_at > now.timestamp() else None

    def details(self) -> dict[str, str | None]:
        """What only a model tells."""
        return {name: getattr(self, name) for name in self.DETAILS}

    def keep(self, translation: str, now: datetime, **details: str | None) -> None:
        """Keeps an entry for everybody."""
        self.translation = translation
        for name, value in details.items():
            setattr(self, name, value)
        self.expires_at = int((now + self.KEPT).timestamp())
        self.put()
