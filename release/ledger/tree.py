"""Trees of git: looked up by path, and grown by new files without touching what is not on the way.

Format of a tree object: `mode SP name NUL id`, sorted (Pro Git, "Git Internals - Git Objects").
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from release.errors import LedgerError, ReleaseError
from release.source import Plumbing

DURABLE: Final = ("-c", "core.fsync=all")
"""What git writes for the ledger is on the disk before a reference names it."""

_FOLDER: Final = "040000"
_FILE: Final = "100644"
_KEPT_LISTINGS: Final = 128

Listing = Mapping[str, tuple[str, str]]
"""Names of one folder, each with its mode (six digits) and its object."""


def parse(content: bytes, width: int) -> dict[str, tuple[str, str]]:
    """Read a tree object.

    Args:
        content: its bytes: `mode SP name NUL object`, again and again.
        width: bytes of a binary object id: 20 with SHA-1, 32 with SHA-256.
    """
    listing: dict[str, tuple[str, str]] = {}
    place = 0
    while place < len(content):
        end = content.index(b"\0", place)
        mode, _, name = content[place:end].partition(b" ")
        place = end + 1 + width
        listing[name.decode("utf-8", "surrogateescape")] = (
            mode.decode().zfill(6),
            content[end + 1 : place].hex(),
        )
    return listing


def build(listing: Listing) -> bytes:
    """Write a tree object's bytes: `parse`, back. Folders sort as if their names ended with a slash."""
    rows = {
        (name.encode("utf-8", "surrogateescape"), mode == _FOLDER): (mode, oid)
        for name, (mode, oid) in listing.items()
    }
    ordered = sorted(rows.items(), key=lambda row: row[0][0] + b"/" if row[0][1] else row[0][0])
    return b"".join(
        mode.lstrip("0").encode() + b" " + name + b"\0" + bytes.fromhex(oid)
        for (name, _), (mode, oid) in ordered
    )


def object_id(kind: str, content: bytes, digits: int) -> str:
    """The id of an object in a repository whose ids have so many digits: 40 (SHA-1) or 64 (SHA-256)."""
    algorithm = hashlib.sha256 if digits == 64 else hashlib.sha1
    return algorithm(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


class Trees:
    """The trees of one repository. The listings read last are kept."""

    def __init__(self, plumbing: Plumbing) -> None:
        """Read nothing yet."""
        self._plumbing = plumbing
        self._listings: OrderedDict[str, dict[str, tuple[str, str]]] = OrderedDict()

    def content(self, oid: str, kind: str, name: str) -> bytes:
        """The content of an object that must be there. Raises LedgerError, calling it by `name`."""
        hint = f"look further with: git cat-file -t {oid}; git fsck --full"
        try:
            found = self._plumbing.object(oid)
        except ReleaseError as error:
            raise LedgerError(f"read {name} of the ledger", error.found, hint) from error
        if found is None or found[0] != kind:
            state = "is missing" if found is None else f"is a {found[0]}, not a {kind}"
            raise LedgerError(f"read {name} of the ledger", f"git's object {oid} {state}", hint)
        return found[1]

    def listing(self, tree: str, name: str) -> Listing:
        """One folder. Raises LedgerError."""
        known = self._listings.get(tree)
        if known is None:
            known = parse(self.content(tree, "tree", f"the folder {name!r}"), len(tree) // 2)
        self._keep(tree, known)
        return known

    def _keep(self, tree: str, listing: dict[str, tuple[str, str]]) -> None:
        self._listings[tree] = listing
        self._listings.move_to_end(tree)
        while len(self._listings) > _KEPT_LISTINGS:
            self._listings.popitem(last=False)

    def find(self, tree: str, path: str) -> tuple[str, str] | None:
        """Mode and object of a path; None when it is not there. Raises LedgerError."""
        found: tuple[str, str] = (_FOLDER, tree)
        walked = ""
        for name in path.split("/"):
            if found[0] != _FOLDER:
                return None
            entry = self.listing(found[1], walked).get(name)
            if entry is None:
                return None
            found, walked = entry, f"{walked}/{name}".lstrip("/")
        return found

    def names(self, tree: str, folder: str) -> tuple[str, ...]:
        """The names in a folder, sorted; none when there is no such folder. Raises LedgerError."""
        found = self.find(tree, folder)
        if found is None or found[0] != _FOLDER:
            return ()
        return tuple(sorted(self.listing(found[1], folder)))

    def read(self, tree: str, path: str) -> bytes | None:
        """The content of a file; None when it is not there. Raises LedgerError."""
        found = self.find(tree, path)
        if found is None or found[0] == _FOLDER:
            return None
        return self.content(found[1], "blob", path)

    def grown(self, tree: str | None, files: Mapping[str, bytes]) -> str:
        """A tree with these files more. Only folders on their way are written.

        Raises:
            LedgerError: a path exists already, or git cannot write.
        """
        blobs = list(dict.fromkeys(files.values()))
        ids = dict(zip(blobs, self._stored("blob", blobs), strict=True))
        made: dict[str, bytes] = {}
        root = self._grown(tree, {path: ids[content] for path, content in files.items()}, "", made)
        # not by `git mktree`: it looks up every entry of a folder, also those that were there before
        if self._stored("tree", list(made.values())) != list(made):
            raise _not_written("git gives the new folders other ids than expected")
        return root

    def _grown(self, tree: str | None, files: Mapping[str, str], walked: str, made: dict[str, bytes]) -> str:
        """The id of a folder with these files more; it and the folders below it are added to `made`."""
        listing = dict(self.listing(tree, walked)) if tree is not None else {}
        below: dict[str, dict[str, str]] = {}
        for path, oid in files.items():
            name, _, rest = path.partition("/")
            known = listing.get(name)
            if known is not None and (not rest or known[0] != _FOLDER):
                raise LedgerError(f"add {walked}{path} to the ledger", "there is such a file already")
            if rest:
                below.setdefault(name, {})[rest] = oid
            else:
                listing[name] = (_FILE, oid)
        for name, inner in below.items():
            known = listing.get(name)
            grown = self._grown(known[1] if known else None, inner, f"{walked}{name}/", made)
            listing[name] = (_FOLDER, grown)
        content = build(listing)
        oid = object_id("tree", content, len(next(iter(listing.values()))[1]))
        made[oid] = content
        self._keep(oid, listing)
        return oid

    def _stored(self, kind: str, contents: Sequence[bytes]) -> list[str]:
        """Write objects and give their ids."""
        with tempfile.TemporaryDirectory(prefix="release-ledger-") as folder:
            paths = [Path(folder) / str(number) for number in range(len(contents))]
            for path, content in zip(paths, contents, strict=True):
                path.write_bytes(content)
            answer = self._plumbing.run(
                *(*DURABLE, "hash-object", "-w", "-t", kind, "--no-filters", "--stdin-paths"),
                stdin="".join(f"{path}\n" for path in paths).encode(),
            )
        if answer.status != 0:
            raise _not_written(answer.errors)
        return answer.text.split()


def _not_written(errors: str) -> LedgerError:
    found = errors.strip().splitlines()
    return LedgerError(
        "write the ledger's objects",
        found[-1] if found else "git gave no reason",
        "nothing was recorded; look at free space and permissions: df . && git count-objects -vH",
    )
