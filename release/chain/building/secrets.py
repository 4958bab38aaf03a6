"""Options that give a build its secrets, ssh agents and keys, and the proxies of the environment.

No secret may stay. A secret is a file in memory without a name (memfd_create(2)): on no disk, command line or
environment, closed to other users, and removed with this process. BuildKit mounts a secret for one RUN step
and leaves it out of layers, history and cache keys.

The command line holds the names of proxies only; their values are variables of the builder's process (`docker
buildx build --build-arg NAME`), and BuildKit keeps these predefined arguments out of history and cache keys
as long as no ARG declares them.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from release.chain.stage_context import StageContext
from release.errors import GateFailed
from release.secrets.redact import SHORTEST, Redacted, passwords_in
from release.values import Struct

PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY")
"""BuildKit's predefined arguments, in upper and lower case (Dockerfile reference, "Predefined ARGs")."""

_LARGEST: Final = 500 * 1024
"""Most bytes that BuildKit takes as one secret."""
_CONNECT_SECONDS: Final = 5.0
_ARG: Final = re.compile(r"^\s*ARG\s+(.+)$", re.IGNORECASE | re.MULTILINE)


class SshMount(Struct, frozen=True, kw_only=True):
    """One `--mount=type=ssh`: its id, and the agent's socket or the key file."""

    id: str
    path: Path | None
    """Path of the socket or key; None if SSH_AUTH_SOCK is not set."""

    @classmethod
    def parse(cls, text: str, environ: Mapping[str, str]) -> SshMount:
        """Return the settings of `default`, or of `id=path` with ~ for the home folder."""
        name, _, given = text.partition("=")
        agent = environ.get("SSH_AUTH_SOCK")
        chosen = Path(given).expanduser() if given else Path(agent) if agent else None
        return cls(id=name, path=chosen)

    def why_unusable(self) -> str | None:
        """Return why the build cannot use the agent or key; None if no problem is known."""
        if self.path is None:
            return f"ssh {self.id}: no agent: SSH_AUTH_SOCK is not set"
        try:
            if stat.S_ISSOCK(self.path.stat().st_mode):
                _connect_to_agent(self.path)
            else:
                self.path.open("rb").close()
        except OSError as error:
            return f"ssh {self.id}: the agent or key {self.path} cannot be used: {error.strerror or error}"
        return None


def _connect_to_agent(path: Path) -> None:
    """Connect to an agent's socket. Raises OSError if no agent listens: a socket may outlive its agent."""
    with socket.socket(socket.AF_UNIX) as knocking:
        knocking.settimeout(_CONNECT_SECONDS)
        knocking.connect(str(path))


@contextmanager
def provide_build_secrets(ctx: StageContext, stage: str) -> Iterator[tuple[str, ...]]:
    """Yield the options of buildx for the configured secrets, ssh and proxies, valid while the block runs.

    Raises:
        GateFailed: of this stage, with all missing secrets and keys, before the build begins.
    """
    config = ctx.plan.service.build
    ssh = [SshMount.parse(text, ctx.environ) for text in config.ssh]
    values, unread = ctx.build_secrets
    _refuse_missing_secrets(stage, [f"secret {item.name}: {item.reason}" for item in unread])
    _refuse_missing_secrets(
        stage, [*_find_oversized_secrets(values), *filter(None, (each.why_unusable() for each in ssh))]
    )
    with ExitStack() as held:
        files = {name: held.enter_context(_readable_secret_file(value)) for name, value in values.items()}
        yield secret_options(files, ssh, _proxy_variables(ctx))


def secret_options(
    files: Mapping[str, str], ssh: Iterable[SshMount], proxies: Iterable[str]
) -> tuple[str, ...]:
    """Return the options of buildx: ids, paths and names, never a secret's value."""
    return (
        *(word for name, path in sorted(files.items()) for word in ("--secret", f"id={name},src={path}")),
        *(word for each in ssh for word in ("--ssh", f"{each.id}={each.path}")),
        *(word for name in sorted(proxies) for word in ("--build-arg", name)),
    )


