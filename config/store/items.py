"""The one DynamoDB table: its items, its indexes, and writes that hold or fail together.

Keys: `pk` groups what belongs to one owner (`LEARNER#<sub>`), `sk` begins with the kind of item.
`lsi1`…`lsi5` order items inside a partition (strongly consistent), `gsi1` across partitions; all
are sparse, and what each holds is written in `docs/access-patterns.md`. The table itself is
defined in `config/ops/infrastructure.yaml` alone.

Below the items stand whole partitions: all that the table knows of a learner, whatever the kinds.
"""

import json
import time
import zlib
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Generic, NamedTuple, Self, TypeVar

from pynamodb.attributes import (
    Attribute,
    DiscriminatorAttribute,
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
    VersionAttribute,
)
from pynamodb.connection.table import TableConnection
from pynamodb.constants import BINARY, NULL
from pynamodb.exceptions import AttributeNullError, PutError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model

from config.records import dataclass
from config.stack import stack
from config.store.connection import Raw as Raw  # a page begins with a raw key
from config.store.connection import connection, delete_keys, put_raws, read_raws

T = TypeVar("T", bound="Item")

CONDITION_LOST = "ConditionalCheckFailed"
# What is raised for a stored item that does not fit its class, or whose content makes no sense.
UNREADABLE = AttributeError, KeyError, TypeError, ValueError
OnUnreadable = Callable[[Raw], None]


def key_instant(at: datetime) -> str:
    """An aware instant as text of constant width in UTC, so that keys sort by time."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class ConditionFailed(Exception):
    """A write's condition did not hold: nothing was written. `lost` has the writes that failed."""

    def __init__(self, lost: Sequence[Any] = ()) -> None:
        super().__init__("a condition did not hold")
        self.lost = tuple(lost)


class UnreadableItem(ValueError):
    """A stored item does not fit its class, or its content makes no sense."""

    def __init__(self, pk: str, sk: str) -> None:
        super().__init__("a stored item cannot be read")
        self.pk, self.sk = pk, sk


class _Meta(type):
    """Looks the table's name up when it is first needed: importing a model needs no stack."""

    @property
    def table_name(cls) -> str:
        return stack().table_name


@dataclass(frozen=True)
class Page(Generic[T]):
    """Up to `limit` items in the index's order; `next_key` is where the following page starts."""

    items: list[T]
    next_key: Raw | None


class _Column(NamedTuple):
    """How an attribute is read and written: PynamoDB finds this out anew at each access.

    `read` and `write` are None where a value is stored as it is.
    """

    name: str
    type: str
    may_be_null: bool
    read: Callable[[Any], Any] | None
    write: Callable[[Any], Any] | None


@cache
def _columns(kind: type["Item"]) -> dict[str, _Column]:
    """A kind's attributes by their names in the table."""
    return {
        each.attr_name: _Column(name, each.attr_type, each.null, *_reader_and_writer(each))
        for name, each in kind.get_attributes().items()
    }


def _reader_and_writer(attribute: Attribute[Any]) -> tuple[Any, Any]:
    kind: Any = type(attribute)
    # As PynamoDB's, whose way to a number is by a JSON parser, and which makes one for each text.
    if kind is NumberAttribute:
        return _number, str
    if kind is VersionAttribute:
        return int, str
    if kind is JSONAttribute:
        return _json.decode, json.dumps
    return (
        None if kind.deserialize is Attribute.deserialize else attribute.deserialize,
        None if kind.serialize is Attribute.serialize else attribute.serialize,
    )


_json = json.JSONDecoder(strict=False)  # as PynamoDB's: texts may have control characters


class _Value:
    """Reads and writes an item's value of an attribute, for which PynamoDB asks four functions.

    On the class it is the attribute itself, of which conditions are made.
    """

    def __init__(self, attribute: Attribute[Any], name: str) -> None:
        self.attribute, self.name = attribute, name

    def __get__(self, item: "Item | None", kind: type["Item"]) -> Any:
        return self.attribute if item is None else item.attribute_values.get(self.name)

    def __set__(self, item: "Item", value: Any) -> None:
        item.attribute_values[self.name] = value


class _QuickValues:
    """Puts a `_Value` in place of each attribute that is read and written as all are."""

    def __init_subclass__(cls) -> None:
        for name, attribute in [*vars(cls).items()]:
            kind: Any = type(attribute)
            if isinstance(attribute, Attribute) and (kind.__get__, kind.__set__) == _AS_ALL:
                setattr(cls, name, _Value(attribute, name))


