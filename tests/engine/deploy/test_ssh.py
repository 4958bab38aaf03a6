"""An engine behind a real sshd: the test's own, on loopback, with keys of its own."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from release.images.engine import ContainerSpec, Engine
from release.reference import Reference
from tests.engine import lab
from tests.engine.deploy.world import World

SERVER = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
MaxStartups 100
"""
CLIENT = """\
IdentityFile {folder}/own
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile {folder}/known
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
BatchMode yes
"""
PATIENCE_SECONDS = 60


def make_key(path: Path) -> str:
    """A new key; its public half."""
    for old in (path, path.with_suffix(".pub")):
        old.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text()


@dataclass(frozen=True)
class CommandContext:
    """A running sshd, and a folder for PATH whose `ssh` knows it."""

    folder: Path
    port: int
    server: subprocess.Popen[bytes]

    @property
    def host(self) -> str:
        """The engine's address."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    @property
    def path(self) -> str:
        """With the test's `ssh` first."""
        return f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def trust(self, public: str) -> None:
        """Tell the client which host key is the right one."""
        kind, key, *_ = public.split()
        (self.folder / "known").write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")

    def sessions(self) -> list[int]:
        """The server's processes, one for each connection that is open."""
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def drop(self) -> None:
        """Cut every connection that is open, as a network would."""
        for pid in self.sessions():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def await_port(port: int) -> None:
    """Wait until something listens there."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens on {port}"
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def cmd(tmp_path: Path) -> Iterator[CommandContext]:
    """An sshd on a free port of loopback that lets one key in."""
    folder, port = tmp_path / "ssh", lab.free_port()
    (folder / "bin").mkdir(parents=True)
    host = make_key(folder / "host")
    (folder / "authorized").write_text(make_key(folder / "own"))
    (folder / "server").write_text(SERVER.format(folder=folder, port=port))
    (folder / "client").write_text(CLIENT.format(folder=folder))
    program = folder / "bin/ssh"
    program.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {folder}/client "$@"\n')
    program.chmod(0o755)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it separates its privileges (sshd(8), FILES)
    argv = ["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "server")]
    with (folder / "log").open("wb") as log, subprocess.Popen(argv, stderr=log) as server:
        opened = CommandContext(folder=folder, port=port, server=server)
        opened.trust(host)
        try:
            await_port(port)
            yield opened
        finally:
            opened.drop()
            server.terminate()


def test_deploy_and_rollback_go_through_ssh(world: World, cmd: CommandContext) -> None:
    """The record names the address; nothing stays connected."""
    world.configure(host=f'"{cmd.host}"')
    for version in ("0.1.0", "0.2.0"):
        ran = world.invoke("deploy", "--to", version, "--yes", PATH=cmd.path)
        assert ran.status == 0, ran.err
    back = world.invoke("rollback", "--yes", PATH=cmd.path)
    assert back.status == 0, back.err
    assert world.answer()["VERSION"] == "0.1.0"
    shown = world.invoke("history", "--json", PATH=cmd.path).data
    assert {target["name"] for record in shown for target in record.get("targets", ())} == {cmd.host}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while cmd.sessions():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_door_that_does_not_open_is_told_with_the_command_to_try(world: World, cmd: CommandContext) -> None:
    """Another host key, and a key that is not let in: exit status 6, and nothing was changed."""
    world.configure(host=f'"{cmd.host}"')
    right = (cmd.folder / "known").read_text()
    cmd.trust(make_key(cmd.folder / "other"))
    stranger = world.invoke("deploy", "--to", "0.1.0", "--yes", PATH=cmd.path)
    (cmd.folder / "known").write_text(right)
    make_key(cmd.folder / "own")
    locked = world.invoke("deploy", "--to", "0.1.0", "--yes", PATH=cmd.path)
    for refused, said in ((stranger, "Host key verification failed"), (locked, "Permission denied")):
        assert refused.status == 6, refused.err
        assert f"cannot reach the Docker engine at {cmd.host}" in refused.err
        assert "ssh -T -o ConnectTimeout=10" in refused.err
        assert said in refused.err
    assert world.containers() == {}


def test_connections_that_drop_in_the_middle_leave_a_state_that_is_told(
    world: World, cmd: CommandContext
) -> None:
    """While it waits for health: it goes on over a new connection, or puts back what ran before."""
    world.configure(host=f'"{cmd.host}"', watch='"3s"')
    first = world.invoke("deploy", "--to", "0.1.0", "--yes", PATH=cmd.path)
    assert first.status == 0, first.err
    argv = world.argv("deploy", "--to", "0.2.0", "--yes")
    environ = {**os.environ, "PATH": cmd.path}
    with subprocess.Popen(
        argv, cwd=world.root, env=environ, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stderr is not None
        seen = ""
        for line in program.stderr:
            seen += line
            if line.startswith("▸ watch"):
                cmd.drop()
                break
        seen += program.stderr.read()
    assert program.returncode in (0, 3), seen
    assert world.answer()["VERSION"] == ("0.2.0" if program.returncode == 0 else "0.1.0")
    assert world.statuses()[-1] == ("healthy" if program.returncode == 0 else "restored")


MEGABYTES = 5
PRINTS = f"""
import sys
sys.stdout.write("x" * {MEGABYTES * 10**6})
sys.stdout.flush()
print("end", file=sys.stderr)
"""


def test_all_that_a_program_in_a_container_says_comes_through(
    cmd: CommandContext, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Megabytes, to the last byte: an answer without a length ends with its connection."""
    monkeypatch.setenv("PATH", cmd.path)
    base = engine.inspect(Reference.parse(lab.BASE_IMAGE))
    assert base is not None
    container = engine.create(ContainerSpec(image=base.id, command=("sleep", "300"), init=True))
    try:
        engine.start(container)
        with Engine.connect(host=cmd.host) as remote:
            for _ in range(3):
                ran = remote.execute(
                    container, ("python3", "-c", PRINTS), env={}, timeout=60_000, limit=MEGABYTES * 10**6
                )
                assert (ran.status, len(ran.output), ran.errors) == (0, MEGABYTES * 10**6, b"end\n")
                assert not ran.is_cut
    finally:
        engine.remove(container)
