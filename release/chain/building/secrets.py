"""Build secrets, ssh agents and keys, and the proxies of the environment, for the time of a build.

None of it may stay. A secret is a file without a name in any folder (memfd_create(2)): it is on no disk, on
no command line and in no environment, other users cannot open it, and it is gone with this process however
that ends. BuildKit mounts it for one RUN step and leaves it out of layers, history and cache keys.

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
from release.redact import SHORTEST, Redacted, passwords_in
from release.values import Struct

PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY")
"""BuildKit's predefined arguments, in either case (Dockerfile reference, "Predefined ARGs")."""

_LARGEST: Final = 500 * 1024
"""Bytes that BuildKit takes as one secret."""
_CONNECT_SECONDS: Final = 5.0
_ARG: Final = re.compile(r"^\s*ARG\s+(.+)$", re.IGNORECASE | re.MULTILINE)


class Ssh(Struct, frozen=True, kw_only=True):
    """One `--mount=type=ssh`: its id, and the agent's socket or the key's file."""

    id: str
    path: Path | None
    """None: SSH_AUTH_SOCK is not set."""

    @classmethod
    def parse(cls, text: str, environ: Mapping[str, str]) -> Ssh:
        """`default`, or `id=path` with ~ for the home folder."""
        name, _, given = text.partition("=")
        agent = environ.get("SSH_AUTH_SOCK")
        chosen = Path(given).expanduser() if given else Path(agent) if agent else None
        return cls(id=name, path=chosen)

    def problem(self) -> str | None:
        """Return why the build could not log in with it; None where nothing speaks against it."""
        if self.path is None:
            return f"ssh {self.id}: no agent: SSH_AUTH_SOCK is not set"
        try:
            if stat.S_ISSOCK(self.path.stat().st_mode):
                _knock(self.path)
            else:
                self.path.open("rb").close()
        except OSError as error:
            return f"ssh {self.id}: the agent or key {self.path} cannot be used: {error.strerror or error}"
        return None


def _knock(path: Path) -> None:
    """Raise OSError where no agent listens: its socket may outlive it."""
    with socket.socket(socket.AF_UNIX) as knocking:
        knocking.settimeout(_CONNECT_SECONDS)
        knocking.connect(str(path))


@contextmanager
def lent(ctx: StageContext, stage: str) -> Iterator[tuple[str, ...]]:
    """Options of the builder's command line that lend it what is configured, good while the block runs.

    Raises:
        GateFailed: of this stage, with everything that is missing, before a build has begun.
    """
    config = ctx.plan.service.build
    ssh = [Ssh.parse(text, ctx.environ) for text in config.ssh]
    values, unread = ctx.build_secrets
    _refuse(stage, [f"secret {item.name}: {item.reason}" for item in unread])
    _refuse(stage, [*_too_large(values), *filter(None, (each.problem() for each in ssh))])
    with ExitStack() as held:
        files = {name: held.enter_context(_unnamed_file(value)) for name, value in values.items()}
        yield lending_options(files, ssh, _proxies(ctx))


def lending_options(files: Mapping[str, str], ssh: Iterable[Ssh], proxies: Iterable[str]) -> tuple[str, ...]:
    """The words of the command line: ids, paths and names, and no value."""
    return (
        *(word for name, path in sorted(files.items()) for word in ("--secret", f"id={name},src={path}")),
        *(word for each in ssh for word in ("--ssh", f"{each.id}={each.path}")),
        *(word for name in sorted(proxies) for word in ("--build-arg", name)),
    )


def _refuse(stage: str, missing: Sequence[str]) -> None:
    if missing:
        found = f"the build needs secrets or ssh that are missing: {'; '.join(missing)}"
        raise GateFailed(stage, found, "provide them, or correct `build.secrets` and `build.ssh`")


def _too_large(values: Mapping[str, Redacted]) -> Iterator[str]:
    for name, value in values.items():
        if len(value.reveal().encode()) > _LARGEST:
            yield f"secret {name}: larger than the {_LARGEST // 1024} KiB that BuildKit takes"


@contextmanager
def _unnamed_file(value: Redacted) -> Iterator[str]:
    """A path under which a program of this user finds the value while the block runs."""
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


def _proxies(ctx: StageContext) -> list[str]:
    """The names of the environment's proxies, where the build is to have them; configured ones stay."""
    config = ctx.plan.service.build
    known = {name.upper() for name in config.args}
    return [
        name for name in ctx.environ if config.proxy and name.upper() in PROXIES and name.upper() not in known
    ]


def refuse_declared_proxies(ctx: StageContext, dockerfile: str) -> None:
    """An ARG of that name would make the proxy part of the history, and of the digest. Raises GateFailed."""
    words = {word.partition("=")[0] for line in _ARG.findall(dockerfile) for word in line.split()}
    declared = sorted(words.intersection(_proxies(ctx)))
    if declared:
        raise GateFailed(
            "build",
            f"the Dockerfile declares ARG {', '.join(declared)}, which would keep the proxy in "
            "the image's history",
            "remove that line: RUN gets the proxies without it",
        )


def _tells(told: str, value: str) -> bool:
    """Return whether the value as a whole is in there, or a password of an address in it.

    Not each of its lines, as in logs: "[global]" of a pip.conf is in many an image's history.
    """
    return any(_is_in(told, text) for text in (value.strip(), *passwords_in(value)))


def _is_in(told: str, text: str) -> bool:
    encoded = base64.b64encode(text.encode()).decode("ascii")
    forms = (text, json.dumps(text)[1:-1], quote(text, safe=""), encoded)
    return len(text) >= SHORTEST and any(form in told for form in forms)


def lends(ctx: StageContext) -> bool:
    """Return whether the build is lent anything that could stay in the image."""
    values, _ = ctx.build_secrets
    return bool(values or _proxies(ctx))


def refuse_kept_secrets(ctx: StageContext, told: str) -> None:
    """Look for what was lent in all that an image says about itself. Raises GateFailed.

    Args:
        shop: with what was lent.
        told: the image's settings and history, as the engine tells them.
    """
    values, _ = ctx.build_secrets
    proxies = [word for name in _proxies(ctx) for word in passwords_in(ctx.environ[name])]
    kept = [f"the secret {name}" for name, value in values.items() if _tells(told, value.reveal())]
    if any(_is_in(told, word) for word in proxies):
        kept.append("the password of a proxy")
    if kept:
        raise GateFailed(
            "build",
            f"the image's settings or history contain {', '.join(kept)}",
            "read it in RUN from /run/secrets/<id>, because ENV, ARG and LABEL keep values in the image",
        )
