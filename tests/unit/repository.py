"""Real git repositories for the tests of what reads and writes them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C",
    "GIT_AUTHOR_DATE": "2026-11-20T10:00:00Z",
    "GIT_COMMITTER_DATE": "2026-11-20T10:00:00Z",
}


def without_own_settings(patch: pytest.MonkeyPatch) -> None:
    """Take git's variables of whoever runs the tests away, for the library's own calls of git."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        patch.delenv(name)
    for name, value in ENVIRONMENT.items():
        patch.setenv(name, value)


class Repository:
    """A git repository in a folder of the test."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def init(cls, root: Path, *, bare: bool = False) -> Repository:
        root.mkdir(parents=True, exist_ok=True)
        made = cls(root)
        made.git("init", "-q", "-b", "main", "--template=", *(["--bare"] if bare else []))
        return made.named() if not bare else made

    @classmethod
    def clone(cls, origin: Repository | str, root: Path, *options: str) -> Repository:
        address = origin if isinstance(origin, str) else str(origin.root)
        root.parent.mkdir(parents=True, exist_ok=True)
        cls(root.parent).git("clone", "-q", "--template=", *options, address, str(root))
        return cls(root).named()

    def named(self) -> Repository:
        self.git("config", "user.name", "Ada Lovelace")
        self.git("config", "user.email", "ada@example.org")
        return self

    def git(
        self, *arguments: str, stdin: bytes = b"", check: bool = True, env: dict[str, str] | None = None
    ) -> str:
        neutral = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        done = subprocess.run(
            ("git", *arguments),
            cwd=self.root,
            input=stdin,
            capture_output=True,
            check=False,
            env=neutral | ENVIRONMENT | (env or {}),
        )
        if check and done.returncode != 0:
            raise AssertionError(f"git {arguments}: {done.stderr.decode()}")
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    def write(self, path: str, content: str | bytes = "", *, mode: int = 0o644) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(mode)
        return file

    def commit(self, message: str = "chore: change", **files: str) -> str:
        """Commit everything that is here, after writing these files."""
        for name, content in files.items():
            self.write(name, content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def hook(self, name: str, script: str) -> None:
        """A hook of a bare repository."""
        self.write(f"hooks/{name}", f"#!/bin/sh\n{script}\n", mode=0o755)

    def refs(self, pattern: str = "") -> dict[str, str]:
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)", *([pattern] if pattern else []))
        return dict(line.split(" ") for line in lines.splitlines())


def long_history(root: Path, *, commits: int) -> Repository:
    """So many commits of one file each, all features; every fortieth but the last is a version."""
    made = Repository.init(root)
    stream = (_imported(number, last=number == commits) for number in range(1, commits + 1))
    made.git("fast-import", "--quiet", stdin=b"".join(stream))
    return made


def _imported(number: int, *, last: bool) -> bytes:
    message = b"feat: change %d\n" % number
    tag = b"reset refs/tags/v0.%d.0\nfrom :%d\n\n" % (number // 40, number)
    parts = [
        b"commit refs/heads/main\nmark :%d\ncommitter A <a@b> %d +0000\n" % (number, 1_600_000_000 + number),
        b"data %d\n%s" % (len(message), message),
        b"from :%d\n" % (number - 1) if number > 1 else b"",
        b"M 100644 inline api/f%d\ndata 0\n\n" % (number % 50),
        tag if number % 40 == 0 and not last else b"",
    ]
    return b"".join(parts)
