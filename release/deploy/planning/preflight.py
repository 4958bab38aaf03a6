"""Refuse with everything that was found, in one error, before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence

from release.deploy.core.image_location import ImageLocation
from release.errors import NotReady, Problem, ReleaseError, TargetUnavailable


def refuse(
    attempted: str,
    found: ImageLocation,
    problems: Sequence[Problem],
    lock: ReleaseError | None,
    *,
    barred: Sequence[Problem] = (),
) -> None:
    """Raise all problems in one error. `barred` says why the target is unavailable.

    Raises:
        TargetUnavailable: the bytes are nowhere, or it is barred. NotReady: anything else is missing.
        LockHeld: only that.
    """
    lines = [str(problem) for problem in (*barred, *problems)]
    if found.where == "nowhere":
        lines.insert(0, f"image: {found.problem}")
    if not lines:
        if lock is not None:
            raise lock
        return
    if lock is not None:
        lines.append(f"lock: {lock.found}")
    noun = "problem" if len(lines) == 1 else "problems"
    text = "".join(f"\n  {line}" for line in lines)
    error = TargetUnavailable if found.where == "nowhere" or barred else NotReady
    raise error(attempted, f"{len(lines)} {noun}, and nothing was changed{text}", _hint(found))


def _hint(found: ImageLocation) -> str:
    if found.where != "nowhere":
        return "correct this, and run the command again"
    first = f"{found.hint}; or else " if found.hint else ""
    return first + (
        "`--rebuild` builds it again from its record on one engine, and continues if the image "
        "is the same; `docker load` loads it from a copy; `invoke history` lists other releases"
    )
