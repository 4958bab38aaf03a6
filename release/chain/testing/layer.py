"""The temporary layer on the released image, with the tests and their requirements."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from release.chain.building.builder import OWN
from release.chain.building.buildkit import STRUCTURED, run_buildkit
from release.chain.building.command import label_options
from release.chain.building.context import write_archive
from release.chain.building.secrets import provide_build_secrets
from release.chain.building.stage import BuiltImage
from release.chain.stage_context import StageContext
from release.committed import Committed
from release.config import Test
from release.errors import GateFailed
from release.inherited import ENGINE
from release.process import Command
from release.reference import Reference
from release.source import Entry
from release.values import replace

_DOCKERFILE: Final = "release-test.Dockerfile"
_FILE_OPTIONS: Final = ("-r", "-c", "--requirement", "--constraint")


def layer_dockerfile(base: Reference, user: str, config: Test) -> str:
    """Return the Dockerfile of the temporary layer: as root, then as the image's own user.

    Args:
        base: the released image.
        user: the image's user; empty for root.
        config: the settings of installed packages and copied files.
    """
    mounts, variables = _mounts(config), _variables(config)
    install = f"RUN {mounts}{variables}{_installer()} {shlex.join(_words(config.install))}"
    installs = [install] if config.install else []
    copies = [f"COPY {path} {path}" for path in layer_paths(config)]
    restore = [f"USER {user}"] if user else []
    return "\n".join([f"FROM {base}", "USER 0", *copies, *installs, *restore, ""])


def _mounts(config: Test) -> str:
    """Return the options of RUN that mount the secrets (Dockerfile reference, "RUN --mount")."""
    ids = sorted(set(config.secrets.values()))
    return "".join(f"--mount=type=secret,id={name},required=true " for name in ids)


def _variables(config: Test) -> str:
    """Return the variables that point to the secrets in /run/secrets."""
    named = " ".join(f"{variable}=/run/secrets/{name}" for variable, name in sorted(config.secrets.items()))
    return f"export {named}; " if named else ""


def _installer() -> str:
    """Return the command of pip: of the image's Python, else of Python's bundled pip."""
    return (
        "python -m pip --version >/dev/null 2>&1 || python -m ensurepip; python -m pip install --no-cache-dir"
    )


def layer_paths(config: Test) -> tuple[str, ...]:
    """Return the paths that the layer copies: the configured ones, and files in pip's options."""
    words = _words(config.install)
    files = [file for option, file in itertools.pairwise(words) if option in _FILE_OPTIONS]
    return tuple(dict.fromkeys((*files, *config.copy_)))


def _words(options: tuple[str, ...]) -> list[str]:
    return [word for option in options for word in shlex.split(option)]


def build_layer(ctx: StageContext, built: BuiltImage, name: Reference) -> None:
    """Build the layer from the committed files, without `.dockerignore`, which often excludes tests."""
    config = ctx.plan.service.test
    text = layer_dockerfile(built.reference, built.stored_image.user, config)
    archive = ctx.folder.path / "test-context.tar"
    write_archive([_dockerfile(text), *_layer_entries(ctx, layer_paths(config))], archive)
    with provide_build_secrets(ctx, "test") as lending:
        own = label_options(ctx.labels("test"))
        command = layer_command(name, archive, lending=(*own, *lending))
        ready = replace(command, env=ctx.engine.command_environment())
        run_buildkit(ctx, "test", name, ready, hint="check `test.install` and `test.copy`")


def layer_command(name: Reference, archive: Path, *, lending: tuple[str, ...] = ()) -> Command:
    """Return the command line that builds the temporary layer. `lending` holds further options."""
    options = [
        *("--builder", OWN, "--progress", STRUCTURED, "--provenance=false", "--sbom=false"),
        *("--file", _DOCKERFILE, "--tag", str(name)),
        *lending,
    ]
    return Command(argv=("docker", "buildx", "build", *options, "-"), stdin=archive, inherits=ENGINE)


def _dockerfile(text: str) -> Entry:
    return Entry(path=_DOCKERFILE, executable=False, symlink=False, content=text.encode())


def _layer_entries(ctx: StageContext, paths: tuple[str, ...]) -> Iterator[Entry]:
    service = ctx.plan.service
    committed = Committed(ctx.source, ctx.plan.commit.id, service.context)
    found = {path: [name for name in committed.leaves if _is_below(name, path)] for path in paths}
    wanted = sorted({name for below in found.values() for name in below})
    missing = [path for path, below in found.items() if not below]
    if missing:
        raise GateFailed(
            "test",
            f"commit {ctx.plan.commit.id[:12]} has no {', '.join(missing)} in {service.context}",
            "commit them, or correct `test.copy` and `test.install`",
        )
    if submodules := sorted(set(wanted).intersection(committed.submodules)):
        raise GateFailed(
            "test",
            f"{submodules[0]} is a submodule, so no commit of this repository has its files",
            "name the files beside it in `test.copy`, or commit its files",
        )
    return committed.entries(wanted)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/") or folder == "."
