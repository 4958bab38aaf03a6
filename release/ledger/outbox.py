"""Deployment events that the git server has not got yet: one file each, in order.

A file is a record that has no place in the chain yet, in the ledger's own bytes; it is on the disk before
its name is, so that a file that can be seen is whole.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from release.errors import LedgerError
from release.frozen import Struct
from release.records import Body, Draft, parse


class Kept(Struct, frozen=True, kw_only=True):
    """One event and the file that keeps it."""

    path: Path
    draft: Draft[Body]


def name(draft: Draft[Body]) -> str:
    """What an event is called before it has a place: 16 hexadecimal digits from its content."""
    return draft.at(1, None).id[:16]


class Outbox:
    """The events of one clone that wait to be published."""

    def __init__(self, folder: Path) -> None:
        """The folder is made when the first event comes."""
        self._folder = folder

    def put(self, draft: Draft[Body]) -> None:
        """Keep an event; the same one only once. Raises LedgerError when the disk or the system refuses."""
        files = self._files()
        if any(file.stem.endswith(name(draft)) for file in files):
            return
        number = int(files[-1].name.partition("-")[0]) + 1 if files else 1
        try:
            self._write(f"{number:09d}-{name(draft)}.json", draft.at(1, None).to_bytes())
        except OSError as error:
            raise LedgerError(
                f"keep the event of {draft.service} in {self._folder}",
                str(error),
                "make room or mend the permissions; the event is not recorded anywhere yet",
            ) from error

    def _write(self, file: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        unnamed = self._folder / f".{secrets.token_hex(8)}"
        try:
            with unnamed.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            unnamed.rename(self._folder / file)
        finally:
            unnamed.unlink(missing_ok=True)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def kept(self) -> tuple[Kept, ...]:
        """All events, oldest first. Raises LedgerError naming a file or a folder that cannot be read."""
        read = ((path, self._content(path)) for path in self._files())
        return tuple(
            Kept(path=path, draft=parse(content, str(path)).draft())
            for path, content in read
            if content is not None
        )

    def _content(self, path: Path) -> bytes | None:
        """The file; None when another process has published it in the meantime."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(path, error) from error

    def drop(self, kept: Sequence[Kept]) -> None:
        """Forget events that are in the ledger. One that stays is found there, and is no second one."""
        with suppress(OSError):
            for event in kept:
                event.path.unlink(missing_ok=True)

    def withdraw(self, drafts: Sequence[Draft[Body]]) -> None:
        """Forget events that never came about. Raises LedgerError: one stays, and would be published."""
        names = {name(draft) for draft in drafts}
        for path in self._files():
            if path.stem.partition("-")[2] in names:
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    found = f"{error.strerror or error}"
                    raise LedgerError(f"forget the event in {path}", found, f"rm {path}") from error

    def _files(self) -> list[Path]:
        try:
            there = sorted(self._folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(self._folder, error) from error
        return [path for path in there if path.match("[0-9]*.json")]


def _unreadable(path: Path, error: OSError) -> LedgerError:
    """As after a command that another user ran here, whose files are nobody else's."""
    return LedgerError(
        f"read the events that wait in {path}",
        str(error.strerror or error),
        f"they are yours after `sudo chown -R $(id -u) {path}`; then run the command again",
    )
