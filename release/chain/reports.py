"""Files of gates for other programs: JUnit, findings with file and line, and the release as variables.

Every run writes the files to `.release/reports/<service>/`, so that the configuration of a CI system can name
them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final

from release.chain.testing.junit import FailedTest, UnreadableReport, decode_report, parse_report
from release.errors import ReleaseError
from release.events import Emit, Finding, Released, Warned
from release.files import private
from release.text.shortening import shortened
from release.values import Struct

_RUFF: Final = ("ruff", "check")
_CRASH: Final = re.compile(r"^(?P<file>[^\s:]{1,4096}):(?P<line>[0-9]{1,9}): ", re.MULTILINE)
"""Pattern of a failure's place in pytest's text, as "tests/test_api.py:12: AssertionError"."""


_MOST_DIGITS: Final = 9
_LONGEST_MESSAGE: Final = 8_000
_LONGEST_PATH: Final = 1000
_MOST_FOLDERS: Final = 40
"""Most folders of a path that are looked for in the commit."""


class ReportFolder(Struct, frozen=True, kw_only=True):
    """The folder `.release/reports/<service>/`."""

    path: Path

    @property
    def junit_path(self) -> Path:
        """Return the path of the tests' report, JUnit XML."""
        return self.path / "junit.xml"

    @property
    def variables_path(self) -> Path:
        """Return the path of the release's variables as lines `NAME=value` (dotenv)."""
        return self.path / "release.env"

    def remove(self, file: Path) -> None:
        """Remove the report of an earlier run."""
        file.unlink(missing_ok=True)

    def write(self, file: Path, text: str) -> None:
        """Write a report atomically: a reader sees the old or the new report."""
        home = self.path.parent.parent
        private.write(
            private.ensure_owned_subfolder(home, *self.path.relative_to(home).parts) / file.name, text
        )

    def remove_release_variables(self) -> None:
        """Remove the variables of an earlier release, so that a failed run leaves none.

        Raises ReleaseError.
        """
        try:
            self.remove(self.variables_path)
        except OSError as error:
            attempted = f"remove {self.variables_path} of an earlier run"
            hint = "correct the folder's owner, or remove the file"
            raise ReleaseError(attempted, str(error), hint) from error

    def write_release_variables(self, release: Released, emit: Emit) -> None:
        """Write the release's variables for later jobs; warn if the file cannot be written."""
        try:
            self._write_variables(release)
        except (OSError, ReleaseError) as error:
            text = f"could not write {self.variables_path}: {error}. The release is recorded, but later jobs"
            emit(Warned(text=f"{text} lack this file."))

    def _write_variables(self, release: Released) -> None:
        values = {"VERSION": release.version, "DIGEST": release.digest, "REFERENCE": release.reference}
        self.write(
            self.variables_path, "".join(f"RELEASE_{name}={value}\n" for name, value in values.items())
        )


def ruff_command_with_json(argv: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the `ruff check` command with JSON output; None for every other command."""
    name, *words = argv
    told = (Path(name).name, *words[:1])
    as_module = words[:3] == ["-m", *_RUFF]
    if told != _RUFF and not as_module:
        return None
    return (name, *_remove_output_format(words), "--output-format", "json")


def _remove_output_format(words: list[str]) -> Iterator[str]:
    option = "--output-format"
    for before, word in zip(["", *words], words, strict=False):
        if option not in (before, word) and not word.startswith(f"{option}="):
            yield word


def parse_ruff_findings(output: str, tree: Path) -> tuple[Finding, ...]:
    """Return the findings in ruff's JSON for files below a folder (ruff, "output-format").

    The result is empty for other output.
    """
    start = output.find("[")
    with suppress(ValueError, RecursionError):
        found, _ = json.JSONDecoder().raw_decode(output, max(start, 0))
        if isinstance(found, list):
            return tuple(finding for item in found if (finding := _finding_from_ruff(item, tree)) is not None)
    return ()


def _finding_from_ruff(item: Any, tree: Path) -> Finding | None:
    try:
        return Finding(
            file=Path(item["filename"]).relative_to(tree).as_posix(),
            line=int(item["location"]["row"]),
            column=int(item["location"]["column"]),
            title=f"ruff {item['code'] or 'syntax'}",
            message=str(item["message"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def findings_from_junit(junit: bytes, is_file: Callable[[str], bool], context: str) -> tuple[Finding, ...]:
    """Return the failed and broken tests that a JUnit report lists.

    Args:
        junit: as pytest writes it with `junit_family=xunit1`, which has file and line.
        is_file: whether the commit has a file of this path.
        context: the folder of the service; a path in the image is looked for there, then in the whole.

    Returns:
        The tests whose file is certain.
    """
    try:
        failures = parse_report(decode_report(junit)).failures
    except UnreadableReport:
        return ()
    found = (_finding_from_failed_test(failure, is_file, context) for failure in failures)
    return tuple(finding for finding in found if finding is not None)


def _finding_from_failed_test(
    failure: FailedTest, is_file: Callable[[str], bool], context: str
) -> Finding | None:
    said = failure.file
    crashes = [
        match for match in _CRASH.finditer(failure.text) if not said or _may_be_same_file(said, match["file"])
    ]
    inside = said or (crashes[-1]["file"] if crashes else "")
    file = _path_in_commit(inside, is_file, context)
    if file is None:
        return None
    name = "::".join(part for part in (inside, failure.name) if part)
    return Finding(
        file=file,
        line=int(crashes[-1]["line"]) if crashes else _line_of_failure(failure),
        title=f"test {name}",
        message=shortened(failure.message or failure.text or "failed", _LONGEST_MESSAGE),
    )


def _may_be_same_file(one: str, other: str) -> bool:
    """Return whether two paths may be the same file: one may be relative to pytest's root."""
    pairs = zip(reversed(PurePosixPath(one).parts), reversed(PurePosixPath(other).parts), strict=False)
    return all(left == right or "/" in (left, right) for left, right in pairs)


def _line_of_failure(failure: FailedTest) -> int | None:
    """Return the line of a failed test: pytest counts from 0. None if the file has no such line."""
    is_number = failure.line.isascii() and failure.line.isdecimal() and len(failure.line) <= _MOST_DIGITS
    return int(failure.line) + 1 if is_number else None


def _path_in_commit(inside: str, is_file: Callable[[str], bool], context: str) -> str | None:
    """Return the committed file for a path in the image; leading folders may be the image's own."""
    parts = PurePosixPath(inside).parts
    if ".." in parts or not parts or len(parts) > _MOST_FOLDERS or len(inside) > _LONGEST_PATH:
        return None
    parts = tuple(part for part in parts if part != "/")
    tails = [parts[start:] for start in range(len(parts)) if start == 0 or len(parts) - start > 1]
    folders = dict.fromkeys((PurePosixPath(context), PurePosixPath(".")))
    paths = [(folder.joinpath(*tail)).as_posix() for tail in tails for folder in folders]
    return next(filter(is_file, paths), None)
