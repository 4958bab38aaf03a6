"""Registries of every kind, for real: TLS and whose certificates count, logins, tokens, deep paths."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from release.errors import RegistryError, RegistryUnreachable
from release.images import trust
from release.images.credentials import VARIABLE
from release.images.engine import Engine
from release.images.registry import Manifest, Registry
from release.programs.cancellation import Cancellation
from release.reference import Digest, Reference, Repository
from tests.engine import lab
from tests.engine.chain.conftest import (
    Make,
    make,  # noqa: F401 - a fixture
)
from tests.engine.chain.test_release import released
from tests.engine.faults.tokens import token_server

LOGIN = lab.Login()


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No login, and no authority but the system's."""
    monkeypatch.setenv("DOCKER_CONFIG", str(lab.docker_config(tmp_path / "nobody")))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", trust.VARIABLE, VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def image(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Digest]:
    """A small image in the engine."""
    name = f"localhost/{lab.unique()}:1"
    folder = tmp_path_factory.mktemp("image")
    yield lab.build(engine, name, dockerfile="FROM scratch\nCOPY Dockerfile /\n", folder=folder)
    engine.untag(Reference.parse(name))


@contextmanager
def pushed(engine: Engine, image: Digest, repository: Repository) -> Iterator[Manifest]:
    """The image in a registry under `sha-1`, and read back."""
    reference = repository.tagged("sha-1")
    engine.tag(image, reference)
    try:
        engine.push(reference, cancellation=Cancellation())
        manifest = Registry(repository).manifest(reference)
        assert manifest is not None
        yield manifest
    finally:
        engine.untag(reference)


@contextmanager
def engine_folder(host: str, certificate: Path) -> Iterator[Path]:
    """The authority where the machine's engine looks for it, for a registry of this test alone."""
    folder = trust.engine_certificate_folder(host)
    folder.mkdir(parents=True)
    shutil.copy(certificate, folder / "ca.crt")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


# --- certificates


