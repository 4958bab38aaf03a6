"""Commits of the ledger in order, each with its changes, read as one stream from git.

Only first parents are followed, so that there is one order even where somebody has merged. What could make
git tell another history than its objects do - grafts, a graph file, replaced objects - is switched off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import IO, Final

from release.git.runner import Git
from release.ledger.signing import Signature, Signers, read_signatures
from release.values import Struct, replace

FILE: Final = "100644"
"""Mode of every file in the ledger."""

NO_TIME: Final = -1
"""Time of a commit whose committer or time cannot be read: before that of each other commit."""

DEPTHS: Final = (2, 64, 1024)
"""Numbers of commits to fetch, tried in this order until the commits can be proven."""

_HEADER: Final = b"\x01"
_CHUNK: Final = 1 << 16


NO_SIGNATURE: Final = Signature(letter="N", fingerprint="")
_BULK: Final = 256
"""Number of signatures that git checks in one call."""


class Change(Struct, frozen=True, kw_only=True):
    """Change of a commit to one path, as `git diff-tree --raw` prints it."""

    letter: str
    """A added, D deleted, M modified, T another type of file."""
    old_mode: str
    mode: str
    old: str
    object: str
    path: str


class Step(Struct, frozen=True, kw_only=True):
    """Commit of the ledger, with its changes."""

    commit: str
    parents: tuple[str, ...]
    seconds: int
    """Committer time of the commit; NO_TIME if the commit has none."""
    signature: Signature = NO_SIGNATURE
    """Signature of the commit; set only by `with_signatures`."""
    changes: tuple[Change, ...]


def walk(
    git: Git,
    head: str,
    trouble: Callable[[str], None],
    *,
    since: str | None = None,
) -> Iterator[Step]:
    """Yield every commit up to `head`, oldest first.

    Args:
        plumbing: the repository.
        head: the last commit.
        since: commit to begin after; this commit and its ancestors are left out.
        trouble: called with git's message if objects of the history are missing or damaged.
    """
    with git.streaming(
        *("-c", "core.commitGraph=false", "log", "--reverse", "--first-parent"),
        *("--diff-merges=first-parent", "--raw", "-r", "-z", "--root", "--no-renames", "--no-abbrev"),
        *("--no-show-signature", "--no-notes", "--no-color", "--ignore-submodules=none"),
        *("--format=%x01%H|%ct|%P", head, *((f"^{since}",) if since else ()), "--"),
    ) as stream:
        yield from _steps(_tokens(stream.out))
        status, words = stream.end()
    if status != 0:
        trouble(words)


def with_signatures(git: Git, signers: Signers, steps: Iterable[Step]) -> Iterator[Step]:
    """Yield the same commits with their signatures, which git checks in bulk."""
    rest = iter(steps)
    while chunk := list(islice(rest, _BULK)):
        found = read_signatures(git, signers, [step.commit for step in chunk])
        for step, signature in zip(chunk, found, strict=True):
            yield replace(step, signature=signature)


def has_parent(git: Git, commit: str) -> bool:
    """Return whether the commit object names a parent, which git's log hides in a shallow clone.

    Raise ReleaseError if the commit is damaged or too large to be read.
    """
    found = git.object(commit)
    return found is not None and b"\nparent " in found[1].partition(b"\n\n")[0]


def oldest_here(git: Git, tip: str) -> str | None:
    """Return the oldest commit of a cut-off history; None if the history is complete."""
    words = ("-c", "core.commitGraph=false", "rev-list", "--first-parent", "--max-parents=0", tip)
    oldest = git.run(*words).text
    return oldest if oldest and "\n" not in oldest and has_parent(git, oldest) else None


def _tokens(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the texts between NUL bytes."""
    rest = b""
    while chunk := stream.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from whole


def _steps(tokens: Iterator[bytes]) -> Iterator[Step]:
    header: bytes | None = None
    changes: list[Change] = []
    for token in tokens:
        text = token.lstrip(b"\n")
        if text.startswith(_HEADER):
            if header is not None:
                yield _step(header, changes)
            header, changes = text[1:], []
        elif text.startswith(b":"):
            changes.append(_change(text, next(tokens)))
    if header is not None:
        yield _step(header, changes)


def _step(header: bytes, changes: list[Change]) -> Step:
    commit, seconds, parents = header.decode("utf-8", "replace").split("|", 2)
    return Step(
        commit=commit,
        parents=tuple(parents.split()),
        seconds=int(seconds) if seconds.isdecimal() else NO_TIME,
        changes=tuple(changes),
    )


def _change(facts: bytes, path: bytes) -> Change:
    old_mode, mode, old, new, letter = facts[1:].decode().split()
    return Change(
        letter=letter[0],
        old_mode=old_mode,
        mode=mode,
        old=old,
        object=new,
        path=path.decode("utf-8", "surrogateescape"),
    )
