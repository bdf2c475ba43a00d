"""The ruler of costs against DynamoDB Local, one write at a time, and against figures of AWS."""

from typing import Any

import pytest

from config.ops import cloudformation
from config.stack import Stack
from config.store.items import item_size
from tests.ruler import write_units

pytestmark = pytest.mark.server

KEY = {"pk": {"S": "LEARNER#ana"}, "sk": {"S": "CARD#1"}}
M = {"kind": {"S": "card"}, "d": {"S": "deck"}, "m": {"S": "m" * 90}}
QUEUED = {"lsi1": {"S": "R#2026-01-01"}, "lsi2": {"S": "deck#R#2026-01-01"}}
NAMED = {"lsi3": {"S": "F#casa"}}
LATER = {"lsi1": {"S": "R#2026-02-01"}, "lsi2": {"S": "deck#R#2026-02-01"}}
LARGE = {"text": {"S": "x" * 2_500}}

# What an item was, what it becomes, and the units of that in a transaction: by Local, by AWS.
WRITES: dict[str, tuple[Any, Any, float, float]] = {
    "an item in no index": (None, KEY, 2, 2),
    "one of two and a half kilobytes": (None, KEY | LARGE, 6, 6),
    "a card in three indexes": (None, KEY | M | QUEUED | NAMED, 8, 5),
    "a card that moves in two queues": (KEY | M | QUEUED | NAMED, KEY | M | LATER | NAMED, 10, 6),
    "text that no index holds": (KEY | M | QUEUED, KEY | M | QUEUED | LARGE, 6, 6),
    "a schedule that two indexes hold": (
        KEY | M | QUEUED,
        KEY | M | QUEUED | {"m": {"S": "n" * 90}},
        6,
        4,
    ),
    "a card that goes": (KEY | M | QUEUED | NAMED, KEY | {"kind": {"S": "tombstone"}}, 8, 5),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_costs_what_the_ruler_says(
    dynamodb_local: Stack, write: tuple[Any, Any, float, float]
) -> None:
    before, after, local, aws = write
    assert write_units(before, after, transaction=True) == (local, aws)
    assert dynamodb_local.endpoint_url
    client: Any = cloudformation.local_client("dynamodb", dynamodb_local.endpoint_url)
    name = dynamodb_local.table_name
    if before:
        client.put_item(TableName=name, Item=before)
    put = {"Put": {"TableName": name, "Item": after}}
    answer = client.transact_write_items(TransactItems=[put], ReturnConsumedCapacity="TOTAL")
    assert sum(part["CapacityUnits"] for part in answer["ConsumedCapacity"]) == local


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "ação"}, 6),
        ({"N": "7"}, 2),
        ({"N": "-12345"}, 5),
        ({"N": "1000000"}, 2),
        ({"N": "0.0625"}, 3),
        ({"B": b"\x00" * 5}, 5),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["a", "bc"]}, 3),
        ({"L": [{"S": "a"}, {"N": "1"}]}, 8),
        ({"M": {"k": {"S": "a"}}}, 6),
    ],
)
def test_sizes_are_as_the_guide_has_them(value: Any, size: int) -> None:
    assert item_size({"name": value}) == 4 + size