_AS_ALL = Attribute.__get__, Attribute.__set__


@cache
def _defaults(kind: type["Item"]) -> dict[str, Any]:
    """The defaults of a kind's attributes, or what makes them, by their names in Python."""
    attributes = kind.get_attributes().items()
    return {name: each.default for name, each in attributes if each.default is not None}


class Item(_QuickValues, Model):
    """What every item of the table has. `expires_at` (epoch seconds) is the TTL attribute.

    `format` says how the item is to be read. The code of one release reads what the one before
    and the one after it write: what it does not know of an item it keeps.
    """

    class Meta(metaclass=_Meta):
        pass

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    kind = DiscriminatorAttribute()
    format = NumberAttribute(attr_name="v", default=1)
    lsi1 = UnicodeAttribute(null=True)
    lsi2 = UnicodeAttribute(null=True)
    lsi3 = UnicodeAttribute(null=True)
    lsi4 = UnicodeAttribute(null=True)
    lsi5 = UnicodeAttribute(null=True)
    gsi1pk = UnicodeAttribute(null=True)
    gsi1sk = UnicodeAttribute(null=True)
    expires_at = NumberAttribute(null=True)
    raw: Raw = {}

    @classmethod
    def _get_connection(cls) -> TableConnection:
        # PynamoDB would open one connection, hence one TLS context, for each subclass.
        return connection()

    @classmethod
    def get_or_none(cls, pk: str, sk: str) -> Self | None:
        """The item with this key, read consistently; None where there is none or of other kind."""
        raw = connection().get_item(pk, range_key=sk, consistent_read=True).get("Item")
        if raw is None or raw.get("kind", {}).get("S") not in {*cls._kinds(), None}:
            return None
        return cls.from_raw(raw)

    @classmethod
    def from_raw(cls, raw: Raw) -> Self:
        """The item of a stored form, which it keeps: some attributes have no fixed name.

        Raises UnreadableItem.
        """
        try:
            attribute: Any = cls.get_attributes()["kind"]
            kind = attribute.deserialize(raw["kind"]["S"])
            if not issubclass(kind, cls):
                raise ValueError(f"{raw['kind']} is no {cls.__name__}")
            # As `from_raw_data`, which goes over all attributes of the class four times.
            item: Self = kind.__new__(kind)
            values = {
                name: default() if callable(default) else default
                for name, default in _defaults(kind).items()
            }
            columns = _columns(kind)
            for stored_name, value in raw.items():
                column = columns.get(stored_name)
                if column is not None and NULL not in value:
                    held = value[column.type]
                    values[column.name] = held if column.read is None else column.read(held)
            item.attribute_values, item.raw = values, raw
            item.open()
        except UNREADABLE as error:
            raise UnreadableItem(raw["pk"]["S"], raw["sk"]["S"]) from error
        return item

    def open(self) -> None:
        """Takes apart what the item keeps packed; called once it has been read."""

    def set_index_keys(self) -> None:
        """Sets those index keys that follow from what the item holds."""

    def serialize(self, null_check: bool = True) -> Raw:
        """The stored form, with those attributes as they were read that we do not know.

        Raises AttributeNullError, as PynamoDB does, whose way takes five times as long.
        """
        columns = _columns(type(self))
        stored = {name: value for name, value in self.raw.items() if name not in columns}
        for stored_name, column in columns.items():
            held = self.attribute_values.get(column.name)
            if held is not None and column.write is not None:
                held = column.write(held)
            if held is not None:
                stored[stored_name] = {column.type: held}
            elif null_check and not column.may_be_null:
                raise AttributeNullError(column.name)
        return stored

    @classmethod
    def _kinds(cls) -> set[str]:
        attribute: Any = cls.get_attributes()["kind"]
        classes = attribute.get_registered_subclasses(cls)
        return {attribute.get_discriminator(class_) for class_ in classes}

    @classmethod
    def query_page(
        cls,
        pk: str,
        condition: Condition | None = None,
        *,
        limit: int,
        index: str | None = None,
        start: Raw | None = None,
        descending: bool = False,
        matching: Condition | None = None,
        on_unreadable: OnUnreadable | None = None,
    ) -> Page[Self]:
        """One Query call, ordered by `index` (default: the sort key), strongly consistent.

        `matching` filters after reading, and so does the kind of item: a page may be short and
        still have a next one. Items that cannot be read raise, or go to `on_unreadable`.
        """
        answer = connection().query(
            pk,
            range_key_condition=condition,
            filter_condition=matching,
            index_name=index,
            limit=limit + 1,  # one more tells whether there is a next page
            exclusive_start_key=start,
            scan_index_forward=not descending,
            consistent_read=index != "gsi1",
        )
        raws, last = answer["Items"], answer.get("LastEvaluatedKey")
        if len(raws) > limit:
            raws = raws[:limit]
            keys = {"pk", "sk", *({"gsi1pk", "gsi1sk"} if index == "gsi1" else {index})}
            last = {key: raws[-1][key] for key in keys if key}
        return Page(cls._readable(raws, on_unreadable), last)

    @classmethod
    def _readable(cls, raws: Sequence[Raw], on_unreadable: OnUnreadable | None) -> list[Self]:
        kinds, items = cls._kinds(), []  # tombstones lie among what they replace
        for raw in raws:
            if raw.get("kind", {}).get("S") not in {*kinds, None}:
                continue
            try:
                items.append(cls.from_raw(raw))
            except UnreadableItem:
                if on_unreadable is None:
                    raise
                on_unreadable(raw)
        return items

    @classmethod
    def query_all(
        cls,
        pk: str,
        condition: Condition,
        *,
        index: str | None = None,
        descending: bool = False,
        matching: Condition | None = None,
        on_unreadable: OnUnreadable | None = None,
        most: int = 1_000_000,
    ) -> list[Self]:
        """All items that match, for collections that stay small: a Query for each megabyte.

        It stops at one more than `most`. `matching` and `on_unreadable` are as in `query_page`.
        """
        items: list[Self] = []
        start: Raw | None = None
        while True:
            page = cls.query_page(
                pk,
                condition,
                limit=min(10_000, most + 1 - len(items)),
                index=index,
                start=start,
                descending=descending,
                matching=matching,
                on_unreadable=on_unreadable,
            )
            items += page.items
            if not (start := page.next_key) or len(items) > most:
                return items

    def put(self, condition: Condition | None = None) -> None:
        """Writes the whole item, provided its version is still the one read; and `condition`.

        Raises ConditionFailed.
        """
        try:
            self.save(condition)
        except PutError as error:
            if not (_was_retried(error) and self._was_stored()):
                raise _lost_answer(error) from error
            self.update_local_version_attribute()  # type: ignore[no-untyped-call]

    def _was_stored(self) -> bool:
        """Whether the table already holds this item: the answer to our first try got lost."""
        written = self.from_raw_data(self.get_save_kwargs_from_instance()["Item"])
        stored = self.get_or_none(self.pk, self.sk)
        return stored is not None and stored.attribute_values == written.attribute_values

    def create(self) -> None:
        """Writes an item whose key must be free. Raises ConditionFailed."""
        self.put(type(self).pk.does_not_exist())

    def update_attributes(self, *actions: Action, condition: Condition | None = None) -> None:
        """Updates attributes in place and refreshes this copy. Raises ConditionFailed."""
        try:
            self.update(list(actions), condition=condition)
        except UpdateError as error:
            raise _lost_answer(error) from error

    def update_silently(self, *actions: Action, condition: Condition) -> None:
        """Updates attributes that nobody sees, without a new version. Raises ConditionFailed."""
        try:
            connection().update_item(
                self.pk, range_key=self.sk, actions=list(actions), condition=condition
            )
        except UpdateError as error:
            raise _lost_answer(error) from error


