"""Files of a build context that an ignore file does not exclude, by BuildKit's rules.

BuildKit applies the ignore file to the build context. This module applies the same rules before, so that
ignored files are not read, not written, and cause no errors. The rules follow moby's `patternmatcher` and
`fsutil`. Tests compare them with the builder's own result over generated pattern files.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from release.errors import ReleaseError
from release.images.ignorepattern import BLANKS, UNDECODED, Pattern, clean_path
from release.values import Struct

_BOM: Final = b"\xef\xbb\xbf"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_LINE: Final = 64 * 1024
"""Length in bytes from which Go's reader of lines fails (bufio.MaxScanTokenSize)."""

_Answers = tuple[bool, ...]
"""For each pattern in order: whether the pattern matches a path, or a folder above the path."""


class BadPattern(ReleaseError):
    """Error for a line of the ignore file that BuildKit refuses."""


class Kept(Struct, frozen=True, kw_only=True):
    """Paths that the ignore file does not exclude."""

    files: frozenset[str]
    folders: frozenset[str]
    """Folders, also those in which no file is kept."""
    submodules: frozenset[str]
    """Submodules, also ignored ones if an exception may match a file in them."""


class Ignore:
    """Rules of one ignore file."""

    def __init__(self, content: bytes | None, name: str = ".dockerignore") -> None:
        """Parse the file's text; None means no file. Raise BadPattern."""
        self._name = name
        lines = list(self._lines(content or b""))
        self._patterns = [Pattern(line, partial(self._bad, line)) for line in lines]
        self._refuse_unsendable(lines)
        self._exceptions = [pattern for pattern in self._patterns if pattern.is_exception]
        self._may_skip = all(pattern.is_plain for pattern in self._exceptions)

    def _bad(self, line: str, found: str) -> BadPattern:
        return BadPattern(
            f"read the patterns of {self._name}",
            f"{line!r} is a pattern that BuildKit refuses: {found}",
            f"correct this line of {self._name}, and commit it",
        )

    def _refuse_unsendable(self, lines: list[str]) -> None:
        """Raise BadPattern for a pattern that BuildKit cannot send in a header."""
        unsendable = next((line for line in lines if _CONTROL.search(line)), None)
        if unsendable is not None and all(line.isascii() for line in lines):
            raise self._bad(unsendable, "it holds a control character")

    def _lines(self, content: bytes) -> Iterator[str]:
        """Return the patterns of the text, one for each line (moby/patternmatcher, `ignorefile`)."""
        for line in content.removeprefix(_BOM).split(b"\n"):
            if len(line) >= _LONGEST_LINE:
                raise self._bad(f"{line[:20].decode('utf-8', 'replace')}…", "the line is too long")
            text = UNDECODED.sub("\ufffd", line.decode("utf-8", "surrogateescape"))
            if not text.startswith("#") and text.strip(BLANKS):
                yield _normalised(text.strip(BLANKS))

    def kept(self, files: Iterable[str], submodules: Iterable[str] = ()) -> Kept:
        """Return the paths below the context that are not ignored. Raise BadPattern."""
        tree, found, waiting = _Tree(files, submodules), _Found(), list[tuple[str, _Answers]]([("", ())])
        while waiting:
            folder, above = waiting.pop()
            for name in tree.below.get(folder, ()):
                path = f"{folder}{name}"
                ignored, answers = self._ask(path, above)
                if path in tree.submodules:
                    found.submodule(path, is_kept=not ignored or self._reaches(path))
                elif f"{path}/" not in tree.below:
                    found.file(path, is_kept=not ignored)
                else:
                    found.folder(path, is_kept=not ignored)
                    if not (ignored and self._skips(path)):
                        waiting.append((f"{path}/", answers))
        return found.kept()

    def _ask(self, path: str, above: _Answers) -> tuple[bool, _Answers]:
        """Return whether a path is ignored, and each pattern's answer (`MatchesUsingParentResults`)."""
        ignored, answers = False, list[bool]()
        for index, pattern in enumerate(self._patterns):
            answer = bool(above) and above[index]
            if not answer and pattern.is_exception == ignored:
                answer = pattern.matches(path)
            answers.append(answer)
            if answer:
                ignored = not pattern.is_exception
        return ignored, tuple(answers)

    def _skips(self, folder: str) -> bool:
        """Return whether BuildKit skips the content of an ignored folder (fsutil, `filterFS.Walk`)."""
        inside = f"{folder}/"
        return self._may_skip and not any(
            f"{exception.without_glob}/".startswith(inside) for exception in self._exceptions
        )

    def _reaches(self, folder: str) -> bool:
        return any(exception.reaches(folder) for exception in self._exceptions)


class _Found:
    """Collection of kept paths."""

    def __init__(self) -> None:
        self._files, self._folders, self._submodules = set[str](), set[str](), set[str]()

    def folder(self, path: str, *, is_kept: bool = True) -> None:
        """Add a folder and the folders above it."""
        while is_kept and path and path not in self._folders:
            self._folders.add(path)
            path = posixpath.dirname(path)

    def file(self, path: str, *, is_kept: bool) -> None:
        """Add a file and the folders above it."""
        if is_kept:
            self._files.add(path)
            self.folder(posixpath.dirname(path))

    def submodule(self, path: str, *, is_kept: bool) -> None:
        """Add a submodule: a folder without content."""
        if is_kept:
            self._submodules.add(path)

    def kept(self) -> Kept:
        """Return all collected paths."""
        return Kept(
            files=frozenset(self._files),
            folders=frozenset(self._folders),
            submodules=frozenset(self._submodules),
        )


class _Tree:
    """Paths, grouped by folder."""

    def __init__(self, files: Iterable[str], submodules: Iterable[str]) -> None:
        self.below = dict[str, dict[str, None]]()
        """Names by folder; a folder ends with /, and the context is an empty text."""
        self.submodules = frozenset(submodules)
        for path in (*files, *self.submodules):
            self._add(path)

    def _add(self, path: str) -> None:
        while path:
            folder, _, name = path.rpartition("/")
            names = self.below.setdefault(f"{folder}/" if folder else "", {})
            if name in names:
                return
            names[name] = None
            path = folder


def _normalised(pattern: str) -> str:
    """Return the pattern without blanks, a leading /, `.` and `..`."""
    is_exception = pattern.startswith("!")
    text = pattern.removeprefix("!").strip(BLANKS)
    if text:
        text = clean_path(text)
        text = text[1:] if text.startswith("/") and len(text) > 1 else text
    return f"!{text}" if is_exception else text
