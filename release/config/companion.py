"""`[tool.release.companions.<name>]`: services that the gates start beside the image, as a database."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from release.config.chain import Secret
from release.config.kinds import Arguments
from release.reference import Digest, Reference
from release.scalars import Duration, Entrypoint, Items, Memory, Value, VariableName
from release.tmpfs import Tmpfs

_ID = "sha256:"


def _pinned_image(text: str) -> str:
    """Return the image. Raise ValueError if it has no digest, because a tag may move."""
    if text.startswith(_ID):
        Digest(text)
    elif Reference.parse(text).digest is None:
        raise ValueError(
            f'{text!r} has no digest: write image = "{text}@sha256:..." with the digest that '
            f"`docker buildx imagetools inspect {text}` shows. For an image that only the engine has, write "
            f"its id, which `docker image inspect --format '{{{{.Id}}}}' {text}` shows"
        )
    return text


class Companion(Value):
    """`[tool.release.companions.<name>]`: a service that tests and smoke runs need, as a database.

    The gate starts it on a private network, from which no way leads out. Its name is its host name there. It
    is removed when the gate ends.
    """

    image: Annotated[str, AfterValidator(_pinned_image)]
    """Image by digest, as "postgres:17@sha256:...", or by its id in the engine, as "sha256:..."."""
    health: Arguments
    """Program in the container that must end with status 0 before the gate goes on, as ["pg_isready"]."""
    timeout: Duration = 60_000
    """Time limit for the `health` program to succeed."""
    gates: Annotated[Items[Literal["test", "smoke"]], Field(min_length=1)] = ("test", "smoke")
    """Gates that start this service, each in a container of its own."""
    command: Arguments | None = None
    """Command of the container, in place of the image's ENTRYPOINT and CMD."""
    entrypoint: Entrypoint = "replace"
    """"keep": `command` replaces only the CMD."""
    env: dict[VariableName, str] = Field(default_factory=dict)
    """Environment values."""
    secrets: dict[VariableName, Secret] = Field(
        default_factory=dict, description="tables by name, as `build.secrets`"
    )
    """Environment values that are never stored: { LICENSE = { from_env = "DB_LICENSE" } }."""
    user: str | None = None
    """User of the container, in place of the image's user."""
    memory: Memory = 1024**3
    """Memory limit of the container, without swap."""
    tmpfs: Items[Tmpfs] = ()
    """Folders in memory, as "/var/lib/postgresql/data": a database is quicker there."""

    @model_validator(mode="after")
    def _once(self) -> Companion:
        twice = [name for name in self.env if name in self.secrets]
        if twice:
            raise ValueError(f"{', '.join(twice)} is in env and in secrets: keep one")
        return self
