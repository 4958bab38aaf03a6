"""Output and exit status of containers and of programs in containers, read within limits."""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import quote

import docker
import requests
from docker.errors import create_api_error_from_http_exception

from release.images.output_frames import CHUNK, Frames, Tail

_STATUS_TRIES: Final = 20
_STATUS_SECONDS: Final = 0.02
_RAW: Final = "docker.raw-stream"
"""End of the media type of an output without frames (ContainerLogs, API 1.42 and later)."""


def read_program_output(line: docker.APIClient, url: str, limit: int) -> Frames:
    """Start a program in a container (ExecStart) and return its whole output.

    Asked without an upgrade of the connection, the answer is a plain body that ends. docker-py asks for one,
    and reads past the buffer in which the first of the output may already be.
    """
    answer = line.post(url, json={"Tty": False, "Detach": False}, stream=True)
    raise_for_error(answer)
    return _whole(answer, limit)


def raise_for_error(answer: requests.Response) -> None:
    """Raise APIError if the engine answered with an error status."""
    try:
        answer.raise_for_status()
    except requests.HTTPError as error:
        create_api_error_from_http_exception(error)


def _whole(answer: requests.Response, limit: int, *, merged: bool = False) -> Frames:
    """Return all frames of an answer.

    Raise ConnectionError if the connection broke in the middle of a frame.
    """
    try:
        return Frames(limit, merged=merged).read(answer.iter_content(CHUNK))
    except ValueError as error:
        raise requests.ConnectionError(str(error)) from error


def read_log_tail(line: docker.APIClient, container: str, lines: int, limit: int) -> Tail:
    """Return the last lines of a container (ContainerLogs). A terminal's output has no frames."""
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
    """Return the exit status of a program whose output has ended. Raise ConnectionError if there is none."""
    for _ in range(_STATUS_TRIES):
        about = line.exec_inspect(made)
        if about["ExitCode"] is not None:
            return int(about["ExitCode"])
        time.sleep(_STATUS_SECONDS)
    raise requests.ConnectionError("the output ended before the program did")
