"""Translations of bare words, which are the same for everybody."""

import unicodedata
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Self

from pynamodb.attributes import UnicodeAttribute

from config.store.items import Item


class Translation(Item, discriminator="translation"):
    """What a bare word means: `WORD#<digest of languages and word>` / `WORD`, for 90 days.

    Only Amazon Translate's own answers stand here: nobody else can put one in. It holds no word of
    a sentence that somebody wrote.
    """

    SK = "WORD"
    KEPT = timedelta(days=90)

    translation = UnicodeAttribute()

    @classmethod
    def at(cls, text: str, source: str, target: str) -> Self:
        """The place of a word, as it is written."""
        said = "\x1f".join((source, target, unicodedata.normalize("NFC", text)))
        return cls(f"WORD#{sha256(said.encode()).hexdigest()[:40]}", cls.SK)

    def found(self, now: datetime) -> str | None:
        """The translation, if it is kept: one consistent read."""
        stored = self.get_or_none(self.pk, self.sk)
        if stored is None or stored.expires_at <= now.timestamp():
            return None
        return str(stored.translation)

    def keep(self, translation: str, now: datetime) -> None:
        """Keeps a translation for everybody."""
        self.translation = translation
        self.expires_at = int((now + self.KEPT).timestamp())
        self.put()
