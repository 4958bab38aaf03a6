"""Output of a deployment that failed, kept in a config of the Swarm until the next deployment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from release.deploy.core import failed_output
from release.deploy.core.failed_output import CapturedOutput, FailedOutputStore, shortened
from release.deploy.core.operations import FailedOutput
from release.deploy.core.place import VERSION, Place, process_of
from release.deploy.targets.swarm import naming
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.objects import Stored, Task
from release.errors import EngineError
from release.secrets.redact import Mask, Redacted
from release.values import Struct

_ROLE: Final = "failed-output"
"""The role of the config in its labels."""
_LINES: Final = 500
"""Last lines of one task."""
_BYTES: Final = 400 * 1024
"""Bytes of all output: a config holds at most 500 KB."""
_TASKS: Final = 6
"""Tasks of one service whose output is kept: all of one release write much the same."""


class SwarmFailedOutput(Struct, frozen=True, kw_only=True):
    """Config of the Swarm with the output of a failed deployment. Every method raises EngineError."""

    swarm: Swarm
    place: Place

    @property
    def shelf(self) -> FailedOutputStore:
        """Return the functions for `release.deploy.core.failed_output.keep_on_failure`."""
        return FailedOutputStore(place=self.place, keep=self.keep, forget=self.forget)

    @property
    def _name(self) -> str:
        return naming.failed_name(self.place)

    def _found(self) -> Stored | None:
        """Return the config with the output, found by our labels."""
        found = self.swarm.find("configs", self._name)
        is_ours = found is not None and self.place.labels(_ROLE).items() <= found.labels.items()
        return found if is_ours else None

    def forget(self) -> None:
        """Remove the stored output, if there is any."""
        if (found := self._found()) is not None:
            self.swarm.drop("configs", found.id)

    def keep(self, written: Sequence[CapturedOutput]) -> None:
        """Store the output instead of an earlier one."""
        self.forget()
        if not written:
            return
        content = Redacted(failed_output.to_text(shortened(written, _BYTES)))
        self.swarm.store("configs", self._name, content, self.place.labels(_ROLE))

    def read(self) -> FailedOutput | None:
        """Return the stored output; None if there is none."""
        found = self._found()
        if found is None:
            return None
        remedy = f"remove it: docker config rm {self._name}"
        return failed_output.parsed(self.place, self.swarm.content(found.id), remedy)


def collect(swarm: Swarm, deployment: str, tasks: Iterable[Task], mask: Mask) -> Iterator[CapturedOutput]:
    """Yield the last lines of these tasks without secrets, if their nodes return them."""
    mine = [task for task in tasks if task.container]
    for task in mine[-_TASKS:]:
        with suppress(EngineError):
            found = swarm.timed_output(task.id, lines=_LINES)
            texts = mask.lines([text for _, text in found])
            if texts:
                yield CapturedOutput(
                    deployment=deployment,
                    version=task.labels.get(VERSION, ""),
                    process=process_of(task.labels),
                    replica=str(task.slot),
                    lines=tuple((moment, text) for (moment, _), text in zip(found, texts, strict=True)),
                )