def _was_retried(error: PutError) -> bool:
    answer = getattr(error.cause and error.cause.__cause__, "response", {})
    return bool(answer.get("ResponseMetadata", {}).get("RetryAttempts"))


def _lost_answer(error: PutError | UpdateError) -> Exception:
    return ConditionFailed() if error.cause_response_code == f"{CONDITION_LOST}Exception" else error


def batch_get(
    *keys: tuple[str, str], on_unreadable: OnUnreadable | None = None
) -> dict[tuple[str, str], Item]:
    """The items that exist among keys (pk, sk), each read consistently, 100 in a round trip.

    It is no snapshot: it may see only a part of what a transaction writes. Items that cannot be
    read raise, or go to `on_unreadable`.
    """
    items: dict[tuple[str, str], Item] = {}
    for raw in read_raws(keys):
        try:
            items[raw["pk"]["S"], raw["sk"]["S"]] = Item.from_raw(raw)
        except UnreadableItem:
            if on_unreadable is None:
                raise
            on_unreadable(raw)
    return items


def batch_put(items: Sequence[Item]) -> None:
    """Writes items without conditions, each by itself: for items whose key says all they hold.

    25 in a round trip, at half the price of a transaction.
    """
    put_raws([item.serialize() for item in items])


PAGES = 3  # queries, of a megabyte each, for one page of an export: below Lambda's 6 MB


