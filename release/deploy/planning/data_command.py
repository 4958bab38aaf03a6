"""A command that changes the data, in a container of its own, before anything is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Literal

from release.config import Migrations
from release.deploy.core.place import Identity, container_spec
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.planning.plan import MigrationCommand
from release.images.engine import ContainerSpec
from release.records import Record, Release
from release.records.events import C, Undoing, Upgrade
from release.redact import Redacted
from release.reference import Digest
from release.runspec import RunSpec
from release.values import Struct, replace

Kind = Literal["down", "up"]


class DataCommand(Struct, Generic[C], frozen=True, kw_only=True):
    """The command, and its container, which gets its name and labels when it is made."""

    kind: Kind
    change: C
    """Record of the command in the deployment's events."""
    container: ContainerSpec
    identity: Identity
    """Identity of the release whose image it is."""
    repository: str
    secrets: Mapping[str, Redacted]
    timeout: int
    """Milliseconds."""

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
            image=f"{self.repository}@{self.identity.digest}",
            timeout=self.timeout,
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
    """Return a command in the image of a release, with run settings, but without its ports and names."""
    body = release.body
    identity = Identity(
        deployment="",
        version=body.version,
        commit=body.source.commit,
        digest=Digest(body.image.digest),
        record=release.id,
    )
    serving = container_spec(
        live.place, identity, spec, image=live.target.images.id_of(body.image), secrets=secrets
    )
    return DataCommand(
        kind=kind,
        change=change,
        container=replace(
            serving,
            name=None,
            command=change.command,
            entrypoint=settings.entrypoint,
            labels={},
            aliases=(),
            publish=(),
            restart="no",
        ),
        identity=identity,
        repository=body.image.repository,
        secrets=secrets,
        timeout=settings.timeout,
    )
