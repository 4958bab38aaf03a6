"""The folder of one run: its logs, documents, and the times of its stages."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from release.actor import utc_now_text
from release.chain import stale_runs
from release.chain.release_folder import HOME
from release.errors import ReleaseError
from release.files import private
from release.text.control_characters import json_text
from release.values import Struct

KEPT_RUNS: Final = 50
"""Number of run folders that are kept."""


_STAGES: Final = "stages.jsonl"


class RunFolder(Struct, frozen=True, kw_only=True):
    """The folder `.release/runs/<run>/`: all files that a run leaves."""

    path: Path

    @classmethod
    def create(cls, root: Path) -> RunFolder:
        """Create a run folder, named by the time and eight random digits; remove the oldest run folders.

        Raises:
            ReleaseError: the folder cannot be created, or a parent folder is a link or another user's.
        """
        home = root / HOME
        try:
            return cls._create_folder(home)
        except OSError as error:
            raise ReleaseError(
                f"make the run's folder in {home}", str(error), "free disk space there, or correct its owner"
            ) from error

    @classmethod
    def _create_folder(cls, home: Path) -> RunFolder:
        runs = private.ensure_owned_subfolder(home, "runs")
        private.write(home / ".gitignore", "*\n")
        for old in sorted(runs.glob("*"), reverse=True)[KEPT_RUNS:]:
            if not stale_runs.may_be_running(old):
                with suppress(OSError):  # somebody else's: it stays
                    stale_runs.remove_temporary_files(old)
                shutil.rmtree(old, ignore_errors=True)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        path = runs / f"{stamp}-{secrets.token_hex(4)}"
        path.mkdir(mode=0o700)
        stale_runs.mark_run_started(path)
        return cls(path=path)

    @property
    def id(self) -> str:
        """Return the id of the run."""
        return self.path.name

    @property
    def release_folder(self) -> Path:
        """Return the path of `.release/`."""
        return self.path.parent.parent

    def append_stage_event(self, stage: str, event: str) -> None:
        """Append a stage's begin or end to `stages.jsonl`, for measurements.

        A failed write is ignored: a full disk must not fail a release that is already recorded.
        """
        line = json.dumps({"at": utc_now_text(), "stage": stage, "event": event})
        with suppress(OSError), private.open_for_append(self.path / _STAGES) as stages:
            stages.write(f"{line}\n")

    def was_last_run_interrupted_in(self, stages: Collection[str]) -> bool:
        """Return whether the last run that began one of these stages was interrupted in it."""
        earlier = (path for path in self.path.parent.glob("*") if path.name < self.id)
        for path in sorted(earlier, reverse=True):
            last = {note["stage"]: note["event"] for note in _stage_events(path) if note["stage"] in stages}
            if last:
                return not {"started", "stopped"}.isdisjoint(last.values())
        return False

    def remove_temporary_files(self) -> None:
        """Remove temporary files of the run, and files that can be made again from the commit.

        A failed removal is reported by the next run, because it must not fail a recorded release.
        """
        with suppress(OSError):
            stale_runs.remove_temporary_files(self.path)

    def temporary_folder(self, name: str) -> AbstractContextManager[Path]:
        """Yield a temporary folder outside of the repository: tools find no settings above it."""
        return stale_runs.create_temporary_folder(self.path, name)

    def log_path(self, stage: str) -> Path:
        """Return the path of the stage's log file."""
        return self.path / f"{stage}.log"

    def existing_log_path(self, stage: str) -> Path | None:
        """Return the path of the stage's log file; None if the stage wrote no log."""
        log = self.log_path(stage)
        return log if log.exists() else None

    def write_json(self, name: str, data: Any) -> None:
        """Write a document atomically, as indented JSON."""
        private.write(self.path / name, json_text(data) + "\n")


def _stage_events(run: Path) -> Iterator[Mapping[str, str]]:
    """Return the entries of a run's `stages.jsonl`, without incomplete lines."""
    with suppress(OSError), (run / _STAGES).open(encoding="utf-8") as stages:
        for line in stages:
            with suppress(ValueError):
                yield json.loads(line)
