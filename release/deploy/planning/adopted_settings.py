"""Settings of an adopted object as a deployment records them: secrets by fingerprint, the rest in clear."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Final

from release.deploy.core.adoption import Reading
from release.deploy.core.fingerprints import FingerprintKey, compare
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.planning.settings import read_secrets
from release.errors import NotReady, UsageError
from release.ledger.release_diff import flatten_settings
from release.runspec import RunSpec
from release.secrets.detection import secret_suspicion
from release.secrets.redact import Mask, Redacted
from release.values import Struct

_HIDDEN: Final = ("secrets", "processes", "replicas")
_SHORTEST: Final = 6
"""Characters of a value that is not found in other text by chance."""


class AdoptedSettings(Struct, frozen=True, kw_only=True):
    """Settings to record."""

    spec: RunSpec
    left_out: Mapping[str, str]
    """Settings that the operator chose not to record."""
    hidden: tuple[Redacted, ...]
    """Values of secrets, to mask them in output."""
    notes: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """Return each setting that differs from the default as text."""
        usual = flatten_settings(RunSpec(), without=_HIDDEN)
        found = flatten_settings(self.spec, without=_HIDDEN)
        return [f"{key} = {found[key]}" for key in sorted(found) if found[key] != usual.get(key)]

    @property
    def secret_lines(self) -> list[str]:
        """Return the names of secrets, which are recorded by fingerprint."""
        return [f"{name}: its fingerprint is recorded" for name in sorted(self.spec.secrets)]


def read_settings(
    live: LiveEnvironment, reading: Reading, left_out: tuple[str, ...], attempted: str
) -> AdoptedSettings:
    """Return the settings to record.

    Raises:
        UsageError: an option names a setting that the object does not have.
        NotReady: settings that cannot be expressed, and variables that look like secrets.
    """
    _refuse_unknown(left_out, reading.unexpressed, attempted)
    values = _values(live, reading)
    problems = [
        *(
            f"{name}: {text}: a deployment cannot express it"
            for name, text in reading.unexpressed.items()
            if name not in left_out
        ),
        *_suspicious(live, reading),
        *_known_secrets(live, reading),
        *_without_source(live, reading),
    ]
    if problems:
        lines = "".join(f"\n  {each}" for each in problems)
        raise NotReady(
            attempted, f"{len(problems)} problems, and nothing was recorded{lines}", _hint(reading)
        )
    key = FingerprintKey.load(live.workspace.source.git_dir, live.workspace.environ) if values else None
    prints = {name: key.fingerprint(name, value) for name, value in values.items()} if key is not None else {}
    plain = {name: value for name, value in reading.spec.env.items() if name not in prints}
    return AdoptedSettings(
        spec=reading.spec.model_copy(update={"env": plain, "secrets": prints}),
        left_out={name: reading.unexpressed[name] for name in left_out},
        hidden=tuple(values.values()),
        notes=tuple(_rotated(live, reading, prints, key)),
    )


def _hint(reading: Reading) -> str:
    if not reading.unexpressed:
        return "correct this, and run the command again"
    names = ",".join(name.replace(" ", "\\ ") for name in reading.unexpressed)
    return f"correct this; to do without a setting after a rollback: --leave-out {names!r}"


def _refuse_unknown(left_out: tuple[str, ...], known: Mapping[str, str], attempted: str) -> None:
    for name in left_out:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            listed = ", ".join(known) or "none"
            hint = f"did you mean {near[0]!r}?" if near else "leave this option out"
            raise UsageError(
                attempted,
                f"--leave-out {name!r} names no setting that can be left out; possible: {listed}",
                hint,
            )


def _values(live: LiveEnvironment, reading: Reading) -> dict[str, Redacted]:
    """Return the values of the variables that the configuration calls secrets, and of the target's secrets.

    A value that the target does not show is that of today's source.
    """
    names = [name for name in reading.spec.env if name in live.settings.secrets]
    found = {name: Redacted(reading.spec.env[name]) for name in names}
    found |= {name: value for name, value in reading.secrets.items() if value is not None}
    unseen = {name: "" for name, value in reading.secrets.items() if value is None}
    if unseen:
        found |= read_secrets(live, RunSpec(secrets=unseen))[0]
    return found


def _suspicious(live: LiveEnvironment, reading: Reading) -> Iterator[str]:
    """Yield each plain variable that looks like a secret, without its value."""
    for name, value in reading.spec.env.items():
        if name in live.settings.secrets or live.settings.env.get(name) == value:
            continue
        if (why := secret_suspicion(name, value)) is not None:
            source = f'secrets = {{ {name} = {{ from_env = "{name}" }} }}'
            yield (
                f"env.{name}: it looks like a secret ({why}), and variables are recorded: add {source} to "
                f"environments.{live.place.environment}; if it is none, write it into env there"
            )


def _known_secrets(live: LiveEnvironment, reading: Reading) -> Iterator[str]:
    """Yield each setting with the value of a configured secret in it, under whatever name."""
    values = read_secrets(live, RunSpec(secrets=dict.fromkeys(live.settings.secrets, "")))[0]
    plain = {name: value for name, value in reading.spec.env.items() if name not in live.settings.secrets}
    settings = flatten_settings(reading.spec.model_copy(update={"env": plain}), without=_HIDDEN)
    masks = {name: Mask([value]) for name, value in values.items() if len(value.reveal()) >= _SHORTEST}
    for setting, value in settings.items():
        for name, mask in masks.items():
            if mask(text := str(value)) != text:
                yield (
                    f"{setting}: the value of the secret {name} is in it, and settings are recorded: "
                    f"start the {live.target.adoptions.kind} without it, or add a source for it to secrets"
                )


def _without_source(live: LiveEnvironment, reading: Reading) -> Iterator[str]:
    """Yield each secret of the target that a rollback could not read."""
    for name in reading.secrets:
        if name not in live.settings.secrets:
            yield (
                f"secrets.{name}: the configuration has no source for it, so no rollback could restore it: "
                f'add secrets = {{ {name} = {{ from_env = "{name}" }} }} to '
                f"environments.{live.place.environment}"
            )


def _rotated(
    live: LiveEnvironment, reading: Reading, prints: Mapping[str, str], key: FingerprintKey | None
) -> Iterator[str]:
    """Yield each secret whose source has another value today, or whose value cannot be compared."""
    if key is None:
        return
    today = read_secrets(live, RunSpec(secrets=dict.fromkeys(prints, "")))[0]
    for name, found in prints.items():
        if name not in today:
            yield f"the secret {name} cannot be read here, so its value is not compared"
        elif name in reading.secrets and reading.secrets[name] is None:
            yield f"the target does not show the secret {name}: the value of its source is recorded"
        elif compare(found, key.fingerprint(name, today[name])) != "same":
            yield f"the secret {name} has another value in its source than in what runs"
