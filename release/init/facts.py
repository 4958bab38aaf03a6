"""Facts of a repository: how its service is built, tested and run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from release.errors import UsageError
from release.git.source import Source
from release.init.application import PORT, Application, find_application, required_variables
from release.init.compose import FILES, import_compose_file
from release.init.folder import RepositoryFolder
from release.init.image import ExistingDockerfile, find_dockerfile, parse_dockerfile
from release.init.kamal import import_kamal_file
from release.init.packages import ProjectPackages, read_packages
from release.init.procfile import import_procfile
from release.init.suite import ServiceTests, find_test_suite
from release.init.taken import ImportedSettings
from release.values import Struct

KAMAL: Final = "config/deploy.yml"


class RepositoryFacts(Struct, frozen=True, kw_only=True):
    """Facts that were read from a repository."""

    folder: RepositoryFolder
    """Root folder of the repository."""
    subfolder: RepositoryFolder
    """Folder of the service, the build context."""
    context: str
    application: Application | None
    packages: ProjectPackages | None
    image: ExistingDockerfile | None
    test_suite: ServiceTests
    imported: ImportedSettings | None
    variables: Sequence[str]
    """Environment variables that the source requires."""
    remotes: Sequence[str]
    host: str
    """Git server of `origin`, as "github.com"; empty if there is none."""

    @property
    def port(self) -> int:
        """Return the port in the container."""
        named = [self.imported.port if self.imported else None, self.image.port if self.image else None]
        return next((port for port in named if port is not None), PORT)

    @property
    def path(self) -> str | None:
        """Return a path that answers with status 200; None if none is known."""
        own = self.application.path if self.application else None
        taken = self.imported.path if self.imported else None
        return taken or (self.image.health_path if self.image else None) or own


def read_facts(source: Source, *, taken_from: str | None, service: str | None) -> RepositoryFacts:
    """Return the facts of a repository. Raise SourceError; UsageError if a file cannot be imported."""
    folder = RepositoryFolder.from_working_copy(source)
    taken = _import_settings_file(folder, taken_from, service)
    context = str(taken.tables.get("context", ".")) if taken is not None else "."
    if context == "." and not _is_service_folder(folder):
        context = _find_only_service(folder)
    inside = folder if context == "." else RepositoryFolder.from_working_copy(source, context)
    dockerfile = taken.tables.get("build", {}).get("dockerfile") if taken is not None else None
    named = parse_dockerfile(dockerfile, inside.read_text(dockerfile)) if dockerfile in inside.files else None
    image = named or find_dockerfile(inside)
    packages = read_packages(inside, image.text if image else "")
    application = find_application(inside)
    if taken is None and inside.first_existing("Procfile"):
        taken = import_procfile(inside, "Procfile", (image and image.port) or PORT)
    remotes = source.ask("list the remotes", "remote").text.splitlines()
    return RepositoryFacts(
        folder=folder,
        subfolder=inside,
        context=context,
        application=application,
        packages=packages,
        image=image,
        test_suite=find_test_suite(inside, application, packages, image),
        imported=taken,
        variables=required_variables(inside),
        remotes=remotes,
        host=_host_of_remote(source.remote_url("origin") or "") if "origin" in remotes else "",
    )


def _import_settings_file(
    folder: RepositoryFolder, path: str | None, service: str | None
) -> ImportedSettings | None:
    if path is None:
        return None
    relative = PurePosixPath(path).as_posix().removeprefix("./")
    if PurePosixPath(relative).name == "Procfile":
        return import_procfile(folder, relative, PORT)
    if "compose" in PurePosixPath(relative).name:
        return import_compose_file(folder, relative, service)
    if PurePosixPath(relative).name.startswith("deploy"):
        return import_kamal_file(folder, relative)
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


def _is_service_folder(folder: RepositoryFolder) -> bool:
    return folder.first_existing(*_SIGNS, "pylock.toml", "pyproject.toml") is not None


def _find_only_service(folder: RepositoryFolder) -> str:
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


def _host_of_remote(address: str) -> str:
    """Return the host of a remote's address, as "github.com"."""
    rest = address.rpartition("://")[2].rpartition("@")[2]
    return rest.partition("/")[0].partition(":")[0].lower() if ":" in address else ""
