"""Values: what they show of themselves, as JSON data, and changed copies."""

from __future__ import annotations

import pytest

from release.values import Reticent, Struct, plain, replace


class Inner(Struct, frozen=True, kw_only=True):
    words: tuple[str, ...] = ()


class Outer(Struct, frozen=True, kw_only=True):
    name: str
    inner: Inner | None = None


class Locked(Reticent, frozen=True, kw_only=True):
    unshown = frozenset({"key"})

    name: str
    key: str


def test_what_is_unshown_stands_in_no_traceback() -> None:
    """Neither alone nor in another value."""
    locked = Locked(name="a", key="swordfish")
    assert repr(locked) == "Locked(name='a')"
    assert "swordfish" not in f"{[locked]!r}"


def test_what_is_unshown_is_compared() -> None:
    """Two values that differ in it are two."""
    assert Locked(name="a", key="1") != Locked(name="a", key="2")


def test_a_value_cannot_be_changed() -> None:
    """Nor given what it has no field for."""
    with pytest.raises(AttributeError):
        Outer(name="a").name = "b"  # type: ignore[misc]


def test_a_changed_copy_leaves_the_first_one() -> None:
    """A change of a field that there is not is refused."""
    first = Outer(name="a")
    assert replace(first, name="b") == Outer(name="b")
    assert first.name == "a"
    with pytest.raises(TypeError):
        replace(first, nome="b")  # type: ignore[call-arg]


def test_as_json_data_values_within_values_are_plain_too() -> None:
    """Whatever holds them; tuples stay, for JSON has one kind of list."""
    data = plain(Outer(name="a", inner=Inner(words=("b", "c"))))
    assert data == {"name": "a", "inner": {"words": ("b", "c")}}
