"""What a learner's devices are told of when it changes."""

from pynamodb.attributes import NumberAttribute

from config.store.items import Item


class Synced(Item):
    """An item whose changes are numbered by the learner's head; `n` is that of the last one."""

    n = NumberAttribute(null=True)

    @property
    def is_gone(self) -> bool:
        """Whether it only marks that there was something under its key."""
        return False
