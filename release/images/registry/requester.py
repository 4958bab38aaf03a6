"""Requests to one registry: login, repeated attempts, time limits, and error messages.

Repeatable requests are repeated a few times after a broken connection, a 429 or a 5xx, and each retry is
reported. All other answers are final; so is a 429 or 5xx that asks for a long wait, as for a used-up quota.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ssl import SSLCertVerificationError
from typing import Final, NoReturn

import requests

from release.errors import RegistryError, RegistryUnreachable
from release.images import connection_failures, trust
from release.images.http_limits import AnswerTooLarge, limit_answer_time
from release.images.registry.address import Address, is_loopback
from release.images.registry.auth import Login
from release.images.registry.error_text import registry_error_text, shortened_quote
from release.images.registry.http import Answer, Request, Session, exchange
from release.images.registry.retry import (
    FAILURES,
    TEMPORARY,
    Pace,
    Temporary,
    is_retry_useless,
    pause_before_retry,
    retry_cause,
    wait_time_text,
)
from release.programs.cancellation import Cancellation
from release.reference import DOCKER_HUB, Repository
from release.retry import Again
from release.values import replace

_HUB_HOST: Final = "registry-1.docker.io"
_STRANGE: Final = "check that it is a registry, and read its log and the log of a proxy before it"


class Conversation:
    """Requests to the registry of one repository."""

    def __init__(
        self, repository: Repository, tell: Callable[[str], None], cancellation: Cancellation, pace: Pace
    ) -> None:
        """Make no request yet. Raises UsageError: a file of certificates cannot be read."""
        self._repository, self._host = repository, repository.host
        self._tell, self._cancellation, self._pace = tell, cancellation, pace
        self._session = Session(repository.host)
        self._known_base: str | None = None
        self._login = Login(repository, self._answered)

    def close(self) -> None:
        """Close all connections; a later request opens new connections."""
        self._session.close()

    def ask(
        self,
        method: str,
        path: str,
        attempted: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        is_streamed: bool = False,
        more_seconds: float = 0.0,
    ) -> Answer:
        """Send a request, repeat it after temporary failures, and return the last answer with any status.

        `more_seconds` are added to the usual time, as for a large blob. Raises RegistryError,
        RegistryUnreachable.
        """
        request = Request(method=method, url=path, headers=headers or {}, body=body, is_streamed=is_streamed)
        return self._patiently(lambda: self._send(request), attempted, more_seconds)

    def try_once(self, method: str, path: str) -> None:
        """Send a request once and ignore its answer."""
        try:
            with self._within(0.0):
                self._send(Request(method=method, url=path)).close()
        except (*FAILURES, RegistryError):
            return

    def trusts(self, session: Session) -> bool:
        """Return whether these connections trust the registry's certificate; true if there is none."""
        try:
            with self._within(0.0):
                exchange(session, Request(method="GET", url=f"{self.base.text}/v2/"), self._pace.seconds)
        except requests.exceptions.SSLError:
            return False
        except FAILURES:
            return True
        return True

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """In the block, all requests together end within so many seconds."""
        with limit_answer_time(seconds, self._pace.seconds[1], self._cancellation.check):
            yield

    @property
    def total(self) -> float:
        """Return the limit in seconds for one request with its repeated attempts."""
        return self._pace.total

    @contextmanager
    def _within(self, more_seconds: float) -> Iterator[None]:
        with limit_answer_time(
            self._pace.answer + more_seconds, self._pace.seconds[1], self._cancellation.check
        ):
            yield

    def _patiently(self, request: Callable[[], Answer], attempted: str, more_seconds: float = 0.0) -> Answer:
        def send() -> Answer:
            with self._within(more_seconds):
                answer = request()
            if answer.status in TEMPORARY and not is_retry_useless(answer):
                raise Temporary(answer)
            return answer

        try:
            with self.within(self._pace.total + more_seconds):
                return self._pace.patience.trying(send, self.again(attempted), self._cancellation)
        except Temporary as error:
            return error.answer
        except FAILURES as error:
            raise self.failure(attempted, error) from error

    def _answered(self, request: Request, attempted: str) -> Answer:
        """Return the answer of a token server. Raise RegistryError if the status is not 200."""

        def send() -> Answer:
            return exchange(self._session, request, self._pace.seconds)

        return self.expect(self._patiently(send, attempted), attempted, 200)

    def again(self, attempted: str) -> Again:
        """Return a function that decides after a failure whether to retry, and reports each retry."""

        def decide(error: Exception, left: int) -> bool | float:
            wait = pause_before_retry(error)
            if wait is not False:
                soon = "" if wait is True else f" in {wait:.0f} s"
                self._tell(f"{attempted}: {retry_cause(error)}; trying again{soon} ({left} left)")
            return wait

        return decide

    def _send(self, request: Request) -> Answer:
        """Send one request; if the registry asks for a login, send it again with the login."""
        whole = replace(request, url=f"{self.base.text}{request.url}")

        def send() -> Answer:
            return exchange(self._session, whole, self._pace.seconds, self._authorization)

        answer = send()
        if answer.status == requests.codes.unauthorized and self.is_ours(answer.url):
            answer.close()
            if self._login.introduce(answer.headers.get("WWW-Authenticate", "")):
                return send()
        return answer

    def _authorization(self, address: Address) -> str | None:
        """Return the Authorization header for an address; None for another server, as a storage server."""
        return self._login.value if address.origin == self.base.origin else None

    def is_ours(self, url: str) -> bool:
        """Return whether an address is the registry's own: scheme, host and port."""
        try:
            return Address.parse(url).origin == self.base.origin
        except ValueError:
            return False

    @property
    def base(self) -> Address:
        """Return the registry's address without a path."""
        if self._known_base is None:
            self._known_base = f"{self._scheme()}://{_HUB_HOST if self._host == DOCKER_HUB else self._host}"
        return Address.parse(self._known_base)

    def _scheme(self) -> str:
        """Return "https", or "http" for a loopback registry without TLS, which is Docker's rule."""
        if not is_loopback(self._host):
            return "https"
        try:
            url = f"https://{self._host}/v2/"
            exchange(self._session, Request(method="GET", url=url), self._pace.seconds)
        except requests.exceptions.SSLError as error:
            if connection_failures.find_cause(error, SSLCertVerificationError):
                raise
            return "http"
        return "https"

    # what it answers

    def expect(self, answer: Answer, attempted: str, *statuses: int) -> Answer:
        """Return the answer if its status is one of these. Raise RegistryError."""
        if answer.status not in statuses:
            self._refuse(answer, attempted)
        return answer

    def _refuse(self, answer: Answer, attempted: str) -> NoReturn:
        answer.close()
        found = f"the registry answers {answer.status}{registry_error_text(answer.content)}"
        raise RegistryError(attempted, found, self._hint(answer))

    def _hint(self, answer: Answer) -> str:
        """Return the next step for a status (RFC 9110, 15; RFC 4918, 11.5)."""
        status = answer.status
        if status == requests.codes.unauthorized:
            return f"docker login {self._host}"
        if status == requests.codes.forbidden:
            return f"docker login {self._host}, with an account that may do this in {self._repository}"
        if status == requests.codes.too_many_requests:
            return f"wait{wait_time_text(answer)} and run it again, or log in for a higher limit"
        if status in TEMPORARY:
            return (
                f"wait{wait_time_text(answer)} and run it again; if it fails again, read the registry's log"
            )
        return _HINTS.get(status, f"check that {self._repository} exists and has the right spelling")

    def failure(self, attempted: str, error: BaseException) -> RegistryError:
        """Return the error for a missing answer, or for one beyond its limits."""
        at = f"{attempted} at {self._host}"
        large = connection_failures.find_cause(error, AnswerTooLarge)
        if large is not None or isinstance(error, ValueError):
            return RegistryError(at, shortened_quote(str(large or error)), _STRANGE)
        untrusted = connection_failures.find_cause(error, SSLCertVerificationError) is not None
        return RegistryUnreachable(
            at,
            shortened_quote(connection_failures.failure_text(error)),
            "save the certificate of its authority as "
            f"{trust.engine_certificate_folder(self._host)}/ca.crt, for the engine and this command; or "
            f"name the file in `registry_ca` or {trust.VARIABLE}"
            if untrusted
            else "check that the registry runs, and that this machine can reach it",
        )


_HINTS: Final[Mapping[int, str]] = {
    405: "the registry accepts no uploads: check if it is read-only, in maintenance, or a mirror",
    413: "the registry has no space for more: remove old images there, or raise the quota",
    507: "the registry has no space for more: remove old images there, or raise the quota",
}
