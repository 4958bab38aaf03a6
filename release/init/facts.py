"""Facts of a repository: how its service is built, tested and run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from release.errors import UsageError
from release.git.source import Source
from release.init.application import PORT, Application, application_of, required_variables
from release.init.compose import FILES, from_compose
from release.init.folder import Folder
from release.init.image import ExistingDockerfile, find_dockerfile, parse_dockerfile
from release.init.kamal import from_kamal
from release.init.packages import Packages, packages_of
from release.init.procfile import from_procfile
from release.init.suite import Suite, suite_of
from release.init.taken import ImportedSettings
from release.values import Struct

KAMAL: Final = "config/deploy.yml"


class Facts(Struct, frozen=True, kw_only=True):
    """Facts that were read from a repository."""

    folder: Folder
    """Root folder of the repository."""
    inside: Folder
    """Folder of the service, the build context."""
    context: str
    application: Application | None
    packages: Packages | None
    image: ExistingDockerfile | None
    suite: Suite
    taken: ImportedSettings | None
    variables: Sequence[str]
    """Environment variables that the source requires."""
    remotes: Sequence[str]
    host: str
    """Git server of `origin`, as "github.com"; empty if there is none."""

    @property
    def port(self) -> int:
        """Return the port in the container."""
        named = [self.taken.port if self.taken else None, self.image.port if self.image else None]
        return next((port for port in named if port is not None), PORT)

    @property
    def path(self) -> str | None:
        """Return a path that answers with status 200; None if none is known."""
        own = self.application.path if self.application else None
        taken = self.taken.path if self.taken else None
        return taken or (self.image.path_of_health if self.image else None) or own


def read_facts(source: Source, *, taken_from: str | None, service: str | None) -> Facts:
    """Return the facts of a repository. Raise SourceError; UsageError if a file cannot be imported."""
    folder = Folder.of(source)
    taken = _taken(folder, taken_from, service)
    context = str(taken.tables.get("context", ".")) if taken is not None else "."
    if context == "." and not _is_service(folder):
        context = _only_service(folder)
    inside = folder if context == "." else Folder.of(source, context)
    dockerfile = taken.tables.get("build", {}).get("dockerfile") if taken is not None else None
    named = parse_dockerfile(dockerfile, inside.text(dockerfile)) if dockerfile in inside.files else None
    image = named or find_dockerfile(inside)
    packages = packages_of(inside, image.text if image else "")
    application = application_of(inside)
    if taken is None and inside.named("Procfile"):
        taken = from_procfile(inside, "Procfile", (image and image.port) or PORT)
    remotes = source.ask("list the remotes", "remote").text.splitlines()
    return Facts(
        folder=folder,
        inside=inside,
        context=context,
        application=application,
        packages=packages,
        image=image,
        suite=suite_of(inside, application, packages, image),
        taken=taken,
        variables=required_variables(inside),
        remotes=remotes,
        host=_host(source.remote_url("origin") or "") if "origin" in remotes else "",
    )


def _taken(folder: Folder, path: str | None, service: str | None) -> ImportedSettings | None:
    if path is None:
        return None
    relative = PurePosixPath(path).as_posix().removeprefix("./")
    if PurePosixPath(relative).name == "Procfile":
        return from_procfile(folder, relative, PORT)
    if "compose" in PurePosixPath(relative).name:
        return from_compose(folder, relative, service)
    if PurePosixPath(relative).name.startswith("deploy"):
        return from_kamal(folder, relative)
    raise UsageError(
        f"take over {path}",
        "its name is not that of a compose file, a Procfile, or Kamal's deploy.yml",
        f"name one of: {FILES[0]}, {KAMAL}, Procfile",
    )


_SIGNS: Final = (
    "manage.py",
    "requirements.txt",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "Dockerfile",
)


def _is_service(folder: Folder) -> bool:
    return folder.named(*_SIGNS, "pylock.toml", "pyproject.toml") is not None


def _only_service(folder: Folder) -> str:
    """Return the only folder with a service if the root has none. Raise UsageError for none or several."""
    found = {str(PurePosixPath(path).parent) for path in folder.files if PurePosixPath(path).name in _SIGNS}
    outer = sorted(each for each in found if not any(each.startswith(f"{other}/") for other in found))
    if len(outer) == 1:
        return outer[0]
    listed = (
        f"there are several: {', '.join(outer[:5])}" if outer else "no folder has a lockfile or a Dockerfile"
    )
    hint = (
        "write one table [tool.release.services.<name>] for each: invoke explain adopt"
        if outer
        else "add a requirements.txt, uv.lock or another lockfile first: python -m release explain lockfiles"
    )
    raise UsageError("find the service in this repository", listed, hint)


def _host(address: str) -> str:
    """Return the host of a remote's address, as "github.com"."""
    rest = address.rpartition("://")[2].rpartition("@")[2]
    return rest.partition("/")[0].partition(":")[0].lower() if ":" in address else ""
