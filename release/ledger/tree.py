"""Trees of git: read by path, and extended by files. Only folders on the files' paths are written.

Format of a tree object: `mode SP name NUL id`, sorted (Pro Git, "Git Internals - Git Objects").
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from release.errors import LedgerError, ReleaseError
from release.git.runner import Answer, Git

DURABLE: Final = ("-c", "core.fsync=all")
"""Options that put the ledger's objects on the disk before a reference names them."""

_FOLDER: Final = b"40000"
_FILE: Final = b"100644"

_KEPT_ENTRIES: Final = 20_000
"""Entries of folders that are kept in memory: some megabytes, with any size of the ledger."""

_ENTRIES: Final = {
    width: re.compile(rb"([0-7]{5,6}) ([^\0]+)\0(.{%d})" % width, re.DOTALL) for width in (20, 32)
}

Listing = Mapping[bytes, tuple[bytes, bytes]]
"""Names of one folder, each with its mode and its object, as they stand in git's tree: bytes, for there may
be thousands, and one of them is wanted."""


def parse_tree(content: bytes, width: int) -> dict[bytes, tuple[bytes, bytes]]:
    """Return the entries of a tree object: name to (mode, binary object id).

    Args:
        content: bytes of the tree: repeated `mode SP name NUL object`.
        width: length of a binary object id: 20 with SHA-1, 32 with SHA-256.

    Raises:
        ValueError: the content is not a tree.
    """
    listing = {name: (mode, oid) for mode, name, oid in _ENTRIES[width].findall(content)}
    if sum(len(mode) + len(name) + width + 2 for name, (mode, _) in listing.items()) != len(content):
        raise ValueError("it is not a list of files and folders")
    return listing


def build_tree(listing: Listing) -> bytes:
    """Return the bytes of a tree object. Folders sort as if their names ended with a slash."""
    rows = sorted((name + b"/" if mode == _FOLDER else name, name) for name, (mode, _) in listing.items())
    return b"".join(b"%b %b\0%b" % (listing[name][0], name, listing[name][1]) for _, name in rows)


