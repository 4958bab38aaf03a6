"""Import of a Procfile: one line for each process, as "web: gunicorn app:app"."""

from __future__ import annotations

import re
from typing import Final

from release.init.folder import RepositoryFolder
from release.init.taken import ImportedSettings, command_words

_LINE: Final = re.compile(r"^([A-Za-z0-9_-]+):[ \t]*(\S.*)$", re.MULTILINE)
_PORT: Final = re.compile(r"\$\{?PORT(?::-(\d+))?\}?")


def import_procfile(folder: RepositoryFolder, path: str, port: int) -> ImportedSettings:
    """Return the processes with `$PORT` replaced by the port."""
    lines = {match[1]: match[2].strip() for match in _LINE.finditer(folder.read_text(path))}
    named = _PORT.search(lines.get("web", ""))
    number = int(named[1]) if named and named[1] else port
    commands = {name: command_words(_PORT.sub(str(number), line)) for name, line in lines.items()}
    return ImportedSettings(
        file=path,
        command=commands.pop("web", ()),
        up=commands.pop("release", ()),
        processes=commands,
        port=number if "web" in lines else None,
    )
