"""The one door to git: each command in a session of its own, without a terminal.

So nothing can ask a question and hang. Messages are git's untranslated ones, and only shown, never matched.
"""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from typing import IO, Final

from release import unshown
from release.errors import ReleaseError, SourceError
from release.frozen import Struct

ANSWER_SECONDS: Final = 20.0
"""How long a git server may take to say what it has."""

FETCH_SECONDS: Final = 900.0
"""How long a git server may take to send history."""

_END_SECONDS: Final = 1.0
"""How long a command that took too long may take to end."""

_SSH: Final = "ssh -oBatchMode=yes -oConnectTimeout=10"
"""Asks nothing and gives up soon."""

_NO_GRAFTS: Final = f"{os.devnull}/grafts"
"""A path that cannot exist: `.git/info/grafts` would show another history than the commits have."""

_EMPTY_WHERE_SET: Final = ("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX")


class Answer(Struct, frozen=True, kw_only=True):
    """What a git command gave: its exit status (negative: killed by that signal) and its two outputs."""

    status: int
    out: bytes
    errors: str

    @property
    def text(self) -> str:
        """Standard output as text, without the last newline."""
        return self.out.decode("utf-8", "replace").rstrip("\n")

    @property
    def words(self) -> str:
        """The first things git said, for people; advice follows after them."""
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        return "; ".join(lines[:2]) or f"git ended with status {self.status}"


class Stream(threading.Thread):
    """A git command's output as it comes; beside it, what git complains of is read, which would block it."""

    def __init__(self, process: Popen[bytes]) -> None:
        """Begin to read beside it."""
        super().__init__(daemon=True)
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - they are pipes
        assert process.stderr is not None  # noqa: S101 - as these
        process.stdin.close()
        self.out: IO[bytes] = process.stdout
        self._process = process
        self._complaints: IO[bytes] = process.stderr
        self._line = b""
        self.start()

    def run(self) -> None:
        """Keep the last line of the complaints."""
        for line in self._complaints:
            self._line = line

    def end(self) -> tuple[int, str]:
        """Wait for the command's end. Returns its exit status and its last complaint, in git's words."""
        status = self._process.wait()
        self.join()
        said = unshown.masked(self._line.decode("utf-8", "replace"))
        return status, said.strip() or "git gave no reason"


