"""Items as they were stored, by format: the code of today reads them, and gives them back whole.

A sample stays here as long as one release may meet what another one has stored. A new format of a
kind gets a sample of its own, and the old one must still be read.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from accounts.browse.sessions import BrowserSession  # noqa: F401  (each kind must be known)
from config.store.items import Item, PackedAttribute, UnreadableItem, pack, unpack
from learning.models.cards import Card
from learning.models.log import Day
from reminders.models import Reminder  # noqa: F401  (as above)
from tests.contract import made_contract

SAMPLES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "stored_items.json").read_text()
)
PACKS = {  # by format: what was packed, and what it was packed to
    1: (
        [[1, "NOTE#a"], [2, "CARD#a"], [3, "LOG#a#b", {"t": "review", "a": 1}, {"s": "review"}]],
        SAMPLES[0]["packs"]["1"],
    ),
}


def raw_of(sample: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"B": base64.b64decode(value["B"])} if "B" in value else value
        for name, value in sample.items()
    }


ITEMS = [raw_of(each) for each in SAMPLES[1:]]


@pytest.mark.parametrize("raw", ITEMS, ids=lambda raw: f"{raw['kind']['S']}-{raw['v']['N']}")
def test_an_item_of_an_earlier_time_is_read_and_given_back(raw: dict[str, Any]) -> None:
    item = Item.from_raw(raw)
    stored = item.serialize()
    if isinstance(item, Card):
        assert json.loads(stored.pop("m")["S"]) == json.loads(raw["m"]["S"])
        raw = {name: value for name, value in raw.items() if name != "m"}
    attributes = item.get_attributes().values()
    packed = {each.attr_name for each in attributes if isinstance(each, PackedAttribute)}
    for name in packed & raw.keys():
        assert unpack(stored.pop(name)["B"]) == unpack(raw[name]["B"])
    assert stored == {name: value for name, value in raw.items() if name not in packed}


def test_each_kind_of_item_has_a_sample() -> None:
    made_contract()  # loads all routes
    attribute: Any = Item.get_attributes()["kind"]
    classes = attribute.get_registered_subclasses(Item)
    kinds = {attribute.get_discriminator(each) for each in classes} - {None}
    assert {raw["kind"]["S"] for raw in ITEMS} == kinds


@pytest.mark.parametrize("number", PACKS)
def test_a_pack_of_every_format_is_read(number: int) -> None:
    value, packed = PACKS[number]
    held = base64.b64decode(packed)
    assert held[0] == number
    assert unpack(held) == value


def test_a_pack_is_read_as_it_was_packed() -> None:
    value = {"reviews": 3, "introduced:deck": 1, "ação": [None, True, 2.5]}
    assert unpack(pack(value)) == value
    with pytest.raises(ValueError, match="format ff"):
        unpack(b"\xff" + pack(value)[1:])


def test_a_day_of_before_has_its_counters() -> None:
    (raw,) = (each for each in ITEMS if each["kind"]["S"] == "day")
    day = Item.from_raw(raw)
    assert isinstance(day, Day)
    assert (day.count_of("reviews"), day.count_of("introduced", "deck")) == (3, 1)


@pytest.mark.parametrize("raw", ITEMS, ids=lambda raw: f"{raw['kind']['S']}-{raw['v']['N']}")
def test_an_item_is_read_as_pynamodb_reads_it(raw: dict[str, Any]) -> None:
    theirs = Item.from_raw_data({**raw, "gone": {"NULL": True}, "expires_at": {"NULL": True}})
    theirs.open()
    ours = Item.from_raw({**raw, "gone": {"NULL": True}, "expires_at": {"NULL": True}})
    assert type(ours) is type(theirs)
    assert ours.attribute_values == theirs.attribute_values


def test_an_item_of_another_kind_is_none_of_the_one_asked_for() -> None:
    (raw,) = (each for each in ITEMS if each["kind"]["S"] == "day")
    with pytest.raises(UnreadableItem) as told:
        Card.from_raw(raw)
    assert "is no Card" in str(told.value.__cause__)
    with pytest.raises(UnreadableItem) as told:
        Item.from_raw(raw | {"kind": {"S": "unheard"}})
    assert "unheard" in str(told.value.__cause__)
