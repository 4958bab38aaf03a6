"""The settings that a released image is built again with: of its commit, and today's for all that is lent.

The record decides nothing that runs. Dockerfile, stage and arguments come from the commit, and the record has
to agree. Secrets, ssh keys, proxies and mirrors are those of today's configuration, as the operator
has it: an older commit names its secrets, but not their sources.
"""

from __future__ import annotations

from collections.abc import Iterator

from release.chain.building.mirror import base_images_of
from release.config import Service
from release.errors import SourceError
from release.records import Base, Release

OURS = ("VERSION", "COMMIT", "SOURCE_DATE_EPOCH")
"""Build arguments that every release sets, and no configuration may set."""

_LABELS = "org.opencontainers.image."
"""Prefix of the labels that a release sets on its image."""


def settings_for_rebuild(today: Service, committed: Service, release: Release) -> Service:
    """Return the service's settings for building a release again.

    Args:
        today: the operator's configuration.
        committed: the configuration in the release's commit.
        release: the release record.

    Raises:
        SourceError: record and commit contradict each other, or today's configuration lacks the source of a
            secret that the commit needs.
    """
    attempted = f"build {release.version} again from its record"
    lies = list(_find_contradictions(committed, release))
    if lies:
        found = f"the record and its commit contradict each other: {'; '.join(lies)}"
        raise SourceError(attempted, found, "prove the ledger: invoke verify --ledger")
    wanted = committed.build.secrets.keys() | {_ssh_id(text) for text in committed.build.ssh}
    lent = today.build.secrets.keys() | {_ssh_id(text) for text in today.build.ssh}
    if missing := sorted(wanted - lent):
        raise SourceError(
            attempted,
            f"its build used {', '.join(missing)}, but today's configuration has no source for them",
            "add them to `build.secrets` and `build.ssh` in today's pyproject.toml",
        )
    build = committed.build.model_copy(
        update={
            "secrets": {name: today.build.secrets[name] for name in committed.build.secrets},
            "ssh": tuple(text for text in today.build.ssh if _ssh_id(text) in wanted),
            "proxy": today.build.proxy,
            "mirrors": today.build.mirrors,
            "platform": release.image.platform,
        }
    )
    return committed.model_copy(update={"build": build})


def _ssh_id(ssh: str) -> str:
    return ssh.partition("=")[0]


def _find_contradictions(committed: Service, release: Release) -> Iterator[str]:
    recorded, build = release.build, committed.build
    pairs: dict[str, tuple[object, object]] = {
        "context": (recorded.context, committed.context),
        "dockerfile": (recorded.dockerfile, build.dockerfile),
        "target": (recorded.target, build.target),
        "args": (_configured_arguments(recorded.args), dict(build.args)),
        "labels": ([name for name in recorded.labels if not name.startswith(_LABELS)], []),
    }
    told = release.recovered.unknown if release.recovered is not None else ()
    for name, (found, expected) in pairs.items():
        if found != expected and f"build.{name}" not in told:
            yield f"{name} is {found!r} in the record, but {expected!r} in the commit"
    own = {"VERSION": release.version, "COMMIT": release.source.commit}
    for name, text in own.items():
        if recorded.args.get(name, text) != text:
            yield f"the argument {name} is {recorded.args[name]!r}, but the record is of {text!r}"


def _configured_arguments(args: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in args.items() if key not in OURS}


def pinned_base_images(release: Release, dockerfile: str) -> tuple[Base, ...]:
    """Return the recorded base images that the Dockerfile names, to pin them by digest."""
    named = {str(image) for image in base_images_of(dockerfile, release.build.args)}
    return tuple(base for base in release.bases if base.reference in named)
