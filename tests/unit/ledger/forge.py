"""A small ledger whose history can be written again as no writer of ours would: with git fast-import."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from release.config import Ledger as Settings
from release.git.source import Source
from release.ledger import layout, verify
from release.ledger.violations import Report
from release.records import Body, Draft, Record, parse
from tests.unit.ledger import samples
from tests.unit.ledger.samples import event, moment, note, release, tagged
from tests.unit.repository import Repository

BRANCH: Final = "refs/heads/release-ledger"
FILE: Final = "100644"

Files = dict[str, tuple[str, bytes] | None]
"""Paths with mode and content; None deletes the path."""


@dataclass
class Made:
    """One commit of a ledger, to be written."""

    files: Files
    seconds: int
    merge: bool = False

    @property
    def record(self) -> str:
        """The path of its first record."""
        return next(path for path in self.files if path.startswith("records/"))

    def index(self, family: str) -> str:
        """The path of its entry in an index."""
        return next(path for path in self.files if path.split("/")[2:3] == [family])

    def content(self, path: str) -> bytes:
        there = self.files[path]
        assert there is not None
        return there[1]

    def put(self, path: str, content: bytes | str, mode: str = FILE) -> None:
        self.files[path] = (mode, content.encode() if isinstance(content, str) else content)


@dataclass
class Forgery:
    """A repository with a ledger, and the ledger's commits as they may be written again."""

    repository: Repository
    commits: list[Made] = field(default_factory=list)

    @classmethod
    def of(cls, repository: Repository) -> Forgery:
        ids = repository.git("rev-list", "--reverse", BRANCH).splitlines()
        return cls(repository=repository, commits=[_made(repository, commit) for commit in ids])

    def record(self, place: int) -> Record[Body]:
        made = self.commits[place]
        return parse(made.content(made.record), made.record)

    def append(self, draft: Draft[Body], seq: int, prev: str | None) -> Made:
        """One more commit as a writer would make it, with a record at any place."""
        record = draft.at(seq, prev)
        made = Made(files=files_of(record), seconds=seconds_of(record.envelope.recorded_at))
        self.commits.append(made)
        return made

    def next(self, draft: Draft[Body]) -> Made:
        """The same with a record of api at its right place."""
        last = self.record(-1)
        return self.append(draft, last.envelope.seq + 1, last.id)

    def write(self, *, remembered: bool = False) -> None:
        """Make the branch anew out of the commits; the clone forgets what it proved unless `remembered`."""
        self.repository.git("fast-import", "--quiet", "--force", stdin=_stream(self.commits))
        self.repository.git("update-ref", BRANCH, "refs/heads/forged")
        self.repository.git("update-ref", "-d", "refs/heads/forged")
        if not remembered:
            forget(self.repository)


def forget(repository: Repository) -> None:
    """Take away what the clone has proved, as if it had just been made."""
    for proofs in ("release-verified", "release-verified-signed"):
        repository.git("update-ref", "-d", f"refs/{proofs}/local/release-ledger")
    shutil.rmtree(repository.root / ".git" / "release" / "verified", ignore_errors=True)


def files_of(record: Record[Body]) -> Files:
    entries: Files = {
        path: (FILE, f"{record.id}\n".encode()) for path in layout.index_paths(record, lambda path: False)
    }
    return {layout.record_path(record.id): (FILE, record.to_bytes()), **entries}


def seconds_of(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp())


def _made(repository: Repository, commit: str) -> Made:
    rows = repository.git("diff-tree", "-r", "--root", "--no-commit-id", commit).splitlines()
    files: Files = {}
    for row in rows:
        facts, _, path = row.partition("\t")
        _, mode, _, oid, _ = facts.split()
        files[path] = (mode, repository.git("cat-file", "blob", oid).encode() + b"\n")
    return Made(files=files, seconds=int(repository.git("log", "-1", "--format=%ct", commit)))


def _stream(commits: list[Made]) -> bytes:
    pieces: list[bytes] = []
    for number, made in enumerate(commits, start=1):
        if made.merge:
            pieces.append(_commit("refs/heads/other", 1000 + number, made.seconds))
        pieces.append(_commit("refs/heads/forged", number, made.seconds))
        pieces += [f"from :{number - 1}\n".encode()] if number > 1 else []
        pieces += [f"merge :{1000 + number}\n".encode()] if made.merge else []
        pieces += [_change(path, there) for path, there in made.files.items()]
    return b"".join(pieces)


def _commit(ref: str, mark: int, seconds: int) -> bytes:
    who = f"committer Ada <ada@example.org> {seconds} +0000"
    return f"commit {ref}\nmark :{mark}\n{who}\ndata 5\nmade\n\n".encode()


def _change(path: str, there: tuple[str, bytes] | None) -> bytes:
    if there is None:
        return f"D {path}\n".encode()
    mode, content = there
    if mode == "160000":
        return f"M {mode} {content.decode()} {path}\n".encode()
    return f"M {mode} inline {path}\ndata {len(content)}\n".encode() + content + b"\n"


def story(repository: Repository, *, remote: str | None = None) -> None:
    """Two services, releases with their tags, deployments, a note: eight commits.

    The commits: 0 api 1.0.0 · 1 started · 2 healthy · 3 web 1.0.0 · 4 web healthy · 5 api 1.1.0 · 6 healthy
    · 7 note of api.
    """
    ledger = samples.ledger(repository.root, remote=remote)
    old = repository.git("rev-parse", "main")
    new = repository.commit("feat: more", more="1")
    first = release("1.0.0", commit=old, at=moment(0))
    (api,) = ledger.append([first], tag=tagged(first, old))
    ledger.append([event(api, "started", deployment="one", at=moment(1))])
    ledger.append([event(api, "healthy", deployment="one", at=moment(2))])
    other = release("1.0.0", content="web", service="web", commit=old, tag="web/v1.0.0", at=moment(3))
    (web,) = ledger.append([other], tag=tagged(other, old))
    ledger.append([event(web, "healthy", service="web", deployment="two", at=moment(4))])
    second = release("1.1.0", commit=new, at=moment(5))
    (more,) = ledger.append([second], tag=tagged(second, new))
    ledger.append([event(more, "healthy", deployment="three", environment="staging", at=moment(6))])
    ledger.append([note("all is well", at=moment(7))])


def verified(repository: Repository, **settings: object) -> Report:
    """The report of a repository's ledger."""
    source = Source.open(repository.root)
    try:
        return verify.verify(source, Settings.model_validate(settings))
    finally:
        source.close()
