"""What the runner of GitHub Actions makes of a step's output, as its documentation says.

Written from GitHub Docs, "Workflow commands for GitHub Actions": a line that begins, after white space, with
`::` is a command, and so is an older `##[name]` anywhere in a line; after `stop-commands` only its token is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

COMMAND = re.compile(r"\s*::(?P<name>[\w-]+)(?: (?P<properties>[^:]*?))?::(?P<data>.*)")
OLDER = re.compile(r"##\[(?P<name>[^\]]+)\](?P<data>.*)")
TOKEN = re.compile(r"\s*::(?P<token>[^:\s]+)::\s*")


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command that the runner carries out."""

    name: str
    data: str
    properties: dict[str, str] = field(default_factory=dict)


@dataclass
class Read:
    """What came of an output."""

    commands: list[Command] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """What is shown, with the groups' titles."""
    groups: dict[str, list[str]] = field(default_factory=dict)

    def named(self, name: str) -> list[Command]:
        """The commands of one name."""
        return [command for command in self.commands if command.name == name]


def read(output: str) -> Read:
    """Go through the output line by line."""
    found, stopped, group = Read(), "", None
    for line in output.split("\n"):
        if stopped:
            match = TOKEN.fullmatch(line)
            if match is not None and match["token"] == stopped:
                stopped = ""
                continue
        elif (command := parse(line)) is not None:
            found.commands.append(command)
            if command.name == "stop-commands":
                stopped = command.data
            if command.name == "group":
                group = found.groups.setdefault(command.data, [])
            if command.name == "endgroup":
                group = None
            continue
        found.lines.append(line)
        if group is not None:
            group.append(line)
    assert not stopped, "commands were stopped and never resumed"
    return found


def parse(line: str) -> Command | None:
    """The command in a line."""
    if match := COMMAND.fullmatch(line):
        pairs = (pair.partition("=") for pair in (match["properties"] or "").split(",") if pair)
        properties = {key: plain(value).replace("%3A", ":").replace("%2C", ",") for key, _, value in pairs}
        return Command(name=match["name"], data=plain(match["data"]), properties=properties)
    if match := OLDER.search(line):
        return Command(name=match["name"], data=match["data"])
    return None


def plain(text: str) -> str:
    """A message or a property, read back; `%25` last."""
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def outputs(text: str) -> dict[str, str]:
    """A file of outputs, read back ("Multiline strings")."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, _, end = line.partition("<<")
        value: list[str] = []
        for inner in lines:
            if inner == end:
                break
            value.append(inner)
        found[name] = "\n".join(value)
    return found
