"""`[tool.release.smoke]`: how the image runs in the gate, and what shows that it works."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from release.config.kinds import Arguments, Slug
from release.config.runsettings import HealthcheckSettings
from release.runspec import Probe
from release.scalars import (
    Duration,
    Entrypoint,
    HeaderName,
    HeaderValue,
    HostName,
    Items,
    Memory,
    Name,
    Port,
    RequestPath,
    SignalName,
    Value,
    VariableName,
    own_headers,
)
from release.secrets.detection import secret_suspicion
from release.tmpfs import Tmpfs


def _public_headers(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers. Raise ValueError for a secret, because each release and deployment records them."""
    own_headers(headers)
    found = {name: secret_suspicion(name, value) for name, value in headers.items()}
    problems = [f"{name} looks like a secret ({why})" for name, why in found.items() if why is not None]
    problems += [f"{name} holds a login" for name in headers if name.lower() in _LOGINS]
    if problems:
        raise ValueError(
            f"{'; '.join(problems)}: the request is recorded. Use a path that answers without a login"
        )
    return headers


_LOGINS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})

Headers = Annotated[dict[HeaderName, HeaderValue], AfterValidator(_public_headers)]
"""Header fields of a request that is recorded."""

QUESTIONS: Final = ("port", "tcp", "check", "stays_up")
"""Keys that each ask for a sign that the service works."""

_OF_HTTP: Final = ("path", "status", "slow_path", "host", "headers")

ASK: Final = (
    "set what shows that the service works: port = 8000 (it answers over HTTP); tcp = [5432] (it accepts "
    'connections); check = ["python", "-m", "app.check"] (a program in the container ends with status 0); '
    'or stays_up = "10s" (a worker without a port)'
)


class SmokeRun(Value):
    """`[tool.release.smoke.processes.<name>]`: a further smoke run of the image, as another process.

    Its questions are its own: `port`, `path`, `status`, `host`, `headers`, `tcp`, `check` and `stays_up`.
    Every other key that is absent here has the value of `[tool.release.smoke]`.
    """

    port: Port | None = None
    """Port inside the container that answers over HTTP."""
    path: RequestPath = "/"
    """Path of the request."""
    status: Annotated[int, Field(ge=100, le=599)] = 200
    """Expected status of the answer."""
    slow_path: RequestPath | None = None
    """Path that answers after one to four seconds. This request is under way when the stop signal is sent,
    and must get its answer."""
    host: HostName | None = None
    """The `Host` header of the request, as "api.example"; absent: the address that is asked."""
    headers: Headers | None = None
    """Further header fields of the request, as { X-Forwarded-Proto = "https" }. Deployments send them too."""
    tcp: Items[Port] = ()
    """Ports inside the container that must accept connections."""
    check: Arguments | None = None
    """A program in the running container and its words. It must end with status 0, and is run again until
    `timeout`."""
    stays_up: Duration | None = None
    """Time that the container must run from its start, without an end, a restart or a failed health check."""
    healthcheck: Annotated[
        HealthcheckSettings | None, Field(description="a table, as `healthcheck` of environments")
    ] = None
    """With `stays_up`: a health check in the place of the image's own (environments)."""
    timeout: Duration = 30_000
    """From the start of the container to the last right answer. A container that computes and had less
    processor time than that, because tests run beside it, gets up to five times as long."""
    stop_grace: Duration = 10_000
    """Time from the stop signal to the end of the process (environments)."""
    stop_signal: SignalName | None = None
    """Signal that asks the container to stop; absent: the image's signal, else SIGTERM (environments)."""
    command: Arguments | None = None
    """Command of the container, in place of the image's ENTRYPOINT and CMD (environments)."""
    entrypoint: Entrypoint = "replace"
    """"keep": `command` replaces only the CMD (environments, with `command`)."""
    init: bool | None = None
    """Run a small process 1 of the engine before the service, which passes signals (environments)."""
    user: str | None = None
    """User of the container, in place of the image's user (environments)."""
    non_root: bool = False
    """Refuse a container that runs as root: of the image's USER, or of `user`."""
    cap_add: Items[Name] = ()
    """Capabilities of the container; all others are dropped (environments)."""
    env: dict[VariableName, str] = Field(default_factory=dict)
    """Environment values of the run."""
    memory: Memory = 512 * 1024**2
    """Memory limit of the container, without swap."""
    pids: Annotated[int, Field(ge=1)] = 256
    """Limit of processes and threads."""
    read_only: bool = True
    """Make the root file system read-only (environments)."""
    startup_line: bool = False
    """Require a line of output with the version and at least 7 digits of the commit."""
    tmpfs: Items[Tmpfs] = (Tmpfs(path="/tmp"),)  # noqa: S108 - in the container
    """Folders that stay writable, in memory: "/run/app:uid=10001,gid=10001,mode=0750" (environments, and
    /tmp)."""

    @model_validator(mode="after")
    def _complete(self) -> SmokeRun:
        if not self.asks and not self._has_processes:
            raise ValueError(ASK)
        without = [key for key in _OF_HTTP if key in self.model_fields_set]
        if self.port is None and without:
            raise ValueError(f"{', '.join(without)}: a request needs `port`, as port = 8000")
        if self.stays_up is None and self.healthcheck is not None:
            raise ValueError('healthcheck goes with `stays_up`, as stays_up = "10s"')
        return self

    @property
    def _has_processes(self) -> bool:
        return False

    @property
    def asks(self) -> bool:
        """Return whether the run checks a port, a program or a time."""
        return any(getattr(self, key) not in (None, ()) for key in QUESTIONS)

    @property
    def probe(self) -> Probe | None:
        """Return the HTTP request, as deployments record and repeat it; None without `port`."""
        if self.port is None:
            return None
        return Probe(
            port=self.port,
            path=self.path,
            status=self.status,
            timeout=self.timeout,
            host=self.host,
            headers=self.headers,
        )

    @property
    def ports(self) -> tuple[int, ...]:
        """Return the ports that the run connects to."""
        return tuple(dict.fromkeys([*([self.port] if self.port is not None else []), *self.tcp]))


class Smoke(SmokeRun):
    """`[tool.release.smoke]`: the image runs as it would in production, works, and stops on its stop signal.

    It needs `port`, `tcp`, `check`, `stays_up` or processes; all that are there must pass. If a key marked
    "environments" is absent here and all environments have the same value, this value is used.
    """

    processes: dict[Slug, SmokeRun] = Field(default_factory=dict)
    """Further runs of the same image, each with its own command and its own questions."""

    @property
    def _has_processes(self) -> bool:
        return bool(self.processes)

    def process(self, name: str) -> SmokeRun:
        """Return the settings of a process: its own, and those of `smoke` that are not checks."""
        own = self.processes[name]
        values = {key: getattr(self, key) for key in self.model_fields_set - {*QUESTIONS, *_OF_HTTP}}
        values |= {key: getattr(own, key) for key in own.model_fields_set}
        values.pop("processes", None)
        return SmokeRun.model_construct(set(values), **values)
