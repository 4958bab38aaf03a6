"""Text of the errors in a registry's answer (OCI Distribution Specification 1.1, "Error Codes")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from release.parsing import jsontext

LONGEST_QUOTE: Final = 500
"""Characters of the registry's error text that a message quotes."""

_MOST_ERRORS: Final = 5
_LONGEST_CODE: Final = 80


def error_codes(content: bytes) -> frozenset[str]:
    """Return the error codes in an answer's body."""
    return frozenset(_text(error.get("code"))[:_LONGEST_CODE] for error in _errors(content))


def registry_error_text(content: bytes) -> str:
    """Return codes and messages of an error's body; empty if the body cannot be read."""
    pairs = ((_text(error.get("code")), _text(error.get("message"))) for error in _errors(content))
    return "".join(f": {code} {message}".rstrip() for code, message in pairs)[:LONGEST_QUOTE]


def shortened_quote(value: object) -> str:
    """Return the first characters of a registry's text."""
    text = str(value) if isinstance(value, str | int | None) else type(value).__name__
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _errors(content: bytes) -> Sequence[Mapping[str, Any]]:
    try:
        errors = jsontext.read_object(content).get("errors")
    except ValueError:
        return ()
    found = errors[:_MOST_ERRORS] if isinstance(errors, list) else ()
    return [error for error in found if isinstance(error, dict)]
