"""Client of docker-py that limits time, size and depth of each answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import docker
import requests
from docker.errors import DockerException
from docker.utils import parse_host

from release.images import http_limits, ssh, unix
from release.images.engine.address import DEFAULT_HOST, Address
from release.images.engine.answer_stream import CHUNK, frame_payloads, parse_transfer_messages
from release.parsing import jsontext

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 120
"""Limit for an answer: the engine may be busy starting a container on a slow disk."""
LARGEST_ANSWER: Final = 32 * 1024 * 1024
"""Largest size of a whole answer in bytes, as a list of all containers."""
ANSWER: Final = jsontext.Bounds(size=LARGEST_ANSWER, depth=100, values=2_000_000, largest=2**64)

_MORE_SECONDS: Final = 10.0
"""Limit for the body of an answer after its first byte."""
_ENDLESS: Final = float("inf")


class InvalidAnswer(DockerException):
    """Error for an answer that is too large, too deep, compressed, or not in the documented form."""


def _unchecked() -> None:
    """Do nothing; stands for a check that never ends the wait."""


class Client(docker.APIClient):
    """Client of docker-py with separate limits to connect and to read."""

    check: Callable[[], None] = staticmethod(_unchecked)
    """Function that is called about every second while an answer is awaited; its exception ends the wait."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request with separate connect and read timeouts; None waits without a limit.

        Left to itself, requests lets REQUESTS_CA_BUNDLE win over the authority that a client was given, and
        reads any answer whole. No redirect is followed: an engine gives none.
        """
        timeout, is_streamed = kwargs.get("timeout"), bool(kwargs.get("stream"))
        if timeout is None or isinstance(timeout, int | float):
            kwargs["timeout"] = (CONNECT_SECONDS, timeout)
        silence = _ENDLESS if timeout is None else float(_last(timeout))
        kwargs |= {"verify": self.verify, "stream": True, "allow_redirects": False}
        total = _ENDLESS if timeout is None or is_streamed else silence + _MORE_SECONDS
        with http_limits.limit_answer_time(total, silence, self.check):
            response = super().send(request, **kwargs)
            try:
                _limit(response, is_streamed=is_streamed and response.ok)
            except BaseException:
                response.close()
                raise
        return response

    def _stream_helper(self, response: requests.Response, decode: bool = False) -> Iterator[Any]:  # noqa: FBT001, FBT002
        """Yield the body in pieces of limited size, or its JSON objects if `decode` is set."""
        chunks = response.iter_content(CHUNK)
        return parse_transfer_messages(chunks) if decode else chunks

    def _multiplexed_response_stream_helper(self, response: requests.Response) -> Iterator[bytes]:
        """Yield the output of a stream of frames in pieces of limited size."""
        return frame_payloads(response.iter_content(CHUNK))

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """Return None, so that no redirect is followed."""
        return None


def _last(timeout: Any) -> float:
    return float(timeout[-1] or _ENDLESS) if isinstance(timeout, tuple) else float(timeout)


def _limit(response: requests.Response, *, is_streamed: bool) -> None:
    """Read the whole answer within its limits, before docker-py reads it. Raise InvalidAnswer."""
    try:
        if is_streamed:
            http_limits.refuse_packed_body(response)
            return
        content = http_limits.read_body(response, LARGEST_ANSWER)
        if content[:1] in (b"{", b"["):
            jsontext.check_shape(content, ANSWER)
    except (http_limits.AnswerTooLarge, ValueError) as error:
        raise InvalidAnswer(str(error)) from error
    vars(response).update(_content=content, _content_consumed=True)
    response.close()


def new_client(address: Address, *, version: str, timeout: int | None) -> Client:
    """Return a client of the engine without a request. `timeout` None waits without a limit."""
    made = Client(
        base_url=DEFAULT_HOST if address.is_ssh else address.host,
        version=version,
        timeout=READ_SECONDS,
        tls=address.tls or False,
    )
    path = str(parse_host(address.host)).removeprefix("http+unix://") if not address.is_ssh else ""
    if address.is_ssh:
        made.mount("http+docker://", ssh.Adapter(address.host))
    elif path.startswith("/"):
        made.mount("http+docker://", unix.socket_adapter(path))
    else:
        made.mount("http://", http_limits.Adapter())
        made.mount("https://", http_limits.Adapter())
    made.headers["Accept-Encoding"] = "identity"
    made.timeout = cast(int, timeout)  # the types of docker-py do not know None
    return made
