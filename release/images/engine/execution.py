"""Programs that are run in a container: their output within a limit, and their exit status."""

from __future__ import annotations

import time
from typing import Final

import docker
import requests
from docker.errors import create_api_error_from_http_exception

from release.images.engine.copies import too_large
from release.images.values import Executed, executed

_CHUNK: Final = 64 * 1024
_MOST_SAID: Final = 4 * 1024**2
"""Bytes that a program which is run in a container may write: health checks and answers are short."""
_STATUS_TRIES: Final = 20
_STATUS_SECONDS: Final = 0.02


def started(line: docker.APIClient, url: str, program: str) -> bytes:
    """The output of a program in a container (ExecStart), to its end. Raises TooLarge.

    Asked without an upgrade of the connection, the answer is a plain body that ends. docker-py asks for one,
    and reads past the buffer in which the first of the output may already be.
    """
    answer = line.post(url, json={"Tty": False, "Detach": False}, stream=True)
    try:
        answer.raise_for_status()
    except requests.HTTPError as error:
        create_api_error_from_http_exception(error)
    said = bytearray()
    for chunk in answer.iter_content(_CHUNK):
        said += chunk
        if len(said) > _MOST_SAID:
            raise too_large(f"read the output of {program}", _MOST_SAID)
    return bytes(said)


def whole(status: int, stream: bytes) -> Executed:
    """What the program said, to its end: a connection that broke ends in the middle of something."""
    try:
        return executed(status, stream)
    except ValueError as error:
        raise requests.ConnectionError(str(error)) from error


def ended(line: docker.APIClient, made: str) -> int:
    """The status of a program whose output has ended; the engine may write it down a moment later."""
    for _ in range(_STATUS_TRIES):
        about = line.exec_inspect(made)
        if about["ExitCode"] is not None:
            return int(about["ExitCode"])
        time.sleep(_STATUS_SECONDS)
    raise requests.ConnectionError("the output ended before the program did")
