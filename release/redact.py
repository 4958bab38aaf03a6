"""Values that show themselves to nobody, and taking them out of text that others wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final, NoReturn

MASK: Final = "***"
"""What stands where a secret was."""

_SHORTEST_MASKED: Final = 4
"""Masking a value of three characters would make every text unreadable and hide nothing."""


class Redacted:
    """A value that shows itself only to who asks by name: not in text, repr, JSON or pickle."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        """Keep the value."""
        self.__value = value

    def reveal(self) -> str:
        """The value, for the one place that hands it to the engine."""
        return self.__value

    def __repr__(self) -> str:
        """Stars."""
        return MASK

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied to another process. Raises TypeError."""
        raise TypeError("a secret is not written anywhere")


class Mask:
    """Takes secret values out of text: each value, each of its lines, and how JSON would write it."""

    def __init__(self, values: Iterable[Redacted] = ()) -> None:
        """Longest first, so that a value that holds another goes as a whole."""
        forms = {form for value in values for form in _forms(value.reveal()) if len(form) >= _SHORTEST_MASKED}
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text with stars where a secret was."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return text

    def lines(self, lines: Iterable[str]) -> tuple[str, ...]:
        """Each line of a log, masked."""
        return tuple(map(self, lines))

    def __repr__(self) -> str:
        """The number of forms only."""
        return f"Mask({len(self._forms)})"


def _forms(value: str) -> set[str]:
    return {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], *value.splitlines()}