class Plumbing:
    """Git commands in one repository, whatever GIT_* variables a hook has set."""

    def __init__(self, *, root: Path, git_dir: Path, common_dir: Path) -> None:
        """Start nothing yet. Raises SourceError when git is not installed."""
        try:
            import git
        except ImportError as error:  # GitPython looks for the program when it is imported
            raise SourceError(
                "run git",
                "it is not installed",
                "install git 2.31 or later, or add the folder where it is to PATH",
            ) from error
        self.root = root
        self._git = git.Git(str(root))
        self._git.update_environment(**_environment(root, git_dir, common_dir))
        if not self._chooses_ssh():
            self._git.update_environment(GIT_SSH_COMMAND=_SSH)
        self._objects: Popen[bytes] | None = None
        self._end: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    def _chooses_ssh(self) -> bool:
        """Whether the team has its own ssh command, which is left as it is."""
        named = "GIT_SSH_COMMAND" in os.environ or "GIT_SSH" in os.environ
        return named or self.run("config", "core.sshCommand").status == 0

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Run one command to its end.

        Args:
            arguments: the words after `git`.
            stdin: its standard input.
            env: additional environment.
            timeout: seconds, after which it is ended with its children.
        """
        with self.running(*arguments, env=env) as process:
            try:
                out, errors = process.communicate(stdin, timeout)
            except TimeoutExpired:
                out = _stopped(process)
                errors = f"no answer within {timeout:.3g} s".encode()
        said = unshown.masked(errors.decode("utf-8", "replace"))
        return Answer(status=process.returncode, out=out, errors=said)

    @contextmanager
    def running(self, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Popen[bytes]]:
        """A command to talk with through its pipes; it is stopped when the block ends early."""
        process = self._started(*arguments, env=env)
        try:
            yield process
        except BaseException:
            _kill(process)
            raise
        finally:
            _close(process)

    @contextmanager
    def streaming(self, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Stream]:
        """A command whose output is read while it runs; it is stopped when the block ends early."""
        with self.running(*arguments, env=env) as process:
            stream = Stream(process)
            try:
                yield stream
            finally:
                _kill(process)
                stream.join()

    def _started(self, *arguments: str, env: Mapping[str, str] | None = None) -> Popen[bytes]:
        words = unshown.without(arguments)
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
        """Variables by which git logs in to the remotes and addresses that a command names."""
        if unshown.NETWORK.isdisjoint(arguments):
            return {}
        configured = self.run("config", "--get-regexp", r"^(remote|url)\.").text
        if not any(map(unshown.tells_a_password, (configured, *arguments))):
            return {}
        options = ("--push",) if "push" in arguments else ()
        pairs = [(word, word) for word in arguments]
        for name in sorted(set(arguments) & _remotes(configured)):
            given = self.run("config", "--get-all", f"remote.{name}.url").text.splitlines()
            given += self.run("config", "--get-all", f"remote.{name}.pushurl").text.splitlines()
            for address in self.run("remote", "get-url", "--all", *options, "--", name).text.splitlines():
                pairs += [(each, address) for each in given]
        return unshown.variables(pairs, os.environ)

    def object(self, oid: str) -> tuple[str, bytes] | None:
        """Type and content of an object, by its full id or an expression as `HEAD:path`; None when missing.

        Raises:
            ReleaseError: git cannot read it, because it is damaged.
        """
        if not oid or "\n" in oid:
            raise ValueError(f"{oid!r} names no object")
        with self._lock:
            try:
                return self._ask(oid)
            except (OSError, ValueError) as error:
                words = self._end_reader() or str(error)
                raise ReleaseError(
                    f"read the git object {oid}", words, "look further with: git fsck --full"
                ) from error
            except BaseException:
                self._end_reader()  # stopped in the middle of an answer: the next one needs a new reader
                raise

    def _ask(self, oid: str) -> tuple[str, bytes] | None:
        stdin, stdout = self._reader()
        stdin.write(f"{oid}\n".encode())
        stdin.flush()
        header = stdout.readline()
        words = header[len(oid) :].split()
        if header.startswith(oid.encode()) and words in ([b"missing"], [b"ambiguous"]):
            return None
        _, kind, size = header.split()
        content = stdout.read(int(size))
        if len(content) != int(size) or stdout.read(1) != b"\n":
            raise ValueError("the object ends early")
        return kind.decode(), content

    def _reader(self) -> tuple[IO[bytes], IO[bytes]]:
        """One `git cat-file --batch` for all reading; started at the first question."""
        if self._objects is None:
            self._objects = self._started("cat-file", "--batch")
            self._end = weakref.finalize(self, _stop, self._objects)
        process = self._objects
        assert process is not None and process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        return process.stdin, process.stdout

    def _end_reader(self) -> str:
        """Stop the reader and give its last words."""
        process, self._objects = self._objects, None
        if process is None:
            return ""
        _kill(process)
        words = process.stderr.read().decode("utf-8", "replace").strip() if process.stderr is not None else ""
        self._end()
        return words

    def close(self) -> None:
        """Stop the reader. The next question starts another."""
        with self._lock:
            self._end_reader()


def _remotes(configured: str) -> set[str]:
    """The names of remotes in the output of `git config --get-regexp`."""
    keys = (line.partition(" ")[0] for line in configured.splitlines())
    return {key.removeprefix("remote.").rpartition(".")[0] for key in keys if key.startswith("remote.")}


def _stopped(process: Popen[bytes]) -> bytes:
    """Ask it to end, so that it takes its lock files along, and kill what does not. Returns what it said."""
    _kill(process, signal.SIGTERM)
    try:
        out, _ = process.communicate(timeout=_END_SECONDS)
    except TimeoutExpired:
        _kill(process)
        out, _ = process.communicate()
    return out


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


def _environment(root: Path, git_dir: Path, common_dir: Path) -> dict[str, str]:
    """Name the repository outright: a variable cannot be unset through GitPython, but it can be overruled."""
    ours = {
        "GIT_DIR": str(git_dir),
        "GIT_WORK_TREE": str(root),
        "GIT_COMMON_DIR": str(common_dir),
        "GIT_INDEX_FILE": str(git_dir / "index"),
        "GIT_TERMINAL_PROMPT": "0",
        "GCM_INTERACTIVE": "never",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": _NO_GRAFTS,
    }
    if "GIT_OBJECT_DIRECTORY" in os.environ:
        ours["GIT_OBJECT_DIRECTORY"] = str(common_dir / "objects")
    ours |= {name: "" for name in _EMPTY_WHERE_SET if name in os.environ}
    return ours
