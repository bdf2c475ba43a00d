"""What an import that works by itself tells of a file's rows."""

from datetime import datetime
from hashlib import sha256
from typing import Self

from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
)

from accounts.models import learner_key
from config.problems import Filled
from config.store.items import Item, Page, Raw
from config.store.jobs import KEPT
from learning.transfer import RowError


class ImportRow(Item, discriminator="import_row"):
    """A remark on a row of an imported file: `ROW#<import>#<row>#<digest of the remark>`.

    Its key says all that it holds, so that it may be written again.
    """

    PREFIX = "ROW#"

    row = NumberAttribute()
    field = UnicodeAttribute()
    code = UnicodeAttribute()
    template = UnicodeAttribute(attr_name="message")
    values = JSONAttribute(null=True)
    fatal = BooleanAttribute()

    @classmethod
    def new(cls, learner_id: str, import_id: str, error: RowError, *, now: datetime) -> Self:
        text = f"{error.field} {error.code} {error.message}"
        digest = sha256(text.encode()).hexdigest()[:12]
        return cls(
            learner_key(learner_id),
            f"{cls.PREFIX}{import_id}#{error.row:08}#{digest}",
            row=error.row,
            field=error.field,
            code=error.code,
            template=getattr(error.message, "template", error.message),
            values=getattr(error.message, "values", None) or None,
            fatal=error.fatal,
            expires_at=int((now + KEPT).timestamp()),
        )

    @property
    def message(self) -> str:
        """The remark in English, still to be translated."""
        return Filled(self.template, **self.values) if self.values else self.template

    @classmethod
    def of_import(
        cls, learner_id: str, import_id: str, *, limit: int, start: Raw | None
    ) -> "Page[ImportRow]":
        """A page of the remarks on an import's rows, in their order: one query."""
        condition = cls.sk.startswith(f"{cls.PREFIX}{import_id}#")
        return cls.query_page(learner_key(learner_id), condition, limit=limit, start=start)