def raw_partition_page(pk: str, *, start: Raw | None = None) -> Page[Any]:
    """Up to three megabytes of raw items in the order of their keys."""
    items: list[Raw] = []
    for _ in range(PAGES):
        answer = connection().query(pk, exclusive_start_key=start, consistent_read=True)
        items += answer["Items"]
        start = answer.get("LastEvaluatedKey")
        if start is None:
            break
    return Page(items, start)


def delete_partition(pk: str, *, keep: Collection[str] = (), within_s: float) -> bool:
    """Deletes all items but those with the sort keys `keep`. False when time ran out before."""
    until = time.monotonic() + within_s
    start: Raw | None = None
    while time.monotonic() < until:
        answer = connection().query(
            pk, attributes_to_get=["pk", "sk"], exclusive_start_key=start, consistent_read=True
        )
        sort_keys = (item["sk"]["S"] for item in answer["Items"])
        keys = [(pk, sk) for sk in sort_keys if sk not in keep]
        if not delete_keys(keys, until=until):
            return False
        start = answer.get("LastEvaluatedKey")
        if start is None:
            return True
    return False


def json_value(attribute: dict[str, Any]) -> Any:
    """A stored attribute as a value of JSON. Raises ValueError for a binary one."""
    [(kind, value)] = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "NULL":
            return None
        case "N":
            return _number(value)
        case "SS":
            return sorted(value)
        case "NS":
            return sorted(_number(item) for item in value)
        case "L":
            return [json_value(item) for item in value]
        case "M":
            return {name: json_value(item) for name, item in value.items()}
    raise ValueError(kind)


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


# --- Small attributes, and sizes ------------------------------------------------------------------

# The first byte tells how to read the rest. Golden packs of every format stay in the tests.
PACK_FORMAT = 1
RAW_DEFLATE = -15  # no header, no checksum: DynamoDB keeps its own


def pack(value: Any) -> bytes:
    """JSON, compact and deflated, behind its format number."""
    return _squeezed(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


# A window of 8 KB and memory to match: zlib clears 256 KB for its largest, which throws out of the
# processor's cache what the request needs next.
WINDOW, MEMORY = -13, 6


@lru_cache(maxsize=8)  # a head is packed for its size, and again to be written
def _squeezed(text: bytes) -> bytes:
    squeezed = zlib.compressobj(9, zlib.DEFLATED, WINDOW, MEMORY)
    return bytes([PACK_FORMAT]) + squeezed.compress(text) + squeezed.flush()


def unpack(packed: bytes) -> Any:
    """What was packed. Raises ValueError for a format that is not known yet, and for nonsense."""
    if not packed or packed[0] != PACK_FORMAT:
        raise ValueError(f"a pack of format {packed[:1].hex()}")
    try:
        return json.loads(zlib.decompress(packed[1:], RAW_DEFLATE))
    except zlib.error as error:
        raise ValueError("a pack that was cut or changed") from error


class PackedAttribute(Attribute[Any]):
    """Any JSON value, as small as it gets: it is written, and paid for, with every review."""

    attr_type = BINARY

    def serialize(self, value: Any) -> bytes:
        return pack(value)

    def deserialize(self, value: Any) -> Any:
        return unpack(value)


def item_size(item: Raw) -> int:
    """Bytes of an item as AWS bills it: names and values in UTF-8.

    AWS: Developer Guide, "DynamoDB item sizes and formats".
    """
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: dict[str, Any]) -> int:
    """Bytes of one value."""
    [(kind, held)] = value.items()
    match kind:
        case "S":
            return len(held.encode())
        case "N":
            return _number_bytes(held)
        case "B":
            return len(held)
        case "L":
            return 3 + sum(1 + _value_size(each) for each in held)
        case "M":
            return 3 + len(held) + item_size(held)
        case "SS" | "NS" | "BS":
            return sum(_value_size({kind[0]: each}) for each in held)
    return 1


@lru_cache(maxsize=1_000)  # a head's counters, most of which stay as they are
def _number_bytes(text: str) -> int:
    """A byte for every two significant digits and one more; a minus is another."""
    mantissa = text.lower().partition("e")[0]
    digits = mantissa.lstrip("-").replace(".", "").strip("0")
    return (len(digits) + 1) // 2 + 1 + mantissa.startswith("-")
