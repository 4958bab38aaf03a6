"""The reference of all sessions and tasks, written from the parsers themselves.

`nox -s docs` writes docs/reference/commands.md; a unit test compares the file with the parsers.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

from invoke.parser.argument import Argument
from invoke.tasks import Task

import release
from release.chain.arguments import parser_of
from release.chain.names import SESSIONS

HEAD = """# Commands

All sessions of nox and all tasks of invoke, with their options. `nox -s docs` writes this page from the
parsers. `python -m release` runs `init`, `doctor` and `explain` without a tasks.py. Other pages describe the
[exit codes](exit-codes.md) and the values of [`--to`](targets.md).
"""

ENTRIES = """
## Sessions of nox

```
nox -s SESSION
nox -s SESSION -- OPTIONS
```

| session | what it does |
| --- | --- |
"""


def page() -> str:
    """Return docs/reference/commands.md."""
    sessions = "".join(f"| `{name}` | {line} |\n" for name, line in SESSIONS.items())
    every = (_session_options(parser_of(name)) for name in ("refresh", "release"))
    options = _table(iter(dict.fromkeys(option for each in every for option in each)))
    tasks = release.namespace().tasks
    return (
        HEAD
        + ENTRIES
        + sessions
        + "\n"
        + options
        + "".join(_task(name, tasks[name]) for name in sorted(tasks))
    )


def _task(name: str, task: Task[Any]) -> str:
    arguments = task.get_arguments()
    positional = " ".join(f"[{_value(max(each.names, key=len))}]" for each in arguments if each.positional)
    usage = f"invoke {name} {positional}".rstrip()
    text = (task.__doc__ or "").strip().splitlines()[0]
    return f"\n## {usage}\n\n{text}\n\n{_table(_task_options(arguments))}"


def _task_options(arguments: Iterable[Argument]) -> Iterator[tuple[str, str]]:
    for each in arguments:
        long = max(each.names, key=len)
        value = "" if each.kind is bool else f" {_value(long)}"
        place = f"`{_value(long)}` or " if each.positional else ""
        yield f"{place}`--{long}`{'' if each.positional else value}", each.help or ""


def _session_options(given: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in given._actions:
        value = "" if action.nargs == 0 else f" {_value(action.dest)}"
        yield f"`{action.option_strings[-1]}`{value}", action.help or ""


def _value(name: str) -> str:
    return name.rpartition("-")[2].upper()


def _table(rows: Iterator[tuple[str, str]]) -> str:
    lines = [f"| {names} | {text.replace('|', chr(92) + '|')} |\n" for names, text in rows]
    return "| option | meaning |\n| --- | --- |\n" + "".join(lines) if lines else ""
