"""`[tool.release]` of pyproject.toml, parsed once into frozen values.

Every problem is reported at once, each with its key's path. Keys of `[tool.release]` itself describe one
service; with `[tool.release.services.<name>]` tables they are the defaults of each of them.
"""

from __future__ import annotations

import difflib
import shlex
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import AfterValidator, BaseModel, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails

from release.errors import ConfigError, Problem, UsageError
from release.reference import Repository
from release.runspec import (
    AbsolutePath,
    Cpus,
    Duration,
    FileMode,
    Healthcheck,
    Items,
    Matching,
    Memory,
    Mount,
    Name,
    Pause,
    Port,
    Probe,
    Publish,
    RequestPath,
    SignalName,
    SwarmSpec,
    Value,
    VariableName,
)
from release.suspicion import suspicion

FILE: Final = "pyproject.toml"
ROOT: Final = "tool.release"

_T = TypeVar("_T")

Slug = Annotated[
    str,
    Matching(
        r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?",
        "a name of at most 40 lower-case letters, digits and -, with no - at its ends",
    ),
]
"""A service or environment name: it becomes part of paths, container names and registry repositories."""

EngineAddress = Annotated[
    str, Matching(r"(unix|tcp|ssh|npipe)://.+", "an engine's address: unix, tcp, ssh or npipe://")
]


def _relative(text: str) -> str:
    path = Path(text)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{text!r} leaves the repository: write a path below its root")
    return path.as_posix()


def _registry(text: str) -> str:
    try:
        Repository(f"{text}/service")
    except ValueError:
        raise ValueError(
            f"{text!r} is not a place in a registry: write host[:port][/path] in lower case, without https://"
        ) from None
    return text


def _git_name(text: str) -> str:
    bad = text.startswith(("-", "/", ".")) or text.endswith(("/", ".", ".lock"))
    if bad or ".." in text or "@{" in text or any(c <= " " or c in '~^:?*[\\"\x7f' for c in text) or not text:
        raise ValueError(f"{text!r} is not a name that git allows (git check-ref-format)")
    return text


def _pinned(text: str) -> str:
    try:
        versions = [(item.operator, item.version) for item in Requirement(text).specifier]
    except InvalidRequirement:
        versions = []
    if len(versions) != 1 or versions[0][0] not in ("==", "===") or versions[0][1].endswith(".*"):
        raise ValueError(f'{text!r} is not pinned: write the exact version, as "ruff==0.14.5"')
    return text


