"""The advice to commit a configuration that the working copy has and the commit lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from release import config
from release.errors import ConfigError, Problem, SourceError
from release.git.source import Source


@contextmanager
def suggest_committing_configuration(source: Source, read: Callable[[str], bytes | None]) -> Iterator[None]:
    """Name the working copy in an error about the commit's configuration.

    Args:
        source: the repository with the working copy.
        read: the content of a file of the commit; None: it is not there.

    Raises:
        ConfigError: the working copy has the table that the commit lacks, or a right one.
        SourceError: the commit cannot be read, or neither has the table.
    """
    try:
        yield
    except ConfigError as error:
        raise _error_with_advice(source, read, error.problems) or error from error
    except SourceError as error:
        if read(config.FILE) is None and read(config.OWN_FILE) is None:
            raise _error_with_advice(source, read, ()) or error from error
        raise


def _error_with_advice(
    source: Source, read: Callable[[str], bytes | None], problems: tuple[Problem, ...]
) -> ConfigError | None:
    """The error with the advice; None where to commit is no help."""
    here = [
        file
        for file in config.files_with_table(config.folder_reader(source.root))
        if (source.root / file).is_file()
    ]
    if not here:
        return None
    if not config.files_with_table(read):
        return ConfigError(
            here[0], [_problem_with_commit_command(source, here[0], "has the table, but the commit does not")]
        )
    if not _is_valid_configuration(source.root):
        return None
    found = "does not have this problem, but this run reads the commit"
    return ConfigError(here[0], [*problems, _problem_with_commit_command(source, here[0], found)])


def _problem_with_commit_command(source: Source, file: str, found: str) -> Problem:
    """Return the problem with the command, for a file that git ignores with the option that it needs."""
    ignored = source.git.run("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", file)
    is_ignored = file in ignored.records
    commands = f"git add {'--force ' if is_ignored else ''}{file}; git commit"
    why = ", although git ignores it" if is_ignored else ""
    return Problem(path=file, message=f"the working copy {found}; commit it{why}: {commands}")


def _is_valid_configuration(root: Path) -> bool:
    try:
        config.load(root)
    except ConfigError:
        return False
    return True
