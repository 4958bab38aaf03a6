"""How a container runs: the settings that a deployment records and a rollback puts back.

Units are fixed here, once: memory in bytes, time in milliseconds, processors in thousandths, so that a
record holds whole numbers only. The text forms ("256m", "30s", "127.0.0.1:8080:8000") are those of the
Docker command line and of Compose.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
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
    """A frozen value that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


_T = TypeVar("_T")

Items = Annotated[tuple[_T, ...], Field(strict=False)]
"""A tuple that is written as a list, in TOML and in JSON."""


class Matching(Struct, frozen=True):
    """A rule for text: the pattern that all of it matches, and the words that say so to people.

    The error it raises has the type `not_matching` and carries the words, not the text: whoever renders it
    decides whether the text may be shown.
    """

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the text after it is known to be text."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The same rule in JSON Schema."""
        return handler(schema) | {"pattern": f"^(?:{self.pattern})$", "description": self.words}

    def _check(self, text: str) -> str:
        if re.fullmatch(self.pattern, text) is None:
            raise PydanticCustomError("not_matching", "is not {words}", {"words": self.words})
        return text


def parse_size(value: object) -> object:
    """`"256m"` → bytes; whole numbers pass. Raises ValueError for other text."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f'{value!r} is not a size: write a number and b, k, m or g, as "256m"')
    return int(match[1]) * _SIZE_UNITS[match[2].lower()]


def parse_duration(value: object) -> object:
    """`"30s"` → milliseconds. A bare number is refused: its unit would be a guess."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} is not a duration: write a number and ms, s, m, h or d, as "30s"')
    if len(match[1]) > _MOST_DIGITS or (found := int(match[1]) * _DURATION_UNITS[match[2]]) > _LONGEST:
        raise ValueError(f"{str(value)[:20]!r} is too long: at most {_LONGEST // _DURATION_UNITS['d']}d")
    return found


def parse_memory(value: object) -> object:
    """A size of at least 6 MiB: the engine starts no container with less."""
    size = parse_size(value)
    if isinstance(size, int) and not isinstance(size, bool) and size < _LEAST_MEMORY:
        raise ValueError(f'{value!r} is too little: the engine asks for at least "6m"')
    return size


def parse_cpus(value: object) -> object:
    """`0.5` → 500 thousandths of a processor; at least 0.01."""
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not 0.01 <= value < _MOST_CPUS:  # type: ignore[operator]
        raise ValueError(f"{value!r} is not a number of processors: write a number from 0.01, as 0.5")
    return round(value * 1000)  # type: ignore[operator]


def parse_mode(value: object) -> object:
    """`"0444"` → a file's mode, without the bits that change who runs it (POSIX.1, chmod)."""
    if not isinstance(value, str) or re.fullmatch("0?[0-7]{3}", value) is None:
        raise ValueError(f'{value!r} is not a mode: write three octal digits in quotes, as "0444"')
    return int(value, 8)


def size_text(size: int) -> str:
    """Bytes → "256m": the inverse of `parse_size`, in the largest unit that divides them."""
    unit = next(unit for unit in ("g", "m", "k", "b") if size % _SIZE_UNITS[unit] == 0)
    return f"{size // _SIZE_UNITS[unit]}{unit}"


def duration_text(duration: int) -> str:
    """Milliseconds → "30s": the inverse of `parse_duration`, in the largest unit that divides them."""
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
"""Whether a command takes the place of the image's ENTRYPOINT, or is given to it as arguments."""

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
"""RFC 9110, section 5.5, without what is obsolete there."""

_FRAMING: Final = frozenset({"connection", "content-length", "expect", "te", "trailer", "transfer-encoding"})


def own_headers(headers: dict[str, str]) -> dict[str, str]:
    """Refuse fields that change how the request itself is read (RFC 9112, section 6), and the host."""
    wrong = [name for name in headers if name.lower() in {*_FRAMING, "upgrade", "host"}]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: the request sets this itself; for Host there is `host`")
    twice = [name for name in headers if [other.lower() for other in headers].count(name.lower()) > 1]
    if twice:
        raise ValueError(f"{', '.join(twice)}: the same header field, written in two ways")
    return headers


class Publish(Value):
    """One published port: `[address:]host:container[/tcp|udp]`."""

    address: str = "0.0.0.0"  # noqa: S104 - the engine's own default, made visible
    host: Port
    container: Port
    protocol: Literal["tcp", "udp"] = "tcp"

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: object) -> object:
        return value if isinstance(value, Mapping | Publish) else _parse_publish(value)

    def __str__(self) -> str:
        """As the Docker command line writes it."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        suffix = "" if self.protocol == "tcp" else f"/{self.protocol}"
        return f"{address}:{self.host}:{self.container}{suffix}"


_PUBLISH = re.compile(r"(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?([0-9]{1,9}):([0-9]{1,9})(?:/(tcp|udp))?")


def _parse_publish(value: object) -> dict[str, Any]:
    match = _PUBLISH.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} is not a published port: write [address:]host:container, as "8080:8000"')
    parts: dict[str, Any] = {"host": int(match[2]), "container": int(match[3])}
    if match[1]:
        parts["address"] = str(ipaddress.ip_address(match[1].strip("[]")))
    if match[4]:
        parts["protocol"] = match[4]
    return parts


class Mount(Value):
    """A volume or a folder of the engine's machine in the container: `source:/target[:ro]`."""

    source: str
    target: AbsolutePath
    read_only: bool = False

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: object) -> object:
        return value if isinstance(value, Mapping | Mount) else _parse_mount(value)

    @property
    def is_bind(self) -> bool:
        """Return whether the source is a folder of the machine, not a named volume."""
        return self.source.startswith("/")

    def __str__(self) -> str:
        """As the Docker command line writes it."""
        return f"{self.source}:{self.target}{':ro' if self.read_only else ''}"


