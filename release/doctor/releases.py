"""Checks of everything that `nox -s release` needs, in the order of its stages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from release.config import Service
from release.deploy.core.finding import Finding, finding
from release.deploy.environment.environment import Workspace
from release.doctor.builder import builder_findings
from release.doctor.files import file_findings
from release.doctor.remote import remote_findings
from release.doctor.rights import check_registry_rights
from release.errors import ReleaseError
from release.secrets.sources import resolve_secrets

LEAST_FREE_BYTES: Final = 512 * 1024**2
"""Free bytes for the build context, the logs and the tools of a run."""


def examine_releases(workspace: Workspace) -> Iterator[Finding]:
    """Yield one finding for each requirement of a release."""
    yield from file_findings(workspace)
    yield finding("clone: disk", partial(free_space_text, workspace.source.root))
    yield from builder_findings(workspace)
    yield _check_secrets(workspace)
    if workspace.service.registry is not None:
        yield finding("registry: rights", partial(check_registry_rights, workspace.service.repository))
    yield from remote_findings(workspace)


def free_space_text(folder: Path) -> str:
    """Return the free disk space of the clone as text. Raise ReleaseError below the limit."""
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB are free below {folder}"
    if free < LEAST_FREE_BYTES:
        hint = "free some space; logs of old runs are in .release/runs: rm -r .release/runs"
        raise ReleaseError("write the files of a run", found, hint)
    return found


def _check_secrets(workspace: Workspace) -> Finding:
    """Return a finding: whether all secrets of builds and companions can be read now."""
    service: Service = workspace.service
    sources = {**service.build.secrets}
    for name, companion in service.companions.items():
        sources |= {f"{name}.{variable}": each for variable, each in companion.secrets.items()}
    values, unread = resolve_secrets(
        sources, root=workspace.source.root, environ=workspace.environ, tell=workspace.tell
    )
    found = "; ".join(f"{item.name}: {item.reason}" for item in unread)
    return Finding(
        name="build: secrets",
        well=not unread,
        found=found or f"{len(values)} can be read",
        hint="set them on the machine that releases" if unread else "",
    )