def test_the_systems_authorities_are_believed(
    locked_registry: lab.RunningRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of OpenSSL on this machine, as the engine's; not only those that a library brings along."""
    assert locked_registry.certificate is not None
    with pytest.raises(RegistryUnreachable, match="does not trust"):
        Registry(Repository(locked_registry.repository())).ping()
    monkeypatch.setenv("SSL_CERT_FILE", str(locked_registry.certificate.certificate))
    with pytest.raises(RegistryError, match="401"):
        Registry(Repository(locked_registry.repository())).ping()


def test_the_engines_authorities_are_believed(
    locked_registry: lab.RunningRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was put where the engine looks need not be said once more."""
    assert locked_registry.certificate is not None
    monkeypatch.setattr(trust, "ENGINE_FOLDER", tmp_path)
    folder = tmp_path / locked_registry.host
    folder.mkdir()
    (folder / "broken.crt").write_text("no certificate")
    shutil.copy(locked_registry.certificate.certificate, folder / "ca.crt")
    with pytest.raises(RegistryError, match="401"):
        Registry(Repository(locked_registry.repository())).ping()


def test_the_environments_authority_is_believed(
    locked_registry: lab.RunningRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RELEASE_REGISTRY_CA, beside the system's."""
    assert locked_registry.certificate is not None
    monkeypatch.setenv(trust.VARIABLE, str(locked_registry.certificate.certificate))
    with pytest.raises(RegistryError, match="401"):
        Registry(Repository(locked_registry.repository())).ping()


def test_a_whole_release_with_tls_a_given_authority_and_a_helper(
    make: Make,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Off loopback, a repository three levels deep, a login from a credential helper, `registry_ca`.

    Without the engine's own copy of the authority the push says where that has to be; with it, the same
    command releases.
    """
    with (
        lab.own_address() as address,
        lab.running_registry(tmp_path / "registry", login=LOGIN, tls=True, address=address) as registry,
    ):
        assert registry.certificate is not None
        authority = registry.certificate.certificate
        helper = lab.credential_helper(tmp_path / "bin", LOGIN)
        config = lab.docker_config(tmp_path / "docker", credHelpers={registry.host: helper})
        service = make(
            registry=f"{registry.host}/acme/team-1/sub.group",
            registry_ca="ops/ca.pem",
            files={"ops/ca.pem": authority.read_text()},
            environ={
                "DOCKER_CONFIG": str(config),
                "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
            },
        )
        refused = service.nox("release")
        assert refused.status == 1, refused.all
        assert f"registry's certificate authority too: /etc/docker/certs.d/{registry.host}/ca.crt" in (
            " ".join(refused.err.split())
        )
        assert service.records() == []
        with engine_folder(registry.host, authority):
            line = released(service.nox("release"))
        assert line["repository"] == f"{registry.host}/acme/team-1/sub.group/{service.name}"


def test_a_file_without_a_certificate_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is asked."""
    wrong = tmp_path / "wrong.pem"
    for text in (None, "no certificate"):
        if text is not None:
            wrong.write_text(text)
        monkeypatch.setenv(trust.VARIABLE, str(wrong))
        with pytest.raises(Exception, match="read the registry's authority") as caught:
            Registry(Repository("registry.example/acme/api"))
        assert str(wrong) in str(caught.value)


# --- who asks


@pytest.mark.parametrize("way", ["file", "store", "helper", "variable"])
def test_every_way_of_a_login_reaches_a_real_registry(
    way: str,
    engine: Engine,
    image: Digest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """config.json, its credsStore and credHelpers, DOCKER_AUTH_CONFIG: for the engine and for us."""
    with lab.running_registry(tmp_path / "registry", login=LOGIN) as registry:
        helper = lab.credential_helper(tmp_path / "bin", LOGIN)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
        known = {
            "file": lambda: lab.docker_config(tmp_path / "c", (registry.host, LOGIN)),
            "store": lambda: lab.docker_config(tmp_path / "c", credsStore=helper),
            "helper": lambda: lab.docker_config(tmp_path / "c", credHelpers={registry.host: helper}),
            "variable": lambda: lab.docker_config(tmp_path / "c"),
        }[way]()
        monkeypatch.setenv("DOCKER_CONFIG", str(known))
        if way == "variable":
            monkeypatch.setenv(VARIABLE, json.dumps({"auths": {registry.host: {"auth": LOGIN.encoded}}}))
        with pushed(engine, image, Repository(registry.repository())) as manifest:
            assert manifest.digest == image


def test_a_base_image_is_fetched_with_the_logins_of_the_job(
    make: Make,  # noqa: F811
    engine: Engine,
    image: Digest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """BuildKit is lent what DOCKER_AUTH_CONFIG holds; nothing of it stays in the run's folder."""
    with lab.running_registry(tmp_path / "registry", login=LOGIN) as registry:
        monkeypatch.setenv(VARIABLE, json.dumps({"auths": {registry.host: {"auth": LOGIN.encoded}}}))
        base = Repository(registry.repository())
        with pushed(engine, image, base):
            pass
        service = make(files={"Dockerfile": f"FROM {base}:sha-1 AS runtime\n"})
        ran = service.nox("build")
    assert ran.status == 0, ran.all
    kept = [file.read_text() for file in (service.folder / ".release").rglob("*") if file.is_file()]
    assert not any(LOGIN.encoded in text or LOGIN.password in text for text in [*kept, ran.all])


def test_tokens_are_fetched_and_fetched_again_when_they_end(
    engine: Engine, image: Digest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bearer flow of a real registry with a real token server; a 401 after the end gets a new token."""
    with (
        token_server(tmp_path / "tokens", LOGIN, seconds=3) as tokens,
        lab.running_registry(tmp_path / "registry", more=tokens.settings) as registry,
    ):
        monkeypatch.setenv(
            "DOCKER_CONFIG", str(lab.docker_config(tmp_path / "docker", (registry.host, LOGIN)))
        )
        repository = Repository(f"{registry.host}/acme/deep/{lab.unique()}")
        with pushed(engine, image, repository) as manifest:
            client = Registry(repository)
            client.put_manifest(manifest, "1.0.0")
            before = len(tokens.given)
            time.sleep(3.5)
            with client.blob(manifest.layers[0]) as stream:
                assert stream.read()
            client.put_manifest(manifest, "1.1.0")
            client.close()
    assert len(tokens.given) > before
    assert f"repository:{repository.path}:pull,push" in tokens.given


def test_a_wrong_password_at_a_token_server_is_a_refusal(
    engine: Engine, image: Digest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said once, by us and for the engine's upload, with the way to log in; the password is not in it."""
    with (
        token_server(tmp_path / "tokens", LOGIN, seconds=30) as tokens,
        lab.running_registry(tmp_path / "registry", more=tokens.settings) as registry,
    ):
        wrong = lab.Login(password="a guess")
        monkeypatch.setenv(
            "DOCKER_CONFIG", str(lab.docker_config(tmp_path / "docker", (registry.host, wrong)))
        )
        repository = Repository(registry.repository())
        with pytest.raises(RegistryError, match="401") as caught, pushed(engine, image, repository):
            raise AssertionError("it was let in")
    assert caught.value.hint == f"docker login {registry.host}"
    assert "a guess" not in str(caught.value)
