"""Run nox and invoke in forks of one process that has imported the library already.

Half of the processor time of a short command is imports. A fork is a process of its own, with the arguments,
folder, variables, output and exit status of the command; only the start of the interpreter is left out. Tests
that kill a command, or look at its start, run the program itself.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import release
from tests.engine.lab import die_with_parent

_ROOT: Final = Path(__file__).parents[2]
_LARGEST: Final = 1 << 17
"""Bytes of a request: arguments, folder and variables."""
_PROGRAMS: Final = ("nox", "invoke", "tests.engine.deploy.dying")
_EARLY: Final = ("PYTHON", "LANG", "LC_")
"""Beginnings of variables that an interpreter reads when it starts."""
_ON_ITS_OWN: Final = ("release.tasks",)
"""Modules that look at the command line when they are imported."""
_LATE: Final = ("git",)
"""Libraries that a command imports only when it needs them. They look for their program on PATH."""


def run(
    argv: list[str], *, cwd: Path, environ: Mapping[str, str], timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run `python -m` with one of the programs to its end, without input."""
    if not _may_fork(argv, environ):
        return subprocess.run(
            argv,
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    return _server().run(argv, cwd, environ, timeout)


def _may_fork(argv: list[str], environ: Mapping[str, str]) -> bool:
    """Return whether a fork is the same as the program. What is measured outside of pytest runs itself."""
    known = argv[:2] == [sys.executable, "-m"] and argv[2] in _PROGRAMS
    return known and "PYTEST_VERSION" in os.environ and _early(environ) == _early(os.environ)


def _early(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(_EARLY)}


@dataclass(frozen=True)
class _Server:
    """The process that forks, and the socket that it listens on."""

    process: subprocess.Popen[bytes]
    line: socket.socket

    def close(self) -> None:
        """Let the process end, and wait for it."""
        self.line.close()
        self.process.wait(30)

    def run(
        self, argv: list[str], cwd: Path, environ: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Send a request, and wait for the exit status."""
        request = json.dumps({"argv": argv[2:], "cwd": str(cwd), "environ": dict(environ)}).encode()
        assert len(request) <= _LARGEST
        ended, answer = os.pipe()
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            os.fdopen(ended, "rb") as status,
        ):
            socket.send_fds(self.line, [request], [out.fileno(), err.fileno(), answer])
            os.close(answer)
            if not select.select([status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(argv, timeout)
            found = int(status.read())
            return subprocess.CompletedProcess(argv, found, _text(out), _text(err))


def _text(file: Any) -> str:
    file.seek(0)
    content: bytes = file.read()
    return content.decode().replace("\r\n", "\n")


@functools.cache
def _server() -> _Server:
    """Start the server of this worker; it ends with it."""
    mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(other.fileno())],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[other.fileno()],
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, then exec
    )
    other.close()
    server = _Server(process, mine)
    atexit.register(server.close)
    return server


# --- in the server


def _serve(line: socket.socket) -> None:
    """Fork for every request until the other side is closed."""
    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, files, _, _ = socket.recv_fds(line, _LARGEST, 3)
        if not request:
            return
        if os.fork() == 0:
            line.close()
            _watch(json.loads(request), *files)
            return
        for file in files:
            os.close(file)


def _import_everything() -> None:
    """Import what the programs and all commands need, once."""
    for name in ("nox", "invoke.main", *_LATE):
        importlib.import_module(name)
    for module in pkgutil.walk_packages(release.__path__, "release."):
        if module.name not in _ON_ITS_OWN:
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def _watch(request: dict[str, Any], out: int, err: int, answer: int) -> None:
    """Fork once more: the one becomes the command, the other waits for its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    command = os.fork()
    if command == 0:
        os.close(answer)
        _become(request, out, err)
        return
    os.close(out)
    os.close(err)
    _, status = os.waitpid(command, 0)
    os.write(answer, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(request: dict[str, Any], out: int, err: int) -> None:
    """Be the command: its output, folder, variables and arguments."""
    for number, file in ((1, out), (2, err)):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["cwd"])
    if request["environ"].get("PATH") != os.environ.get("PATH"):
        _forget(*_LATE)
    os.environ.clear()
    os.environ.update(request["environ"])
    time.tzset()
    tempfile.tempdir = None
    module, *words = request["argv"]
    sys.path[0] = request["cwd"]
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _forget(*packages: str) -> None:
    """Let the command import these packages anew."""
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        del sys.modules[name]


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
