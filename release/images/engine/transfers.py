"""Transfers of images between an engine and a registry: progress, errors, credentials."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from release.errors import RegistryError, ReleaseError, TransferBroken
from release.images.credentials import credentials
from release.images.engine.cancellable_connection import Deadline
from release.images.trust import engine_certificate_folder
from release.reference import Reference

if TYPE_CHECKING:
    from release.images.registry import Registry

STILL: Final = 120_000
"""Milliseconds without progress after which a transfer is ended."""
OnBytes = Callable[[int, int], None]
"""Function that gets the transferred bytes and the bytes in all."""

_LONGEST_QUOTE: Final = 500
"""Characters of the engine's error text that a message quotes."""


def auth_config(host: str) -> dict[str, str]:
    """Return the credentials of a registry for the engine; empty if there are none."""
    known = credentials(host)
    if known is None:
        return {}
    if known.identity_token:
        return {"identitytoken": known.identity_token, "serveraddress": host}
    return {"username": known.user, "password": known.password, "serveraddress": host}


class TransferFailed(Exception):
    """Error that the engine reported in the middle of a push or a pull."""


MOST_PARTS: Final = 10_000
"""Largest number of parts of a transfer, as layers."""


def extend_deadline_on_progress(
    progress: Iterable[Mapping[str, Any]], deadline: Deadline, still: int
) -> Iterator[Mapping[str, Any]]:
    """Yield the messages, and extend the deadline after each message with progress."""
    said: dict[object, object] = {}
    for line in progress:
        if said.get(line.get("id")) != line:
            said[line.get("id")] = line
            deadline.put_off(still)
        if len(said) > MOST_PARTS:
            raise ValueError(f"it has more than {MOST_PARTS} parts")
        yield line


def report_transferred_bytes(
    progress: Iterable[Mapping[str, Any]], on_bytes: OnBytes | None
) -> Iterator[Mapping[str, Any]]:
    """Yield the messages, and report the sum of all layers' bytes (`progressDetail`) to `on_bytes`."""
    known: dict[object, tuple[int, int]] = {}
    for line in progress:
        detail = line.get("progressDetail") or {}
        if on_bytes is not None and detail.get("total"):
            known[line.get("id")] = (int(detail.get("current") or 0), int(detail["total"]))
            on_bytes(sum(sent for sent, _ in known.values()), sum(total for _, total in known.values()))
        yield line


def raise_transfer_failure(progress: Iterable[Mapping[str, Any]]) -> None:
    """Read a transfer to its end. Raise TransferFailed if a message reports an error."""
    for line in progress:
        if "errorDetail" in line or "error" in line:
            detail = line.get("errorDetail") or {}
            raise TransferFailed(detail.get("message") or line.get("error") or "no explanation")


def transfer_error(verb: str, reference: Reference, said: str, registry: Registry) -> RegistryError:
    """Return the error of a failed transfer; ask the registry, because the engine gives only a text."""
    from release.images.registry import is_loopback

    attempted, host = f"{verb} {reference}", reference.repository.host
    said = said[:_LONGEST_QUOTE]
    try:
        if verb == "pull":
            if registry.digest(reference) is None:
                return RegistryError(attempted, said, f"the registry has no {reference}")
        elif is_loopback(host) or registry.is_trusted_by_engines():
            registry.check_upload()
        else:
            where = f"{engine_certificate_folder(host)}/ca.crt"
            return RegistryError(
                attempted, said, f"give the engine the registry's certificate authority too: {where}"
            )
    except RegistryError as error:
        return type(error)(attempted, f"{error.found} (answer of the engine: {said})", error.hint)
    except ReleaseError as error:
        return RegistryError(attempted, said, error.hint)
    return TransferBroken(attempted, said, _HINTS[verb])


_HINTS: Final = {
    "pull": "the registry has it: run it again; if it fails again, read the engine's log: `journalctl "
    "-u docker`",
    "push": "the registry accepts uploads: run it again; if it fails again, check the size limit of a "
    "proxy before it",
}
