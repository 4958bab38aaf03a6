"""The Python of the released image: which one the tests use, its version, and its packages."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from packaging.utils import canonicalize_name

from release.chain.installed.target import PythonTarget
from release.chain.stage_context import StageContext
from release.errors import EngineError, EngineUnreachable, GateFailed
from release.images.container_spec import UNWATCHED
from release.images.engine import ContainerSpec, StoredImage
from release.parsing import jsontext
from release.programs.process import TAIL_LINES
from release.values import Struct

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of a container whose image sets none (moby, `DefaultPathEnvUnix`)."""
_SYSTEM: Final = frozenset(_PATH.split(":"))
_RUNNERS: Final = ("uv", "poetry", "pdm")
"""Programs that run commands in the environment `.venv` of the working folder."""
_TIMEOUT: Final = 60_000
_LARGEST: Final = 4 << 20

_QUESTION: Final = """\
import json, platform, sys
from importlib.metadata import distributions
found = {each.metadata["Name"]: each.version for each in distributions() if each.metadata["Name"]}
print()
print(json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3],
    "is_pypy": platform.python_implementation() == "PyPy",
    "packages": found,
}))
"""


class Interpreter(Struct, frozen=True, kw_only=True):
    """A Python that an image has."""

    target: PythonTarget
    packages: Mapping[str, str]
    """Versions by normalised name."""


def added_folders(image: StoredImage) -> tuple[str, ...]:
    """Return the folders of programs to put before PATH, so that `python` is the service's own.

    They are those of its virtual environment: of VIRTUAL_ENV, of the program that the image starts, and of
    `.venv` if uv, Poetry or PDM start it. An image whose PATH begins with its environment needs none.
    """
    variables = dict(each.partition("=")[::2] for each in image.variables)
    known = variables.get("PATH", _PATH).split(":")
    program = next(iter((*image.entrypoint, *image.command)), "")
    places = [
        posixpath.join(variables[name], "bin")
        for name in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT")
        if variables.get(name, "").startswith("/")
    ]
    places += [posixpath.dirname(each) for each in _programs(image) if posixpath.isabs(each)]
    if PurePosixPath(program).name in _RUNNERS:
        places.append(posixpath.join(image.folder or "/", ".venv/bin"))
    return tuple(
        dict.fromkeys(
            each for each in places if each.endswith("/bin") and each not in known and each not in _SYSTEM
        )
    )


def _programs(image: StoredImage) -> tuple[str, ...]:
    """Return the first words of ENTRYPOINT and CMD; of a shell's text, the word after `exec`."""
    found = []
    for words in (image.entrypoint, image.command):
        if len(words) > 2 and words[1] == "-c":
            try:
                said = [word for word in shlex.split(words[2]) if word != "exec"]
            except ValueError:
                said = []
            found += said[:1]
        found += words[:1]
    return tuple(found)


def search_path(image: StoredImage) -> str:
    """Return the PATH of the tests."""
    variables = dict(each.partition("=")[::2] for each in image.variables)
    return ":".join((*added_folders(image), variables.get("PATH", _PATH)))


def python_name(command: tuple[str, ...]) -> str:
    """Return the Python that installs for the tests: of their command, else `python`."""
    return command[0] if PurePosixPath(command[0]).name.startswith(("python", "pypy")) else "python"


def ask(ctx: StageContext, image: StoredImage, python: str) -> Interpreter:
    """Run the image's Python once, without network, and return its version and packages.

    Raises:
        GateFailed: it cannot be run, or its answer cannot be read.
    """
    spec = ContainerSpec(
        image=image.id,
        command=(python, "-c", _QUESTION),
        entrypoint="replace",
        env={"PATH": search_path(image)},
        labels=ctx.container_labels("test"),
        healthcheck=UNWATCHED,
        cap_drop=("ALL",),
        no_new_privileges=True,
        has_network=False,
    )
    platform = ctx.plan.service.build.platform or ctx.engine.info.platform
    with ctx.container(lambda: ctx.engine.create(spec)) as container:
        try:
            ctx.engine.start(container)
            status = ctx.engine.wait(container, timeout=_TIMEOUT, cancellation=ctx.cancellation)
            lines = ctx.engine.logs(container, lines=TAIL_LINES, limit=_LARGEST, longest=None)
            if status != 0:
                raise _failed(python, f"it ended with status {status}", tuple(lines))
            return _read(lines[-1] if lines else "", platform)
        except EngineUnreachable:
            raise
        except EngineError as error:
            raise _failed(python, error.found) from error
        except (TimeoutError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise _failed(python, str(error)) from error


def _read(line: str, platform: str) -> Interpreter:
    data = jsontext.read_object(line.encode())
    version = str(data["version"])
    return Interpreter(
        target=PythonTarget(
            python=version.rpartition(".")[0],
            exact_version=version,
            platform=platform,
            is_pypy=data["is_pypy"] is True,
        ),
        packages={canonicalize_name(name): str(found) for name, found in data["packages"].items()},
    )


def _failed(python: str, found: str, tail: tuple[str, ...] = ()) -> GateFailed:
    return GateFailed(
        "test",
        f"the image's `{python}` could not be asked for its packages: {found}",
        "the image needs a Python to run tests in it: name it first in `test.command`, or write test.target",
        tail,
    )
