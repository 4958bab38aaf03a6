"""Secrets and configs that a deployment keeps in the Swarm, and what proves that one of that name is ours.

A name is a claim: whoever manages the Swarm can take it first, with another content. A config's content is
read and compared. A secret's content cannot be read, so its label carries a seal: a keyed hash over the id
that the Swarm gave it, which nobody makes without the key. What is not proven is left alone, and the value
goes under a name of its own.
"""

from __future__ import annotations

import hmac
import secrets as randomness
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from release.deploy.core.fingerprints import FingerprintKey
from release.deploy.core.operations import CommandRequest
from release.deploy.core.place import Place
from release.deploy.core.rollout import RolloutRequest
from release.deploy.targets.swarm import marks, naming
from release.deploy.targets.swarm import spec as specs
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.objects import Stored
from release.deploy.targets.swarm.scaling import PAUSED, is_paused
from release.deploy.targets.swarm.spec import Part, Parts
from release.deploy.targets.swarm.stores import Kind
from release.errors import EngineError, NameTaken
from release.events import Emit, Warned
from release.runspec import RecordedFile, RunSpec
from release.secrets.redact import Redacted
from release.values import Struct

SEAL: Final = "release.seal"
"""The label that proves who made a secret."""


class Kept(Struct, frozen=True, kw_only=True):
    """Secrets and files of a deployment. Every method raises EngineError."""

    swarm: Swarm
    place: Place
    emit: Emit
    key: FingerprintKey | None
    """Key of seals and fingerprints; None if nothing is shared with other deployments."""

    def secret(self, name: str, fingerprint: str, value: Redacted) -> Part:
        """Return the secret with this value. Create it if it is missing."""
        called = naming.secret_name(self.place, name, fingerprint)
        labels = secret_labels(self.place, name, fingerprint)
        return self._part("secrets", called, value, labels)

    def file(self, path: str, file: RecordedFile) -> Part:
        """Return the config with this content. Create it if it is missing."""
        called = naming.file_name(self.place, path, file.sha256)
        return self._part("configs", called, Redacted(file.content), self.place.labels(specs.FILE))

    def _part(self, kind: Kind, name: str, content: Redacted, labels: Mapping[str, str]) -> Part:
        try:
            return self._made(kind, name, content, labels)
        except NameTaken:
            if (own := self._own(kind, name, content, labels)) is not None:
                return own
        other = naming.variant(name, randomness.token_hex(4))
        noun = kind.removesuffix("s")
        self.emit(
            Warned(
                text=f"no deployment is proven to have made the {noun} {name} of the Swarm, so "
                f"{other} is used instead. No action needed."
            )
        )
        return self._made(kind, other, content, labels)

    def _made(self, kind: Kind, name: str, content: Redacted, labels: Mapping[str, str]) -> Part:
        made = self.swarm.store(kind, name, content, labels)
        if kind == "secrets" and self.key is not None:
            self.swarm.relabel(kind, made, {**labels, SEAL: seal(self.key, made, name)})
        return Part(id=made, name=name)

    def _own(self, kind: Kind, name: str, content: Redacted, labels: Mapping[str, str]) -> Part | None:
        """Return the proven object of this name, or of a variant of the name."""
        there = [found for found in (self.swarm.find(kind, name),) if found is not None]
        there += [each for each in self.swarm.stored(kind, labels) if naming.is_variant(each.name, name)]
        mine = (each for each in there if self._is_proven(kind, each, content, labels))
        return next((Part(id=each.id, name=each.name) for each in mine), None)

    def _is_proven(self, kind: Kind, found: Stored, content: Redacted, labels: Mapping[str, str]) -> bool:
        if kind == "configs":
            return hmac.compare_digest(self.swarm.content(found.id).encode(), content.reveal().encode())
        return labels.items() <= found.labels.items() and is_sealed(self.key, found)


