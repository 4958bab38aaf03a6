"""The ways to an engine: sockets, contexts, TCP with TLS, ssh."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from release.errors import Cancelled, EngineUnreachable, UsageError
from release.images.engine import ContainerSpec, Engine
from release.programs.cancellation import Cancellation
from release.programs.environment import ENGINE
from release.programs.process import Command, run
from release.reference import Reference
from release.values import replace
from tests.engine import lab

pytestmark = pytest.mark.xdist_group("graph")


@pytest.fixture(autouse=True)
def docker_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No settings of the machine's user: an empty DOCKER_CONFIG and no DOCKER_ variables."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    config = lab.docker_config(tmp_path / "docker")
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    return config


def make_context(name: str, endpoint: str) -> None:
    run(Command(inherits=ENGINE, argv=("docker", "context", "create", name, "--docker", endpoint)))


def id_of(engine: Engine) -> str:
    """What the `docker` command says of the engine that it reaches with our variables."""
    words = ("docker", "info", "--format", "{{.ID}}")
    return run(Command(inherits=ENGINE, argv=words, env=engine.command_environment())).output.strip()


@pytest.fixture
def second(graph_engine: Engine) -> str:
    """The second engine's own id."""
    return id_of(graph_engine)


def assert_reaches(engine: Engine, wanted: str) -> None:
    """We, and the command line with our variables, talk to the engine of this id."""
    with engine:
        assert engine.info.image_store == "graph"
        assert id_of(engine) == wanted


def test_an_address_is_used(graph_engine: Engine, second: str) -> None:
    """host= names a socket."""
    assert_reaches(Engine.connect(host=graph_engine.host), second)


def test_docker_host_is_used(graph_engine: Engine, second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCKER_HOST wins over DOCKER_CONTEXT, as for `docker`."""
    monkeypatch.setenv("DOCKER_HOST", graph_engine.host)
    monkeypatch.setenv("DOCKER_CONTEXT", "no-such-context")
    assert_reaches(Engine.connect(), second)


def test_a_context_is_used(graph_engine: Engine, second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, by DOCKER_CONTEXT, and as the current one of the command line."""
    make_context("prod", f"host={graph_engine.host}")
    assert_reaches(Engine.connect(context="prod"), second)
    monkeypatch.setenv("DOCKER_CONTEXT", "prod")
    assert_reaches(Engine.connect(), second)
    monkeypatch.delenv("DOCKER_CONTEXT")
    run(Command(inherits=ENGINE, argv=("docker", "context", "use", "prod")))
    assert_reaches(Engine.connect(), second)


def test_the_command_line_is_led_back_from_another_context(graph_engine: Engine, engine: Engine) -> None:
    """Our variables win over a current context that leads elsewhere."""
    make_context("prod", f"host={graph_engine.host}")
    run(Command(inherits=ENGINE, argv=("docker", "context", "use", "prod")))
    assert id_of(engine) != id_of(graph_engine)


def test_a_context_that_does_not_exist_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever its name comes from."""
    with pytest.raises(UsageError, match="'nope'"):
        Engine.connect(context="nope")
    monkeypatch.setenv("DOCKER_CONTEXT", "nope")
    with pytest.raises(UsageError, match="from DOCKER_CONTEXT"):
        Engine.connect()


def test_a_damaged_context_is_a_usage_error(docker_settings: Path) -> None:
    """Its file is not JSON."""
    make_context("prod", "host=unix:///tmp/x.sock")
    [meta] = docker_settings.rglob("meta.json")
    meta.write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        Engine.connect(context="prod")


def test_tls_is_used(graph_engine: Engine, second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """tcp:// with the certificates of DOCKER_CERT_PATH, for us and for the command line."""
    secure = lab.secure_address(graph_engine)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(secure.certificates))
    assert_reaches(Engine.connect(host=secure.host), second)


def test_a_context_with_certificates_is_used(graph_engine: Engine, second: str) -> None:
    """The certificates are those that the context holds."""
    secure = lab.secure_address(graph_engine)
    files = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    endpoint = [f"{key}={secure.certificates / name}" for key, name in files.items()]
    make_context("prod", ",".join([f"host={secure.host}", *endpoint]))
    assert_reaches(Engine.connect(context="prod"), second)


