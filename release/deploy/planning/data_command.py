"""A command that changes the data, in a container of its own, before or after the release is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Literal

from release.config import Migrations
from release.deploy.core.operations import CommandRequest
from release.deploy.core.place import MIGRATION, Identity
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.planning.plan import MigrationCommand
from release.deploy.planning.settings import fingerprints, seal_key
from release.records import Record, Release
from release.records.events import C, Undoing, Upgrade
from release.reference import Digest
from release.runspec import RunSpec
from release.secrets.redact import Redacted
from release.values import Struct

Kind = Literal["down", "up"]


class DataCommand(Struct, Generic[C], frozen=True, kw_only=True):
    """A command on the data, with its request, which gets its name and deployment at its start."""

    kind: Kind
    change: C
    """Record of the command in the deployment's events."""
    request: CommandRequest
    runs_after: bool = False
    """True: it runs when the new release is verified healthy, and not before anything is replaced."""

    again: bool = False
    """True: the deployment has --again, without which the next one may only verify the same release."""

    @property
    def identity(self) -> Identity:
        """Return the identity of the release in whose image the command runs."""
        return self.request.identity

    @property
    def timeout(self) -> int:
        """Return the time limit in milliseconds."""
        return self.request.timeout

    @property
    def text(self) -> str:
        """Return the command as one line."""
        return " ".join(self.change.command)

    @property
    def shown(self) -> MigrationCommand:
        """Return the command as the plan shows it."""
        return MigrationCommand(
            command=self.change.command,
            version=self.identity.version,
            image=f"{self.request.image.repository}@{self.identity.digest}",
            timeout=self.timeout,
            runs_after=self.runs_after,
        )


AnyDataCommand = DataCommand[Undoing] | DataCommand[Upgrade]


def data_command(
    live: LiveEnvironment,
    settings: Migrations,
    kind: Kind,
    change: C,
    release: Record[Release],
    spec: RunSpec,
    secrets: Mapping[str, Redacted],
) -> DataCommand[C]:
    """Return a command in a release's image with run settings, without ports and names."""
    body = release.body
    identity = Identity(
        deployment="",
        version=body.version,
        commit=body.source.commit,
        digest=Digest(body.image.digest),
        record=release.id,
    )
    return DataCommand(
        kind=kind,
        change=change,
        request=CommandRequest(
            name="",
            place=live.place,
            role=MIGRATION,
            identity=identity,
            image=body.image,
            command=change.command,
            entrypoint=settings.entrypoint,
            spec=spec.with_secrets(fingerprints(live, secrets)),
            secrets=secrets,
            timeout=settings.timeout,
            key=seal_key(live, secrets),
        ),
        runs_after=kind == "up" and settings.when == "after",
    )
