"""Secrets of the service that a layer of the image contains.

Searched are the values that this machine knows: build secrets, and secrets of environments from a variable or
a file. A file that a later layer deletes is still in the image.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

from release.chain.installed.comparing import describe_origin
from release.chain.installed.origins import LayerOrigin
from release.chain.installed.scanning import LayerScan
from release.chain.stage_context import StageContext
from release.errors import GateFailed
from release.events import Warned
from release.secrets.redact import Redacted, passwords_in
from release.secrets.sources import resolve_secrets

SHORTEST: Final = 8
"""Shorter values are words, which layers contain by chance."""


class Needles:
    """Secret values as bytes, by their names. Nothing shows the values."""

    def __init__(self, values: Mapping[str, Redacted]) -> None:
        """Keep the values, and the passwords in their addresses."""
        self._forms = {name: tuple(_forms(value.reveal())) for name, value in values.items()}

    def __bool__(self) -> bool:
        """Return whether there is something to search."""
        return any(self._forms.values())

    @property
    def names(self) -> list[str]:
        """Return the names of the secrets, sorted."""
        return sorted(self._forms)

    @cached_property
    def identity(self) -> bytes:
        """Return a hash of names and values; it is to be sealed before it is stored."""
        listed = [(name, [form.hex() for form in forms]) for name, forms in sorted(self._forms.items())]
        return hashlib.sha256(json.dumps(listed).encode()).digest()

    def found_in(self, content: bytes) -> Iterator[str]:
        """Yield the names of the secrets in a file."""
        for name, forms in self._forms.items():
            if any(form in content for form in forms):
                yield name


def _forms(value: str) -> Iterator[bytes]:
    for text in dict.fromkeys((value.strip(), *passwords_in(value))):
        if len(text) >= SHORTEST:
            yield text.encode()
            yield base64.b64encode(text.encode())
            yield json.dumps(text)[1:-1].encode()


def needles_of(ctx: StageContext) -> Needles:
    """Return the secrets to search for. No command is run for a secret of an environment."""
    return ctx.shared_values.get_or_compute("searched secrets", lambda: _known(ctx))


def _known(ctx: StageContext) -> Needles:
    service = ctx.plan.service
    if service.installed.secrets == "off":
        return Needles({})
    built, _ = ctx.build_secrets
    values = {f"build secret {name}": value for name, value in built.items()}
    for name, environment in service.environments.items():
        known = {key: each for key, each in environment.secrets.items() if each.from_command is None}
        found, _ = resolve_secrets(known, root=ctx.source.root, environ=ctx.environ)
        ctx.mask.hide(found.values())
        values |= {f"secret {key} of {name}": value for key, value in found.items()}
    return Needles(values)


def refuse_leaks(ctx: StageContext, layers: Sequence[LayerScan], origins: Sequence[LayerOrigin]) -> None:
    """Refuse a layer that holds a secret, also if a later layer deletes the file. Raises GateFailed."""
    found = tuple(
        f"/{path} holds the {name} ({describe_origin(origins[number])})"
        for number, layer in enumerate(layers)
        for path, name in layer.leaks
        if number < len(origins)
    )
    if not found:
        return
    ctx.write_log("installed", found)
    text = f"the image contains a secret: {found[0]}" + (f"; and {len(found) - 1} more" if found[1:] else "")
    if ctx.plan.service.installed.secrets == "warn":
        ctx.emit(Warned(text=text))
        return
    raise GateFailed(
        "installed",
        text,
        "read it in RUN with --mount=type=secret, or name the file in .dockerignore; and replace the secret, "
        'because the build cache has it too. If the value is public: installed.secrets = "warn"',
        found[1:],
    )