def test_an_engine_that_asks_for_certificates_is_not_reached_without(graph_engine: Engine) -> None:
    """Plain TCP to a TLS port is EngineUnreachable or an engine's refusal, with the address."""
    secure = lab.secure_address(graph_engine)
    with pytest.raises(EngineUnreachable, match=secure.host):
        Engine.connect(host=secure.host)


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The machine's engine, reached through a program named ssh."""
    monkeypatch.setenv("PATH", f"{lab.fake_ssh(tmp_path / 'bin')}{os.pathsep}{os.environ['PATH']}")
    with Engine.connect(host="ssh://deploy@production.example:2222") as engine:
        yield engine


def test_ssh_is_used(remote: Engine, engine: Engine) -> None:
    """ssh:// reaches the engine on the other side, for us and for the command line."""
    assert replace(remote.info, ahead_ms=0) == replace(engine.info, ahead_ms=0)
    assert remote.host == "ssh://deploy@production.example:2222"
    assert id_of(remote) == id_of(engine)


def test_waiting_over_ssh_ends_in_time(remote: Engine, labels: Mapping[str, str]) -> None:
    """A deadline and a cancellation end a wait over ssh too, and no program or socket stays behind."""
    base = remote.inspect(Reference.parse(lab.BASE_IMAGE))
    assert base is not None
    container = remote.create(ContainerSpec(image=base.id, command=("sleep", "60"), labels=labels))
    remote.start(container)
    with pytest.raises(TimeoutError):
        remote.wait(container, timeout=300, cancellation=Cancellation())
    cancellation = Cancellation()
    timer = threading.Timer(0.3, cancellation.request, ["lint failed"])
    timer.start()
    before = time.monotonic()
    with pytest.raises(Cancelled):
        remote.wait(container, timeout=30_000, cancellation=cancellation)
    assert time.monotonic() - before < 20
    timer.join()
    remote.remove(container)
    remote.close()
    gc.collect()  # what was left open would warn here
    assert children() == []


def test_a_program_runs_in_a_container_over_ssh(remote: Engine, labels: Mapping[str, str]) -> None:
    """Its output, its errors and its status come back."""
    base = remote.inspect(Reference.parse(lab.BASE_IMAGE))
    assert base is not None
    container = remote.create(ContainerSpec(image=base.id, command=("sleep", "60"), labels=labels))
    remote.start(container)
    script = 'printf "%s" "$WORD"; head -c 30000 /dev/zero; echo trouble >&2; exit 3'
    ended = remote.execute(container, ["sh", "-c", script], env={"WORD": "$hello"}, timeout=30_000)
    assert (ended.status, ended.errors) == (3, b"trouble\n")
    assert ended.output == b"$hello" + bytes(30_000)
    remote.remove(container)


def children() -> list[str]:
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [line for pid in listed if "dial-stdio" in (line := Path(f"/proc/{pid}/cmdline").read_text())]


def test_an_ssh_that_fails_says_which_command_to_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is not reachable: EngineUnreachable with the very command."""
    program = lab.fake_ssh(tmp_path / "bin") / "ssh"
    program.write_text("#!/bin/sh\nexit 255\n")
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(EngineUnreachable, match="ssh://deploy@gone") as caught:
        Engine.connect(host="ssh://deploy@gone.example")
    assert "ssh -T" in caught.value.hint
    assert "-l deploy" in caught.value.hint


def test_buildx_builds_on_the_engine_that_we_talk_to(graph_engine: Engine, tmp_path: Path) -> None:
    """A build with our variables lands in that engine's store and in no other."""
    reference = Reference.parse(f"{lab.unique()}:1")
    lab.build(graph_engine, str(reference), dockerfile="FROM scratch\nLABEL a=b\n", folder=tmp_path / "image")
    with Engine.connect() as first:
        assert first.inspect(reference) is None
    graph_engine.untag(reference)


def test_damaged_settings_of_docker_do_not_hinder(docker_settings: Path) -> None:
    """A config.json that is no JSON names no context and no login; the engine is reached all the same."""
    (docker_settings / "config.json").write_text("{")
    Engine.connect().close()