def _command_line(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{text!r} cannot be split into words: {error}") from None
    if not words:
        raise ValueError("an empty command does nothing")
    return text


def _without_ours(arguments: dict[str, str]) -> dict[str, str]:
    ours = [name for name in ("VERSION", "COMMIT", "SOURCE_DATE_EPOCH") if name in arguments]
    if ours:
        raise ValueError(f"{', '.join(ours)}: set by the release itself; a Dockerfile may declare it as ARG")
    return arguments


def _no_secrets(arguments: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    """A build argument ends in the image's history, in the record and on a command line."""
    allowed = info.data.get("not_secret", ())
    found = {name: suspicion(name, value) for name, value in arguments.items() if name not in allowed}
    told = [f"{name} looks like a secret ({why})" for name, why in found.items() if why is not None]
    if told:
        raise ValueError(
            f"{'; '.join(told)}: arguments stay in the image's history and in the record. Lend it to the "
            f"build by [{ROOT}.build.secrets.<id>] and RUN --mount=type=secret,id=<id>, or name it in "
            "not_secret if it is none"
        )
    return arguments


def _public(options: dict[str, str]) -> dict[str, str]:
    """What stands in the settings is recorded with each deployment."""
    found = {name: suspicion(name, value) for name, value in options.items()}
    told = [f"{name} looks like a secret ({why})" for name, why in found.items() if why is not None]
    if told:
        raise ValueError(
            f"{'; '.join(told)}: settings are recorded. Give it to the engine itself: log-opts in daemon.json"
        )
    return options


def _above(path: str) -> set[str]:
    """Every folder that the path lies in."""
    return {str(folder) for folder in PurePosixPath(path).parents}


RelativePath = Annotated[str, AfterValidator(_relative)]
"""A path below the repository's root (or below `context`, where the key says so)."""

RegistryName = Annotated[str, AfterValidator(_registry)]
"""A registry's host, or a place in it: `<it>/<service>` is a repository."""

GitName = Annotated[str, AfterValidator(_git_name)]
"""The name of a branch or a remote."""

Pinned = Annotated[str, AfterValidator(_pinned)]
"""A requirement (PEP 508) with one exact version."""

CommandLine = Annotated[str, AfterValidator(_command_line)]
"""A command as one text, split into words as a shell would split it; no shell looks at it."""

Words = Annotated[Items[str], Field(min_length=1)]
"""A command as its words: no shell looks at it."""

SshForward = Annotated[
    str,
    Matching(
        r"[a-zA-Z0-9][a-zA-Z0-9_.-]*(=[^,]+)?",
        'an id for `RUN --mount=type=ssh`, as "default", or with a key or socket, as "default=~/.ssh/deploy"',
    ),
]
"""What a build may use to log in by ssh: an agent, or a key file of the machine that builds."""


class Ledger(Value):
    """`[tool.release.ledger]`: where releases and deployments are recorded."""

    branch: GitName = "release-ledger"
    """The branch of the service's repository that holds the ledger."""
    remote: GitName | None = None
    """The git remote it is pushed to; absent: the ledger stays in this clone."""
    sign: bool = False
    """Whether git signs the ledger's commits, with the key and format of the committer's own git settings."""
    allowed_signers: RelativePath | None = None
    """Who may sign: ssh keys in git's own file format; absent: whom the verifier's own gpg and ssh know."""
    require_signed: bool = False
    """Whether deploy and rollback refuse a record that no allowed signer has signed."""


class Lock(Value):
    """`[tool.release.lock]`: the lockfile that the gate checks."""

    path: RelativePath | None = None
    """The lockfile below `context`; absent: `uv.lock`, else `requirements.txt`."""
    source: RelativePath | None = None
    """For requirements.txt, what it is compiled from; absent: the `.in` file of the same name."""
    python: Annotated[str, Matching(r"3\.[0-9]+", 'a version of Python, as "3.13"')] | None = None
    """The Python that the lockfile is resolved for; absent: the one in its own header."""


class Lint(Value):
    """`[tool.release.lint]`: tools of exact versions in an environment of their own."""

    tools: Items[Pinned] = ()
    """Requirements, each with `==` and an exact version."""
    commands: Items[CommandLine] = ()
    """Commands run in `context` of the committed tree, split into words as a shell would."""


class Secret(Value):
    """`[tool.release.build.secrets.<id>]`: where one secret comes from, when it is needed."""

    from_env: VariableName | None = None
    """A variable of the operator's environment."""
    from_file: str | None = None
    """A file of the operator's machine, ~ for the home folder; one newline at its end is dropped."""
    from_command: Words | None = None
    """A command whose standard output is the value, as ["op", "read", "op://prod/db/url"]."""

    @model_validator(mode="after")
    def _one_source(self) -> Secret:
        given = [
            source for source in (self.from_env, self.from_file, self.from_command) if source is not None
        ]
        if len(given) != 1:
            raise ValueError("give exactly one of from_env, from_file and from_command")
        return self


class Build(Value):
    """`[tool.release.build]`: how BuildKit makes the image."""

    dockerfile: RelativePath = "Dockerfile"
    """Below `context`."""
    target: str | None = None
    """The stage that is released; absent: the last one."""
    not_secret: Items[VariableName] = ()
    """Build arguments that look like secrets, and are none."""
    args: Annotated[dict[VariableName, str], AfterValidator(_without_ours), AfterValidator(_no_secrets)] = (
        Field(default_factory=dict)
    )
    """Build arguments beside VERSION, COMMIT and SOURCE_DATE_EPOCH, which are always the release's own."""
    secrets: dict[Name, Secret] = Field(default_factory=dict)
    """Lent to `RUN --mount=type=secret,id=<id>`, and kept nowhere."""
    ssh: Items[SshForward] = ()
    """Agents or keys lent to `RUN --mount=type=ssh`: "default" is the agent of SSH_AUTH_SOCK."""
    proxy: bool = False
    """Whether RUN steps get HTTP_PROXY, HTTPS_PROXY, FTP_PROXY, ALL_PROXY and NO_PROXY of the environment."""
    platform: (
        Annotated[str, Matching(r"linux/[a-z0-9]+(/v[0-9]+)?", 'a platform, as "linux/amd64"')] | None
    ) = None
    """What the image is built for; absent: the engine's own platform."""
    mirrors: dict[RegistryName, RegistryName] = Field(default_factory=dict)
    """Where base images are looked for first, by registry: { "docker.io" = "registry.example/hub" }."""


class Push(Value):
    """`[tool.release.push]`: how the image goes to the registry."""

    stalled: Duration = 120_000
    """How long nothing of an upload may move before it is ended and tried again."""
    read_back: Literal["all", "new"] = "all"
    """What is read back whole and hashed: "all" layers, or "new": without those of the release before."""


class Test(Value):
    """`[tool.release.test]`: tests inside the image, in one of three ways."""

    command: Words = ("python", "-m", "pytest", "-q")
    """What is run."""
    target: str | None = None
    """A stage of the Dockerfile on top of the released one."""
    install: Items[CommandLine] = ()
    """Arguments of `pip install` in a throw-away layer on the released image."""
    copy_: Items[RelativePath] = Field(default=(), alias="copy")
    """Files below `context` copied into that layer."""
    secrets: dict[VariableName, Name] = Field(default_factory=dict)
    """Variables of that installation, each the path of a build secret's file: { PIP_CONFIG_FILE = "pip" }."""
    env: dict[VariableName, str] = Field(default_factory=dict)
    """Environment values of the test run."""
    timeout: Duration = 600_000
    """After this time the run is stopped and the gate fails."""

    @model_validator(mode="after")
    def _one_way(self) -> Test:
        if self.target is not None and (self.install or self.copy_):
            raise ValueError("give either target, or install and copy, not both")
        if self.secrets and not self.install:
            raise ValueError(
                "secrets are for the installation of `install`; a stage of the Dockerfile mounts its own"
            )
        return self


class Smoke(Value):
    """`[tool.release.smoke]`: the image runs as it would in production, answers, and stops when told."""

    port: Port
    """The port the service listens on inside the container."""
    path: RequestPath = "/"
    """What the probe asks for."""
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
    tmpfs: Items[AbsolutePath] = ("/tmp",)  # noqa: S108 - in the container
    """Folders that stay writable, in memory."""

    @property
    def probe(self) -> Probe:
        """The request, as deployments record and repeat it."""
        return Probe(port=self.port, path=self.path, status=self.status, timeout=self.timeout)


class EnvironmentSecret(Secret):
    """`[tool.release.environments.<name>.secrets.<VARIABLE>]`: a secret of a running service."""

    file: AbsolutePath | None = None
    """A file in the container that holds it; <VARIABLE>_FILE is its path. Absent: the variable holds it."""
    policy: Literal["current", "pinned"] = "current"
    """Whether a rollback takes today's value, or only the one that the release ran with."""


class File(Value):
    """`[tool.release.environments.<name>.files."<path>"]`: a small text in the container, recorded whole."""

    source: str
    """A file of the repository, or of the operator's machine: absolute, or with ~ for the home folder."""
    mode: FileMode = 0o444
    """Who may read it in the container; it belongs to root."""
    not_secret: bool = False
    """Put it there although something in it looks like a secret."""


class HealthcheckSettings(Value):
    """`[tool.release.environments.<name>.healthcheck]`: a health check in the place of the image's own."""

    disable: Literal[True] | None = None
    """There is none, whatever the image says."""
    command: Words | None = None
    """A program in the container; status 0 is healthy. Absent: the image's own, with the times given here."""
    interval: Duration | None = None
    """From one check to the next."""
    timeout: Duration | None = None
    """After it a check counts as failed."""
    start_period: Duration | None = None
    """From the start of the container; until then a failed check does not count."""
    start_interval: Duration | None = None
    """From one check to the next within `start_period` (Engine 25 and later)."""
    retries: Annotated[int, Field(ge=1)] | None = None
    """How many checks in a row must fail."""

    @model_validator(mode="after")
    def _not_both(self) -> HealthcheckSettings:
        others = sorted(self.model_fields_set - {"disable"})
        if self.disable and others:
            raise ValueError(f"disable excludes {', '.join(others)}")
        return self

    @property
    def recorded(self) -> Healthcheck:
        """The same, as deployments record it."""
        return Healthcheck(**self.model_dump())


class Proxy(Value):
    """`[tool.release.environments.<name>.proxy]`: what stands before the service, on a Docker network."""

    kind: Literal["dns", "haproxy", "caddy", "traefik"]
    """How the traffic is moved: by the container's name on the network, HAProxy's runtime API, Caddy's admin
    API, or labels that Traefik reads."""
    network: Name
    """The existing network on which the proxy and the service meet."""
    container: Name | None = None
    """The proxy's own container (haproxy, caddy)."""
    admin: (
        Annotated[
            str,
            Matching(
                r"/[^\x00:,]*|[A-Za-z0-9_.-]+:[0-9]{1,5}",
                'where it listens for orders: a path, or "127.0.0.1:2019"',
            ),
        ]
        | None
    ) = None
    """Where it listens for orders, seen from its own container: a socket's path, or "127.0.0.1:2019"."""
    backend: Annotated[str, Matching(r"[A-Za-z0-9_.:-]+", "a name: letters, digits, _ . : and -")] | None = (
        None
    )
    """haproxy: the backend; caddy: the `@id` of the handler; traefik: the name of router and service."""
    rule: str | None = None
    """traefik: the router's rule, as "Host(`api.example`)"."""
    port: Port | None = None
    """Where the service listens; absent: the smoke run's port."""
    ttl: Duration = 2000
    """dns: how long the proxy may go on using an address that it looked up."""
    drain: Duration = 30_000
    """How long requests under way may take before the old container is told to stop."""
    state_file: AbsolutePath | None = None
    """haproxy: a file in its container that keeps the state of its servers over a restart."""

    @model_validator(mode="after")
    def _complete(self) -> Proxy:
        needed, known = _NEEDED[self.kind], {*_NEEDED[self.kind], *_POSSIBLE[self.kind]}
        missing = [key for key in needed if getattr(self, key) is None]
        foreign = [key for key in self.model_fields_set - known - _ALWAYS if getattr(self, key) is not None]
        if missing:
            raise ValueError(f'kind = "{self.kind}" needs {", ".join(missing)}')
        if foreign:
            raise ValueError(f'kind = "{self.kind}" has no use for {", ".join(sorted(foreign))}')
        return self


_ALWAYS: Final = frozenset({"kind", "network", "drain"})
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "dns": (),
    "haproxy": ("container", "admin", "backend"),
    "caddy": ("container", "admin", "backend"),
    "traefik": ("rule",),
}
_POSSIBLE: Final[Mapping[str, tuple[str, ...]]] = {
    "dns": ("ttl",),
    "haproxy": ("port", "state_file"),
    "caddy": ("port",),
    "traefik": ("port", "backend"),
}


class NodeEngine(Value):
    """`[tool.release.environments.<name>.swarm.nodes.<node>]`: how the engine of a node is reached."""

    context: Name | None = None
    """A Docker context."""
    host: EngineAddress | None = None
    """The engine's address, as "ssh://deploy@host"."""

    @model_validator(mode="after")
    def _one_way(self) -> NodeEngine:
        if (self.context is None) == (self.host is None):
            raise ValueError("give either context or host")
        return self


class Swarm(Value):
    """`[tool.release.environments.<name>.swarm]`: how a Swarm runs and replaces the tasks of the service."""

    constraints: Items[
        Annotated[str, Matching(r"\S+\s*(==|!=)\s*\S.*", 'a constraint, as "node.labels.zone==a"')]
    ] = ()
    """Which nodes may run them, as ["node.role==worker"]."""
    endpoint_mode: Literal["vip", "dnsrr"] = "vip"
    """What the service's name means on its networks: one virtual address, or those of all tasks."""
    publish_mode: Literal["ingress", "host"] = "ingress"
    """Where published ports answer: on every node, through the routing mesh, or on the nodes with a task."""
    order: Literal["start-first", "stop-first"] | None = None
    """Whether a new task starts before its old one stops; absent: yes, but not where ports are published on
    the node itself, which two tasks cannot share."""
    parallelism: Annotated[int, Field(ge=0)] = 1
    """How many tasks are replaced at a time; 0: all at once."""
    delay: Pause = 0
    """Between two of them."""
    monitor: Duration = 5_000
    """How long each new task is watched: one that ends in this time is a failure."""
    failure_action: Literal["pause", "rollback"] = "pause"
    """What the Swarm does with an update that fails. Either way what ran before is put back and proven."""
    max_per_node: Annotated[int, Field(ge=1)] | None = None
    """How many tasks of the service one node takes at most; absent: as many as come."""
    reserve_memory: Memory | None = None
    """How much memory of its node is kept free for each task; absent: none, and the Swarm may overbook."""
    reserve_cpus: Cpus | None = None
    """How many processors of its node are kept free for each task."""
    nodes: dict[str, NodeEngine] = Field(default_factory=dict)
    """The engines of the nodes, by host name, address or id of the node: for `prune`, `verify` and `doctor`,
    which can look only at the engines that they are told of. Deployments do not need it."""

    def spec(self, *, publishes: bool) -> SwarmSpec:
        """As deployments record it; `publishes` tells whether the service publishes ports."""
        order = "stop-first" if publishes and self.publish_mode == "host" else "start-first"
        known = {name: getattr(self, name) for name in SwarmSpec.model_fields}
        return SwarmSpec(**{**known, "order": self.order or order})


class Environment(Value):
    """`[tool.release.environments.<name>]`: where releases run, and with which settings."""

    engine: Literal["docker", "swarm"] = "docker"
    """What the environment is made of: one Docker Engine, or a Swarm that is reached through a manager."""
    context: Name | None = None
    """A Docker context; absent: the engine that `docker` itself would use."""
    host: EngineAddress | None = None
    """The engine's address, as "ssh://deploy@host"."""
    command: Words | None = None
    """Replaces the image's command."""
    env: dict[VariableName, str] = Field(default_factory=dict)
    """Environment values."""
    secrets: dict[VariableName, EnvironmentSecret] = Field(default_factory=dict)
    """Environment values that are never stored."""
    publish: Items[Publish] = ()
    """Ports, as "127.0.0.1:8080:8000"."""
    networks: Items[Name] = ()
    """Existing networks to join; absent: the engine's default."""
    volumes: Items[Mount] = ()
    """Existing volumes or folders, as "data:/var/lib/api" or "/etc/ssl:/etc/ssl:ro"."""
    memory: Memory | None = None
    """The limit; swap is not added to it."""
    cpus: Cpus | None = None
    """The limit."""
    pids: Annotated[int, Field(ge=1)] | None = None
    """The limit of processes and threads."""
    user: str | None = None
    """Replaces the image's user."""
    read_only: bool = False
    """Whether the root file system is read-only."""
    tmpfs: Items[AbsolutePath] = ()
    """Folders in memory."""
    cap_add: Items[Name] = ()
    """Capabilities added."""
    cap_drop: Items[Name] = ()
    """Capabilities dropped, as ["ALL"]."""
    restart: Literal["no", "on-failure", "always", "unless-stopped"] = "unless-stopped"
    """What the engine does when the process ends."""
    stop_grace: Duration = 10_000
    """From SIGTERM to SIGKILL."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels beside those that name service, environment, version, commit, digest and deployment."""
    files: dict[AbsolutePath, File] = Field(default_factory=dict)
    """Small texts put into the container, by their path there."""
    init: bool | None = None
    """Whether the engine runs a small process 1 before the service, which collects processes that ended."""
    stop_signal: SignalName | None = None
    """What asks the service to stop; absent: what the image says, else SIGTERM."""
    log_driver: Name | None = None
    """The engine's logging driver for this service, as "json-file"; absent: the engine's default."""
    log_options: Annotated[dict[str, str], AfterValidator(_public)] | None = None
    """Its options, as { max-size = "10m", max-file = "3" }."""
    healthcheck: HealthcheckSettings | None = None
    health_timeout: Duration = 60_000
    """How long a new container may take to become healthy; in a Swarm: how long nothing may move forward."""
    health_tcp: Items[Port] | None = None
    """Ports of the container that must accept connections before it counts as healthy."""
    health_command: Words | None = None
    """A program in the container that must end with status 0 before it counts as healthy."""
    watch: Duration | None = None
    """How long it must then stay healthy, without an end or a restart, while what ran before is kept."""
    drill_on: Slug | None = None
    """The environment on whose engine drills of this one run; absent: on its own."""
    swarm: Swarm | None = None
    freeze_after_rollback: Pause = 3_600_000
    """How long deployments are refused after a rollback, unless `--thaw` is said; "0s": not at all."""
    proxy: Proxy | None = None
    """The proxy in front: with one, a new container is healthy before it takes the traffic of the old one."""
    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many containers serve, in a Swarm or behind a proxy; there they are replaced one by one."""

    @model_validator(mode="after")
    def _consistent(self) -> Environment:
        problems = [f"{name} is in env and in secrets: keep one" for name in self.env if name in self.secrets]
        if self.context is not None and self.host is not None:
            problems.append("give either context or host, not both")
        problems += [f"{port} is published twice" for port in self._twice()]
        problems += self._strategy()
        problems += self._misplaced()
        problems += self._wrong_in_swarm() if self.engine == "swarm" else self._only_in_swarm()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _strategy(self) -> list[str]:
        """Two containers that take each other's place cannot both have a port of the machine, or one name."""
        if self.proxy is not None and self.publish:
            return ["give either publish or proxy: behind a proxy, the proxy publishes the port"]
        if self.replicas > 1 and self.proxy is None and self.engine == "docker":
            return ["replicas needs proxy: a port of the machine belongs to one container"]
        if self.replicas > 1 and self.proxy is not None and self.proxy.kind == "dns":
            return ['replicas needs another kind than "dns": a name belongs to one container']
        return []

    def _misplaced(self) -> list[str]:
        """A file needs a folder that nothing else is mounted on, and that is its own where it is a volume."""
        secret = [source.file for source in self.secrets.values() if source.file is not None]
        apart = [*secret, *(self.files if self.read_only else ())]
        mounted = {*self.tmpfs, *(mount.target for mount in self.volumes)}
        twice = [path for path in {*secret, *self.files} if [*secret, *self.files].count(path) > 1]
        hidden = [path for path in self.files if path not in apart and not _above(path).isdisjoint(mounted)]
        taken = [path for path in apart if str(PurePosixPath(path).parent) in mounted]
        shallow = [path for path in apart if len(PurePosixPath(path).parts) < 4]
        return [
            *(f"{path} is written twice" for path in sorted(twice)),
            *(f"{path} lies below a mounted folder, which would hide or share it" for path in hidden),
            *(f"{path} needs a folder of its own: another is mounted there" for path in taken),
            *(f'{path} needs a folder of its own below another, as "/run/secrets/name"' for path in shallow),
        ]

    @property
    def swarm_spec(self) -> SwarmSpec | None:
        """The Swarm's settings as deployments record them; None on one engine."""
        if self.engine != "swarm":
            return None
        return (self.swarm or Swarm()).spec(publishes=bool(self.publish))

    def _only_in_swarm(self) -> list[str]:
        return ['swarm is a table of environments with engine = "swarm"'] if self.swarm is not None else []

    def _wrong_in_swarm(self) -> list[str]:
        """What a Swarm cannot do."""
        table = self.swarm or Swarm()
        anywhere = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        problems = [
            f'a Swarm publishes {port.host} on every address of a node: write "{port.host}:{port.container}"'
            for port in self.publish
            if port.address not in anywhere
        ]
        if self.proxy is not None:
            problems.append("proxy is for one engine: a Swarm sends requests to its tasks itself")
        if self.health_tcp is not None or self.health_command is not None:
            problems.append("health_tcp and health_command are for one engine: a Swarm goes by healthcheck")
        if table.publish_mode == "host" and self.publish and table.order == "start-first":
            problems.append("two tasks cannot share a port of a node: swarm.order must be stop-first")
        if table.publish_mode == "ingress" and self.publish and table.endpoint_mode == "dnsrr":
            problems.append('the routing mesh needs endpoint_mode = "vip", or take publish_mode = "host"')
        return problems

    def _twice(self) -> list[Publish]:
        taken = [(port.address, port.host, port.protocol) for port in self.publish]
        return [port for place, port in enumerate(self.publish) if taken[place] in taken[:place]]


class Migrations(Value):
    """`[tool.release.migrations]`: what releases do to the data, which going back does not undo by itself."""

    paths: Words
    """The files below `context`, one for each migration, as ["migrations/versions/*.py"]: `*` stays in one
    folder, `**/` is any number of them. Going back over one of them needs `--cross-migrations`."""
    down: Words | None = None
    """A command that undoes them, run in the newer image before it is replaced; `{count}` is their number and
    `{head}` the name of the last one that stays, without its suffix: ["alembic", "downgrade", "-{count}"]."""
    timeout: Duration = 600_000
    """After this time the command is stopped, and the rollback with it."""


class Retention(Value):
    """`[tool.release.retention]`: how far back a rollback must be possible; none of that is ever pruned."""

    releases: Annotated[int, Field(ge=1)] = 5
    """The last so many releases that ran verified healthy in each environment and are not quarantined."""
    window: Duration = 30 * 86_400_000
    """Beside them everything that was released or deployed within this time."""
    prune_after_deploy: bool = False
    """Whether a deployment ends with pruning the engine; a failure of that is a warning."""
    last_copies: bool = False
    """Whether pruning may remove images that are nowhere else: always so where no registry is configured."""


class Service(Value):
    """`[tool.release]`: one service, or what several have in common."""

    service: Slug
    """Its name: part of its repository, its containers' names and the ledger's paths."""
    context: RelativePath = "."
    """The folder with the Dockerfile, from the repository's root."""
    registry: RegistryName | None = None
    """As "registry.example/acme": images go to `<registry>/<service>`; absent: they stay in the engine."""
    registry_ca: RelativePath | None = None
    """Certificates (PEM) believed for the registry, beside the system's and the engine's own."""
    ledger: Ledger = Ledger()
    lock: Lock = Lock()
    lint: Lint = Lint()
    build: Build = Build()
    push: Push = Push()
    test: Test = Test()
    smoke: Smoke
    migrations: Migrations | None = None
    retention: Retention = Retention()
    environments: dict[Slug, Environment] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _lends_what_it_has(self) -> Service:
        unknown = sorted(set(self.test.secrets.values()) - self.build.secrets.keys())
        if unknown:
            raise ValueError(f"test.secrets names {', '.join(unknown)}, which build.secrets does not have")
        return self

    @model_validator(mode="after")
    def _known_environments(self) -> Service:
        for name, environment in self.environments.items():
            if environment.drill_on is not None and environment.drill_on not in self.environments:
                raise ValueError(
                    f"environments.{name}.drill_on: no environment is called {environment.drill_on!r}"
                )
        return self

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
        f"choose the {what}",
        f"{found}: {', '.join(known)}",
        f"use --{what} {close[0] if close else next(iter(known))}",
    )