_MOUNT = re.compile(r"(/[^:\x00]*|[a-zA-Z0-9][a-zA-Z0-9_.-]*):(/[^:\x00]*)(?::(ro|rw))?")


def _parse_mount(value: object) -> dict[str, Any]:
    match = _MOUNT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f"{value!r} is not a mount: write volume:/path or /folder:/path, and :ro to protect it"
        )
    return {"source": match[1], "target": match[2], "read_only": match[3] == "ro"}


class Probe(Value):
    """An HTTP request that a healthy service answers. Keys of a later minor version of a record are kept."""

    model_config = ConfigDict(extra="allow")

    port: Port
    path: RequestPath = "/"
    status: Annotated[int, Field(ge=100, le=599)] = 200
    timeout: Annotated[int, Field(gt=0)] = 30_000
    """How long the service may take from its start to the first right answer, in milliseconds."""
    host: HostName | None = None
    """The `Host` header; None: the address that is asked."""
    headers: Annotated[dict[HeaderName, HeaderValue], AfterValidator(own_headers)] | None = None
    """Further header fields of the request."""


class Healthcheck(Value):
    """A health check in the place of the image's. Times in milliseconds; None leaves what the image says."""

    model_config = ConfigDict(extra="allow")

    disable: bool | None = None
    """There is none, whatever the image says."""
    command: Items[str] | None = None
    """A program of the image and its words; status 0 is healthy."""
    interval: int | None = None
    timeout: int | None = None
    start_period: int | None = None
    start_interval: int | None = None
    retries: int | None = None


class RecordedFile(Value):
    """A file that a deployment puts into the container: a rollback puts the same content there again."""

    model_config = ConfigDict(extra="allow")

    content: str
    sha256: str
    """Of the content in UTF-8."""
    mode: int

    def __str__(self) -> str:
        """For people, who compare: mode and the first digits of the hash."""
        return f"{self.mode:04o} sha256:{self.sha256[:12]}"


class SwarmSpec(Value):
    """How a Swarm runs and replaces the tasks of a service. `delay` and `monitor` are milliseconds.

    `reserve_memory` is bytes and `reserve_cpus` thousandths. A key that is None is not recorded.
    Keys of a later minor version of a record are kept.
    """

    model_config = ConfigDict(extra="allow")

    constraints: Items[str] = ()
    endpoint_mode: Literal["vip", "dnsrr"] = "vip"
    publish_mode: Literal["ingress", "host"] = "ingress"
    order: Literal["start-first", "stop-first"] = "start-first"
    parallelism: int = 1
    delay: int = 0
    monitor: int = 5_000
    failure_action: Literal["pause", "rollback"] = "pause"
    max_per_node: int | None = None
    reserve_memory: int | None = None
    reserve_cpus: int | None = None


class RunSpec(Value):
    """Everything but the image that decides how a container runs. Recorded with each deployment.

    `secrets` holds fingerprints by variable name, never values. `stop_grace` and the probe's timeout are
    milliseconds, `memory` bytes, `cpus` thousandths. Keys of a later minor version of a record are kept. A
    key that is None is not recorded, so that an older version of the library restores what it knows.
    """

    model_config = ConfigDict(extra="allow")

    command: Items[str] | None = None
    entrypoint: Entrypoint | None = None
    """What `command` did with the image's ENTRYPOINT; None: it was kept, as older versions always did."""
    env: dict[VariableName, str] = Field(default_factory=dict)
    secrets: dict[VariableName, str] = Field(default_factory=dict)
    publish: Items[Publish] = ()
    networks: Items[Name] = ()
    volumes: Items[Mount] = ()
    memory: int | None = None
    cpus: int | None = None
    pids: int | None = None
    user: str | None = None
    read_only: bool = False
    tmpfs: Items[AbsolutePath] = ()
    tmpfs_options: dict[AbsolutePath, str] | None = None
    """Owner, mode and size of these folders, by path, as the engine takes them: "uid=10001,mode=0750"."""
    cap_add: Items[Name] = ()
    cap_drop: Items[Name] = ()
    restart: Literal["no", "on-failure", "always", "unless-stopped"] = "unless-stopped"
    stop_grace: int = 10_000
    labels: dict[str, str] = Field(default_factory=dict)
    files: dict[AbsolutePath, RecordedFile] | None = None
    """By path in the container."""
    secret_files: dict[VariableName, AbsolutePath] | None = None
    """Where in the container a secret is a file instead of a variable."""
    init: bool | None = None
    stop_signal: SignalName | None = None
    log_driver: Name | None = None
    log_options: dict[str, str] | None = None
    healthcheck: Healthcheck | None = None
    health_tcp: Items[Port] | None = None
    health_command: Items[str] | None = None
    watch: int | None = None
    """Milliseconds that it had to stay healthy before what ran before was taken away; None: 10,000."""
    replicas: int = 1
    proxy: str | None = None
    """The kind of proxy that the containers sat behind; none: they took their requests themselves."""
    probe: Probe | None = None
    swarm: SwarmSpec | None = None
    """There only where a Swarm ran it."""
