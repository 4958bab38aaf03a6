"""The stages of a Dockerfile, and a check that the released stage is not the stage of the tests.

Source: Dockerfile reference, "FROM", "Escape", "Here-documents". Only what is asked here is read.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Final

from release.config import FILE, ROOT, Service
from release.errors import ConfigError, Problem
from release.values import Struct, replace

_FROM: Final = re.compile(r"FROM\s+(?:--\S+\s+)*(?P<base>\S+)(?:\s+AS\s+(?P<name>\S+))?\s*", re.IGNORECASE)
_COMMAND: Final = re.compile(r"(?:CMD|ENTRYPOINT)\s+(?P<words>.+)", re.IGNORECASE | re.DOTALL)
_HEREDOC: Final = re.compile(r"<<-?[\"']?([A-Za-z0-9_]+)[\"']?")
_RUNNERS: Final = frozenset({"pytest", "py.test", "unittest", "tox", "nox"})
"""Programs and modules that run tests, never a service."""


class Instruction(Struct, frozen=True):
    """One instruction of a Dockerfile, without line ends and comments."""

    line: int
    """First line of the instruction, from 1."""
    text: str

    @property
    def keyword(self) -> str:
        """Return the keyword, as "RUN"."""
        return self.text.split(maxsplit=1)[0].upper()


class DockerStage(Struct, frozen=True, kw_only=True):
    """A stage of a Dockerfile."""

    name: str
    """Name in lower case; empty for a stage without a name."""
    base: str
    """Image or stage after FROM, in lower case."""
    commands: tuple[str, ...]
    """CMD and ENTRYPOINT of the stage, as written."""
    instructions: tuple[Instruction, ...] = ()
    """All instructions of the stage except FROM."""


def parse_stages(dockerfile: str) -> tuple[DockerStage, ...]:
    """Return the stages in the order of the Dockerfile."""
    found: list[DockerStage] = []
    for instruction in parse_instructions(dockerfile):
        if match := _FROM.fullmatch(instruction.text):
            name = (match["name"] or "").lower()
            found.append(DockerStage(name=name, base=match["base"].lower(), commands=()))
        elif found:
            last, match = found[-1], _COMMAND.fullmatch(instruction.text)
            commands = (*last.commands, match["words"].strip()) if match else last.commands
            found[-1] = replace(last, commands=commands, instructions=(*last.instructions, instruction))
    return tuple(found)


def parse_instructions(dockerfile: str) -> Iterator[Instruction]:
    """Yield the instructions without comments; a here-document follows its instruction after a line end."""
    lines, whole, first = enumerate(dockerfile.removeprefix("\ufeff").splitlines(), start=1), "", 0
    for number, line in lines:
        text = line.strip()
        if text.startswith("#") or not text:
            continue
        first = first if whole else number
        whole += text.removesuffix("\\")
        if text.endswith("\\"):
            whole += " "
            continue
        has_documents = re.match(r"(?:RUN|COPY|ADD)\b", whole, re.IGNORECASE)
        for end in _HEREDOC.findall(whole) if has_documents else ():
            for _, inside in lines:
                if inside.strip() == end:
                    break
                whole += f"\n{inside}"
        yield Instruction(first, whole)
        whole = ""
    if whole:
        yield Instruction(first, whole)


def refuse_release_of_test_stage(dockerfile: str, service: Service) -> None:
    """Refuse settings that release the stage of the tests. Raises ConfigError with the lines to write."""
    stages = parse_stages(dockerfile)
    stage = _find_released_stage(stages, service)
    if stage is None:
        return
    if found := _why_test_stage(stage, service):
        named = f"stage `{stage.name}`" if stage.name else "last stage"
        message = f"the {named} of {service.build.dockerfile} would be released, but {found}; "
        message += _suggest_stage_settings(stage, stages)
        raise ConfigError(FILE, [Problem(path=f"{ROOT}.build.target", message=message)])


def _find_released_stage(stages: tuple[DockerStage, ...], service: Service) -> DockerStage | None:
    target = service.build.target
    if target is None:
        return stages[-1] if stages else None
    return next((stage for stage in stages if stage.name == target.lower()), None)


def _why_test_stage(stage: DockerStage, service: Service) -> str:
    """Return why the stage is the stage of the tests; empty if nothing shows that."""
    target = service.test.target
    if service.build.target is None and target is not None and stage.name == target.lower():
        return "`test.target` names the same stage"
    run = next((command for command in stage.commands if _starts_test_runner(command)), None)
    return f"it runs the tests: {run}" if run is not None else ""


def _starts_test_runner(command: str) -> bool:
    """Return whether a CMD or ENTRYPOINT, in exec or shell form, starts a test runner."""
    words = _split_command(command)
    programs = {word.rpartition("/")[2] for word in words}
    return bool(programs & _RUNNERS) or ("manage.py" in programs and "test" in words)


def _split_command(command: str) -> list[str]:
    try:
        parsed = json.loads(command)
    except (ValueError, RecursionError):
        parsed = [command]
    texts = [each for each in parsed if isinstance(each, str)] if isinstance(parsed, list) else [command]
    return [word for text in texts for word in _split_shell_words(text)]


def _split_shell_words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _suggest_stage_settings(stage: DockerStage, stages: tuple[DockerStage, ...]) -> str:
    """Return the lines to write into the Dockerfile or the settings."""
    below = next((each.name for each in stages if each.name and each.name == stage.base), "")
    if not below:
        return "put the tests into a stage of their own, FROM the released stage, and name both stages"
    tests = f' and test.target = "{stage.name}"' if stage.name else ""
    return f'write build.target = "{below}"{tests}'