def load(root: Path) -> Config:
    """Read `pyproject.toml` in this folder. Raises ConfigError with every problem in it."""
    file = root / FILE
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _wrong(ROOT, f"the file cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _wrong(FILE, f"not TOML: {error}") from error
    return parse(document)


def parse(document: Mapping[str, Any]) -> Config:
    """Parse the whole document of a pyproject.toml. Raises ConfigError."""
    table = _table(document, "tool").get("release")
    if not isinstance(table, dict):
        raise _wrong(ROOT, "the table is missing; docs/how-to/adopt.md shows one")
    if "services" not in table:
        return _parse_services([_single(table, _table(document, "project"))], several=False)
    return _parse_services(_several(table), several=True)


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = document.get(key)
    return table if isinstance(table, dict) else {}


def _wrong(path: str, message: str) -> ConfigError:
    return ConfigError(FILE, [Problem(path=path, message=message)])


@dataclass(frozen=True, kw_only=True)
class _Written:
    """One service as it is written: its name's path, its own table's path, its keys and those it inherits."""

    name: object
    name_path: str
    path: str
    own: Mapping[str, Any]
    defaults: Mapping[str, Any]

    @property
    def values(self) -> dict[str, Any]:
        """What its keys say together; without a name, that key is missing."""
        return _merged(self.defaults, self.own) | ({} if self.name is None else {"service": self.name})

    def path_of(self, location: Sequence[int | str]) -> str:
        """The path of a key, in the table that it is written in."""
        keys = [part for part in location if part != "[key]"]
        if keys == ["service"]:
            return self.name_path
        inherited = _holds(self.defaults, keys) and not _holds(self.own, keys)
        return _joined(ROOT if inherited else self.path, keys)


def _single(table: Mapping[str, Any], project: Mapping[str, Any]) -> _Written:
    inherits = "service" not in table and "name" in project
    return _Written(
        name=project["name"] if inherits else table.get("service"),
        name_path="project.name" if inherits else f"{ROOT}.service",
        path=ROOT,
        own=table,
        defaults={},
    )


def _several(table: Mapping[str, Any]) -> list[_Written]:
    defaults = {key: value for key, value in table.items() if key != "services"}
    named = table["services"]
    if not isinstance(named, dict) or not named or not all(isinstance(own, dict) for own in named.values()):
        raise _wrong(f"{ROOT}.services", "write one table for each service")
    paths = {name: f"{ROOT}.services.{name}" for name in named}
    renamed = [ROOT] * ("service" in defaults) + [paths[name] for name in named if "service" in named[name]]
    if renamed:
        message = "remove this key: the name of a service's table is its name"
        raise ConfigError(FILE, [Problem(path=f"{path}.service", message=message) for path in renamed])
    return [
        _Written(name=name, name_path=paths[name], path=paths[name], own=own, defaults=defaults)
        for name, own in named.items()
    ]


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The service's own keys over the defaults, table by table."""
    merged = dict(defaults)
    for key, value in own.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _holds(table: Any, keys: Sequence[int | str]) -> bool:
    """Whether this key is written in this table."""
    for key in keys:
        try:
            table = table[key]
        except (LookupError, TypeError):
            return False
    return True


def _joined(path: str, keys: Iterable[int | str]) -> str:
    for key in keys:
        path += f"[{key}]" if isinstance(key, int) else f".{key}"
    return path


def _parse_services(written: Iterable[_Written], *, several: bool) -> Config:
    services: dict[str, Service] = {}
    problems: list[Problem] = []
    for each in written:
        try:
            service = Service.model_validate(each.values, by_alias=True, by_name=False)
            services[service.service] = service
        except ValidationError as error:
            problems += [
                Problem(path=each.path_of(found["loc"]), message=_message(found))
                for found in error.errors(include_url=False)
            ]
    if problems:
        raise ConfigError(FILE, list(dict.fromkeys(problems)))
    return Config(services=services, several=several)


_SHAPES: Final = {
    "bool_type": "write true or false",
    "dict_type": "write a table",
    "int_type": "write a whole number",
    "model_type": "write a table",
    "string_type": "write text in quotes",
    "tuple_type": "write a list",
}
"""What to write, by pydantic's kind of error."""


def _message(error: ErrorDetails) -> str:
    """What is wrong, in our words. The value itself is not shown where it may be a secret."""
    hidden = not {"secrets", "args"}.isdisjoint(error["loc"])
    found = "" if hidden else f", not {error['input']!r}"
    match error["type"]:
        case "extra_forbidden":
            return _unknown(str(error["loc"][-1]), _known_keys(error["loc"][:-1]))
        case "missing":
            return "this key is required"
        case "value_error":
            return str(error["ctx"]["error"])
        case "not_matching":
            return f"{'this' if hidden else repr(error['input'])} {error['msg']}"
        case "too_short":
            return f"write at least {error['ctx']['min_length']} word"
        case kind if kind in _SHAPES:
            return f"{_SHAPES[kind]}{found}"
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]}{found}"


def _unknown(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"unknown key; did you mean {close[0]!r}?" if close else f"unknown key; known: {', '.join(known)}"


def _known_keys(location: Iterable[int | str]) -> list[str]:
    """The keys of the table at this place."""
    model: type[BaseModel] = Service
    parts = iter([part for part in location if isinstance(part, str)])
    for part in parts:
        field = _fields(model)[part]
        model = _model_in(field) or model
        if get_origin(field) is dict:
            next(parts, None)
    return [*_fields(model), *(["services"] if model is Service else [])]


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """The types of a table's keys, by the name that is written."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The table that a type holds, if it holds one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)
