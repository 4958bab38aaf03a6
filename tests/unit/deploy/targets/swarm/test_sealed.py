"""Secrets and configs under our names are ours where something proves it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from release.deploy.core.fingerprints import FingerprintKey
from release.deploy.targets.swarm import naming
from release.deploy.targets.swarm import spec as specs
from release.deploy.targets.swarm.drift import spec_drift
from release.deploy.targets.swarm.sealed import SEAL, Kept, foreign, is_sealed, restorable, secret_labels
from release.deploy.targets.swarm.spec import Part, Parts, service_spec
from release.errors import EngineError
from release.events import Event, Warned
from release.runspec import RecordedFile, RunSpec
from release.secrets.redact import Redacted
from tests.unit.deploy.targets.swarm.fakes import PLACE, FakeSwarm, order, real

KEY, OTHER = FingerprintKey(Redacted("ours")), FingerprintKey(Redacted("theirs"))
VALUE = Redacted("the password")
MARK = KEY.fingerprint("TOKEN", VALUE)
NAME = naming.secret_name(PLACE, "TOKEN", MARK)
FILE = RecordedFile(content="a = 1", sha256=hashlib.sha256(b"a = 1").hexdigest(), mode=0o444)
PATH = "/etc/api.toml"


def kept(fake: FakeSwarm, said: list[Event] | None = None, key: FingerprintKey | None = KEY) -> Kept:
    return Kept(swarm=real(fake), place=PLACE, emit=(said if said is not None else []).append, key=key)


def test_a_value_and_a_content_are_kept_once() -> None:
    """Under the name that tells them."""
    fake, said = FakeSwarm(), list[Event]()
    first = kept(fake, said).secret("TOKEN", MARK, VALUE), kept(fake, said).file(PATH, FILE)
    again = kept(fake, said).secret("TOKEN", MARK, VALUE), kept(fake, said).file(PATH, FILE)
    assert first == again
    assert list(fake.kept) == [NAME, naming.file_name(PLACE, PATH, FILE.sha256)]
    assert said == []


@pytest.mark.attack(
    "a secret of the Swarm has the name and all labels of ours, and another content",
    "the seal covers the id that the Swarm gave: the value gets another name, theirs is not changed",
)
@pytest.mark.parametrize("labels", ["none", "copied", "of another key"])
def test_a_secret_that_is_not_sealed_by_us_is_not_used(labels: str) -> None:
    """The value goes under a name that stands for it, once, and that is said."""
    fake, said = FakeSwarm(), list[Event]()
    about = {} if labels == "none" else secret_labels(PLACE, "TOKEN", MARK)
    about |= {SEAL: KEY.sealed("secret", "another-id", NAME)} if labels == "copied" else {}
    about |= {SEAL: OTHER.sealed("secret", f"id-{NAME}", NAME)} if labels == "of another key" else {}
    fake.store("secrets", NAME, Redacted("theirs"), about)
    used = kept(fake, said).secret("TOKEN", MARK, VALUE)
    assert used.name != NAME
    assert naming.is_variant(used.name, NAME)
    assert fake.kept[used.name][1] == "the password"
    assert fake.kept[NAME] == ("secrets", "theirs", about)
    assert [type(event) for event in said] == [Warned]
    assert kept(fake, said).secret("TOKEN", MARK, VALUE) == used


@pytest.mark.attack(
    "a config of the Swarm has the name and the labels of a file of ours, and another content",
    "the content is read and compared: the file gets another name, theirs is not changed",
)
def test_a_config_with_another_content_is_not_used() -> None:
    """One with this very content is, whoever made it: a content never changes."""
    fake, name = FakeSwarm(), naming.file_name(PLACE, PATH, FILE.sha256)
    fake.store("configs", name, Redacted("a = 666"), PLACE.labels(specs.FILE))
    used = kept(fake).file(PATH, FILE)
    assert naming.is_variant(used.name, name)
    assert kept(fake).file(PATH, FILE) == used
    same = FakeSwarm()
    same.store("configs", name, Redacted("a = 1"), {})
    assert kept(same).file(PATH, FILE) == Part(id=f"id-{name}", name=name)


def test_a_name_that_stands_for_another_is_no_drift() -> None:
    """It has the recorded value; any other name is."""
    spec = order(secrets={"TOKEN": MARK})
    other = naming.variant(NAME, "0123abcd")
    assert len(other) <= 64
    wanted, found, strange = (
        service_spec(spec, Parts(secrets={"TOKEN": Part(id="id", name=name)}))
        for name in (NAME, other, "another")
    )
    assert [name for name, _ in spec_drift(found, wanted, {})] == []
    assert [name for name, _ in spec_drift(strange, wanted, {})] == ["secrets./run/secrets/TOKEN"]


def used(fake: FakeSwarm, name: str = NAME) -> dict[str, Any]:
    """The spec of a service with this secret and with the file."""
    settings = order(secrets={"TOKEN": MARK}, files={PATH: FILE})
    file = naming.file_name(PLACE, PATH, FILE.sha256)
    parts = Parts(
        secrets={"TOKEN": Part(id=f"id-{name}", name=name)}, files={PATH: Part(id=f"id-{file}", name=file)}
    )
    return service_spec(settings, parts)


def told(fake: FakeSwarm, key: FingerprintKey | None = KEY) -> list[str]:
    settings = RunSpec(secrets={"TOKEN": MARK}, files={PATH: FILE})
    return [f"{name} {text}" for name, text in foreign(real(fake), PLACE, used(fake), settings, key)]


def test_drift_tells_secrets_and_files_that_are_not_the_recorded_ones() -> None:
    """By labels, by the seal where this clone has its key, and by a file's content."""
    fake = FakeSwarm()
    kept(fake).secret("TOKEN", MARK, VALUE)
    kept(fake).file(PATH, FILE)
    assert told(fake) == []
    assert told(fake, None) == []
    fake.relabel("secrets", f"id-{NAME}", secret_labels(PLACE, "TOKEN", MARK) | {SEAL: "0" * 32})
    name = naming.file_name(PLACE, PATH, FILE.sha256)
    fake.kept[name] = ("configs", "a = 666", {})
    assert [line.partition(" ")[0] for line in told(fake)] == ["secrets.TOKEN", f"files.{PATH}"]
    assert told(fake, OTHER) == told(fake)[1:]
    fake.relabel("secrets", f"id-{NAME}", {})
    assert "lacks the recorded labels" in told(fake, OTHER)[0]


