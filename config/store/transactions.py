"""Writes that hold or fail together."""

from collections.abc import Sequence
from typing import Any

from pynamodb.exceptions import VerboseClientError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from config.aws import THROTTLES, error_code
from config.records import dataclass
from config.store.connection import connection, retrying
from config.store.items import CONDITION_LOST, ConditionFailed, Item

LIMIT = 100  # AWS: TransactWriteItems
CONFLICTS = THROTTLES | {"TransactionConflict", "TransactionInProgressException"}


class Conflicted(ConditionFailed):
    """Another transaction holds one of the items, or AWS is busy: nothing was written."""


@dataclass(frozen=True)
class Put:
    """Writes the whole item under its version and `condition`."""

    item: Item
    condition: Condition | None = None

    def request(self) -> tuple[str, dict[str, Any]]:
        return "Put", self.item.get_save_kwargs_from_instance(self.condition)


@dataclass(frozen=True)
class Update:
    """Changes attributes of an item that need not have been read (counters)."""

    item: Item
    actions: Sequence[Action]
    condition: Condition | None = None

    def request(self) -> tuple[str, dict[str, Any]]:
        return "Update", self.item.get_update_kwargs_from_instance(
            list(self.actions), self.condition
        )


@dataclass(frozen=True)
class Delete:
    """Removes an item under its version and `condition`."""

    item: Item
    condition: Condition | None = None

    def request(self) -> tuple[str, dict[str, Any]]:
        return "Delete", self.item.get_delete_kwargs_from_instance(self.condition)


@dataclass(frozen=True)
class Check:
    """Asserts a condition on an item that is not written."""

    pk: str
    sk: str
    condition: Condition

    def request(self) -> tuple[str, dict[str, Any]]:
        return "ConditionCheck", connection().get_operation_kwargs(
            self.pk, range_key=self.sk, condition=self.condition
        )


Write = Put | Update | Delete | Check


def transact(*writes: Write) -> None:
    """Makes all writes (1-100) or none, in one round trip; `attempt` until nobody is in the way.

    Raises ConditionFailed with the writes that were lost; ServiceUnavailable when still busy.
    """
    if len(writes) == 1 and isinstance(writes[0], Put):
        _put(writes[0])  # half the price of a transaction of one
        return
    retrying(lambda: attempt(*writes), after=Conflicted)


def _put(write: Put) -> None:
    try:
        write.item.put(write.condition)
    except ConditionFailed as error:
        raise ConditionFailed([write]) from error


def attempt(*writes: Write) -> None:
    """Makes all writes (1-100) or none, in one round trip, once.

    botocore sends the same request token when it retries, so an answer lost on the way doubles
    nothing. Raises ConditionFailed with the writes that were lost; Conflicted where another
    transaction is in the way.
    """
    items = [{name: arguments} for name, arguments in (write.request() for write in writes)]
    try:
        connection().connection.dispatch("TransactWriteItems", {"TransactItems": items})
    except VerboseClientError as error:
        reasons = {reason.code for reason in error.cancellation_reasons if reason}
        if CONDITION_LOST in reasons:
            raise _lost_of(writes, error) from error
        if CONFLICTS & {*reasons, error_code(error)}:
            raise Conflicted from error
        raise
    for write in writes:
        if isinstance(write, Put):
            write.item.update_local_version_attribute()  # type: ignore[no-untyped-call]


def _lost_of(writes: Sequence[Write], error: VerboseClientError) -> ConditionFailed:
    reasons = zip(writes, error.cancellation_reasons, strict=True)
    return ConditionFailed([w for w, reason in reasons if reason and reason.code == CONDITION_LOST])
