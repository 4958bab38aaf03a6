"""pylock.toml (PEP 751): checked by PDM or uv if they made the file, else by its own content."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from packaging.markers import InvalidMarker, Marker
from packaging.utils import canonicalize_name

from release import tomltext
from release.chain.lockgate import pdm, plain
from release.chain.lockgate.checking import Checking
from release.chain.lockgate.compiled import advice
from release.chain.lockgate.damaged import ANY_TROUBLE, damaged
from release.chain.lockgate.deciding import static_requirements
from release.chain.lockgate.declared import of_pdm
from release.chain.lockgate.differences import Locked
from release.chain.lockgate.entries import Entries, Entry
from release.chain.lockgate.hashed import Hashed
from release.chain.lockgate.outside import not_committed, outside_words, read_files
from release.chain.lockgate.requirements import THIS_PYTHON
from release.chain.lockgate.results import Answer, Fresh, Stale, Unchecked, unreached
from release.chain.lockgate.uv import uv_program
from release.chain.pythons import is_allowed
from release.inherited import PACKAGES
from release.process import Command
from release.values import replace

HEADER: Final = re.compile(r"^#\s+uv (?P<words>(?:pip compile|export) .*)$", re.MULTILINE)
_OF_INSTALLATION: Final = re.compile(r"\b(extras|dependency_groups)\b")
_PYTHONS: Final = ("--python-version", "--universal", "--python")
_SHOWN: Final = 8


def read(content: str) -> Locked:
    """Return the content of a pylock.toml. Raises ValueError, LookupError, TypeError or AttributeError."""
    document = tomltext.read(content, tomltext.LARGEST_LOCK)
    if not str(document["lock-version"]).startswith("1."):
        raise ValueError(f"its lock-version is {document['lock-version']}; known is 1.0")
    versions: dict[str, set[str]] = {}
    for package in document["packages"]:
        name = canonicalize_name(package["name"])
        versions.setdefault(name, set()).add(str(package.get("version", "")))
    return Locked(
        versions={name: tuple(sorted(found)) for name, found in versions.items()},
        needs={},
        direct=frozenset(),
        groups=frozenset([*document.get("dependency-groups", ()), *document.get("extras", ())]) or None,
        with_extras=False,
        python=str(document.get("requires-python", "")),
    )


def check(found: Checking) -> Answer:
    """Check a pylock.toml with the tool that made the file; without such a tool, check its content."""
    try:
        locked = read(found.content)
        document = tomltext.read(found.content, tomltext.LARGEST_LOCK)
    except ANY_TROUBLE as error:
        good = found.good(read)
        return damaged(found.path, error, good, _command(good.content if good is not None else found.content))
    other = _other_python(found, locked)
    if other is not None:
        return other
    if "pdm" in document.get("tool", {}):
        return pdm.ask(found, _OF_PDM, {"PDM_LOCK_FORMAT": "pylock", "PDM_LOCK__FORMAT": "pylock"})
    header = HEADER.search(found.content)
    if header is not None and _can_be_made_again(found, header["words"]):
        return _made_again(found, shlex.split(header["words"]), locked)
    return _by_itself(found, document, locked)


def _command(content: str) -> str:
    """Return the command that made a lockfile, from its header or its table of PDM; empty if not known."""
    header = HEADER.search(content)
    if header is not None:
        return f"uv {header['words'].strip()}"
    return f"PDM_LOCK_FORMAT=pylock {pdm.KIND.mend}" if "\n[tool.pdm" in content else ""


def _other_python(found: Checking, locked: Locked) -> Stale | None:
    """Return the answer for a lockfile of another Python than the service's; None if the Python fits."""
    wanted = found.config.python or found.image
    if wanted is None or not locked.python or is_allowed(wanted, locked.python):
        return None
    return Stale(
        differences=(f"the service runs on Python {wanted}, and Python {locked.python} is locked",),
        mend=_for_python(found, wanted),
    )


def _for_python(found: Checking, wanted: str) -> str:
    """Return the next step that makes a lockfile for another Python."""
    command = _command(found.content)
    if command.startswith("uv pip compile "):
        return f"run `{advice(found.content, (), python=wanted)}` and commit the result"
    if not command:
        return f"make {found.path} again for Python {wanted}, and commit the result"
    line = f"uv lock && {command}" if command.startswith("uv ") else command
    allow = f"let requires-python in {found.beside('pyproject.toml')} allow Python {wanted}"
    return f"{allow}, run `{line}`, and commit the results"


def _can_be_made_again(found: Checking, words: str) -> bool:
    """Return whether the header's command keeps locked versions: an export without its uv.lock does not."""
    return words.startswith("pip ") or found.has(found.beside("uv.lock"))


_OF_PDM: Final = Hashed(
    project="pyproject.toml",
    declares=of_pdm,
    python=pdm.python,
    read=read,
    mend=pdm.KIND.mend,
    says=pdm.KIND.says,
)


