"""The difference between a declaration and a lockfile, in words."""

from __future__ import annotations

from release.chain.lockgate.declared import DeclaredRequirement
from release.chain.lockgate.differences import (
    LockContent,
    describe_declaration_changes,
    describe_lock_differences,
)

LOCKED = LockContent(
    versions={"alpha": ("1.0",), "beta": ("2.0",), "gamma": ("1.0",)},
    needs={"alpha": ("beta",), "alpha[more]": ("gamma",)},
    groups=frozenset({"dev"}),
    python=">=3.11",
)
ALPHA = DeclaredRequirement(name="alpha", extras=frozenset({"more"}), bound=">=1")


def test_the_same_says_nothing() -> None:
    """A condition, another group and another way to write the Python are no difference."""
    more = [
        DeclaredRequirement(name="nt", is_conditional=True),
        DeclaredRequirement(name="docs", group="group docs"),
    ]
    assert describe_lock_differences([ALPHA, *more], LOCKED, ">=3.11,!=3.11.0") == []


def test_each_difference_names_what_is_declared_and_what_is_locked() -> None:
    """Missing, out of bound, an extra, the Python, and what nothing needs."""
    declared = [
        DeclaredRequirement(name="alpha", bound=">=2"),
        DeclaredRequirement(name="six", group="group dev"),
    ]
    assert describe_lock_differences(declared, LOCKED, ">=3.12") == [
        "Python >=3.12 is declared, and Python >=3.11 is locked",
        "alpha>=2 is declared, and alpha 1.0 is locked",
        "six is declared, and six is not locked",
        "gamma 1.0 is locked, and nothing that is declared needs it",
    ]
    other = DeclaredRequirement(name="alpha", extras=frozenset({"less"}))
    assert describe_lock_differences([ALPHA, other], LOCKED, ">=3.11") == [
        "alpha[less] is declared, and alpha is locked without the extra less"
    ]


def test_a_changed_declaration_is_told_with_the_one_before() -> None:
    """For a lockfile that keeps a hash alone."""
    before = [DeclaredRequirement(name="six", bound="==1"), DeclaredRequirement(name="old")]
    after = [DeclaredRequirement(name="six", bound=">=1"), DeclaredRequirement(name="new")]
    assert describe_declaration_changes(before, after, "pdm.lock") == [
        "six>=1 is declared, and pdm.lock was made for six==1",
        "new was added",
        "old was removed",
    ]
