"""Gates that a check passed count for a release of the same tree elsewhere, if a trusted key signed that."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.service import Service

TRAVELLING = {"lock", "lint", "test", "smoke", "installed"}
SETTINGS = {
    "reuse": {"trusted_signers": "signers"},
    "ledger": {"remote": "origin"},
    "installed": {"check": "fail"},
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the ssh keys of a CI job and of a stranger."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ci", "eve"):
        words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name))
        subprocess.run(words, check=True)
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Engine]:
    """The engine of another machine, that has built nothing."""
    lab.small_image()
    folder = tmp_path_factory.mktemp("other")
    with lab.cold_engine(folder) as second:
        lab.copy_image(lab.SMALL_IMAGE, source=engine, target=second)
        yield second
    lab.remove_folder(folder)


def signing(service: Service, key: Path) -> None:
    """Let git sign with this key, as in the job of a pull request."""
    for name, value in {"gpg.format": "ssh", "user.signingKey": str(key)}.items():
        service.git("config", name, value)


def trusting(make: Make, keys: Path, registry: str, remote: Path) -> Service:
    """A service that trusts the key of CI."""
    signers = f"ci@example.org {(keys / 'ci.pub').read_text()}"
    place = f"{registry}/{lab.unique()}"
    return make(files={"signers": signers}, remote=remote, registry=place, **SETTINGS)


def pull_request(service: Service) -> None:
    """A branch with one change, as it is pushed for review."""
    service.git("checkout", "--quiet", "-b", "topic")
    service.commit("feat: more", {"app.py": (service.folder / "app.py").read_text() + "\n"})


def merged(service: Service, folder: Path) -> Service:
    """A clone of main after the merge of the branch: the same tree in another commit."""
    service.git("checkout", "--quiet", "main")
    service.git("merge", "--quiet", "--no-ff", "--message", "Merge the topic", "topic")
    service.git("push", "--quiet", "origin", "main")
    return service.clone(folder)


def test_a_merge_without_conflict_uses_the_gates_of_its_check(
    make: Make, keys: Path, registry: str, bare_remote: Path, other: Engine, tmp_path: Path
) -> None:
    """On another machine; the record names the run that passed them, and the key that vouched for it."""
    service = trusting(make, keys, registry, bare_remote)
    pull_request(service)
    signing(service, keys / "ci")
    ran = service.nox("check", CI="true")
    assert ran.status == 0, ran.all
    assert "can use the result of this check" in ran.err
    clone = merged(service, tmp_path / "clone")
    ran = clone.nox("release", CI="true", **other.command_environment())
    assert ran.status == 0, ran.all
    (record,) = clone.records()
    signed = {gate["name"] for gate in record["gates"] if gate.get("signed_by", "").startswith("SHA256:")}
    assert signed == TRAVELLING, ran.all
    assert {gate["name"] for gate in record["gates"]} - signed == {"build", "push"}
    assert record["source"]["commit"] == clone.git("rev-parse", "HEAD")


def test_a_fork_leaves_nothing_and_the_release_runs_its_gates(
    make: Make, keys: Path, registry: str, bare_remote: Path, tmp_path: Path
) -> None:
    """Without a key nothing is written; with a key of its own neither."""
    service = trusting(make, keys, registry, bare_remote)
    pull_request(service)
    ran = service.nox("check")
    assert ran.status == 0, ran.all
    assert "git has no key to sign it" in ran.err
    signing(service, keys / "eve")
    ran = service.nox("check", "--", "--no-reuse")
    assert ran.status == 0, ran.all
    assert "stays on this machine: the signing key" in ran.err
    clone = merged(service, tmp_path / "clone")
    ran = clone.nox("release")
    assert ran.status == 0, ran.all
    (record,) = clone.records()
    assert not [gate for gate in record["gates"] if "signed_by" in gate]
