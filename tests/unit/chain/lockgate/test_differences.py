"""The difference between a declaration and a lockfile, in words."""

from __future__ import annotations

from release.chain.lockgate.declared import Declared
from release.chain.lockgate.differences import Locked, changes, differences

LOCKED = Locked(
    versions={"alpha": ("1.0",), "beta": ("2.0",), "gamma": ("1.0",)},
    needs={"alpha": ("beta",), "alpha[more]": ("gamma",)},
    groups=frozenset({"dev"}),
    python=">=3.11",
)
ALPHA = Declared(name="alpha", extras=frozenset({"more"}), bound=">=1")


def test_the_same_says_nothing() -> None:
    """A condition, another group and another way to write the Python are no difference."""
    more = [Declared(name="nt", is_conditional=True), Declared(name="docs", group="group docs")]
    assert differences([ALPHA, *more], LOCKED, ">=3.11,!=3.11.0") == []


def test_each_difference_names_what_is_declared_and_what_is_locked() -> None:
    """Missing, out of bound, an extra, the Python, and what nothing needs."""
    declared = [Declared(name="alpha", bound=">=2"), Declared(name="six", group="group dev")]
    assert differences(declared, LOCKED, ">=3.12") == [
        "Python >=3.12 is declared, and Python >=3.11 is locked",
        "alpha>=2 is declared, and alpha 1.0 is locked",
        "six is declared, and six is not locked",
        "gamma 1.0 is locked, and nothing that is declared needs it",
    ]
    other = Declared(name="alpha", extras=frozenset({"less"}))
    assert differences([ALPHA, other], LOCKED, ">=3.11") == [
        "alpha[less] is declared, and alpha is locked without the extra less"
    ]


def test_a_changed_declaration_is_told_with_the_one_before() -> None:
    """For a lockfile that keeps a hash alone."""
    before = [Declared(name="six", bound="==1"), Declared(name="old")]
    after = [Declared(name="six", bound=">=1"), Declared(name="new")]
    assert changes(before, after, "pdm.lock") == [
        "six>=1 is declared, and pdm.lock was made for six==1",
        "new was added",
        "old was removed",
    ]
