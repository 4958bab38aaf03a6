"""A requirements.txt without a source: a lockfile by itself, if it pins all that it installs.

uv resolves its entries as they are. What comes out beyond them is missing from the file. Folders of the
commit are never built: what they need is read from their pyproject.toml.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.utils import canonicalize_name

from release import tomltext
from release.chain.lockgate.checking import Checking
from release.chain.lockgate.deciding import is_static
from release.chain.lockgate.entries import Entries, Entry, installed, read_entries
from release.chain.lockgate.hashed import ANY_TROUBLE
from release.chain.lockgate.results import Answer, Fresh, Stale, Unchecked
from release.chain.lockgate.uv import uv_program
from release.chain.pythons import HERE, NO_DOWNLOADS
from release.inherited import PACKAGES
from release.process import Command
from release.values import Struct

_INDEX: Final = (
    "-i",
    "--index-url",
    "--extra-index-url",
    "-f",
    "--find-links",
    "--no-index",
    "--pre",
    "--trusted-host",
)
_RESOLVED: Final = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?P<rest>[^#\n]*?)\s*(?:# via (?P<via>[^\n]*))?$"
)
_FOUND_IN_INDEX: Final = re.compile(r"--hash=(\S+)")
_NO_SOLUTION: Final = "No solution found"
_INCOMPLETE: Final = "is not a complete lockfile"
_SHOWN: Final = 12

_OLD_PYTHONS: Final = frozenset(f"3.{minor}" for minor in range(12))
_OF_THE_IMAGE: Final = frozenset({"distribute", "pip", "setuptools", "wheel"})
"""What images of these Pythons bring, and what `pip freeze` leaves out for them."""


class Resolved(Struct, frozen=True, kw_only=True):
    """One package of a resolution."""

    name: str
    version: str
    via: str
    """Packages that need it."""
    hashes: frozenset[str]

    @property
    def line(self) -> str:
        """The line to write."""
        return f"{self.name}=={self.version}" + (f"  # via {self.via}" if self.via else "")


def check(found: Checking) -> Answer:
    """Check the entries of a requirements file."""
    try:
        entries = read_entries(found.path, lambda name: _read(found, name))
    except ValueError as error:
        return Unchecked(
            reason=f"{found.path} is not UTF-8: {error}", hint="write it in UTF-8, without marks"
        )
    if entries.missing:
        names = ", ".join(entries.missing)
        hint = f"commit {names}, or correct the line that includes it"
        return Unchecked(
            reason=f"it includes {names}, which is not committed in the service's folder", hint=hint
        )
    return check_entries(found, entries, mend=compile_advice(found, entries))


def _read(found: Checking, name: str) -> bytes | None:
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts
    return (found.folder / name).read_bytes() if inside and found.has(name) else None


def check_entries(found: Checking, entries: Entries, *, mend: str) -> Answer:
    """Check that entries are pinned, hashed as asked for, complete, and that no two exclude each other.

    Args:
        found: the lockfile that has them.
        entries: what it says.
        mend: the last words of a hint, with the command that makes a lockfile of another kind.
    """
    broken = [entry.text for entry in installed(entries) if _cannot_be_read(entry)]
    if broken:
        hint = "correct the line; pip cannot read it either"
        return Unchecked(
            reason=f"{found.path} has a line that is no requirement: {broken[0]}"[:300], hint=hint
        )
    moving = [entry.text for entry in installed(entries) if entry.address and not entry.is_pinned]
    if moving:
        each = "name a commit by its 40 digits, as @1234..., in the place of a branch or tag"
        found_moving = tuple(f"{text} is not pinned" for text in moving[:_SHOWN])
        return Stale(differences=found_moving, verdict=_INCOMPLETE, mend=each)
    is_hashed = found.config.require_hashes or any(entry.hashes for entry in installed(entries))
    resolved = _resolve(found, entries, is_hashed=is_hashed)
    if isinstance(resolved, Stale | Unchecked):
        return resolved
    allowed = _OF_THE_IMAGE if python_of(found) in _OLD_PYTHONS else frozenset[str]()
    problems, lines = _problems(entries, resolved, is_hashed=is_hashed, allowed=allowed)
    if problems:
        return Stale(
            differences=tuple(problems[:_SHOWN]),
            verdict=_INCOMPLETE,
            mend=f"write these lines into {found.path}, or {mend}" if lines else mend,
            tail=tuple(lines),
        )
    return Fresh(packages=_packages(entries, resolved), remark=_remark(found, entries))


def _cannot_be_read(entry: Entry) -> bool:
    if entry.requirement is not None or entry.is_editable:
        return False
    return " " in entry.text and "://" not in entry.text


def _resolve(
    found: Checking, entries: Entries, *, is_hashed: bool
) -> dict[str, Resolved] | Stale | Unchecked:
    uv = uv_program(found)
    if isinstance(uv, Unchecked):
        return uv
    done = found.execute(
        Command(
            argv=(uv, *_words(found, is_hashed=is_hashed), *_inputs(found, entries)),
            cwd=(found.folder / found.path).parent,
            env=NO_DOWNLOADS | {"UV_PYTHON": sys.executable},
            inherits=(*PACKAGES, *found.config.pass_env),
        )
    )
    if done.status == 0:
        return _read_resolved(done.output)
    if done.status == 1 and _NO_SOLUTION in done.output and "network was disabled" not in done.output:
        return Stale(
            differences=("no set of packages satisfies all of its entries",),
            verdict="contradicts itself",
            mend=f"change the entry that uv names above, or {compile_advice(found, entries)}",
            tail=done.tail,
        )
    hint = (
        "let this machine reach the package index (and what the entry needs to be built), then run it again"
    )
    return Unchecked(reason=f"uv ended with status {done.status}", hint=hint, tail=done.tail)


def _words(found: Checking, *, is_hashed: bool) -> tuple[str, ...]:
    return (
        *("pip", "compile", "--quiet", "--no-header", "--annotation-style", "line"),
        *("--python-version", python_of(found), "--python-platform", "linux"),
        *("--index-strategy", "unsafe-best-match"),
        *(("--generate-hashes",) if is_hashed else ()),
    )


def python_of(found: Checking) -> str:
    """Return the Python that the entries are resolved for."""
    return found.config.python or found.image or HERE


def _inputs(found: Checking, entries: Entries) -> tuple[str, ...]:
    """Write what uv resolves beside the lockfile; return the words that name it."""
    options = [line for line in entries.options if re.split(r"[\s=]", line)[0] in _INDEX]
    wanted = [line for entry in installed(entries) for line in _asked(found, entry)]
    limits = [entry.text for entry in entries.entries if entry.is_constraint]
    folder = (found.folder / found.path).parent
    (folder / "release-entries.in").write_text("\n".join([*options, *wanted, ""]), encoding="utf-8")
    (folder / "release-limits.in").write_text("\n".join([*limits, ""]), encoding="utf-8")
    return ("release-entries.in", "--constraint", "release-limits.in")


def _asked(found: Checking, entry: Entry) -> Sequence[str]:
    """Return the lines that uv is asked about: for a folder of the commit, what its project declares."""
    return (_declared(found, entry) or ()) if entry.is_local else (entry.text,)


def _declared(found: Checking, entry: Entry) -> list[str] | None:
    """Return the requirements of a folder of the commit; None if only building it tells them."""
    address = entry.address.removeprefix("file://").removeprefix("file:")
    folder = PurePosixPath(found.path).parent / re.sub(r"\[.*\]$|[#?].*$", "", address)
    try:
        document = tomltext.read(found.read((folder / "pyproject.toml").as_posix()))
        return list(document["project"].get("dependencies", ())) if is_static(document) else None
    except (OSError, *ANY_TROUBLE):
        return None


def _read_resolved(output: str) -> dict[str, Resolved]:
    joined = re.sub(r"\\\n", " ", output)
    found = (match for line in joined.splitlines() if (match := _RESOLVED.match(line.strip())) is not None)
    return {
        canonicalize_name(match["name"]): Resolved(
            name=match["name"],
            version=match["version"],
            via=", ".join(
                each for each in re.split(r",\s*", match["via"] or "") if each[:1] not in ("-", "")
            ),
            hashes=frozenset(_FOUND_IN_INDEX.findall(match["rest"])),
        )
        for match in found
    }


def _problems(
    entries: Entries, resolved: Mapping[str, Resolved], *, is_hashed: bool, allowed: frozenset[str]
) -> tuple[list[str], list[str]]:
    """Return what is wrong, each as a phrase, and the lines that mend it."""
    pinned = {entry.name for entry in entries.entries if entry.is_pinned}
    problems, lines = [], []
    for entry in installed(entries):
        if not entry.is_pinned and entry.name not in pinned:
            problems.append(f"{entry.text} is not pinned")
            lines += [_pin(entry, resolved)]
        elif is_hashed:
            problems += _hashes(entry, resolved)
    missing = sorted(resolved.keys() - {entry.name for entry in entries.entries} - allowed)
    if missing:
        problems.append(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} needed and missing")
    return problems, lines + [resolved[name].line for name in missing]


def _pin(entry: Entry, resolved: Mapping[str, Resolved]) -> str:
    """Return the entry with a version."""
    requirement = entry.requirement
    if requirement is None or entry.name not in resolved:
        return entry.text
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}{extras}=={resolved[entry.name].version}{marker}"


def _hashes(entry: Entry, resolved: Mapping[str, Resolved]) -> Iterator[str]:
    """pip refuses a file in which some entries have hashes and others have none."""
    if entry.is_editable or entry.is_local:
        return
    if not entry.hashes:
        yield f"{entry.text} has no hash"
    elif (
        entry.name in resolved
        and resolved[entry.name].hashes
        and not entry.hashes & resolved[entry.name].hashes
    ):
        yield f"{entry.text} has a hash of no file that the index has"


def _packages(entries: Entries, resolved: Mapping[str, Resolved]) -> dict[str, str]:
    pinned: dict[str, set[str]] = {}
    for entry in installed(entries):
        if entry.name and entry.version:
            pinned.setdefault(entry.name, set()).add(entry.version)
    others = {name: {each.version} for name, each in resolved.items() if name not in pinned}
    return {name: ", ".join(sorted(found)) for name, found in (pinned | others).items()}


def _remark(found: Checking, entries: Entries) -> str:
    unknown = [e.text for e in installed(entries) if e.is_local and _declared(found, e) is None]
    if not unknown:
        return ""
    return f"{', '.join(unknown)} is of the commit and was not built, so what it needs was not checked"


def compile_advice(found: Checking, entries: Entries) -> str:
    """Return the commands that make the file a compiled one."""
    source = Path(found.path).with_suffix(".in").as_posix()
    version = python_of(found)
    options = [*(["--python-version", version] if version != HERE else [])]
    options += (
        ["--generate-hashes"] if found.config.require_hashes or any(e.hashes for e in entries.entries) else []
    )
    move = shlex.join(["git", "mv", found.path, source])
    make = shlex.join(["uv", "pip", "compile", *options, source, "-o", found.path])
    return f"make it a compiled one: `{move} && {make}`, and commit both"
