"""Checks of the builder and of the base images."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from release.chain.building.mirror import base_images_of
from release.deploy.core.engine_machine import clock_and_disk
from release.deploy.core.finding import Finding, finding, ill
from release.deploy.environment.environment import Workspace
from release.doctor.files import repository_path
from release.errors import EngineError, RegistryError, ReleaseError
from release.git.commit_files import read_linked
from release.images.engine import Engine
from release.images.registry import PRESSED, Registry
from release.programs.environment import ENGINE
from release.programs.process import Command, run
from release.reference import Reference, Repository

_SECONDS: Final = 60.0
_INSTALL: Final = "install the docker command with buildx; on Debian: apt-get install docker.io docker-buildx"


def builder_findings(workspace: Workspace) -> Iterator[Finding]:
    """Yield findings on the builder, on its engine, and on each base image."""
    yield finding("builder", _check_buildx)
    try:
        engine = Engine.connect()
    except ReleaseError as error:
        yield ill("builder: engine", error)
        return
    with closing(engine):
        yield finding("builder: engine", partial(_check_engine, engine))
        yield finding("builder: build", partial(_check_empty_build, engine))
        yield from clock_and_disk("builder", engine)
        for image in _committed_base_images(workspace):
            yield finding(
                f"base {image}", partial(base_image_location, engine, image, workspace.service.build.mirrors)
            )


def _check_buildx() -> str:
    """Return the version of buildx. Raise EngineError if the docker command or buildx is missing."""
    attempted = "build an image"
    try:
        done = run(Command(argv=("docker", "buildx", "version"), inherits=ENGINE), check=False)
    except ReleaseError as error:
        raise EngineError(attempted, error.found, _INSTALL) from error
    if done.status != 0:
        raise EngineError(attempted, "the docker command has no buildx", _INSTALL)
    return done.output.strip().splitlines()[-1][:100]


def _check_engine(engine: Engine) -> str:
    return (
        f"{engine.info.name} {engine.info.version}, {engine.info.platform}, {engine.info.image_store} store"
    )


def _check_empty_build(engine: Engine) -> str:
    """Build an empty image without keeping it. Raise EngineError if the build fails."""
    with tempfile.TemporaryDirectory(prefix="release-doctor-") as folder:
        Path(folder, "Dockerfile").write_text("FROM scratch\nLABEL doctor=1\n", encoding="ascii")
        options = ("--builder", "default", "--provenance=false", "--sbom=false", "--output", "type=cacheonly")
        command = Command(
            argv=("docker", "buildx", "build", *options, folder),
            env=engine.command_environment(),
            inherits=ENGINE,
        )
        done = run(command, check=False)
    if done.status != 0:
        found = done.tail[-1] if done.tail else f"exit status {done.status}"
        raise EngineError("build with the builder `default`", found, "docker buildx inspect default")
    return "it builds"


def _committed_base_images(workspace: Workspace) -> tuple[Reference, ...]:
    """Return the images that the committed Dockerfile names."""
    try:
        path = repository_path(workspace, workspace.service.build.dockerfile)
        content = read_linked(workspace.source, workspace.source.head().id, path)
    except ReleaseError:
        return ()
    return base_images_of((content or b"").decode("utf-8", "replace"), workspace.service.build.args)


def base_image_location(engine: Engine, image: Reference, mirrors: Mapping[str, str]) -> str:
    """Return text about where a base image was found. Raise RegistryError if nowhere."""
    failures: list[str] = []
    for each in [*_names_in_mirrors(image, mirrors), image]:
        try:
            with closing(Registry(each.repository, pace=PRESSED)) as registry:
                digest = registry.digest(each)
        except RegistryError as error:
            failures.append(f"{each.repository.host}: {error.found}")
            continue
        if digest is not None:
            return f"{each.repository.host} has it, {digest.short}"
        failures.append(f"{each.repository.host} does not have it")
    if engine.inspect(image) is not None:
        return f"this engine has it; {'; '.join(failures)}"
    raise RegistryError(
        f"find the base image {image}",
        "; ".join(failures) + "; and this engine does not have it",
        f"correct the name in the Dockerfile, or log in to its registry, then try: docker pull {image}",
    )


def _names_in_mirrors(image: Reference, mirrors: Mapping[str, str]) -> Iterator[Reference]:
    place = mirrors.get(image.repository.host)
    if place is not None:
        copy = Repository(f"{place}/{image.repository.path}")
        yield Reference(repository=copy, tag=image.tag, digest=image.digest)
