"""Runner of git commands: each in a session of its own, without a terminal.

So git cannot ask a question and hang. Its messages are untranslated, and only shown, never parsed.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from typing import IO, Final

from release.errors import ReleaseError, SourceError
from release.git import remote_passwords
from release.git.git_environment import git_environment
from release.programs import pipes
from release.text.shortening import shortened
from release.values import Struct

ANSWER_SECONDS: Final = 20.0
"""Limit for the answer of a git server."""

FETCH_SECONDS: Final = 900.0
"""Limit for the history from a git server."""

LOCAL_SECONDS: Final = 600.0
"""Limit for a command that asks no server; in a partial clone it may ask one nevertheless."""

OBJECT_SECONDS: Final = 60.0
"""Limit for one object; in a partial clone it may come from a server."""

LARGEST_OBJECT: Final = 64 * 1024 * 1024
"""Bytes of an object that is read whole."""

LARGEST_OUTPUT: Final = 128 * 1024 * 1024
"""Bytes of each output of a command that is read whole."""

_LINE: Final = 500
"""Characters of a line of git's that an error carries."""
_LONGEST_HEADER: Final = 8 * 1024
_END_SECONDS: Final = 1.0
"""Limit for the end of a command that took too long."""

_SSH: Final = "ssh -oBatchMode=yes -oConnectTimeout=10"
"""Asks nothing and gives up soon."""


class Answer(Struct, frozen=True, kw_only=True):
    """Result of a git command: exit status (negative: ended by that signal) and both outputs."""

    status: int
    out: bytes
    errors: str

    @property
    def text(self) -> str:
        """Return standard output as text without the last newline."""
        return self.out.decode("utf-8", "replace").rstrip("\n")

    @property
    def records(self) -> list[str]:
        """Return the pieces of a -z listing, as paths of this system."""
        return [os.fsdecode(piece) for piece in self.out.split(b"\0") if piece]

    @property
    def words(self) -> str:
        """Return the first lines of git's error output, or its exit status, for messages."""
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        said = "; ".join(shortened(line, _LINE) for line in lines[:2])
        return said or f"git ended with status {self.status}"


