"""`[tool.release]` of pyproject.toml, parsed once into frozen values.

Every problem is reported at once, each with its key's path. Keys of `[tool.release]` itself describe one
service; with `[tool.release.services.<name>]` tables they are the defaults of each of them.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from release.errors import ConfigError, Problem, UsageError
from release.reference import Repository
from release.runspec import (
    AbsolutePath,
    Cpus,
    Duration,
    Memory,
    Mount,
    Name,
    Port,
    Probe,
    Publish,
    Value,
    VariableName,
)

FILE: Final = "pyproject.toml"
ROOT: Final = "tool.release"

_T = TypeVar("_T")

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
"""A service or environment name: it becomes part of paths, container names and registry repositories."""


def _relative(text: str) -> str:
    path = Path(text)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{text!r} leaves the repository: write a path below its root")
    return path.as_posix()


def _repository(text: str) -> str:
    return str(Repository(text))


def _git_name(text: str) -> str:
    bad = text.startswith(("-", "/", ".")) or text.endswith(("/", ".", ".lock"))
    if bad or ".." in text or "@{" in text or any(c <= " " or c in '~^:?*[\\"\x7f' for c in text) or not text:
        raise ValueError(f"{text!r} is not a name that git allows (git check-ref-format)")
    return text


RelativePath = Annotated[str, AfterValidator(_relative)]
"""A path below the repository's root (or below `context`, where the key says so)."""

RepositoryName = Annotated[str, AfterValidator(_repository)]
GitName = Annotated[str, AfterValidator(_git_name)]
Words = Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
"""A command as its words: no shell looks at it."""


class Ledger(Value):
    """`[tool.release.ledger]`: where releases and deployments are recorded."""

    branch: GitName = "release-ledger"
    """The branch of the service's repository that holds the ledger."""
    remote: GitName | None = None
    """The git remote it is pushed to; absent: the ledger stays in this clone."""


class Lock(Value):
    """`[tool.release.lock]`: the lockfile that the gate checks."""

    path: RelativePath | None = None
    """The lockfile below `context`; absent: `uv.lock`, else `requirements.txt`."""
    source: RelativePath | None = None
    """For requirements.txt, what it is compiled from; absent: the `.in` file of the same name."""
    python: Annotated[str, Field(pattern=r"^3\.\d+$")] | None = None
    """The Python that the lockfile is resolved for, as "3.13"; absent: the one in its own header."""


class Lint(Value):
    """`[tool.release.lint]`: tools of exact versions in an environment of their own."""

    tools: tuple[str, ...] = Field(default=(), strict=False)
    """Requirements, each with `==`."""
    commands: tuple[str, ...] = Field(default=(), strict=False)
    """Commands run in `context` of the committed tree, split into words as a shell would."""

    @model_validator(mode="after")
    def _pinned(self) -> Lint:
        loose = [tool for tool in self.tools if "==" not in tool]
        if loose:
            raise ValueError(f"{', '.join(loose)}: write the exact version with ==")
        return self


class Build(Value):
    """`[tool.release.build]`: how BuildKit makes the image."""

    dockerfile: RelativePath = "Dockerfile"
    """Below `context`."""
    target: str | None = None
    """The stage that is released; absent: the last one."""
    args: dict[VariableName, str] = Field(default_factory=dict)
    """Build arguments beside VERSION, COMMIT and SOURCE_DATE_EPOCH."""
    platform: Annotated[str, Field(pattern=r"^linux/[a-z0-9]+(/v[0-9]+)?$")] | None = None
    """As "linux/amd64"; absent: the engine's own."""


class Test(Value):
    """`[tool.release.test]`: tests inside the image, in one of three ways."""

    command: Words = ("python", "-m", "pytest", "-q")
    """What is run."""
    target: str | None = None
    """A stage of the Dockerfile on top of the released one."""
    install: tuple[str, ...] = Field(default=(), strict=False)
    """Arguments of `pip install` in a throw-away layer on the released image."""
    copy_: Annotated[tuple[RelativePath, ...], Field(alias="copy", strict=False)] = ()
    """Files below `context` copied into that layer."""
    env: dict[VariableName, str] = Field(default_factory=dict)
    """Environment values of the test run."""
    timeout: Duration = 600_000
    """After this time the run is stopped and the gate fails."""

    @model_validator(mode="after")
    def _one_way(self) -> Test:
        if self.target is not None and (self.install or self.copy_):
            raise ValueError("give either target, or install and copy, not both")
        return self


