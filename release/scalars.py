"""Types of single values in configuration and records: sizes, times, names, parts of HTTP requests."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from release.values import Struct

_SIZE = re.compile(r"([0-9]+)\s*([bkmg]?)b?", re.IGNORECASE)


_SIZE_UNITS: Final = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


_DURATION = re.compile(r"([0-9]+)\s*(ms|s|m|h|d)")


_LEAST_MEMORY: Final = 6 * 1024**2


_MOST_CPUS: Final = 100_000


_DURATION_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


_LONGEST: Final = 36_500 * 86_400_000
"""A hundred years, in milliseconds: dates and engines count that far."""


_MOST_DIGITS: Final = 15


class Value(BaseModel):
    """Immutable value that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


_T = TypeVar("_T")


Items = Annotated[tuple[_T, ...], Field(strict=False)]
"""A tuple that is written as a list, in TOML and in JSON."""


class Matching(Struct, frozen=True):
    """Rule for text: a pattern, and its description for people.

    The raised error has the type `not_matching` and holds the description instead of the text, because the
    text may be a secret.
    """

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the text after it is known to be text."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the rule in JSON Schema."""
        return handler(schema) | {"pattern": f"^(?:{self.pattern})$", "description": self.words}

    def _check(self, text: str) -> str:
        if re.fullmatch(self.pattern, text) is None:
            raise PydanticCustomError("not_matching", "is not {words}", {"words": self.words})
        return text


def parse_size(value: object) -> object:
    """Return the bytes of a size as `"256m"`; whole numbers pass. Raise ValueError for other text."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f'{value!r} is not a size: write a number and b, k, m or g, as "256m"')
    return int(match[1]) * _SIZE_UNITS[match[2].lower()]


def parse_duration(value: object) -> object:
    """Return the milliseconds of a time as `"30s"`. Raise ValueError for a number without a unit."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} is not a duration: write a number and ms, s, m, h or d, as "30s"')
    if len(match[1]) > _MOST_DIGITS or (found := int(match[1]) * _DURATION_UNITS[match[2]]) > _LONGEST:
        raise ValueError(f"{str(value)[:20]!r} is too long: at most {_LONGEST // _DURATION_UNITS['d']}d")
    return found


def parse_memory(value: object) -> object:
    """Return the bytes of a size. Raise ValueError below 6 MiB, the engine's minimum."""
    size = parse_size(value)
    if isinstance(size, int) and not isinstance(size, bool) and size < _LEAST_MEMORY:
        raise ValueError(f'{value!r} is too little: the engine asks for at least "6m"')
    return size


def parse_cpus(value: object) -> object:
    """Return the thousandths of a number of processors: `0.5` is 500. Raise ValueError below 0.01."""
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not 0.01 <= value < _MOST_CPUS:  # type: ignore[operator]
        raise ValueError(f"{value!r} is not a number of processors: write a number from 0.01, as 0.5")
    return round(value * 1000)  # type: ignore[operator]


def parse_mode(value: object) -> object:
    """Return the mode of a file from `"0444"`; bits as setuid are refused (POSIX.1, chmod)."""
    if not isinstance(value, str) or re.fullmatch("0?[0-7]{3}", value) is None:
        raise ValueError(f'{value!r} is not a mode: write three octal digits in quotes, as "0444"')
    return int(value, 8)


def size_text(size: int) -> str:
    """Return bytes as "256m", in the largest unit that divides them; `parse_size` reads it back."""
    unit = next(unit for unit in ("g", "m", "k", "b") if size % _SIZE_UNITS[unit] == 0)
    return f"{size // _SIZE_UNITS[unit]}{unit}"


def duration_text(duration: int) -> str:
    """Return milliseconds as "30s", in the largest unit that divides them; `parse_duration` reads it back."""
    if duration == 0:
        return "0s"
    unit = next(unit for unit in ("d", "h", "m", "s", "ms") if duration % _DURATION_UNITS[unit] == 0)
    return f"{duration // _DURATION_UNITS[unit]}{unit}"


Memory = Annotated[
    int,
    BeforeValidator(parse_memory, json_schema_input_type=int | str),
    Field(description='a size, as "256m" (b, k, m or g)'),
]
"""Bytes, at least the 6 MiB that the engine asks for; in configuration also "256m"."""


Duration = Annotated[
    int,
    BeforeValidator(parse_duration, json_schema_input_type=str),
    Field(gt=0, description='a time, as "30s" (ms, s, m, h or d)'),
]
"""Milliseconds; in configuration "30s"."""


Pause = Annotated[
    int,
    BeforeValidator(parse_duration, json_schema_input_type=str),
    Field(ge=0, description='a time, as "1h" (ms, s, m, h or d), or "0s"'),
]
"""Milliseconds, possibly none; in configuration "1h"."""


FileMode = Annotated[
    int,
    BeforeValidator(parse_mode, json_schema_input_type=str),
    Field(description='a mode in octal digits, as "0444"'),
]
"""Permission bits; in configuration "0444"."""


Cpus = Annotated[
    int,
    BeforeValidator(parse_cpus, json_schema_input_type=float),
    Field(description="a number of processors, as 0.5"),
]
"""Thousandths of a processor; in configuration 0.5."""


Port = Annotated[int, Field(ge=1, le=65535)]
"""A TCP or UDP port."""


VariableName = Annotated[
    str,
    Matching(r"[A-Za-z_][A-Za-z0-9_]*", "the name of a variable: letters, digits and _, not a digit first"),
]
"""The name of an environment variable (POSIX.1, XBD 8.1)."""


AbsolutePath = Annotated[str, Matching(r"/[^\x00:,]*", 'an absolute path without ":" and ","')]
"""A path inside a container."""


Name = Annotated[
    str,
    Matching(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", "a name: letters, digits, _ . and -, a letter or digit first"),
]
"""The name of a network, volume or capability, as the engine allows it."""


SignalName = Annotated[str, Matching(r"SIG[A-Z][A-Z0-9]*([+-][0-9]+)?", 'a signal, as "SIGTERM"')]
"""The name of a signal, as the engine takes it (Engine API 1.45, ContainerCreate, "StopSignal")."""


Entrypoint = Literal["keep", "replace"]
""""replace": a command runs instead of the image's ENTRYPOINT; "keep": the command is its arguments."""


RequestPath = Annotated[str, Matching(r"/[!-~]*", 'the path of a request, as "/healthz"')]
"""Path and query of an HTTP request, in visible ASCII (RFC 9112, section 3.2.1)."""


HostName = Annotated[
    str,
    Matching(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?", 'a host, as "api.example"'),
]
"""Host and port of a request (RFC 9110, section 7.2)."""


HeaderName = Annotated[str, Matching(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", "the name of a header field")]
"""A token (RFC 9110, section 5.1)."""


HeaderValue = Annotated[
    str, Matching(r"[!-~]([ -~]{0,998}[!-~])?", "the value of a header field, in visible ASCII")
]
"""Value of an HTTP header (RFC 9110, section 5.5) without obsolete forms."""


_FRAMING: Final = frozenset({"connection", "content-length", "expect", "te", "trailer", "transfer-encoding"})


def own_headers(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers.

    Raise ValueError for `Host` and headers that change how a request is read (RFC 9112).
    """
    wrong = [name for name in headers if name.lower() in {*_FRAMING, "upgrade", "host"}]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: the request sets this itself; for Host there is `host`")
    twice = [name for name in headers if [other.lower() for other in headers].count(name.lower()) > 1]
    if twice:
        raise ValueError(f"{', '.join(twice)}: the same header field, written in two ways")
    return headers