def object_id(kind: str, content: bytes, digits: int) -> str:
    """Return the id of an object. `digits`: length of ids in the repository, 40 (SHA-1) or 64 (SHA-256)."""
    algorithm = hashlib.sha256 if digits == 64 else hashlib.sha1
    return algorithm(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


class Trees:
    """Trees of one repository, with a cache of the listings read last."""

    def __init__(self, git: Git) -> None:
        """Keep the arguments; read nothing."""
        self._plumbing = git
        self._listings: OrderedDict[str, Listing] = OrderedDict()
        self._kept = 0

    def content(self, oid: str, kind: str, name: str) -> bytes:
        """Return the content of an object. Raise LedgerError with `name` if it is missing or damaged."""
        hint = f"check it: git cat-file -t {oid}; git fsck --full. A fresh clone may have it"
        try:
            found = self._plumbing.object(oid)
        except ReleaseError as error:
            raise LedgerError(f"read {name} of the ledger", error.found, hint) from error
        if found is None or found[0] != kind:
            state = "is missing" if found is None else f"is a {found[0]}, not a {kind}"
            raise LedgerError(f"read {name} of the ledger", f"git's object {oid} {state}", hint)
        return found[1]

    def tree_of(self, commit: str) -> str:
        """Return the tree of a commit. Raise LedgerError if git cannot read the commit."""
        return self.content(commit, "commit", f"the commit {commit}").split(None, 2)[1].decode()

    def listing(self, tree: str, name: str) -> Listing:
        """Return the entries of a tree. Raise LedgerError if the tree is missing or damaged."""
        known = self._listings.get(tree)
        if known is None:
            known = self._parsed(tree, f"the folder {name!r}")
            self._keep(tree, known)
        self._listings.move_to_end(tree)
        return known

    def _parsed(self, tree: str, name: str) -> Listing:
        try:
            return parse_tree(self.content(tree, "tree", name), len(tree) // 2)
        except ValueError as error:
            raise LedgerError(
                f"read {name} of the ledger", str(error), "check the repository: git fsck --full"
            ) from error

    def _keep(self, tree: str, listing: Listing) -> None:
        before = self._listings.pop(tree, {})
        self._listings[tree] = listing
        self._kept += len(listing) - len(before)
        while self._kept > _KEPT_ENTRIES and len(self._listings) > 1:
            self._kept -= len(self._listings.popitem(last=False)[1])

    def find(self, tree: str, path: str) -> tuple[bool, str] | None:
        """Return whether a path is a folder, and its object; None if it is missing. Raise LedgerError."""
        folder, oid, walked = True, tree, ""
        for name in path.split("/"):
            entry = self.listing(oid, walked).get(_name(name)) if folder else None
            if entry is None:
                return None
            folder, oid, walked = entry[0] == _FOLDER, entry[1].hex(), f"{walked}/{name}".lstrip("/")
        return folder, oid

    def names(self, tree: str, folder: str) -> tuple[str, ...]:
        """Return the sorted names in a folder; empty if the folder does not exist. Raise LedgerError."""
        found = self.find(tree, folder)
        if found is None or not found[0]:
            return ()
        return tuple(
            sorted(name.decode("utf-8", "surrogateescape") for name in self.listing(found[1], folder))
        )

    def read(self, tree: str, path: str) -> bytes | None:
        """Return the content of a file; None if the file does not exist. Raise LedgerError."""
        found = self.find(tree, path)
        if found is None or found[0]:
            return None
        return self.content(found[1], "blob", path)

    def grown(self, tree: str | None, files: Mapping[str, bytes]) -> str:
        """Write a tree with additional files. Return its id.

        Raises:
            LedgerError: a path exists already, or git cannot write.
        """
        blobs = list(dict.fromkeys(files.values()))
        ids = dict(zip(blobs, self._stored("blob", blobs), strict=True))
        made: dict[str, bytes] = {}
        root = self._grown(tree, {path: ids[content] for path, content in files.items()}, "", made)
        # not by `git mktree`: it looks up every entry of a folder, also those that were there before
        if self._stored("tree", list(made.values())) != list(made):
            raise _not_written("git gave the new folders other ids than expected")
        return root

    def _grown(self, tree: str | None, files: Mapping[str, str], walked: str, made: dict[str, bytes]) -> str:
        """Return the id of a folder with additional files. Add the changed folders to `made`."""
        listing = dict(self.listing(tree, walked)) if tree is not None else {}
        below: dict[str, dict[str, str]] = {}
        for path, oid in files.items():
            name, _, rest = path.partition("/")
            known = listing.get(_name(name))
            if known is not None and (not rest or known[0] != _FOLDER):
                raise LedgerError(
                    f"add {walked}{path} to the ledger",
                    "the ledger has a file of this name already",
                    "prove the ledger: invoke verify --ledger",
                )
            if rest:
                below.setdefault(name, {})[rest] = oid
            else:
                listing[_name(name)] = (_FILE, bytes.fromhex(oid))
        for name, inner in below.items():
            known = listing.get(_name(name))
            grown = self._grown(known[1].hex() if known else None, inner, f"{walked}{name}/", made)
            listing[_name(name)] = (_FOLDER, bytes.fromhex(grown))
        content = build_tree(listing)
        oid = object_id("tree", content, 2 * len(next(iter(listing.values()))[1]))
        made[oid] = content
        self._keep(oid, listing)
        return oid

    def _stored(self, kind: str, contents: Sequence[bytes]) -> list[str]:
        """Write objects and return their ids. Raise LedgerError if git cannot write."""
        try:
            with tempfile.TemporaryDirectory(prefix="release-ledger-") as folder:
                answer = self._hashed(kind, contents, Path(folder))
        except OSError as error:
            raise _not_written(str(error)) from error
        if answer.status != 0:
            raise _not_written(answer.errors)
        return answer.text.split()

    def _hashed(self, kind: str, contents: Sequence[bytes], folder: Path) -> Answer:
        paths = [folder / str(number) for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        return self._plumbing.run(
            *(*DURABLE, "hash-object", "-w", "-t", kind, "--no-filters", "--stdin-paths"),
            stdin="".join(f"{path}\n" for path in paths).encode(),
        )


def _name(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _not_written(errors: str) -> LedgerError:
    found = errors.strip().splitlines()
    return LedgerError(
        "write the ledger's objects",
        found[-1] if found else "git gave no reason",
        "nothing was recorded; check free space and permissions: df . && git count-objects -vH",
    )
