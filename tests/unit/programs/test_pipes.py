"""Talking with programs, and with git, within limits of time and bytes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, run

import pytest

from release.errors import ReleaseError
from release.git import runner as release_git
from release.git.source import Source
from release.programs import pipes


@pytest.fixture
def program() -> Iterator[object]:
    """Start a shell with three pipes."""
    started: list[Popen[bytes]] = []

    def start(script: str) -> Popen[bytes]:
        started.append(
            Popen(["sh", "-c", script], stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True)
        )
        return started[-1]

    yield start
    for each in started:
        with suppress(ProcessLookupError):
            os.killpg(each.pid, signal.SIGKILL)
        for stream in (each.stdin, each.stdout, each.stderr):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        each.wait()


def test_both_outputs_are_read_however_much_is_written(program) -> None:  # type: ignore[no-untyped-def]
    """More than a pipe holds, in both directions."""
    said = b"x" * 1_000_000
    heard = pipes.communicate(program("tee /dev/stderr"), said, seconds=60, most=2_000_000)
    assert heard == (said, said)


def test_a_program_that_does_not_read_its_input_is_heard(program) -> None:  # type: ignore[no-untyped-def]
    """What is left of the input is dropped."""
    assert pipes.communicate(program("echo a"), b"x" * 1_000_000, seconds=60, most=10) == (b"a\n", b"")


def test_an_output_has_an_end(program) -> None:  # type: ignore[no-untyped-def]
    """In bytes, and in time; a check ends it too."""
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        pipes.communicate(program("yes"), b"", seconds=60, most=1000)
    with pytest.raises(TimeoutError, match="no end within"):
        pipes.communicate(program("while echo a; do sleep 0.01; done"), b"", seconds=0.3, most=10**9)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipes.communicate(program("sleep 60"), b"", seconds=60, most=1, check=stop)


def test_a_reader_takes_lines_and_bytes(program) -> None:  # type: ignore[no-untyped-def]
    """Each with an end of its own."""
    far = time.monotonic() + 60
    reader = pipes.Reader(program("printf 'ab\\ncde'; sleep 60").stdout)
    assert reader.line(until=far, most=10) == b"ab"
    assert reader.exactly(2, until=far) == b"cd"
    with pytest.raises(TimeoutError):
        reader.exactly(2, until=time.monotonic() + 0.1)
    reader.close()
    with pytest.raises(ValueError, match="longer than"):
        pipes.Reader(program("yes | tr -d '\\n'").stdout).line(until=far, most=1000)
    with pytest.raises(ValueError, match="ended early"):
        pipes.Reader(program("printf a").stdout).line(until=far, most=1000)


# --- git


def git(folder: Path, *words: str) -> str:
    """One command of git, with an identity of its own."""
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = run(["git", *who, *words], cwd=folder, check=True, stdout=PIPE, stderr=DEVNULL)
    return done.stdout.decode().strip()


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    """A clone without blobs, whose server took the request and stays silent."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "-q")
    (origin / "a").write_text("content\n")
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "a")
    git(origin, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", origin.as_uri(), str(clone))
    silent = tmp_path / "silent"
    silent.write_text(f"#!/bin/sh\necho $$ >>{tmp_path}/pids\nexec sleep 600\n")
    silent.chmod(0o755)
    git(clone, "config", "remote.origin.uploadpack", str(silent))
    return clone


@pytest.mark.attack(
    "A partial clone needs an object, and its server takes the request and stays silent",
    "Each object and each command of git has a total time; then git is killed with its children",
)
def test_a_silent_server_of_a_partial_clone_is_given_up(
    partial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For one object, for a command; and the next question is answered."""
    monkeypatch.setattr(release_git, "OBJECT_SECONDS", 0.5)
    monkeypatch.setattr(release_git, "LOCAL_SECONDS", 0.5)
    with closing(Source.open(partial)) as source:
        with pytest.raises(ReleaseError, match="no answer within"):
            source.git.object("HEAD:a")
        answer = source.git.run("show", "HEAD:a")
        assert (answer.status != 0, "no answer within 0.5 s" in answer.words) == (True, True)
        monkeypatch.setattr(release_git, "OBJECT_SECONDS", 60.0)
        assert source.git.object("HEAD") is not None
    for pid in (partial.parent / "pids").read_text().split():
        assert is_gone(int(pid))


def is_gone(pid: int) -> bool:
    """Whether the program ends within some seconds."""
    for _ in range(500):
        try:
            os.kill(pid, 0)
            if ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.attack(
    "A commit has an object of gigabytes at the path of a small text",
    "An object is refused by the size in its header, before it is read",
)
def test_a_large_object_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next question is answered."""
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_bytes(b"x" * 2000)
    (tmp_path / "b").write_bytes(b"y")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "a")
    monkeypatch.setattr(release_git, "LARGEST_OBJECT", 1000)
    with closing(Source.open(tmp_path)) as source:
        with pytest.raises(ReleaseError, match="has 2000 bytes; the limit is 1000"):
            source.git.object("HEAD:a")
        assert source.git.object("HEAD:b") == ("blob", b"y")
        answer = source.git.run("show", "HEAD:a", most=100)
        assert answer.status != 0
        assert "more than 100 bytes" in answer.words
