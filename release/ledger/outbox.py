"""Deployment events that the git server does not have yet: one file for each event, in order.

A file has a line with this clone's seal, then a record without its number, in the ledger's format. Its
content is on the disk before its name, so each visible file is complete. A file without the seal, as from a
cache, is moved away: otherwise it would be signed and published in the operator's name.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from release.errors import LedgerError, ReleaseError
from release.files import private
from release.files.hmac_key import BadSeal, ClonesKey
from release.records import Body, Deployment, Draft, Freeze, Note, Operation, Quarantine, Verification, parse
from release.values import Struct

KINDS: Final = (Deployment, Quarantine, Freeze, Verification, Operation, Note)
"""Kinds that may wait for the server. A release does not: its record and its git tag land together."""

_PURPOSE: Final = "outbox"
_LARGEST: Final = 16 << 20
"""Largest size of an event in bytes; an event contains the files of its settings."""


class KeptEvent(Struct, frozen=True, kw_only=True):
    """Waiting event and its file."""

    path: Path
    draft: Draft[Body]


def event_name(draft: Draft[Body]) -> str:
    """Return the name of an event without a number: 16 hexadecimal digits from its content."""
    return draft.at(1, None).id[:16]


class Outbox:
    """Waiting events of one clone. Each file is sealed with the clone's key."""

    def __init__(self, git_dir: Path, tell: Callable[[str], None] = lambda _: None) -> None:
        """Keep the arguments; read nothing. The first event creates the folders.

        Args:
            git_dir: the common git folder.
            tell: called with a sentence for each file that is moved away.
        """
        self._git_dir, self._tell = git_dir, tell
        self._folder = git_dir / "release" / "unsynced"
        self.refused = git_dir / "release" / "refused"
        """Files that were found among the events and are not this clone's."""
        self._written: dict[str, bytes] = {}
        """Bytes that this process itself has written, by file."""

    def put(self, draft: Draft[Body]) -> None:
        """Write an event to its file, the same event only once. Raise LedgerError if the disk refuses."""
        if not isinstance(draft.body, KINDS):
            raise TypeError(
                f"a {type(draft.body).__name__} cannot wait: it is recorded at once, or the command fails"
            )
        if any(kept.draft == draft for kept in self.kept()):
            return
        files = self._files()
        number = int(files[-1].name.partition("-")[0]) + 1 if files else 1
        try:
            self._write(f"{number:09d}-{event_name(draft)}.json", self._sealed(draft.at(1, None).to_bytes()))
        except OSError as error:
            raise LedgerError(
                f"keep the event of {draft.service} in {self._folder}",
                str(error),
                "free disk space or correct the permissions, then run the command again; the "
                "event is not recorded anywhere",
            ) from error

    def _sealed(self, content: bytes) -> bytes:
        """Return the content with the seal, or without it if the key is unusable: a rollback goes on."""
        try:
            return ClonesKey.of(self._git_dir).seal(content, _PURPOSE)
        except ReleaseError as error:
            self._tell(
                f"could not {error.attempted}: {error.found}. The event is kept, but without a "
                f"seal; {error.hint}"
            )
            return content

    def _write(self, file: str, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        unnamed = self._folder / f".{secrets.token_hex(8)}"
        try:
            with private.create_file(unnamed) as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            unnamed.rename(self._folder / file)
            self._written[file] = content
        finally:
            unnamed.unlink(missing_ok=True)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def kept(self) -> tuple[KeptEvent, ...]:
        """Return the events of this clone, oldest first. Move every other file away, with a warning.

        Raise LedgerError if the folder cannot be read.
        """
        read = ((path, self._draft(path)) for path in self._files())
        return tuple(KeptEvent(path=path, draft=draft) for path, draft in read if draft is not None)

    def _draft(self, path: Path) -> Draft[Body] | None:
        """Return the event in a file; None if another process published it, or if the file is moved away."""
        try:
            return self._opened(path)
        except FileNotFoundError:
            return None
        except Refused as error:
            self.put_aside(path, str(error))
        except OSError as error:
            self.put_aside(path, f"it cannot be read: {error.strerror or error}")
        except ReleaseError as error:
            self._tell(f"{path} is not published: could not {error.attempted}: {error.found}; {error.hint}")
        return None

    def _opened(self, path: Path) -> Draft[Body]:
        """Return the event in a sealed file. Raise Refused, OSError; ReleaseError for an unusable key."""
        sealed = read_event_file(path)
        if sealed == self._written.get(path.name):
            return parse_event(content_without_seal(sealed), path.name)
        try:
            content = ClonesKey.of(self._git_dir).open(sealed, _PURPOSE)
        except BadSeal as error:
            raise Refused("it does not have this clone's seal") from error
        return parse_event(content, path.name)

    def put_aside(self, path: Path, found: str) -> None:
        """Move a file into a folder of refused files, so that it stops no command. Warn with its new path."""
        place = self.refused / path.name
        try:
            self.refused.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.rename(place)
        except OSError as error:
            moved = f"it cannot be moved to {self.refused} ({error.strerror or error}), and is not published"
            self._tell(f"{path} is ignored: {found}; {moved}")
            return
        look = f"if it is yours, check it and publish it: invoke sync --adopt {place.name}"
        self._tell(f"a waiting event was refused and moved to {place}: {found}. It was not used; {look}")

    def adopt(self, path: Path, draft: Draft[Body]) -> None:
        """Write an event whose file was moved away, after a person has checked it. Raise LedgerError."""
        self.put(draft)
        with suppress(OSError):
            path.unlink()

    def drop(self, kept: Sequence[KeptEvent]) -> None:
        """Delete the files of published events. A file that stays is harmless: the ledger has the event."""
        with suppress(OSError):
            for event in kept:
                event.path.unlink(missing_ok=True)

    def withdraw(self, drafts: Sequence[Draft[Body]]) -> None:
        """Delete the files of events that did not happen. Raise LedgerError if a file stays."""
        names = {event_name(draft) for draft in drafts}
        for path in self._files():
            if path.stem.partition("-")[2] in names:
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    found = f"{error.strerror or error}"
                    raise LedgerError(
                        f"delete the published event {path}", found, f"delete it: rm {path}"
                    ) from error

    def _files(self) -> list[Path]:
        try:
            there = sorted(self._folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(self._folder, error) from error
        return [path for path in there if path.match("[0-9]*.json")]


def read_event_file(path: Path) -> bytes:
    """Return the content of a file that belongs to this user.

    Raises:
        Refused: a link, not a regular file, another user's file, or too large for an event.
        OSError: the file cannot be read.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise Refused("it is a link or a folder, not a file")
    if found.st_uid != os.geteuid():
        raise Refused(f"it belongs to another user (uid {found.st_uid})")
    if found.st_size > _LARGEST:
        raise Refused(f"it is larger than the {_LARGEST >> 20} MiB of an event")
    with open(path, "rb", opener=private.opener) as stream:
        return stream.read(_LARGEST + 1)


def content_without_seal(sealed: bytes) -> bytes:
    """Return the content without the seal's line, which is not checked."""
    line, _, content = sealed.partition(b"\n")
    return content if re.fullmatch(rb"[0-9a-f]{64}", line) else sealed


def parse_event(content: bytes, file: str) -> Draft[Body]:
    """Parse an event. Raise Refused if the content is damaged, or of a kind that never waits."""
    try:
        draft = parse(content, file).draft()
    except LedgerError as error:
        raise Refused(error.found) from error
    if not isinstance(draft.body, KINDS):
        raise Refused(f"a {draft.body.kind} cannot wait here: it is recorded at once, or not at all")
    return draft


class Refused(Exception):
    """Error: a file is not an event of this clone. The message gives the reason."""


def _unreadable(path: Path, error: OSError) -> LedgerError:
    """Return the error for a file that cannot be read, as after a command of another user."""
    return LedgerError(
        f"read the waiting events in {path}",
        str(error.strerror or error),
        f"run `sudo chown -R $(id -u) {path}`, then run the command again",
    )
