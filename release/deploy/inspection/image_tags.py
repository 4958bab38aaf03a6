"""Check of the image tags of recorded releases, in registries and in this engine.

A verification of the ledger asks for each release. What does not answer is counted, and asked no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Self

from release.deploy.core.image_location import EMBEDDED
from release.errors import ReleaseError
from release.images.engine import Engine
from release.images.registry import Registry
from release.ledger.violations import Violation
from release.records import Image, Record, Release
from release.reference import Digest, Reference, Repository


class ImageTags:
    """Check of image tags for `invoke verify` (`release.ledger.verify.Witness`)."""

    def __init__(self, connect: Callable[[], Engine] = Engine.connect) -> None:
        """Prepare; no registry is asked yet.

        Args:
            connect: reaches the engine whose store holds the images that are in no registry.
        """
        self._connect = connect
        self._engine: Engine | None = None
        self._registries: dict[str, Registry] = {}
        self._silent: dict[str, str] = {}
        """Hosts that do not answer, and why."""
        self._counts: Counter[str] = Counter()
        """Releases that could not be looked at, by reason."""
        self._absent: set[str] = set()
        """Digests of which this engine lacks a tag."""
        self._agreed: set[Reference] = set()
        self._contested: dict[Reference, Violation] = {}

    def __enter__(self) -> Self:
        """Return this object."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        for registry in self._registries.values():
            registry.close()
        if self._engine is not None:
            self._engine.close()

    def ask(self, commit: str, record: Record[Release]) -> Iterator[Violation]:
        """Return findings on the version tag and the commit tag of a release.

        An adopted image has neither, because others named it.
        """
        if record.body.adopted is not None:
            return
        try:
            repository = Repository(record.body.image.repository)
            tags = [repository.tagged(tag) for tag in _names(record.body)]
        except ValueError as error:
            self._counts[str(error)] += 1
            return
        if repository.host not in self._silent:
            try:
                yield from self._asked(commit, record.body.image, *tags)
                return
            except ReleaseError as error:
                self._silent[repository.host] = f"{error.attempted}: {error.found}"
        self._counts[self._silent[repository.host]] += 1

    def rest(self) -> Iterator[Violation]:
        """Return findings on commit tags that point to no release of the commit."""
        yield from (violation for tag, violation in self._contested.items() if tag not in self._agreed)

    def unchecked(self) -> Iterator[str]:
        """Return registries that did not answer, and images that this engine does not have."""
        yield from (f"image tags of releases ({count}): {reason}" for reason, count in self._counts.items())
        if self._absent:
            yield (
                f"image tags of releases ({len(self._absent)}): this engine does not have all these images"
            )

    def _asked(
        self, commit: str, image: Image, version: Reference, candidate: Reference
    ) -> Iterator[Violation]:
        yield from self._compared(commit, image, version)
        contested = next(self._compared(commit, image, candidate), None)
        if contested is None:
            self._agreed.add(candidate)
        else:
            self._contested[candidate] = contested

    def _compared(self, commit: str, image: Image, tag: Reference) -> Iterator[Violation]:
        wanted, found = self._found(image, tag)
        if found is None and tag.repository.host == EMBEDDED:
            self._absent.add(image.digest)
        elif found != wanted:
            yield Violation(
                kind="image-tag-moved" if found is not None else "image-tag-missing",
                commit=commit,
                path=str(tag),
                found=str(found) if found is not None else f"not in {tag.repository.host}",
                expected=str(wanted),
            )

    def _found(self, image: Image, tag: Reference) -> tuple[Digest, Digest | None]:
        """Return the expected and the found digest of a tag. Engines have another kind of digest."""
        if tag.repository.host != EMBEDDED:
            registry = self._registries.setdefault(tag.repository.text, Registry(tag.repository))
            return Digest(image.digest), registry.digest(tag)
        if self._engine is None:
            self._engine = self._connect()
        by_manifest = self._engine.info.image_store == "containerd"
        stored = self._engine.inspect(tag)
        wanted = Digest(image.digest if by_manifest else image.config_digest)
        return wanted, stored.id if stored is not None else None


def _names(release: Release) -> tuple[str, str]:
    """Return the version tag and the commit tag."""
    return release.version, release.candidate_tag
