"""pylock.toml (PEP 751): checked by PDM or uv if they made the file, else by its own content."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from packaging.markers import InvalidMarker, Marker
from packaging.utils import canonicalize_name

from release.chain.lockgate import pdm, plain
from release.chain.lockgate.checking import LockfileCopy
from release.chain.lockgate.compiled import recompile_command
from release.chain.lockgate.damaged import ANY_TROUBLE, unchecked_because_damaged
from release.chain.lockgate.deciding import static_requirements
from release.chain.lockgate.declared import parse_pdm_requirements
from release.chain.lockgate.differences import LockContent
from release.chain.lockgate.entries import RequirementEntry, RequirementsFile
from release.chain.lockgate.hashed import HashedLockKind
from release.chain.lockgate.outside import (
    read_committed_requirements,
    refuse_machine_paths,
    refuse_uncommitted_files,
)
from release.chain.lockgate.requirements import THIS_PYTHON
from release.chain.lockgate.results import Answer, Fresh, Stale, Unchecked, tool_failure_answer
from release.chain.lockgate.uv import find_matching_uv
from release.chain.pythons import is_python_allowed
from release.parsing import tomltext
from release.programs.environment import PACKAGES
from release.programs.process import Command
from release.values import replace

HEADER: Final = re.compile(r"^#\s+uv (?P<words>(?:pip compile|export) .*)$", re.MULTILINE)
_OF_INSTALLATION: Final = re.compile(r"\b(extras|dependency_groups)\b")
_PYTHONS: Final = ("--python-version", "--universal", "--python")
_SHOWN: Final = 8


def parse_pylock(content: str) -> LockContent:
    """Return the content of a pylock.toml. Raises ValueError, LookupError, TypeError or AttributeError."""
    document = tomltext.read(content, tomltext.LARGEST_LOCK)
    if not str(document["lock-version"]).startswith("1."):
        raise ValueError(f"its lock-version is {document['lock-version']}; known is 1.0")
    versions: dict[str, set[str]] = {}
    for package in document["packages"]:
        name = canonicalize_name(package["name"])
        versions.setdefault(name, set()).add(str(package.get("version", "")))
    return LockContent(
        versions={name: tuple(sorted(found)) for name, found in versions.items()},
        needs={},
        direct_names=frozenset(),
        groups=frozenset([*document.get("dependency-groups", ()), *document.get("extras", ())]) or None,
        with_extras=False,
        python=str(document.get("requires-python", "")),
    )


def check_pylock(lockfile: LockfileCopy) -> Answer:
    """Check a pylock.toml with the tool that made the file; without such a tool, check its content."""
    try:
        locked = parse_pylock(lockfile.content)
        document = tomltext.read(lockfile.content, tomltext.LARGEST_LOCK)
    except ANY_TROUBLE as error:
        good = lockfile.find_readable_version(parse_pylock)
        return unchecked_because_damaged(
            lockfile.path,
            error,
            good,
            _command_of_header(good.content if good is not None else lockfile.content),
        )
    other = _refuse_other_python(lockfile, locked)
    if other is not None:
        return other
    if "pdm" in document.get("tool", {}):
        return pdm.run_pdm_check(
            lockfile, _OF_PDM, {"PDM_LOCK_FORMAT": "pylock", "PDM_LOCK__FORMAT": "pylock"}
        )
    header = HEADER.search(lockfile.content)
    if header is not None and _is_reproducible_command(lockfile, header["words"]):
        return _check_by_compiling_again(lockfile, shlex.split(header["words"]), locked)
    return _check_content(lockfile, document, locked)


def _command_of_header(content: str) -> str:
    """Return the command that made a lockfile, from its header or its table of PDM; empty if not known."""
    header = HEADER.search(content)
    if header is not None:
        return f"uv {header['words'].strip()}"
    return f"PDM_LOCK_FORMAT=pylock {pdm.KIND.update_command}" if "\n[tool.pdm" in content else ""


def _refuse_other_python(lockfile: LockfileCopy, locked: LockContent) -> Stale | None:
    """Return the answer for a lockfile of another Python than the service's; None if the Python fits."""
    wanted = lockfile.config.python or lockfile.image_python
    if wanted is None or not locked.python or is_python_allowed(wanted, locked.python):
        return None
    return Stale(
        differences=(f"the service runs on Python {wanted}, and Python {locked.python} is locked",),
        next_step=_advice_for_python(lockfile, wanted),
    )


def _advice_for_python(lockfile: LockfileCopy, wanted: str) -> str:
    """Return the next step that makes a lockfile for another Python."""
    command = _command_of_header(lockfile.content)
    if command.startswith("uv pip compile "):
        return f"run `{recompile_command(lockfile.content, (), python=wanted)}` and commit the result"
    if not command:
        return f"make {lockfile.path} again for Python {wanted}, and commit the result"
    line = f"uv lock && {command}" if command.startswith("uv ") else command
    allow = f"let requires-python in {lockfile.path_beside('pyproject.toml')} allow Python {wanted}"
    return f"{allow}, run `{line}`, and commit the results"


def _is_reproducible_command(lockfile: LockfileCopy, words: str) -> bool:
    """Return whether the header's command keeps locked versions: an export without its uv.lock does not."""
    return words.startswith("pip ") or lockfile.has_file(lockfile.path_beside("uv.lock"))


