"""Errors of the client library as errors of this one. Nothing is decided from a message's wording.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ and `metav1.Status`: `reason` is the
machine's word, `details.causes` names each field.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx2
from lightkube.core.exceptions import ApiError, ConfigError

from release.errors import EngineError, EngineUnreachable, NameTaken
from release.values import MsgspecError

_BUSY: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses of a server, or of a load balancer before it, that is away for a moment."""
_SCHEMA: Final = 500
"""Status without a reason: server-side apply got a field that the schema does not know, or another type."""
_UNAUTHORIZED, _FORBIDDEN, _MISSING, _CONFLICT = 401, 403, 404, 409


class Missing(EngineError):
    """The object does not exist."""


class Forbidden(EngineError):
    """The account's role lacks a verb, or a quota or an admission rule refused the request."""


class Outdated(EngineError):
    """The object changed since it was read."""


class Conflicts(EngineError):
    """Other field managers own fields of the applied document."""

    def __init__(self, attempted: str, fields: tuple[str, ...], hint: str) -> None:
        """Keep the fields with their managers."""
        super().__init__(attempted, "; ".join(fields), hint)
        self.fields = fields


@contextmanager
def translated(attempted: str) -> Iterator[None]:
    """Raise the client's errors as EngineError, EngineUnreachable, NameTaken or an error of this module."""
    try:
        yield
    except ApiError as error:
        raise _of_status(attempted, error) from error
    except httpx2.HTTPStatusError as error:
        raise _of_code(attempted, error.response.status_code, str(error)) from error
    except (httpx2.TransportError, httpx2.StreamError) as error:
        words = str(error) or type(error).__name__
        raise EngineUnreachable(attempted, f"the API server does not answer: {words}", _AWAY) from error
    except (MsgspecError, httpx2.HTTPError, ConfigError) as error:
        raise EngineError(attempted, f"the API server gave an unexpected answer: {error}", _AWAY) from error


_AWAY: Final = "check the address and the network: `kubectl version` with the same context"


def _of_status(attempted: str, error: ApiError) -> EngineError:
    status = error.status
    code, reason, message = status.code or 0, status.reason or "", status.message or ""
    if code == _CONFLICT and reason == "AlreadyExists":
        return NameTaken(attempted, message)
    causes = (status.details.causes if status.details is not None else None) or []
    fields = tuple(
        f"{cause.field} is managed by {_manager(cause.message or '')}"
        for cause in causes
        if cause.reason == "FieldManagerConflict"
    )
    if code == _CONFLICT and fields:
        return Conflicts(attempted, fields, "")
    if code == _SCHEMA and not reason:
        return EngineError(attempted, f"the API server refused it: {message}", "correct the object")
    if code == _CONFLICT:
        return Outdated(attempted, message, "run the command again")
    return _of_code(attempted, code, message)


def _manager(message: str) -> str:
    """Return the owner in a message such as `conflict with "kubectl-edit" using apps/v1`."""
    return message.removeprefix("conflict with ").replace('"', "") or "another manager"


def _of_code(attempted: str, code: int, message: str) -> EngineError:
    if code == _UNAUTHORIZED:
        hint = "log in again; `kubectl auth whoami` with the same context shows who you are"
        return EngineError(attempted, "the API server does not accept the credentials", hint)
    if code == _FORBIDDEN:
        return Forbidden(attempted, message, "`kubectl auth can-i --list` shows what the account may do")
    if code == _MISSING:
        return Missing(attempted, message)
    if code in _BUSY:
        return EngineUnreachable(attempted, f"the API server answered {code}: {message}", _AWAY)
    return EngineError(attempted, f"the API server answered {code}: {message}")
