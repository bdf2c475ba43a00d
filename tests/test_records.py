"""Dataclasses that are compiled late are dataclasses like any other."""

import dataclasses
import inspect
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field
from threading import Barrier
from typing import Any, ClassVar

import pytest

from config import records


def made_by(dataclass: Any) -> Any:
    """A class with all that ours use."""

    @dataclass(frozen=True)
    class Card:
        """A card."""

        KINDS: ClassVar = ("basic", "cloze")

        front: str
        back: str = "house"
        tags: list[str] = field(default_factory=list)
        note: str | None = field(default=None, repr=False, compare=False)

        def __post_init__(self) -> None:
            if not self.front:
                raise ValueError("no front")

        @property
        def both(self) -> str:
            return f"{self.front} {self.back}"

    return Card


@pytest.fixture
def pair() -> tuple[Any, Any]:
    """The class as we make it, and as Python does."""
    return made_by(records.dataclass), made_by(dataclasses.dataclass)


def test_its_fields_are_known_before_there_is_an_object(pair: tuple[Any, Any]) -> None:
    ours, theirs = ([(f.name, f.type, f.default) for f in dataclasses.fields(c)] for c in pair)
    assert ours == theirs
    assert dataclasses.is_dataclass(pair[0])


def test_an_object_is_what_python_makes(pair: tuple[Any, Any]) -> None:
    for card in pair:
        one, other = card("casa", tags=["lar"]), card("casa", "house", ["lar"], note="n")
        assert (one, one.both, one.tags) == (other, "casa house", ["lar"])
        assert repr(one).endswith("Card(front='casa', back='house', tags=['lar'])")
        assert card("casa").tags is not card("casa").tags
        assert dataclasses.replace(one, front="lar").front == "lar"
        assert dataclasses.asdict(one) == dataclasses.asdict(other) | {"note": None}
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.front = "lar"
        with pytest.raises(ValueError, match="no front"):
            card("")
        with pytest.raises(TypeError, match="front"):
            card()
        with pytest.raises(TypeError, match="unhashable"):
            hash(one)  # for its list
        assert card.KINDS == ("basic", "cloze")
    assert inspect.signature(pair[0]) == inspect.signature(pair[1])


def test_its_methods_are_those_of_python_once_there_is_an_object(pair: tuple[Any, Any]) -> None:
    for card in pair:
        card("casa")
    ours, theirs = (set(vars(card)) for card in pair)
    assert ours == theirs


def test_fields_are_given_by_name_where_a_class_wants_it() -> None:
    for dataclass in (records.dataclass, dataclasses.dataclass):

        @dataclass(kw_only=True, order=True)
        class Review:
            duration_ms: int = 0
            rating: str

        assert Review(rating="easy") < Review(rating="good")
        with pytest.raises(TypeError, match="positional"):
            Review("good")


def test_a_class_of_a_class_has_the_fields_of_both() -> None:
    @records.dataclass
    class Item:
        id: str

    @records.dataclass
    class Deck(Item):
        name: str = "Português"

    assert Deck("1") == Deck("1", "Português")
    assert Item("1") != Deck("1")


def test_threads_may_make_the_first_objects_at_once() -> None:
    for _ in range(50):
        card, together = made_by(records.dataclass), Barrier(8)

        def make(number: int, card: Any = card, together: Barrier = together) -> Any:
            together.wait()
            return card(f"casa {number}")

        with ThreadPoolExecutor(8) as pool:
            cards = list(pool.map(make, range(8)))
        assert [each.front for each in cards] == [f"casa {n}" for n in range(8)]


@records.dataclass(frozen=True)
class Pickled:
    """Known by its name, as pickle wants it."""

    front: str


def test_an_object_is_copied_by_pickle() -> None:
    assert pickle.loads(pickle.dumps(Pickled("casa"))) == Pickled("casa")  # noqa: S301