def test_a_secret_without_a_seal_is_of_an_older_version_and_no_drift() -> None:
    """But it is not used again."""
    fake = FakeSwarm()
    kept(fake, key=None).secret("TOKEN", MARK, VALUE)
    kept(fake).file(PATH, FILE)
    assert told(fake) == []
    found = real(fake).find("secrets", NAME)
    assert found is not None
    assert not is_sealed(KEY, found)


@pytest.mark.attack(
    "a config of the Swarm that should keep the spec from before a deployment holds another one",
    "a revert submits only a spec that the Swarm itself knows as the service's",
)
def test_only_a_spec_that_the_service_had_is_put_back() -> None:
    """What it is now, or what it was before its last update."""
    now, before = used(FakeSwarm()), used(FakeSwarm(), "another")
    mounted = json.loads(json.dumps(before))
    mounted["TaskTemplate"]["ContainerSpec"]["Mounts"] = [{"Type": "bind", "Source": "/", "Target": "/host"}]
    for known in (now, before):
        assert restorable(known, now, before, "api-production") == known
    for other in (mounted, {**before, "Name": "other"}, {}, {"Name": "api-production", "TaskTemplate": 7}):
        with pytest.raises(EngineError, match="contradicts the Swarm"):
            restorable(other, now, before, "api-production")
