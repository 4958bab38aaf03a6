"""Which files of a build context `.dockerignore` leaves out.

BuildKit applies the file to a folder it reads itself, not to an archive that it is sent, so the archive is
made without them. The rules are Docker's own, as its Python library implements them.
"""

from __future__ import annotations

from collections.abc import Callable


def excluder(content: bytes | None) -> Callable[[str], bool]:
    """A function that tells whether a path below the context is left out.

    Args:
        content: the bytes of `.dockerignore`; None when there is none.
    """
    from docker.utils.build import PatternMatcher

    lines = (line.strip() for line in (content or b"").decode("utf-8-sig").splitlines())
    patterns = [line for line in lines if line and not line.startswith("#")]
    matcher = PatternMatcher(patterns)
    return lambda path: bool(matcher.matches(path))  # type: ignore[arg-type]  # the stubs want a PathLike