def _made_again(found: Checking, words: list[str], locked: Locked) -> Answer:
    """Run the header's uv command again, from the locked versions, for the service's Python."""
    refused = outside_words(words) or _outside_files(found, words)
    uv = refused or uv_program(found)
    if isinstance(uv, Unchecked):
        return uv
    words = [*_without_output(words), "--output-file", Path(found.path).name]
    wanted = found.config.python or found.image
    is_told = words[0] != "pip" or wanted is None or any(word.startswith(_PYTHONS) for word in words)
    words = words if is_told else [*words, "--python-version", str(wanted)]
    argv = (uv, *words, "--quiet")
    inherits = (*PACKAGES, *found.config.pass_env)
    done = found.execute(
        Command(argv=argv, cwd=(found.folder / found.path).parent, env=THIS_PYTHON, inherits=inherits)
    )
    line = shlex.join(["uv", *words])
    if done.status != 0:
        return unreached(f"`{line}` of its header ended with status {done.status}", done, line)
    after = tomltext.read(found.read(found.path), tomltext.LARGEST_LOCK)
    before = tomltext.read(found.content, tomltext.LARGEST_LOCK)
    told = ("packages", "requires-python") if is_told else ("packages",)
    if all(before.get(key) == after.get(key) for key in told):
        return Fresh(packages=locked.packages)
    return Stale(
        differences=tuple(_changed(locked, read(found.read(found.path)))),
        mend=f"run `{line}` and commit the result",
    )


def _outside_files(found: Checking, words: list[str]) -> Unchecked | None:
    """Return the answer for sources that name files outside of the commit; None if there are none."""
    for word in words:
        name = found.beside(word.rpartition("=")[2])
        if Path(name).suffix in (".in", ".txt") and found.has(name):
            refused = not_committed(found, name, read_files(found, name))
            if refused is not None:
                return refused
    return None


def _without_output(words: list[str]) -> Iterator[str]:
    """Return the command's words without the output option."""
    waiting = iter(words)
    for word in waiting:
        if word in ("-o", "--output-file"):
            next(waiting, None)
        elif not word.startswith(("-o", "--output-file=")):
            yield word


def _changed(before: Locked, after: Locked) -> list[str]:
    """Return the differences between two lockfiles."""
    old, new = before.packages, after.packages
    found = (
        [f"Python {after.python} is declared, and {before.python} is locked"]
        if before.python != after.python
        else []
    )
    found += [
        f"{name} {old[name]} → {new[name]}" for name in old.keys() & new.keys() if old[name] != new[name]
    ]
    found += [f"{name} {new[name]} is missing" for name in sorted(new.keys() - old.keys())]
    found += [f"{name} is not needed" for name in sorted(old.keys() - new.keys())]
    return found[:_SHOWN] or ["its files, hashes or markers differ"]


def _by_itself(found: Checking, document: Mapping[str, Any], locked: Locked) -> Answer:
    """Check that the locked packages are complete and contain the declared requirements."""
    source = _source(found)
    pins = tuple(_entry(found, package) for package in document["packages"])
    mend = f"make {found.path} again with {document.get('created-by', 'its tool')}, and commit the result"
    if isinstance(source, Unchecked):
        return source
    if source is None:
        answer = plain.check_entries(found, _entries(pins), mend=mend)
    else:
        wanted = tuple(Entry(text=line, file=found.path) for line in source)
        limits = tuple(replace(pin, is_constraint=True) for pin in pins if not pin.address)
        answer = plain.check_entries(found, _entries((*wanted, *limits)), mend=mend)
    return replace(answer, packages=locked.packages) if isinstance(answer, Fresh) else answer


def _entries(entries: tuple[Entry, ...]) -> Entries:
    return Entries(entries=entries, options=(), missing=(), files=frozenset())


def _entry(found: Checking, package: Mapping[str, Any]) -> Entry:
    """Return a package as a line of a requirements file, with the URL of a folder or commit."""
    where = package.get("vcs") or package.get("directory") or package.get("archive") or {}
    address = where.get("url") or where.get("path")
    version = f" @ {address}" if address else f"=={package['version']}"
    marker = _marker(str(package.get("marker", "")))
    return Entry(text=f"{package['name']}{version}{marker}", file=found.path)


def _marker(marker: str) -> str:
    """Return a marker in uv's form, without extras and groups that the installer chooses."""
    if not marker or _OF_INSTALLATION.search(marker):
        return ""
    try:
        return f" ; {Marker(marker)}"
    except InvalidMarker:
        return ""


def _source(found: Checking) -> list[str] | Unchecked | None:
    """Return the source: `lock.source`, else the project beside the lockfile; None if not known."""
    name = found.config.source or found.beside("pyproject.toml")
    if not found.has(name):
        if found.config.source is None:
            return None
        reason = f"lock.source is {name}, and the commit has no such file"
        return Unchecked(reason=reason, hint=f"commit {name}, or change `lock.source`")
    try:
        return static_requirements(Path(name).name, found.read(name))
    except (OSError, *ANY_TROUBLE):
        return None
