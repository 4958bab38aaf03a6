"""The advice to commit a configuration that the working copy has and the commit lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from release import config
from release.errors import ConfigError, Problem, SourceError


@contextmanager
def naming_the_working_copy(root: Path, read: Callable[[str], bytes | None]) -> Iterator[None]:
    """Name the working copy in an error about the commit's configuration.

    Args:
        root: the folder of the working copy.
        read: the content of a file of the commit; None: it is not there.

    Raises:
        ConfigError: the working copy has the table that the commit lacks, or a right one.
        SourceError: the commit cannot be read, or neither has the table.
    """
    try:
        yield
    except ConfigError as error:
        raise _told(root, read, error.problems) or error from error
    except SourceError as error:
        if read(config.FILE) is None and read(config.OWN_FILE) is None:
            raise _told(root, read, ()) or error from error
        raise


def _told(
    root: Path, read: Callable[[str], bytes | None], problems: tuple[Problem, ...]
) -> ConfigError | None:
    """The error with the advice; None where to commit is no help."""
    here = config.holders(config.of_folder(root))
    if not here:
        return None
    if not config.holders(read):
        return ConfigError(here[0], [_advice(here[0], "has the table, but the commit does not")])
    if not _is_right(root):
        return None
    return ConfigError(
        here[0], [*problems, _advice(here[0], "does not have this problem, but this run reads the commit")]
    )


def _advice(file: str, found: str) -> Problem:
    return Problem(path=file, message=f"the working copy {found}; commit it: git add {file}; git commit")


def _is_right(root: Path) -> bool:
    try:
        config.load(root)
    except ConfigError:
        return False
    return True
