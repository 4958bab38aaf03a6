"""Names of images: repository, tag, digest, and the reference that joins them.

`str` of a value returns the parsed text. Grammar: OCI Distribution Specification 1.1,
"Pulling manifests" (name and tag), and OCI Image Specification 1.1, "Digests". The split of the registry's
host from the path follows the rule that every Docker client uses: the first component is a host when
it holds a dot or a colon, or is `localhost`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, Self

from release.values import Struct

DOCKER_HUB: Final = "docker.io"
"""The registry that a name without a host belongs to."""

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Digest(Struct, frozen=True, order=True):
    """Digest: `sha256:` and 64 hexadecimal digits. Raise ValueError for other text."""

    text: str

    def __post_init__(self) -> None:
        """Raise ValueError if the text is not a sha256 digest."""
        if not _DIGEST.fullmatch(self.text):
            raise ValueError(f"{self.text!r} is not a digest: expected sha256: and 64 hexadecimal digits")

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return the digest of these bytes."""
        return cls(f"sha256:{hashlib.sha256(content).hexdigest()}")

    @property
    def hex(self) -> str:
        """Return the 64 digits."""
        return self.text.removeprefix("sha256:")

    @property
    def short(self) -> str:
        """Return the first twelve digits, for people."""
        return self.hex[:12]

    def __str__(self) -> str:
        """Return the text as it was parsed."""
        return self.text


class Repository(Struct, frozen=True, order=True):
    """Repository of images, as `registry.example:5000/acme/api`, or `api` on the default registry.

    Raises:
        ValueError: the text is not a repository, saying which part is wrong.
    """

    text: str

    def __post_init__(self) -> None:
        """Raise ValueError if the text does not follow the grammar."""
        host, path = _split(self.text)
        if host and not _HOST.fullmatch(host):
            raise ValueError(f"{self.text!r}: {host!r} is not a registry host")
        if not _PATH.fullmatch(path):
            raise ValueError(
                f"{self.text!r} is not a repository: lower-case letters, digits and . _ - between, "
                "components separated by /, and no tag or digest"
            )
        if len(self.text) > 255:
            raise ValueError(f"{self.text!r} is longer than 255 characters")

    @property
    def host(self) -> str:
        """Return host and port of the registry; Docker Hub if none is named."""
        return _split(self.text)[0] or DOCKER_HUB

    @property
    def path(self) -> str:
        """Return the name inside the registry, as in `/v2/<path>/manifests/`."""
        path = _split(self.text)[1]
        return f"library/{path}" if self.host == DOCKER_HUB and "/" not in path else path

    def tagged(self, tag: str) -> Reference:
        """Return the reference of a tag in this repository."""
        return Reference(repository=self, tag=tag)

    def at(self, digest: Digest) -> Reference:
        """Return the reference of a digest in this repository."""
        return Reference(repository=self, digest=digest)

    def __str__(self) -> str:
        """Return the text as it was parsed."""
        return self.text


def _split(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return "", text


class Reference(Struct, frozen=True, kw_only=True):
    """Repository with a tag, a digest, or both. Raise ValueError for an invalid tag."""

    repository: Repository
    tag: str | None = None
    digest: Digest | None = None

    def __post_init__(self) -> None:
        """Refuse a tag outside the grammar: 128 of letters, digits and . _ -, so no `+`."""
        if self.tag is not None and not _TAG.fullmatch(self.tag):
            raise ValueError(f"{self.tag!r} is not a tag: at most 128 letters, digits, '.', '_' and '-'")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `repository[:tag][@digest]`. Raise ValueError with the invalid part."""
        name, at, digest = text.partition("@")
        head, slash, tail = name.rpartition("/")
        last, colon, tag = tail.partition(":")
        return cls(
            repository=Repository(f"{head}{slash}{last}"),
            tag=tag if colon else None,
            digest=Digest(digest) if at else None,
        )

    def __str__(self) -> str:
        """Return `repository[:tag][@digest]`."""
        tag = f":{self.tag}" if self.tag is not None else ""
        digest = f"@{self.digest}" if self.digest is not None else ""
        return f"{self.repository}{tag}{digest}"
