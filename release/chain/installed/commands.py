"""The commands of a Dockerfile that install packages: of the stages that the released image is made from."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final

from release.chain.building.dockerfile import DockerStage, Instruction, parse_stages
from release.values import Struct

_FROM: Final = re.compile(r"(?:--from=|[,\s=]from=)([^\s,]+)")
_SEPARATORS: Final = frozenset({"&&", "||", ";", "|", "&", "(", ")"})
_RUN_OPTION: Final = re.compile(r"^--(?:mount|network|security|device)(?:=\S+|\s+\S+)\s*")
_VARIABLE: Final = re.compile(r"UV_NO_DEV(?:=|\s+)[\"']?(?:1|true|yes|on)\b", re.IGNORECASE)

TOOLS: Final = frozenset({"uv", "poetry", "pdm", "pipenv", "pip"})


class InstallCommand(Struct, frozen=True, kw_only=True):
    """One command of a RUN instruction that a package tool runs."""

    tool: str
    words: tuple[str, ...]
    """Words after the tool's name, as ("sync", "--no-dev")."""
    line: int

    @property
    def is_certain(self) -> bool:
        """Return whether all words are known: a shell may add some."""
        return not any("$" in word or "`" in word for word in self.words)

    def __str__(self) -> str:
        """Return the command as "`uv sync --no-dev` (line 7)"."""
        return f"`{shlex.join((self.tool, *self.words))}` (line {self.line})"


def parse_install_commands(dockerfile: str, target: str | None) -> tuple[InstallCommand, ...]:
    """Return the commands in the order of the Dockerfile.

    Args:
        dockerfile: the text of the Dockerfile.
        target: the released stage; None: the last one.
    """
    stages = _needed_stages(parse_stages(dockerfile), target)
    return tuple(
        command
        for stage in stages
        for instruction in stage.instructions
        if instruction.keyword == "RUN"
        for command in _commands_of_run(instruction)
    )


def sets_uv_no_dev(dockerfile: str, target: str | None) -> bool:
    """Return whether a stage sets UV_NO_DEV."""
    return any(
        instruction.keyword in ("ENV", "ARG") and _VARIABLE.search(instruction.text)
        for stage in _needed_stages(parse_stages(dockerfile), target)
        for instruction in stage.instructions
    )


def _needed_stages(stages: Sequence[DockerStage], target: str | None) -> list[DockerStage]:
    """Return the stages that a stage needs: its base stages, and stages that it copies from or mounts."""
    known = {stage.name: stage for stage in stages if stage.name}
    known |= {str(number): stage for number, stage in enumerate(stages)}
    first = known.get(target.lower()) if target is not None else (stages[-1] if stages else None)
    waiting, found = [first], list[DockerStage]()
    while waiting:
        stage = waiting.pop()
        if stage is None or stage in found:
            continue
        found.append(stage)
        names = [match for each in stage.instructions for match in _FROM.findall(each.text)]
        waiting += [known.get(name.lower()) for name in (stage.base, *names)]
    return [stage for stage in stages if stage in found]


def _commands_of_run(instruction: Instruction) -> Iterator[InstallCommand]:
    for words in _split_run_commands(instruction.text[len("RUN") :].strip()):
        command = _parse_install_command(words, instruction.line)
        if command is not None:
            yield command


def _split_run_commands(text: str) -> Iterator[list[str]]:
    """Yield the commands of a RUN instruction as words, in exec and in shell form."""
    while match := _RUN_OPTION.match(text):
        text = text[match.end() :]
    if text.startswith("["):
        try:
            words = json.loads(text)
        except (ValueError, RecursionError):
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            yield words
            return
    for line in text.splitlines():
        yield from _split_shell_line(line)


def _split_shell_line(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;()")
    lexer.whitespace_split, lexer.commenters = True, "#"
    command: list[str] = []
    try:
        for word in lexer:
            if word in _SEPARATORS or set(word) <= set("&|;()"):
                yield command
                command = []
            else:
                command.append(word)
    except ValueError:  # a quotation without an end: the shell says so
        return
    yield command


def _parse_install_command(words: list[str], line: int) -> InstallCommand | None:
    """Return the command of a package tool, also as `python -m pip` and with variables before it."""
    for place, word in enumerate(words):
        name = PurePosixPath(word).name
        tool = "pip" if re.fullmatch(r"pip3?(\.\d+)?", name) else name
        if tool in TOOLS:
            rest = _skip_global_options(tool, words[place + 1 :])
            if tool == "uv" and rest[:1] == ["pip"]:
                tool, rest = "pip", rest[1:]
            return InstallCommand(tool=tool, words=tuple(rest), line=line) if rest else None
        if not (_is_word_before_program(word) or PurePosixPath(word).name.startswith(("python", "pypy"))):
            return None
    return None


def _skip_global_options(tool: str, words: list[str]) -> list[str]:
    """Return the words from the subcommand on. Options of pip with a value may stand before it."""
    valued = ("--python", "--project", "--directory", "-C", "-P", "--config-file", "-p")
    while words and words[0].startswith("-"):
        has_value = "=" not in words[0] and words[0] in valued and not (tool == "poetry" and words[0] == "-p")
        words = words[2:] if has_value else words[1:]
    return words


def _is_word_before_program(word: str) -> bool:
    """Return whether a word may stand before the program: a variable, an option, or a launcher."""
    return "=" in word or word.startswith("-") or word in ("env", "exec", "sudo", "time", "nice")