class Smoke(Value):
    """`[tool.release.smoke]`: the image runs as it would in production, answers, and stops when told."""

    port: Port
    """The port the service listens on inside the container."""
    path: Annotated[str, Field(pattern=r"^/[!-~]*$")] = "/"
    """The path of the request."""
    status: Annotated[int, Field(ge=100, le=599)] = 200
    """The status that is expected."""
    timeout: Duration = 30_000
    """From the start of the container to the first right answer."""
    stop_grace: Duration = 10_000
    """From SIGTERM to the end of the process."""
    env: dict[VariableName, str] = Field(default_factory=dict)
    """Environment values of the run."""
    memory: Memory = 512 * 1024**2
    """The limit; swap is not added to it."""
    pids: Annotated[int, Field(ge=1)] = 256
    """The limit of processes and threads."""
    read_only: bool = True
    """Whether the root file system is read-only."""
    tmpfs: Annotated[tuple[AbsolutePath, ...], Field(strict=False)] = ("/tmp",)  # noqa: S108 - in the container
    """Folders that stay writable, in memory."""

    @property
    def probe(self) -> Probe:
        """The request, as deployments record and repeat it."""
        return Probe(port=self.port, path=self.path, status=self.status, timeout=self.timeout)


class Secret(Value):
    """Where one secret comes from at the moment of a deployment. Its value is never stored."""

    from_env: VariableName | None = None
    """A variable of the operator's environment."""
    from_file: str | None = None
    """A file of the operator's machine; one newline at its end is dropped."""
    from_command: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] | None = None
    """A command whose standard output is the value, as ["op", "read", "op://prod/db/url"]."""

    @model_validator(mode="after")
    def _one_source(self) -> Secret:
        given = [source for source in (self.from_env, self.from_file, self.from_command) if source is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of from_env, from_file and from_command")
        return self


class Environment(Value):
    """`[tool.release.environments.<name>]`: where releases run, and with which settings."""

    engine: Literal["docker"] = "docker"
    """What the environment is made of: one Docker Engine."""
    context: Name | None = None
    """A Docker context; absent: the engine that `docker` itself would use."""
    host: Annotated[str, Field(pattern=r"^(unix|tcp|ssh|npipe)://.+$")] | None = None
    """The engine's address, as "ssh://deploy@host"."""
    command: Words | None = None
    """Replaces the image's command."""
    env: dict[VariableName, str] = Field(default_factory=dict)
    """Environment values."""
    secrets: dict[VariableName, Secret] = Field(default_factory=dict)
    """Environment values that are never stored."""
    publish: Annotated[tuple[Publish, ...], Field(strict=False)] = ()
    """Ports, as "127.0.0.1:8080:8000"."""
    networks: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    """Existing networks to join; absent: the engine's default."""
    volumes: Annotated[tuple[Mount, ...], Field(strict=False)] = ()
    """Existing volumes or folders, as "data:/var/lib/api" or "/etc/ssl:/etc/ssl:ro"."""
    memory: Memory | None = None
    """The limit, as "256m"; swap is not added to it."""
    cpus: Cpus | None = None
    """The limit, as 0.5."""
    pids: Annotated[int, Field(ge=1)] | None = None
    """The limit of processes and threads."""
    user: str | None = None
    """Replaces the image's user."""
    read_only: bool = False
    """Whether the root file system is read-only."""
    tmpfs: Annotated[tuple[AbsolutePath, ...], Field(strict=False)] = ()
    """Folders in memory."""
    cap_add: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    """Capabilities added."""
    cap_drop: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    """Capabilities dropped, as ["ALL"]."""
    restart: Literal["no", "on-failure", "always", "unless-stopped"] = "unless-stopped"
    """What the engine does when the process ends."""
    stop_grace: Duration = 10_000
    """From SIGTERM to SIGKILL."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels beside those that name service, environment, version, commit, digest and deployment."""
    health_timeout: Duration = 60_000
    """How long a new container may take to become healthy."""

    @model_validator(mode="after")
    def _one_address(self) -> Environment:
        if self.context is not None and self.host is not None:
            raise ValueError("give either context or host, not both")
        return self


class Service(Value):
    """Everything that is configured for one service."""

    service: Slug
    """Its name; absent: `project.name`."""
    context: RelativePath = "."
    """The folder with the Dockerfile, from the repository's root."""
    registry: RepositoryName | None = None
    """As "registry.example/acme": images are pushed to `<registry>/<service>`; absent: they stay in the engine."""
    ledger: Ledger = Ledger()
    lock: Lock = Lock()
    lint: Lint = Lint()
    build: Build = Build()
    test: Test = Test()
    smoke: Smoke
    environments: dict[Slug, Environment] = Field(default_factory=dict)

    @property
    def repository(self) -> Repository:
        """Where the image lives. `localhost/` keeps an engine from looking for it on a public registry."""
        return Repository(f"{self.registry or 'localhost'}/{self.service}")

    def environment(self, name: str | None) -> tuple[str, Environment]:
        """The environment of that name, or the only one there is. Raises UsageError."""
        if name is None and len(self.environments) == 1:
            return next(iter(self.environments.items()))
        return _choose("environment", name, self.environments)


class Config(Value):
    """All services of a repository."""

    services: dict[str, Service]
    several: bool
    """Whether the repository releases several services: their git tags then carry the name."""

    def service(self, name: str | None) -> Service:
        """The service of that name, or the only one there is. Raises UsageError."""
        if name is None and len(self.services) == 1:
            return next(iter(self.services.values()))
        return _choose("service", name, self.services)[1]


def _choose(what: str, name: str | None, known: Mapping[str, _T]) -> tuple[str, _T]:
    if name is not None and name in known:
        return name, known[name]
    if not known:
        raise UsageError(
            f"choose the {what}", "none is configured", f"add a table [{ROOT}.{what}s.<name>] to {FILE}"
        )
    found = f"no {what} is called {name!r}" if name is not None else f"there are {len(known)} {what}s"
    close = difflib.get_close_matches(name or "", known, n=1)
    raise UsageError(
        f"choose the {what}", f"{found}: {', '.join(known)}", f"use --{what} {close[0] if close else next(iter(known))}"
    )


def load(root: Path) -> Config:
    """Read `pyproject.toml` in this folder. Raises ConfigError with every problem in it."""
    file = root / FILE
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(FILE, [Problem(path=ROOT, message="the file does not exist")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(FILE, [Problem(path=FILE, message=f"not TOML: {error}")]) from error
    return parse(document)


def parse(document: Mapping[str, Any]) -> Config:
    """Parse the whole document of a pyproject.toml. Raises ConfigError."""
    table = document.get("tool", {}).get("release")
    if not isinstance(table, dict):
        raise ConfigError(FILE, [Problem(path=ROOT, message="the table is missing; docs/how-to/adopt.md shows one")])
    defaults = {key: value for key, value in table.items() if key != "services"}
    named = table.get("services")
    if named is None:
        name = defaults.get("service", document.get("project", {}).get("name"))
        tables = {ROOT: defaults | ({} if name is None else {"service": name})}
    elif not isinstance(named, dict) or not all(isinstance(own, dict) for own in named.values()):
        raise ConfigError(FILE, [Problem(path=f"{ROOT}.services", message="write one table for each service")])
    else:
        tables = {
            f"{ROOT}.services.{name}": _merged(defaults, own) | {"service": name} for name, own in named.items()
        }
    return _parse_services(tables, several=named is not None)


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The service's own keys over the defaults, table by table."""
    merged = dict(defaults)
    for key, value in own.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _parse_services(tables: Mapping[str, dict[str, Any]], *, several: bool) -> Config:
    services: dict[str, Service] = {}
    problems: list[Problem] = []
    for path, table in tables.items():
        try:
            service = Service.model_validate(table)
            services[service.service] = service
        except ValidationError as error:
            problems += _problems(path, error.errors(include_url=False))
    if problems:
        raise ConfigError(FILE, list(dict.fromkeys(problems)))
    return Config(services=services, several=several)


def _problems(root: str, errors: Iterable[ErrorDetails]) -> list[Problem]:
    return [Problem(path=_path(root, error["loc"]), message=_message(error)) for error in errors]


def _path(root: str, location: Iterable[int | str]) -> str:
    path = root
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else "" if part == "[key]" else f".{part}"
    return path


def _message(error: ErrorDetails) -> str:
    """pydantic's message in our words where the kind of error has better ones."""
    match error["type"]:
        case "extra_forbidden":
            key, known = str(error["loc"][-1]), _known_keys(error["loc"][:-1])
            close = difflib.get_close_matches(key, known, n=1)
            return "unknown key" + (f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}")
        case "missing":
            return "this key is required"
        case "value_error":
            return str(error["ctx"]["error"]) if "ctx" in error else error["msg"]
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]}, not {error['input']!r}"


def _known_keys(location: Iterable[int | str]) -> list[str]:
    """The keys of the table at this place."""
    model: Any = Service
    for part in location:
        if isinstance(part, str) and isinstance(model, type) and issubclass(model, BaseModel):
            model = _table_type(model, part)
    return [field.alias or name for name, field in model.model_fields.items()]


_TABLES: Final[dict[str, type[BaseModel]]] = {"environments": Environment, "secrets": Secret}


def _table_type(model: type[BaseModel], key: str) -> type[BaseModel]:
    field = model.model_fields.get(key)
    if field is None:
        return model
    annotation = _TABLES.get(key, field.annotation)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else model
