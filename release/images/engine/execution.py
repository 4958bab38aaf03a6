"""Output of containers and of programs in them, read from the engine's API within limits."""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import quote

import docker
import requests
from docker.errors import create_api_error_from_http_exception

from release.images.frames import CHUNK, Frames, Tail

_STATUS_TRIES: Final = 20
_STATUS_SECONDS: Final = 0.02
_RAW: Final = "docker.raw-stream"
"""The end of the media type of output that has no frames (ContainerLogs, API 1.42 and later)."""


def read_program_output(line: docker.APIClient, url: str, limit: int) -> Frames:
    """The output of a program in a container (ExecStart), to its end.

    Asked without an upgrade of the connection, the answer is a plain body that ends. docker-py asks for one,
    and reads past the buffer in which the first of the output may already be.
    """
    answer = line.post(url, json={"Tty": False, "Detach": False}, stream=True)
    raise_for_error(answer)
    return _whole(answer, limit)


def raise_for_error(answer: requests.Response) -> None:
    """Raise APIError if the engine refused."""
    try:
        answer.raise_for_status()
    except requests.HTTPError as error:
        create_api_error_from_http_exception(error)


def _whole(answer: requests.Response, limit: int, *, merged: bool = False) -> Frames:
    """The frames of an answer, to its end: a connection that broke ends in the middle of one."""
    try:
        return Frames(limit, merged=merged).read(answer.iter_content(CHUNK))
    except ValueError as error:
        raise requests.ConnectionError(str(error)) from error


def read_log_tail(line: docker.APIClient, container: str, lines: int, limit: int) -> Tail:
    """The last lines of a container (ContainerLogs). With a terminal they come without frames."""
    url = f"{line.base_url}/v{line.api_version}/containers/{quote(container, safe='')}/logs"
    answer = line.get(url, params={"stdout": "1", "stderr": "1", "tail": str(lines)}, stream=True)
    raise_for_error(answer)
    if not answer.headers.get("Content-Type", "").endswith(_RAW):
        return _whole(answer, limit, merged=True).output
    kept = Tail(limit)
    for chunk in answer.iter_content(CHUNK):
        kept.add(chunk)
    return kept


def await_exit_status(line: docker.APIClient, made: str) -> int:
    """The status of a program whose output has ended; the engine may write it down a moment later."""
    for _ in range(_STATUS_TRIES):
        about = line.exec_inspect(made)
        if about["ExitCode"] is not None:
            return int(about["ExitCode"])
        time.sleep(_STATUS_SECONDS)
    raise requests.ConnectionError("the output ended before the program did")