def make_parts(swarm: Swarm, order: RolloutRequest | CommandRequest, emit: Emit) -> Parts:
    """Return networks by id, and the secrets and files, which are created if missing.

    All processes of an environment share them. Raises EngineError if a network is gone.
    """
    kept = Kept(swarm=swarm, place=order.place.at(""), emit=emit, key=order.key)
    networks = {name: swarm.network(name) for name in order.spec.networks}
    gone = [name for name, network in networks.items() if network is None]
    if gone:
        raise EngineError(
            f"start a service of {order.place}",
            f"the network {gone[0]} was removed",
            "create it again: docker network create --driver overlay NAME",
        )
    return Parts(
        networks={name: network.id for name, network in networks.items() if network is not None},
        secrets={
            name: kept.secret(name, order.spec.secrets[name], value) for name, value in order.secrets.items()
        },
        files={path: kept.file(path, file) for path, file in (order.spec.files or {}).items()},
    )


def secret_labels(place: Place, name: str, fingerprint: str) -> dict[str, str]:
    """Return the labels of a secret."""
    return place.labels(specs.SECRET) | {specs.SECRET_NAME: name, specs.FINGERPRINT: fingerprint}


def seal(key: FingerprintKey, made: str, name: str) -> str:
    """Return the proof that a holder of the key made the secret of this id under this name."""
    return key.sealed("secret", made, name)


def is_sealed(key: FingerprintKey | None, found: Stored) -> bool:
    """Return whether the seal is of this key. Without a key, nothing is proven."""
    if key is None:
        return True
    return hmac.compare_digest(found.labels.get(SEAL, ""), seal(key, found.id, found.name))


def foreign(
    swarm: Swarm, place: Place, spec: Mapping[str, Any], settings: RunSpec, key: FingerprintKey | None
) -> Iterator[tuple[str, str]]:
    """Yield each secret and file of a service's spec that is not the recorded one.

    Args:
        swarm: Swarm with the objects.
        place: place of the service.
        spec: spec of the service.
        settings: the recorded settings.
        key: key of the seals that can be checked here.

    Raises EngineError.
    """
    place, container = place.at(""), marks.container_of(spec)
    fingerprints = {_path(settings, name): (name, mark) for name, mark in settings.secrets.items()}
    for part in container.get("Secrets") or ():
        name, mark = fingerprints.get(str((part.get("File") or {}).get("Name")), ("", ""))
        if name and (why := _wrong_secret(swarm.find("secrets", part["SecretName"]), place, name, mark, key)):
            yield f"secrets.{name}", f"{part['SecretName']} {why}"
    for part in container.get("Configs") or ():
        path = str((part.get("File") or {}).get("Name"))
        file = (settings.files or {}).get(path)
        if file is not None and swarm.content(part["ConfigID"]) != file.content:
            yield f"files.{path}", f"{part['ConfigName']} does not have the recorded content"


def _path(settings: RunSpec, name: str) -> str:
    return (settings.secret_files or {}).get(name, f"/run/secrets/{name}")


def _wrong_secret(
    found: Stored | None, place: Place, name: str, fingerprint: str, key: FingerprintKey | None
) -> str:
    """Return why a secret is not the recorded one. Older library versions made no seals."""
    if found is None:
        return "is missing"
    if not secret_labels(place, name, fingerprint).items() <= found.labels.items():
        return "lacks the recorded labels, so nothing proves its content"
    is_judged = key is not None and fingerprint.partition(":")[0] == key.name and SEAL in found.labels
    return (
        "has a seal of another key, so nothing proves its content"
        if is_judged and not is_sealed(key, found)
        else ""
    )


def restorable(
    kept: Mapping[str, Any], now_spec: Mapping[str, Any], previous: Mapping[str, Any], name: str
) -> Mapping[str, Any]:
    """Return the spec in a config, if the Swarm also knows it as the service's spec.

    Args:
        kept: the spec in the config.
        now_spec: current spec of the service.
        previous: previous spec, as the Swarm has it; empty if it has none.
        name: name of the service.

    Raises EngineError if it is another spec.
    """
    there = (now_spec, previous) if previous else ()
    known = [marks.mark(each) for each in there]
    known += [str(each["Labels"][PAUSED]) for each in there if is_paused(each)]
    with suppress(AttributeError, TypeError):
        if kept.get("Name") == name and (not known or marks.mark(kept) in known):
            return kept
    raise EngineError(
        f"revert the service {name}",
        "the config with the spec from before contradicts the Swarm",
        "restore the last healthy release: invoke rollback",
    )