class Git:
    """Runner of git commands in one repository, without the GIT_* variables of a hook."""

    def __init__(self, *, root: Path, git_dir: Path, common_dir: Path) -> None:
        """Start nothing yet. Raises SourceError when git is not installed."""
        try:
            import git
        except ImportError as error:  # GitPython looks for the program when it is imported
            raise SourceError(
                "run git",
                "it is not installed",
                "install git 2.31 or later, or add its folder to PATH",
            ) from error
        self.root = root
        self._git = git.Git(str(root))
        self._git.update_environment(**git_environment(root, git_dir, common_dir))
        if not self._chooses_ssh():
            self._git.update_environment(GIT_SSH_COMMAND=_SSH)
        self.promisor: str | None = None
        """Remote that git asks for an object which a partial clone lacks."""
        self._objects: Popen[bytes] | None = None
        self._end: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    def _chooses_ssh(self) -> bool:
        """Return whether an ssh command is configured, which must not be replaced."""
        named = "GIT_SSH_COMMAND" in os.environ or "GIT_SSH" in os.environ
        return named or self.run("config", "core.sshCommand").status == 0

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        most: int = LARGEST_OUTPUT,
    ) -> Answer:
        """Run a git command to its end and return the result.

        Args:
            arguments: words after `git`.
            stdin: standard input of the command.
            env: additional environment.
            timeout: seconds, after which git and its children are ended; None: `LOCAL_SECONDS`.
            most: bytes of output, after which git is ended too.
        """
        seconds = LOCAL_SECONDS if timeout is None else timeout
        with self.running(*arguments, env=env) as process:
            try:
                out, errors = pipes.communicate(process, stdin, seconds=seconds, most=most)
                process.wait(seconds)
                status = process.returncode
            except (TimeoutError, TimeoutExpired):
                status, out, errors = _stopped(process), b"", f"no answer within {seconds:.3g} s".encode()
            except ValueError as error:
                status, out, errors = _stopped(process), b"", str(error).encode()
        said = remote_passwords.mask_logins(errors.decode("utf-8", "replace"))
        return Answer(status=status, out=out, errors=said)

    @contextmanager
    def running(self, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Popen[bytes]]:
        """Yield a running git command with pipes; an error in the block kills the command."""
        process = self._started(*arguments, env=env)
        try:
            yield process
        except BaseException:
            _kill(process)
            raise
        finally:
            _close(process)

    @contextmanager
    def streaming(self, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[pipes.Stream]:
        """Yield a git command whose output is read while it runs; it is stopped at the end of the block."""
        with self.running(*arguments, env=env) as process:
            stream = pipes.Stream(process)
            end = threading.Timer(FETCH_SECONDS, _kill, [process])
            end.daemon = True
            end.start()
            try:
                yield stream
            finally:
                end.cancel()
                _kill(process)
                stream.join()

    def _started(self, *arguments: str, env: Mapping[str, str] | None = None) -> Popen[bytes]:
        words = remote_passwords.strip_logins(arguments)
        handle = self._git.execute(
            ["git", *words],
            istream=PIPE,
            as_process=True,
            env={**self._logins(arguments), **(env or {})},
            start_new_session=True,
        )
        # the handle would end the process at a moment of its own choice
        process, handle.proc = handle.proc, None
        assert process is not None  # noqa: S101 - a process that could not start has raised
        return process

    def _logins(self, arguments: Sequence[str]) -> dict[str, str]:
        """Return variables with which git logs in to the remotes and addresses of a command."""
        if remote_passwords.NETWORK.isdisjoint(arguments):
            return {}
        configured = self.run("config", "--get-regexp", r"^(remote|url)\.").text
        if not any(map(remote_passwords.contains_password, (configured, *arguments))):
            return {}
        options = ("--push",) if "push" in arguments else ()
        pairs = [(word, word) for word in arguments]
        for name in sorted(set(arguments) & _remotes(configured)):
            given = self.run("config", "--get-all", f"remote.{name}.url").text.splitlines()
            given += self.run("config", "--get-all", f"remote.{name}.pushurl").text.splitlines()
            for address in self.run("remote", "get-url", "--all", *options, "--", name).text.splitlines():
                pairs += [(each, address) for each in given]
        return remote_passwords.login_environment(pairs, os.environ)

    def object(self, oid: str) -> tuple[str, bytes] | None:
        """Return type and content of an object by its id or an expression as `HEAD:path`; None if missing.

        Raises:
            ReleaseError: git cannot read it, because it is damaged; it is larger than `LARGEST_OBJECT`; its
                server is silent.
        """
        if not oid or "\n" in oid:
            raise ValueError(f"no object has the id {oid!r}")
        with self._lock:
            try:
                return self._ask(oid)
            except TimeoutError as error:
                self._end_reader()
                raise ReleaseError(
                    f"read the git object {oid}",
                    f"git gave no answer within {OBJECT_SECONDS:g} s",
                    "check that the remote of a partial clone answers, then run `git fetch --refetch`",
                ) from error
            except (OSError, ValueError) as error:
                words = self._end_reader() or str(error)
                raise ReleaseError(
                    f"read the git object {oid}", words, "check the repository: git fsck --full"
                ) from error
            except BaseException:
                self._end_reader()  # stopped in the middle of an answer: the next one needs a new reader
                raise

    def _ask(self, oid: str) -> tuple[str, bytes] | None:
        stdin, answer = self._reader()
        until = time.monotonic() + OBJECT_SECONDS
        stdin.write(f"{oid}\n".encode())
        stdin.flush()
        header = answer.line(until=until, most=_LONGEST_HEADER)
        words = header[len(oid) :].split()
        if header.startswith(oid.encode()) and words in ([b"missing"], [b"ambiguous"]):
            return None
        _, kind, size = header.split()
        if int(size) > LARGEST_OBJECT:
            self._end_reader()
            found = f"it has {int(size)} bytes; the limit is {LARGEST_OBJECT}"
            raise ReleaseError(f"read the git object {oid}", found, f"show it: git cat-file -p {oid} | less")
        content = answer.exactly(int(size) + 1, until=until)
        return kind.decode(), content[:-1]

    def _reader(self) -> tuple[IO[bytes], pipes.Reader]:
        """Return the process `git cat-file --batch` that reads all objects; start it for the first read."""
        if self._objects is None:
            logins = self._logins(("fetch", self.promisor)) if self.promisor is not None else None
            self._objects = self._started("cat-file", "--batch", env=logins)
            assert self._objects.stdout is not None  # noqa: S101 - it was opened as a pipe
            self._answers = pipes.Reader(self._objects.stdout)
            self._end = weakref.finalize(self, _stop, self._objects)
        process = self._objects
        assert process is not None and process.stdin is not None  # noqa: S101, PT018
        return process.stdin, self._answers

    def _end_reader(self) -> str:
        """Stop the reading process and return its last error text."""
        process, self._objects = self._objects, None
        if process is None:
            return ""
        _kill(process)
        self._answers.close()
        words = process.stderr.read().decode("utf-8", "replace").strip() if process.stderr is not None else ""
        self._end()
        return words

    def close(self) -> None:
        """Stop the git process that reads objects; the next read starts another one."""
        with self._lock:
            self._end_reader()


def _remotes(configured: str) -> set[str]:
    """Return the names of remotes in the output of `git config --get-regexp`."""
    keys = (line.partition(" ")[0] for line in configured.splitlines())
    return {key.removeprefix("remote.").rpartition(".")[0] for key in keys if key.startswith("remote.")}


def _stopped(process: Popen[bytes]) -> int:
    """Ask git to end, which removes its lock files, then kill the rest. Return a status other than 0."""
    _kill(process, signal.SIGTERM)
    with suppress(TimeoutExpired):
        process.wait(_END_SECONDS)
    _kill(process)
    return process.wait() or -signal.SIGKILL


def _kill(process: Popen[bytes], with_signal: signal.Signals = signal.SIGKILL) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, with_signal)


def _stop(process: Popen[bytes]) -> None:
    _kill(process)
    _close(process)


def _close(process: Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    process.wait()
