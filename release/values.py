"""Base classes of immutable values, and functions on them.

A class of `Struct` is made in a hundredth of a millisecond, one of `dataclasses` in half of one; there are
two hundred, and every command waits for those that it imports. Configuration and records
are read by pydantic instead, which lists all their errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from msgspec import MsgspecError, Struct, convert, field, to_builtins

if TYPE_CHECKING:
    from dataclasses import replace  # the same words, whose changes are checked against the fields
else:
    from msgspec.structs import replace

__all__ = ["MsgspecError", "Reticent", "Struct", "check_types", "field", "plain", "replace"]

S = TypeVar("S", bound=Struct)


class Reticent(Struct, frozen=True):
    """Value with fields that logs and tracebacks must not show."""

    unshown: ClassVar[frozenset[str]] = frozenset()
    """Names of fields that logs and tracebacks must not show."""

    def __repr__(self) -> str:
        """Return the value as text without its secret fields."""
        shown = (name for name in self.__struct_fields__ if name not in self.unshown)
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


def plain(value: Struct) -> dict[str, Any]:
    """Return the value as data for JSON; values in it also become dictionaries."""
    data: dict[str, Any] = to_builtins(value)
    return data


def check_types(value: S) -> S:
    """Return the value. Raise ValueError if a field does not have the type of its class.

    For values that are made of an answer from outside; making one checks nothing.
    """
    try:
        return convert(to_builtins(value), type(value))
    except (MsgspecError, TypeError) as error:
        raise ValueError(str(error)) from error
