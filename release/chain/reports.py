"""What gates leave for other programs: JUnit, findings with file and line, and the release as variables.

The files are in `.release/reports/<service>/`, where every run puts them anew, so that a CI system's
configuration can name them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final
from xml.etree import ElementTree

from release import private
from release.events import Finding, Released
from release.frozen import Struct

_RUFF: Final = ("ruff", "check")
_CRASH: Final = re.compile(r"^(?P<file>[^\s:]+):(?P<line>[0-9]+): ", re.MULTILINE)
"""Where pytest says in the text of a failure that it happened: as "tests/test_api.py:12: AssertionError"."""


class Reports(Struct, frozen=True, kw_only=True):
    """`.release/reports/<service>/`."""

    path: Path

    @property
    def junit(self) -> Path:
        """The tests' report, as JUnit XML."""
        return self.path / "junit.xml"

    @property
    def variables(self) -> Path:
        """The release as lines `NAME=value`, as dotenv files have them."""
        return self.path / "release.env"

    def forget(self, file: Path) -> None:
        """Take away what an earlier run left."""
        file.unlink(missing_ok=True)

    def put(self, file: Path, text: str) -> None:
        """Write a report; a reader sees the old one or the new one."""
        home = self.path.parent.parent
        private.write(private.below(home, *self.path.relative_to(home).parts) / file.name, text)

    def put_release(self, release: Released) -> None:
        """The release, for the jobs that come after."""
        values = {"VERSION": release.version, "DIGEST": release.digest, "REFERENCE": release.reference}
        self.put(self.variables, "".join(f"RELEASE_{name}={value}\n" for name, value in values.items()))


def machine_readable(argv: tuple[str, ...]) -> tuple[str, ...] | None:
    """The same `ruff check`, asked for JSON; None for every other command: their output is not known here."""
    name, *words = argv
    told = (Path(name).name, *words[:1])
    as_module = words[:3] == ["-m", *_RUFF]
    if told != _RUFF and not as_module:
        return None
    return (name, *_without_format(words), "--output-format", "json")


def _without_format(words: list[str]) -> Iterator[str]:
    option = "--output-format"
    for before, word in zip(["", *words], words, strict=False):
        if option not in (before, word) and not word.startswith(f"{option}="):
            yield word


def ruff_findings(output: str, tree: Path) -> tuple[Finding, ...]:
    """What ruff's JSON says of the files below a folder (ruff's documentation, "output-format").

    Nothing where the output is something else.
    """
    start = output.find("[")
    with suppress(ValueError):
        found, _ = json.JSONDecoder().raw_decode(output, max(start, 0))
        if isinstance(found, list):
            return tuple(finding for item in found if (finding := _ruff_finding(item, tree)) is not None)
    return ()


def _ruff_finding(item: Any, tree: Path) -> Finding | None:
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


def failed_tests(junit: bytes, is_file: Callable[[str], bool], context: str) -> tuple[Finding, ...]:
    """The failed and broken tests of a JUnit report.

    Args:
        junit: as pytest writes it with `junit_family=xunit1`, which has file and line.
        is_file: whether the commit has a file of this path.
        context: the folder of the service; a path in the image is looked for there, then in the whole.

    Returns:
        Those whose file is known for certain.
    """
    try:
        root = ElementTree.fromstring(junit)  # noqa: S314 - the team's own image wrote it; expat bounds entities
    except ElementTree.ParseError:
        return ()
    cases = [(case, trouble) for case in root.iter("testcase") for trouble in _troubles(case)]
    found = (_failed_test(case, trouble, is_file, context) for case, trouble in cases)
    return tuple(finding for finding in found if finding is not None)


def _troubles(case: ElementTree.Element) -> list[ElementTree.Element]:
    return [*case.findall("failure"), *case.findall("error")]


def _failed_test(
    case: ElementTree.Element, trouble: ElementTree.Element, is_file: Callable[[str], bool], context: str
) -> Finding | None:
    said, text = case.get("file", ""), trouble.text or ""
    crashes = [match for match in _CRASH.finditer(text) if not said or _is_one_file(said, match["file"])]
    inside = said or (crashes[-1]["file"] if crashes else "")
    file = _in_the_commit(inside, is_file, context)
    if file is None:
        return None
    name = "::".join(part for part in (inside, case.get("name", "")) if part)
    return Finding(
        file=file,
        line=int(crashes[-1]["line"]) if crashes else _line_of(case),
        title=f"test {name}",
        message=trouble.get("message") or text or "failed",
    )


def _is_one_file(one: str, other: str) -> bool:
    """Whether two paths can be one: pytest counts one from its root, the other from where it was called."""
    pairs = zip(reversed(PurePosixPath(one).parts), reversed(PurePosixPath(other).parts), strict=False)
    return all(left == right or "/" in (left, right) for left, right in pairs)


def _line_of(case: ElementTree.Element) -> int | None:
    """pytest counts lines from 0 in its attribute."""
    text = case.get("line", "")
    return int(text) + 1 if text.isdecimal() else None


def _in_the_commit(inside: str, is_file: Callable[[str], bool], context: str) -> str | None:
    """The file of the commit that is at this path in the image. Leading folders may be the image's own."""
    parts = PurePosixPath(inside).parts
    if ".." in parts or not parts:
        return None
    parts = tuple(part for part in parts if part != "/")
    tails = [parts[start:] for start in range(len(parts)) if start == 0 or len(parts) - start > 1]
    folders = dict.fromkeys((PurePosixPath(context), PurePosixPath(".")))
    paths = [(folder.joinpath(*tail)).as_posix() for tail in tails for folder in folders]
    return next(filter(is_file, paths), None)
