"""What a learner has said, as far as it is understood."""

from datetime import timedelta
from typing import Self

from pynamodb.attributes import NumberAttribute, UnicodeAttribute, UTCDateTimeAttribute

from accounts.models import learner_key
from config.store.items import Item

RUNNING, DONE, FAILED = STATES = ("running", "done", "failed")


class Recording(Item, discriminator="recording"):
    """A recording: `RECORDING#<id>`, for a day. `text` is what was heard."""

    PREFIX = "RECORDING#"
    KEPT = timedelta(days=1)

    id = UnicodeAttribute()
    state = UnicodeAttribute(default=RUNNING)
    language = UnicodeAttribute()
    seconds = NumberAttribute()
    text = UnicodeAttribute(null=True)
    created_at = UTCDateTimeAttribute()

    @classmethod
    def key(cls, learner_id: str, id: str) -> tuple[str, str]:
        return learner_key(learner_id), f"{cls.PREFIX}{id}"

    @classmethod
    def of(cls, learner_id: str, id: str) -> Self | None:
        """One consistent read."""
        return cls.get_or_none(*cls.key(learner_id, id))

    def end(self, text: str | None) -> None:
        """Keeps the text, None if Transcribe understood nothing. Raises ConditionFailed."""
        heard = [Recording.text.set(text)] if text else []
        state = Recording.state.set(DONE if text else FAILED)
        self.update_attributes(state, *heard, condition=Recording.state == RUNNING)