_OF_PDM: Final = HashedLockKind(
    project_file="pyproject.toml",
    parse_declared=parse_pdm_requirements,
    read_python_bound=pdm.pdm_python_bound,
    parse_lockfile=parse_pylock,
    update_command=pdm.KIND.update_command,
    says=pdm.KIND.says,
)


def _check_by_compiling_again(lockfile: LockfileCopy, words: list[str], locked: LockContent) -> Answer:
    """Run the header's uv command again, from the locked versions, for the service's Python."""
    refused = refuse_machine_paths(words) or _refuse_outside_sources(lockfile, words)
    uv = refused or find_matching_uv(lockfile)
    if isinstance(uv, Unchecked):
        return uv
    words = [*_remove_output_option(words), "--output-file", Path(lockfile.path).name]
    wanted = lockfile.config.python or lockfile.image_python
    is_told = words[0] != "pip" or wanted is None or any(word.startswith(_PYTHONS) for word in words)
    words = words if is_told else [*words, "--python-version", str(wanted)]
    argv = (uv, *words, "--quiet")
    inherits = (*PACKAGES, *lockfile.config.pass_env)
    done = lockfile.execute(
        Command(argv=argv, cwd=(lockfile.folder / lockfile.path).parent, env=THIS_PYTHON, inherits=inherits)
    )
    line = shlex.join(["uv", *words])
    if done.status != 0:
        return tool_failure_answer(f"`{line}` of its header ended with status {done.status}", done, line)
    after = tomltext.read(lockfile.read_file(lockfile.path), tomltext.LARGEST_LOCK)
    before = tomltext.read(lockfile.content, tomltext.LARGEST_LOCK)
    told = ("packages", "requires-python") if is_told else ("packages",)
    if all(before.get(key) == after.get(key) for key in told):
        return Fresh(packages=locked.packages)
    return Stale(
        differences=tuple(_describe_changes(locked, parse_pylock(lockfile.read_file(lockfile.path)))),
        next_step=f"run `{line}` and commit the result",
    )


def _refuse_outside_sources(lockfile: LockfileCopy, words: list[str]) -> Unchecked | None:
    """Return the answer for sources that name files outside of the commit; None if there are none."""
    for word in words:
        name = lockfile.path_beside(word.rpartition("=")[2])
        if Path(name).suffix in (".in", ".txt") and lockfile.has_file(name):
            refused = refuse_uncommitted_files(lockfile, name, read_committed_requirements(lockfile, name))
            if refused is not None:
                return refused
    return None


def _remove_output_option(words: list[str]) -> Iterator[str]:
    """Return the command's words without the output option."""
    waiting = iter(words)
    for word in waiting:
        if word in ("-o", "--output-file"):
            next(waiting, None)
        elif not word.startswith(("-o", "--output-file=")):
            yield word


def _describe_changes(before: LockContent, after: LockContent) -> list[str]:
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


def _check_content(lockfile: LockfileCopy, document: Mapping[str, Any], locked: LockContent) -> Answer:
    """Check that the locked packages are complete and contain the declared requirements."""
    source = _find_source(lockfile)
    pins = tuple(_as_requirement_entry(lockfile, package) for package in document["packages"])
    mend = f"make {lockfile.path} again with {document.get('created-by', 'its tool')}, and commit the result"
    if isinstance(source, Unchecked):
        return source
    if source is None:
        answer = plain.check_requirement_entries(lockfile, _as_requirements_file(pins), update_command=mend)
    else:
        wanted = tuple(RequirementEntry(text=line, file=lockfile.path) for line in source)
        limits = tuple(replace(pin, is_constraint=True) for pin in pins if not pin.url_or_path)
        answer = plain.check_requirement_entries(
            lockfile, _as_requirements_file((*wanted, *limits)), update_command=mend
        )
    return replace(answer, packages=locked.packages) if isinstance(answer, Fresh) else answer


def _as_requirements_file(entries: tuple[RequirementEntry, ...]) -> RequirementsFile:
    return RequirementsFile(entries=entries, options=(), missing=(), files=frozenset())


def _as_requirement_entry(lockfile: LockfileCopy, package: Mapping[str, Any]) -> RequirementEntry:
    """Return a package as a line of a requirements file, with the URL of a folder or commit."""
    where = package.get("vcs") or package.get("directory") or package.get("archive") or {}
    address = where.get("url") or where.get("path")
    version = f" @ {address}" if address else f"=={package['version']}"
    marker = _marker_for_uv(str(package.get("marker", "")))
    return RequirementEntry(text=f"{package['name']}{version}{marker}", file=lockfile.path)


def _marker_for_uv(marker: str) -> str:
    """Return a marker in uv's form, without extras and groups that the installer chooses."""
    if not marker or _OF_INSTALLATION.search(marker):
        return ""
    try:
        return f" ; {Marker(marker)}"
    except InvalidMarker:
        return ""


def _find_source(lockfile: LockfileCopy) -> list[str] | Unchecked | None:
    """Return the source: `lock.source`, else the project beside the lockfile; None if not known."""
    name = lockfile.config.source or lockfile.path_beside("pyproject.toml")
    if not lockfile.has_file(name):
        if lockfile.config.source is None:
            return None
        reason = f"lock.source is {name}, and the commit has no such file"
        return Unchecked(reason=reason, hint=f"commit {name}, or change `lock.source`")
    try:
        return static_requirements(Path(name).name, lockfile.read_file(name))
    except (OSError, *ANY_TROUBLE):
        return None
