"""Hooks: commands of the operator before and after a deployment or a rollback, and when it fails.

The commands are those of today's configuration. A record is only their input: it chooses nothing that runs.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from release.config import Hook
from release.deploy.core.rollout import RolloutContext
from release.deploy.core.steps import step
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.planning.prepare import Prepared
from release.errors import Cancelled, DeploymentFailed, ReleaseError
from release.events import Progress, Warned
from release.files import private
from release.programs.cancellation import Cancellation
from release.programs.environment import BASIC
from release.programs.process import Command, run
from release.records import Release
from release.secrets.detection import secret_suspicion
from release.secrets.redact import Mask, Redacted
from release.text.control_characters import inert_line, json_text
from release.values import Struct

_LINES: Final = 20
"""Last lines of a hook that an error shows."""


class HookSubject(Struct, frozen=True, kw_only=True):
    """A deployment, as hooks and webhooks see it."""

    live: LiveEnvironment
    attempted: str
    """Action, for errors."""
    reason: str
    """Of the deployment, as its record has it: "promote" or "rollback"."""
    release: Release
    previous_version: str | None
    """Version that ran before; None if nothing did."""
    previous_commit: str | None
    hidden: tuple[Redacted, ...]
    """Values of secrets, to mask them in output."""

    @classmethod
    def of(cls, prepared: Prepared) -> HookSubject:
        """Return the subject of a deployment that this command carries out."""
        before = prepared.plan.before
        return cls(
            live=prepared.live,
            attempted=prepared.attempted,
            reason=prepared.plan.reason,
            release=prepared.target.body,
            previous_version=before.version if before is not None else None,
            previous_commit=before.commit if before is not None else None,
            hidden=prepared.hidden,
        )

    def moment(self, when: str) -> str:
        """Return the moment's name in the configuration: `before_deploy`, `after_rollback`, `failure`."""
        what = "rollback" if self.reason == "rollback" else "deploy"
        return "failure" if when == "failure" else f"{when}_{what}"


def hooks_at(subject: HookSubject, moment: str) -> dict[str, Hook]:
    """Return the hooks of this moment and environment, by name, in configuration order."""
    environment = subject.live.place.environment
    return {
        name: hook
        for name, hook in subject.live.workspace.service.hooks.items()
        if moment in hook.on and (not hook.environments or environment in hook.environments)
    }


def run_before(subject: HookSubject, record: Mapping[str, Any], context: RolloutContext) -> None:
    """Run the hooks that come before the rollout.

    Raises DeploymentFailed: a hook that may stop the deployment failed; nothing was changed. Cancelled.
    """
    moment = subject.moment("before")
    for name, hook in hooks_at(subject, moment).items():
        try:
            _run(subject, name, hook, moment, record, context)
        except Cancelled:
            raise
        except ReleaseError as error:
            if hook.on_failure == "stop":
                hint = f'repair the hook, or set on_failure = "warn" in hooks.{name}'
                found = f"the hook {name} failed: {error.found}; nothing was changed"
                raise DeploymentFailed(subject.attempted, found, hint, getattr(error, "tail", ())) from error
            _warn(subject, name, error)


def run_after(subject: HookSubject, when: str, record: Mapping[str, Any], context: RolloutContext) -> None:
    """Run the hooks that come after the end. A failure is only a warning."""
    moment = subject.moment(when)
    for name, hook in hooks_at(subject, moment).items():
        try:
            _run(subject, name, hook, moment, record, context)
        except ReleaseError as error:
            _warn(subject, name, error)


def _warn(subject: HookSubject, name: str, error: ReleaseError) -> None:
    lines = "".join(f"\n  {inert_line(line)}" for line in tuple(getattr(error, "tail", ()))[-_LINES:])
    subject.live.workspace.emit(Warned(text=f"the hook {name} failed: {error.found}{lines}"))


def _run(
    subject: HookSubject,
    name: str,
    hook: Hook,
    moment: str,
    record: Mapping[str, Any],
    context: RolloutContext,
) -> None:
    """Run one hook. Raises ReleaseError if it failed or did not end in time; Cancelled."""
    workspace = subject.live.workspace
    handed = [(key, workspace.environ[key]) for key in hook.pass_env if key in workspace.environ]
    hidden = [Redacted(value) for key, value in handed if secret_suspicion(key, value) is not None and value]
    mask = Mask((*subject.hidden, *hidden))
    with step(context.emit, f"hook {name}") as report, _file(record) as content:
        command = Command(
            argv=hook.command,
            cwd=workspace.source.root,
            env=variables(subject, moment, record),
            inherits=(*BASIC, *hook.pass_env),
            stdin=content,
        )

        def tell(line: str) -> None:
            context.emit(Progress(name=f"hook {name}", text=line))

        patience = Cancellation()
        late = f"it did not end within {hook.timeout / 1000:g} s"
        clock = threading.Timer(hook.timeout / 1000, patience.request, (late,))
        clock.daemon = True
        clock.start()
        try:
            with context.cancellation.stopping(lambda: patience.request("the command was interrupted")):
                run(command, mask=mask, cancellation=patience, on_line=tell)
        except Cancelled as error:
            context.cancellation.check()
            raise ReleaseError(f"run the hook {name}", error.found) from error
        finally:
            clock.cancel()
        report(" ".join(hook.command))


@contextmanager
def _file(record: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a private file with the record, which exists while the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="release-hook-"))
    path = folder / "record.json"
    try:
        private.write(path, json_text(dict(record), indent=None) + "\n")
        yield path
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
            folder.rmdir()


def variables(subject: HookSubject, moment: str, record: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of a hook. docs/how-to/hooks.md lists them."""
    live, release = subject.live, subject.release
    actor = record.get("actor") or {}
    found = {
        "RELEASE_HOOK": moment,
        "RELEASE_SERVICE": live.place.service,
        "RELEASE_ENVIRONMENT": live.place.environment,
        "RELEASE_VERSION": release.version,
        "RELEASE_PREVIOUS_VERSION": subject.previous_version or "",
        "RELEASE_COMMIT": release.source.commit,
        "RELEASE_PREVIOUS_COMMIT": subject.previous_commit or "",
        "RELEASE_DIGEST": release.image.digest,
        "RELEASE_IMAGE": f"{release.image.repository}@{release.image.digest}",
        "RELEASE_DEPLOYMENT": str(record.get("deployment", "")),
        "RELEASE_STATUS": str(record.get("status", "")),
        "RELEASE_REASON": subject.reason,
        "RELEASE_MESSAGE": str(record.get("message", "")),
        "RELEASE_ACTOR": str(actor.get("name", "")),
    }
    return {name: inert_line(value) for name, value in found.items()}
