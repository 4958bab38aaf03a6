"""`[tool.release.hooks.<name>]` and `[tool.release.webhooks.<name>]`: what else a deployment causes."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from release.config.chain import Secret
from release.config.kinds import Arguments, Slug
from release.scalars import Duration, Items, Value, VariableName
from release.secrets.redact import passwords_in

Moment = Literal["before_deploy", "after_deploy", "before_rollback", "after_rollback", "failure"]
"""Moment of a deployment or a rollback; `failure` is any end that is not healthy."""

_BEFORE: Final = frozenset({"before_deploy", "before_rollback"})


class Hook(Value):
    """`[tool.release.hooks.<name>]`: a command of the operator that runs beside a deployment or a rollback.

    It gets the record as JSON on its standard input, and variables that docs/how-to/hooks.md lists.
    """

    on: Annotated[Items[Moment], Field(min_length=1)]
    """Moments at which the hook runs, as ["after_deploy", "after_rollback"]."""
    command: Arguments
    """Command and its arguments, run in the root of the repository on the operator's machine."""
    timeout: Duration = 60_000
    """Time limit of the command. After it, the command is stopped and counts as failed."""
    on_failure: Literal["stop", "warn"] = "warn"
    """Reaction to a failure: "stop": before a deployment, replace nothing; "warn": print a warning."""
    environments: Annotated[Items[Slug], Field(min_length=1)] | None = None
    """Names of environments; absent: all environments."""
    pass_env: Items[VariableName] = ()
    """Variables of the operator's environment that the command gets beside the usual ones."""

    @model_validator(mode="after")
    def _stops_before(self) -> Hook:
        late = [moment for moment in self.on if moment not in _BEFORE]
        if self.on_failure == "stop" and late:
            raise ValueError(
                f'on_failure = "stop" works only before a deployment: remove it, or {", ".join(late)}'
            )
        return self


def _address(text: str) -> str:
    """Return the address. Raise ValueError unless it uses TLS or is this machine."""
    parts = urlsplit(text)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.fragment:
        raise ValueError(f"{text!r} is not an address: write https://host/path")
    if passwords_in(text) or parts.username is not None:
        raise ValueError("the address has a password: the signature shows who sends; keep secrets out of it")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError(f"{parts.hostname} is another machine: write https:// for it")
    return text


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Webhook(Value):
    """`[tool.release.webhooks.<name>]`: a signed message after a deployment or a rollback ended.

    It waits in the operator's clone until it is delivered, and never fails a deployment.
    """

    url: Annotated[str, AfterValidator(_address)]
    """Address that gets the message, with https; http only for this machine. Redirects are not followed."""
    secret: Annotated[Secret, Field(description="a table, as `build.secrets.<id>`")]
    """Key of the signature (HMAC-SHA256), as { from_env = "HOOK_SECRET" }."""
    on: Annotated[Items[Literal["after_deploy", "after_rollback", "failure"]], Field(min_length=1)] = (
        "after_deploy",
        "after_rollback",
        "failure",
    )
    """Moments at which a message is sent; absent: all."""
    environments: Annotated[Items[Slug], Field(min_length=1)] | None = None
    """Names of environments; absent: all environments."""
    timeout: Duration = 5_000
    """Time limit for one attempt to send."""
