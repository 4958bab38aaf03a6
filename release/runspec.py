"""How a container runs: the settings that a deployment records and a rollback puts back.

Units are fixed here, once: memory in bytes, time in milliseconds, processors in thousandths, so that a
record holds whole numbers only. The text forms ("256m", "30s", "127.0.0.1:8080:8000") are those of the
Docker command line and of Compose.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_SIZE = re.compile(r"(\d+)\s*([bkmg]?)b?", re.IGNORECASE)
_SIZE_UNITS: Final = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_DURATION = re.compile(r"(\d+)\s*(ms|s|m|h|d)")
_DURATION_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Value(BaseModel):
    """A frozen value that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


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
    return int(match[1]) * _DURATION_UNITS[match[2]]


def parse_cpus(value: object) -> object:
    """`0.5` → 500 thousandths of a processor."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number of processors, as 0.5")  # noqa: TRY004 - pydantic wants it
    return round(value * 1000)


Size = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=int | str), Field(ge=0)]
"""Bytes; in configuration also "256m"."""

Memory = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=int | str), Field(ge=6 * 1024**2)]
"""Bytes, at least the 6 MiB that the engine asks for."""

Duration = Annotated[int, BeforeValidator(parse_duration, json_schema_input_type=str), Field(gt=0)]
"""Milliseconds; in configuration "30s"."""

Cpus = Annotated[int, BeforeValidator(parse_cpus, json_schema_input_type=float), Field(ge=10)]
"""Thousandths of a processor; in configuration 0.5."""

Port = Annotated[int, Field(ge=1, le=65535)]
"""A TCP or UDP port."""

VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of an environment variable (POSIX.1, XBD 8.1)."""

AbsolutePath = Annotated[str, Field(pattern=r"^/[^\x00:,]*$")]
"""A path inside a container."""

Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")]
"""The name of a network, volume or capability, as the engine allows it."""


class Publish(Value):
    """One published port: `[address:]host:container[/tcp|udp]`."""

    address: str = "0.0.0.0"  # noqa: S104 - the engine's own default, made visible
    host: Port
    container: Port
    protocol: Literal["tcp", "udp"] = "tcp"

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: object) -> object:
        return _parse_publish(value) if isinstance(value, str) else value

    def __str__(self) -> str:
        """As the Docker command line writes it."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        suffix = "" if self.protocol == "tcp" else f"/{self.protocol}"
        return f"{address}:{self.host}:{self.container}{suffix}"


_PUBLISH = re.compile(r"(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(\d+):(\d+)(?:/(tcp|udp))?")


def _parse_publish(text: str) -> dict[str, Any]:
    match = _PUBLISH.fullmatch(text)
    if match is None:
        raise ValueError(f'{text!r} is not a published port: write [address:]host:container, as "8080:8000"')
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
        return _parse_mount(value) if isinstance(value, str) else value

    @property
    def is_bind(self) -> bool:
        """Whether the source is a folder of the machine, not a named volume."""
        return self.source.startswith("/")

    def __str__(self) -> str:
        """As the Docker command line writes it."""
        return f"{self.source}:{self.target}{':ro' if self.read_only else ''}"


_MOUNT = re.compile(r"(/[^:\x00]*|[a-zA-Z0-9][a-zA-Z0-9_.-]*):(/[^:\x00]*)(?::(ro|rw))?")


def _parse_mount(text: str) -> dict[str, Any]:
    match = _MOUNT.fullmatch(text)
    if match is None:
        raise ValueError(f'{text!r} is not a mount: write volume:/path or /folder:/path, and :ro to protect it')
    return {"source": match[1], "target": match[2], "read_only": match[3] == "ro"}


class Probe(Value):
    """An HTTP request that a healthy service answers."""

    port: Port
    path: Annotated[str, Field(pattern=r"^/[!-~]*$")] = "/"
    status: Annotated[int, Field(ge=100, le=599)] = 200
    timeout: Duration = 30_000
    """How long the service may take from its start to the first right answer, in milliseconds."""


class RunSpec(Value):
    """Everything but the image that decides how a container runs. Recorded with each deployment.

    `secrets` holds fingerprints by variable name, never values. `stop_grace` and the probe's timeout are
    milliseconds, `memory` bytes, `cpus` thousandths.
    """

    command: tuple[str, ...] | None = None
    env: dict[VariableName, str] = Field(default_factory=dict)
    secrets: dict[VariableName, str] = Field(default_factory=dict)
    publish: tuple[Publish, ...] = ()
    networks: tuple[Name, ...] = ()
    volumes: tuple[Mount, ...] = ()
    memory: int | None = None
    cpus: int | None = None
    pids: int | None = None
    user: str | None = None
    read_only: bool = False
    tmpfs: tuple[AbsolutePath, ...] = ()
    cap_add: tuple[Name, ...] = ()
    cap_drop: tuple[Name, ...] = ()
    restart: Literal["no", "on-failure", "always", "unless-stopped"] = "unless-stopped"
    stop_grace: int = 10_000
    labels: dict[str, str] = Field(default_factory=dict)
    probe: Probe | None = None
