"""Our values are data classes for everybody who takes them for such."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import typing
from collections.abc import Callable, Mapping

import pytest

from oauth_mailer import Receipt, Route
from oauth_mailer.account import Account
from oauth_mailer.errors import Attempt
from oauth_mailer.values import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Place:
    """A frozen one."""

    street: str
    number: int = 1
    notes: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "street", self.street.strip())


@dataclass(slots=True, kw_only=True)
class Count:
    """One that changes."""

    seen: int = 0


def test_a_value_is_made_and_compared_by_its_fields() -> None:
    home = Place(" High Street ", 7)
    assert (home.street, home.number, home.notes) == ("High Street", 7, {})
    assert home == Place("High Street", 7, {"door": "red"}) != Place("High Street")
    assert len({home, Place("High Street", 7)}) == 1
    assert repr(home) == "Place(street='High Street', number=7)"
    assert Place("a").notes is not Place("a").notes
    with pytest.raises(TypeError, match="street"):
        Place()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="town"):
        Place("a", town="b")  # type: ignore[call-arg]


def test_a_frozen_value_stays_as_it_is_and_another_may_change() -> None:
    home, count = Place("High Street"), Count()
    with pytest.raises(dataclasses.FrozenInstanceError):
        home.number = 3  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del home.number
    count.seen += 1
    assert count == Count(seen=1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(count)
    with pytest.raises(AttributeError):
        count.left = 1  # type: ignore[attr-defined]


def test_a_value_can_be_copied_sent_to_another_process_and_taken_apart() -> None:
    home = Place("High Street", 7, {"door": "red"})
    assert pickle.loads(pickle.dumps(home)).notes == {"door": "red"}
    assert copy.deepcopy(home) == home == copy.copy(home)
    match home:
        case Place(street, number):
            assert (street, number) == ("High Street", 7)


@pytest.mark.parametrize("changed", [replace, dataclasses.replace])
def test_a_value_is_made_of_another(changed: Callable[..., Place]) -> None:
    home = Place("High Street", 7, {"door": "red"})
    other = changed(home, number=8)
    assert (other.street, other.number, other.notes) == ("High Street", 8, {"door": "red"})
    with pytest.raises(TypeError, match="town"):
        changed(home, town="b")


def test_the_standard_library_takes_a_value_for_one_of_its_own() -> None:
    assert dataclasses.is_dataclass(Place)
    assert dataclasses.is_dataclass(Count())
    assert [one.name for one in dataclasses.fields(Place)] == ["street", "number", "notes"]
    assert dataclasses.asdict(Place("a")) == {"street": "a", "number": 1, "notes": {}}

    @dataclasses.dataclass(frozen=True)
    class Town(Place):
        name: str = ""

    assert dataclasses.asdict(Town("a", name="b")) == {"street": "a", "number": 1, "notes": {}, "name": "b"}


def test_a_class_of_somebody_else_may_be_made_of_ours() -> None:
    class Shop(Place):
        """Without a decorator, with an attribute of its own."""

        def __init__(self, street: str, *, opens: int) -> None:
            super().__init__(street)
            self.opens = opens

    shop = Shop("High Street", opens=9)
    assert dataclasses.is_dataclass(shop)
    assert dataclasses.asdict(shop)["street"] == shop.street == "High Street"
    assert shop.opens == 9
    del shop.opens
    with pytest.raises(dataclasses.FrozenInstanceError):
        shop.street = "Low Street"  # type: ignore[misc]


@dataclasses.dataclass(frozen=True)
class Named(Place):
    """A data class of the standard library's that adds a field to ours."""

    name: str = ""


@pytest.mark.parametrize("again", [copy.copy, lambda one: pickle.loads(pickle.dumps(one)), replace])
def test_a_field_that_somebody_else_added_is_not_lost(again: Callable[[Named], Named]) -> None:
    assert again(Named("High Street", name="shop")).name == "shop"


def test_what_is_looked_up_of_a_class_is_found_once() -> None:
    assert dataclasses.fields(Place)[0] is dataclasses.fields(Place("a"))[0]


def test_the_types_of_the_parameters_can_be_looked_up() -> None:
    assert typing.get_type_hints(Place.__init__)["notes"] == Mapping[str, str]
    for public in (Account, Receipt, Route, Attempt):
        assert "return" in typing.get_type_hints(public.__init__)


def test_how_a_value_is_made_can_be_looked_up() -> None:
    shown = "(street: 'str', number: 'int' = 1, notes: 'Mapping[str, str]' = <factory>) -> 'None'"
    assert str(inspect.signature(Place)) == shown
    assert str(inspect.signature(Count)) == "(*, seen: 'int' = 0) -> 'None'"
