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
from release.chain.lockgate.gate import service_file_reader
from release.chain.stage_context import StageContext
from release.chain.testing.dependencies import NOTHING, Dependencies, dependencies
from release.chain.testing.interpreter import added_folders, python_name
from release.config import Test
from release.errors import GateFailed
from release.git.commit_files import Committed
from release.git.source import Entry
from release.programs.environment import ENGINE
from release.programs.process import Command
from release.reference import Reference
from release.values import replace

_DOCKERFILE: Final = "release-test.Dockerfile"
_FOLDER: Final = "release-test-requirements"
_MOUNTED: Final = "/run/release-test-requirements"
_HASHED: Final = ".release-locked.txt"
_UNHASHED: Final = ".release-unhashed.txt"
_LIMITS: Final = ".release-image.txt"
_FILE_OPTIONS: Final = ("-r", "-c", "--requirement", "--constraint")


def dockerfile_of_test_layer(
    base: Reference,
    user: str,
    config: Test,
    needed: Dependencies = NOTHING,
    folders: tuple[str, ...] = (),
) -> str:
    """Return the Dockerfile of the temporary layer: as root, then as the image's own user.

    Args:
        base: the released image.
        user: the image's user; empty for root.
        config: the settings of installed packages and copied files.
        needed: packages of the lockfile and of requirements files.
        folders: folders of programs to put before the image's PATH, as "/venv/bin".
    """
    python = shlex.quote(python_name(config.command))
    mounts, variables = _secret_mounts(config), _secret_variables(config)
    run = f"RUN {mounts}{variables}{_prepare(python)}; $pip install --no-cache-dir"
    path = [f"ENV PATH={':'.join(folders)}:$PATH"] if folders else []
    locked = [_locked_step(python, mounts, variables, needed)] if needed != NOTHING else []
    installs = [f"{run} {shlex.join(_split_options(config.install))}"] if config.install else []
    copies = [f"COPY {each} {each}" for each in paths_to_copy(config)]
    restore = [f"USER {user}"] if user else []
    return "\n".join([f"FROM {base}", "USER 0", *path, *locked, *copies, *installs, *restore, ""])


def _locked_step(python: str, mounts: str, variables: str, needed: Dependencies) -> str:
    """Return the step that installs packages of the lockfile and of requirements files."""
    pip = "$pip install --no-cache-dir"
    files = " ".join(f"-r {shlex.quote(each)}" for each in needed.requirements)
    steps = [
        _prepare(python),
        *([f"{pip} --no-deps --require-hashes -r {_HASHED}"] if needed.hashed else ()),
        *([f"{pip} --no-deps -r {_UNHASHED}"] if needed.unhashed else ()),
        *([f"{pip} -c {_LIMITS} {files}"] if needed.requirements else ()),
    ]
    bind = f"--mount=type=bind,source={_FOLDER},target={_MOUNTED} "
    return f"RUN {bind}{mounts}{variables}set -e; cd {_MOUNTED}; {'; '.join(steps)}"


def _secret_mounts(config: Test) -> str:
    """Return the options of RUN that mount the secrets (Dockerfile reference, "RUN --mount")."""
    ids = sorted(set(config.secrets.values()))
    return "".join(f"--mount=type=secret,id={name},required=true " for name in ids)


def _secret_variables(config: Test) -> str:
    """Return the variables that point to the secrets in /run/secrets."""
    named = " ".join(f"{variable}=/run/secrets/{name}" for variable, name in sorted(config.secrets.items()))
    return f"export {named}; " if named else ""


def _prepare(python: str) -> str:
    """Return the commands that set the shell's `pip`: of this Python, else another one that installs for it.

    A virtual environment may have no pip. The layer is thrown away, so a Python that its distribution manages
    (PEP 668) gets packages too.
    """
    return (
        "export PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore; "
        f'pip="{python} -m pip"; $pip --version >/dev/null 2>&1 || {python} -m ensurepip >/dev/null 2>&1 || '
        f'pip="pip --python $(command -v {python})"'
    )


def paths_to_copy(config: Test) -> tuple[str, ...]:
    """Return the paths that the layer copies: the configured ones, and files in pip's options."""
    words = _split_options(config.install)
    files = [file for option, file in itertools.pairwise(words) if option in _FILE_OPTIONS]
    return tuple(dict.fromkeys((*files, *config.copy_)))


def _split_options(options: tuple[str, ...]) -> list[str]:
    return [word for option in options for word in shlex.split(option)]


def build_test_layer(ctx: StageContext, built: BuiltImage, name: Reference) -> None:
    """Build the layer from the committed files, without `.dockerignore`, which often excludes tests."""
    config = ctx.plan.service.test
    needed = dependencies(ctx, built)
    folders = added_folders(built.stored_image)
    text = dockerfile_of_test_layer(built.reference, built.stored_image.user, config, needed, folders)
    archive = ctx.run_folder.path / "test-context.tar"
    entries = [*_generated(text, needed), *_mounted(ctx, needed.files)]
    write_archive([*entries, *_layer_entries(ctx, paths_to_copy(config))], archive)
    with provide_build_secrets(ctx, "test") as lending:
        own = label_options(ctx.labels("test"))
        command = layer_build_command(name, archive, secret_options=(*own, *lending))
        ready = replace(command, env=ctx.engine.command_environment())
        run_buildkit(ctx, "test", name, ready, hint="check the settings of `test` that install and copy")


def layer_build_command(name: Reference, archive: Path, *, secret_options: tuple[str, ...] = ()) -> Command:
    """Return the command line that builds the temporary layer. `lending` holds further options."""
    options = [
        *("--builder", OWN, "--progress", STRUCTURED, "--provenance=false", "--sbom=false"),
        *("--file", _DOCKERFILE, "--tag", str(name)),
        *secret_options,
    ]
    return Command(argv=("docker", "buildx", "build", *options, "-"), stdin=archive, inherits=ENGINE)


def _generated(text: str, needed: Dependencies) -> Iterator[Entry]:
    """Yield the files that are not in the commit."""
    files = {
        _DOCKERFILE: text,
        f"{_FOLDER}/{_HASHED}": "".join(f"{line}\n" for line in needed.hashed),
        f"{_FOLDER}/{_UNHASHED}": "".join(f"{line}\n" for line in needed.unhashed),
        f"{_FOLDER}/{_LIMITS}": "".join(f"{line}\n" for line in needed.limits),
    }
    for path, content in files.items():
        yield Entry(path=path, executable=False, symlink=False, content=content.encode())


def _mounted(ctx: StageContext, files: tuple[str, ...]) -> Iterator[Entry]:
    """Yield requirements files for the folder that the installation mounts; links are followed."""
    read = service_file_reader(ctx.source, ctx.plan.commit.id, ctx.plan.service)
    for path in files:
        yield Entry(path=f"{_FOLDER}/{path}", executable=False, symlink=False, content=read(path) or b"")


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
