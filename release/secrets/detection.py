"""Detection of secrets by name or value in a place that is not for secrets.

Three rules, each with a name that messages give: a whole word of the name (`API_TOKEN`, `dbPassword`; not
`TOKENIZER`), the known shape of a token, and text that is too random to be anything else. False
alarms are possible; the settings can allow a value.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from release.secrets.redact import Redacted, passwords_in

WORDS: Final = frozenset(
    {
        *("APIKEY", "KEY", "TOKEN", "TOKENS", "SECRET", "SECRETS", "CREDENTIAL", "CREDENTIALS"),
        *("PASS", "PASSPHRASE", "PASSWD", "PASSWORD", "PASSWORDS"),
    }
)
"""Words in a variable's name that mark a secret."""

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")

_SHAPES: Final[Mapping[str, str]] = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a JSON web token": r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*",
    "an AWS access key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a GitHub token": r"\b(?:gh[opsur]_[A-Za-z0-9]{20,}|github_pat_\w{20,})",
    "a GitLab token": r"\bgl[a-z]{2,5}-[\w-]{20,}",
    "a PyPI token": r"\bpypi-[\w-]{32,}",
    "an npm token": r"\bnpm_[A-Za-z0-9]{30,}",
    "a Slack token": r"\bxox[abeoprs]-[\w-]{10,}",
    "a Stripe key": r"\b[rs]k_(?:live|test)_\w{16,}",
    "a Google key": r"\bAIza[\w-]{35}",
    "a connection string with a password": r"(?i)(?:^|;)\s*(?:pwd|password)\s*=\s*[^;\s]{3,}",
}
"""Recognisable formats of issuers, and two of the standards (RFC 7468, RFC 7519)."""

_PATTERNS: Final = {name: re.compile(pattern) for name, pattern in _SHAPES.items()}
_RUN: Final = re.compile(r"[A-Za-z0-9+/=_-]{24,}")
_MOST_BITS: Final = 4.2
"""Hexadecimal digits have 4 bits a character at most: commits, digests and UUIDs stay below."""

_LEAST_HIDDEN: Final = 8
"""Shorter values of variables are words such as "true", which masking would take out of every line."""

_IS_NO_NAME: Final = re.compile(r"\A(?!/)(?=.*[^a-z])", re.DOTALL)
"""No path, and more than small letters: "production" is the name of a key, not a key."""


def secret_suspicion(name: str, value: str) -> str | None:
    """Return why a variable looks like a secret, without its value; None if it does not."""
    word = next((word for word in _words(name) if word in WORDS), None)
    if word is not None:
        return f"its name contains {word!r}"
    found = recognised_secret(value)
    if found is not None:
        return f"its value has the shape of {found}"
    return "its value is as random as a key" if any(map(_is_random, _RUN.findall(value))) else None


def recognised_secret(text: str) -> str | None:
    """Return the kind of secret in a text: private key, token, address with password; None if none."""
    if passwords_in(text):
        return "an address with a password"
    return next((name for name, pattern in _PATTERNS.items() if pattern.search(text)), None)


def _words(name: str) -> list[str]:
    return [word.upper() for word in _WORD.findall(name)]


def _is_random(text: str) -> bool:
    """Return whether a text looks random: mixed characters, with more bits each than names and paths."""
    mixed = all(re.search(kind, text) for kind in ("[A-Z]", "[a-z]", "[0-9]"))
    return mixed and _bits(text) > _MOST_BITS


def _bits(text: str) -> float:
    """Return the entropy of each character (Shannon, "A Mathematical Theory of Communication", section 6)."""
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares)


def secrets_of(environ: Mapping[str, str]) -> Iterator[Redacted]:
    """Yield the secrets in a process's environment, to be masked in the output of its programs.

    The values of variables whose name ends with such a word, but for paths and plain words: a guess must not
    star the words of every message. And the password of every address.
    """
    for name, value in environ.items():
        if (
            WORDS.intersection(_words(name)[-1:])
            and _IS_NO_NAME.search(value)
            and len(value) >= _LEAST_HIDDEN
        ):
            yield Redacted(value)
        yield from map(Redacted, passwords_in(value))