def _refuse_missing_secrets(stage: str, missing: Sequence[str]) -> None:
    if missing:
        found = f"the build needs secrets or ssh that are missing: {'; '.join(missing)}"
        raise GateFailed(stage, found, "provide them, or correct `build.secrets` and `build.ssh`")


def _find_oversized_secrets(values: Mapping[str, Redacted]) -> Iterator[str]:
    for name, value in values.items():
        if len(value.reveal().encode()) > _LARGEST:
            yield f"secret {name}: larger than the {_LARGEST // 1024} KiB that BuildKit takes"


@contextmanager
def _readable_secret_file(value: Redacted) -> Iterator[str]:
    """Yield a path under which this user's programs can read the value while the block runs."""
    content = value.reveal().encode()
    if not hasattr(os, "memfd_create"):  # not on Linux: a file that only its owner may read
        with tempfile.NamedTemporaryFile(prefix="release-lent-") as file:
            file.write(content)
            file.flush()
            yield file.name
        return
    with os.fdopen(os.memfd_create("release-lent"), "wb") as file:
        os.fchmod(file.fileno(), stat.S_IRUSR | stat.S_IWUSR)
        file.write(content)
        file.flush()
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"


def _proxy_variables(ctx: StageContext) -> list[str]:
    """Return the proxy variables of the environment that the build gets, without configured arguments."""
    config = ctx.plan.service.build
    known = {name.upper() for name in config.args}
    return [
        name for name in ctx.environ if config.proxy and name.upper() in PROXIES and name.upper() not in known
    ]


def refuse_declared_proxies(ctx: StageContext, dockerfile: str) -> None:
    """Refuse an ARG for a proxy: the proxy would be in the image's history. Raises GateFailed."""
    words = {word.partition("=")[0] for line in _ARG.findall(dockerfile) for word in line.split()}
    declared = sorted(words.intersection(_proxy_variables(ctx)))
    if declared:
        raise GateFailed(
            "build",
            f"the Dockerfile declares ARG {', '.join(declared)}, which would keep the proxy in "
            "the image's history",
            "remove that line: RUN gets the proxies without it",
        )


def _contains_secret(text: str, value: str) -> bool:
    """Return whether a text contains the whole value, or a password of a URL in the value.

    Single lines of the value do not count: "[global]" of a pip.conf is in the history of many images.
    """
    return any(_contains_encoded(text, secret) for secret in (value.strip(), *passwords_in(value)))


def _contains_encoded(text: str, secret: str) -> bool:
    encoded = base64.b64encode(secret.encode()).decode("ascii")
    forms = (secret, json.dumps(secret)[1:-1], quote(secret, safe=""), encoded)
    return len(secret) >= SHORTEST and any(form in text for form in forms)


def has_build_secrets(ctx: StageContext) -> bool:
    """Return whether the build gets secrets or proxies that could stay in the image."""
    values, _ = ctx.build_secrets
    return bool(values or _proxy_variables(ctx))


def refuse_secrets_in_image(ctx: StageContext, image_json: str) -> None:
    """Refuse an image whose settings or history contain a build secret. Raises GateFailed.

    Args:
        ctx: the context with the build secrets and proxies.
        told: the image's settings and history, from the engine.
    """
    values, _ = ctx.build_secrets
    proxies = [word for name in _proxy_variables(ctx) for word in passwords_in(ctx.environ[name])]
    kept = [
        f"the secret {name}" for name, value in values.items() if _contains_secret(image_json, value.reveal())
    ]
    if any(_contains_encoded(image_json, word) for word in proxies):
        kept.append("the password of a proxy")
    if kept:
        raise GateFailed(
            "build",
            f"the image's settings or history contain {', '.join(kept)}",
            "read it in RUN from /run/secrets/<id>, because ENV, ARG and LABEL keep values in the image",
        )
