"""Parser of `env_file`: one `NAME=value` in a line, without expansion."""

from __future__ import annotations

import re
from typing import Final

_LINE: Final = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*)")
_SINGLE: Final = re.compile(r"'([^']*)'[ \t]*(?:#.*)?")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"[ \t]*(?:#.*)?')
_COMMENT: Final = re.compile(r"(?:^|[ \t]+)#.*")
_EXPANDED: Final = re.compile(r"(?<!\\)\$(?:[A-Za-z_{(])|`")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def parse(text: str) -> tuple[dict[str, str], list[str]]:
    """Return the variables of a file, and the problems of its lines.

    Empty lines and lines that begin with `#` are skipped. `export ` before a name is skipped too. A value in
    single quotes is taken as it is; in double quotes, `\\n`, `\\r`, `\\t`, `\\"`, `\\\\` and `\\$` are
    characters. A value without quotes ends before ` #`.

    Returns:
        The variables, and a sentence for each wrong line, without a part of any value.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            name, value = _variable(line.strip())
            if name in values:
                raise ValueError(f"{name} is there twice")
            values[name] = value
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    return values, problems


def _variable(line: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("it is not NAME=value")
    name, written = match[1], match[2]
    if "\0" in written:
        raise ValueError(f"{name} holds a null character")
    return name, _value(name, written)


def _value(name: str, written: str) -> str:
    if written.startswith("'"):
        return _quoted(name, _SINGLE.fullmatch(written))
    is_double = written.startswith('"')
    text = _quoted(name, _DOUBLE.fullmatch(written)) if is_double else _COMMENT.sub("", written).rstrip()
    if _EXPANDED.search(text):
        raise ValueError(
            f"{name} refers to a variable or a command, which is not expanded: write the value itself, "
            "or put it in single quotes"
        )
    return re.sub(r"\\(.)", _escape, text) if is_double else text


def _quoted(name: str, match: re.Match[str] | None) -> str:
    if match is None:
        raise ValueError(f"the quotes of {name} do not end at the end of the line")
    return match[1]


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[0])
