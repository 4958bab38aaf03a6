"""The corrected command or setting for a service that listens on another address or port."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Final

from release.chain.smoking.sockets import ListeningPorts

_ALL: Final = "0.0.0.0"  # noqa: S104 - in the container
_HOSTS: Final = {
    "uvicorn": "--host",
    "fastapi": "--host",
    "flask": "--host",
    "granian": "--host",
    "daphne": "-b",
    "http.server": "--bind",
    "streamlit": "--server.address",
}
"""Servers, with their option for the address."""

_PLACES: Final = {
    "gunicorn": "--bind",
    "hypercorn": "--bind",
    "waitress-serve": "--listen",
    "uwsgi": "--http",
}
"""Servers, with their option for address and port."""

_SHORT: Final = {"--bind": "-b", "--host": "-h"}


def hint_for_loopback_address(argv: tuple[str, ...], port: int, asked_port: int, *, is_cmd: bool) -> str:
    """Return the hint for a service that listens on the loopback address only.

    Args:
        argv: the command that runs.
        port: the port that the service listens on.
        asked: the port that the smoke run asked.
        is_cmd: whether the whole command is the CMD of the image.
    """
    text = f"it listens on port {port} of its own loopback alone: let it listen on {_ALL}"
    words = listen_on_all_addresses(argv, port)
    if words and is_cmd:
        text += f", as CMD {json.dumps(words)}"
    elif words:
        text += f", with `{' '.join(_added_words(argv, words))}`"
    return text if port == asked_port else f"{text}, and write `smoke.port = {port}`"


def hint_for_other_port(sockets: ListeningPorts) -> str:
    """Return the hint for a service that listens on another port than the smoke run asks."""
    ports = sorted(sockets.on_all_addresses)
    named = ", ".join(map(str, ports))
    line = f", as `smoke.port = {ports[0]}`" if len(ports) == 1 else ""
    return f"it listens on port {named}: set `smoke.port` to it{line}"


def listen_on_all_addresses(argv: tuple[str, ...], port: int) -> list[str]:
    """Return the command that listens on all addresses; empty for an unknown server."""
    names = {PurePosixPath(word).name for word in argv}
    if "manage.py" in names and "runserver" in names:
        place = argv.index("runserver")
        rest = [word for word in argv[place + 1 :] if word.startswith("-")]
        return [*argv[: place + 1], f"{_ALL}:{port}", *rest]
    for options, value in ((_HOSTS, _ALL), (_PLACES, f"{_ALL}:{port}")):
        for server, option in options.items():
            if server in names:
                return _set_option(list(argv), option, value)
    return []


def _set_option(words: list[str], option: str, value: str) -> list[str]:
    """Return a command with an option, in place of the option's old value."""
    names = (option, _SHORT.get(option, option))
    for place, word in enumerate(words):
        if word in names and place + 1 < len(words):
            return [*words[: place + 1], value, *words[place + 2 :]]
        if any(word.startswith(f"{name}=") for name in names):
            return [*words[:place], f"{option}={value}", *words[place + 1 :]]
    return [*words, option, value]


def _added_words(argv: tuple[str, ...], words: list[str]) -> list[str]:
    """Return the words that the old command lacks, each value with its option."""
    start = next((i for i, (old, new) in enumerate(zip(argv, words, strict=False)) if old != new), len(argv))
    is_value = start < len(words) and not words[start].startswith("-") and start > 0
    return words[start - 1 if is_value else start :][:2]
