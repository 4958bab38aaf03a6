"""Plan of an adoption: what runs, described as a release with its settings. Nothing is changed.

The record is a release whose build is not known. So the record lists every key that only a build can tell.
"""

from __future__ import annotations

from typing import Any, Final

from release.deploy.core import image_location, lock
from release.deploy.core.adopted_image import AdoptedImage
from release.deploy.core.adoption import Candidate, Reading
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.planning.adopted_release import release_body, version_of
from release.deploy.planning.adopted_settings import AdoptedSettings, read_settings
from release.deploy.planning.candidate import choose_candidate
from release.errors import LockHeld, NotReady, UsageError
from release.ledger import query
from release.records import Adoption, Record, Release
from release.values import Struct

_LOCK: Final = "wait for its end, or finish it: `{}`"


class AdoptionRequest(Struct, frozen=True, kw_only=True):
    """Options of the command."""

    name: str | None = None
    """Name of the object; None: it is found by name, port or image."""
    version: str | None = None
    """Version to record; None: one that is made from the digest."""
    left_out: tuple[str, ...] = ()
    """Settings that are not recorded."""


class AdoptionPlan(Struct, frozen=True, kw_only=True):
    """Plan of an adoption, with everything that will be recorded."""

    live: LiveEnvironment
    candidate: Candidate
    reading: Reading
    image: AdoptedImage
    settings: AdoptedSettings
    known: Record[Release] | None
    """Release of the ledger with the same image; None: a release is recorded too."""
    body: Release

    @property
    def kind(self) -> str:
        """Return the kind of object."""
        return self.live.target.adoptions.kind

    @property
    def title(self) -> str:
        """Return the headline, as "adopt the container web as 1.4.1 of api in production"."""
        return f"adopt the {self.kind} {self.candidate.name} as {self.body.version} of {self.live.place}"

    @property
    def adopted(self) -> Adoption:
        """Return the object as the deployment event names it."""
        assert self.reading.image is not None  # noqa: S101 - a plan without an image is refused
        return Adoption(
            kind=self.kind,
            name=self.candidate.name,
            id=self.candidate.id,
            image=str(self.reading.image),
            left_out=tuple(f"{name}: {text}" for name, text in self.settings.left_out.items()),
        )

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Return the findings as rows of text."""
        image, settings = self.image.image, self.settings
        known = (
            "a release of the ledger" if self.known is not None else "recorded as a release that was adopted"
        )
        rows = [
            ("runs", f"{self.kind} {self.candidate.name}, {self.candidate.image}"),
            ("image", f"{image.repository}@{image.digest}\n{image.platform}"),
            ("version", f"{self.body.version}, {known}"),
            ("settings", "\n".join(settings.lines) or "those of the image"),
            ("secrets", "\n".join(settings.secret_lines)),
            ("left out", "\n".join(f"{name}: {text}" for name, text in settings.left_out.items())),
            ("not kept", "\n".join(f"{name}: {text}" for name, text in self.reading.dropped.items())),
            ("note", "\n".join(self.notes)),
            ("then", self._then),
        ]
        return [(name, text) for name, text in rows if text]

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what the operator must know."""
        return (*self.reading.notes, *self.settings.notes)

    @property
    def _then(self) -> str:
        when = "first" if self.live.target.adoptions.stops_first else "when the new release is healthy"
        return (
            f"nothing is changed now. The next `{self.live.place.command('deploy')}` stops the {self.kind} "
            f"{when} and keeps it; `invoke rollback` then restores this image with these settings"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON data, without values of secrets."""
        return {
            "service": self.live.place.service,
            "environment": self.live.place.environment,
            "target": self.live.target.name,
            "adopted": self.adopted.model_dump(mode="json"),
            "version": self.body.version,
            "is_known": self.known is not None,
            "image": self.image.image.model_dump(mode="json", exclude_none=True),
            "spec": self.settings.spec.model_dump(mode="json", exclude_none=True),
            "not_kept": dict(self.reading.dropped),
            "notes": list(self.notes),
        }


def plan_adoption(live: LiveEnvironment, request: AdoptionRequest) -> AdoptionPlan:
    """Find what runs, read image and settings, and return the plan.

    Raises:
        UsageError: deployments are recorded here already; no object fits, or several do; a wrong option.
        LockHeld: a deployment is under way.
        NotReady: settings or secrets cannot be recorded, each with the reason.
        TargetUnavailable: no place has the image by its digest.
        EngineError: the target does not answer.
    """
    _refuse_known(live)
    candidate = choose_candidate(live, request.name)
    attempted = f"adopt the {live.target.adoptions.kind} {candidate.name}"
    reading = live.target.adoptions.read(candidate)
    if reading.trouble or reading.image is None:
        found = reading.trouble or "its instances do not all run one image"
        raise NotReady(attempted, found, "let it run well with one image first, then run the command again")
    settings = read_settings(live, reading, request.left_out, attempted)
    image, known = _image(live, reading, attempted)
    version = version_of(live, image, request.version, known)
    body = known.body if known is not None else release_body(live, candidate, image, settings.spec, version)
    return AdoptionPlan(
        live=live,
        candidate=candidate,
        reading=reading,
        image=image,
        settings=settings,
        known=known,
        body=body,
    )


def _image(
    live: LiveEnvironment, reading: Reading, attempted: str
) -> tuple[AdoptedImage, Record[Release] | None]:
    """Return the image, and the release of the ledger that has it; then no registry is asked."""
    ledger, service = live.workspace.ledger, live.place.service
    for reference in reading.references:
        known = query.release_of_digest(ledger, service, str(reference.digest))
        if known is not None:
            body = known.body
            return AdoptedImage(image=body.image, created=body.source.commit_time, labels={}), known
    tell = image_location.as_progress(live.workspace.emit)
    image = live.target.adoptions.describe(reading, attempted, tell)
    return image, query.release_of_digest(ledger, service, image.image.digest)


def _refuse_known(live: LiveEnvironment) -> None:
    """Refuse an environment that has deployments already."""
    attempted, command = f"adopt what runs as {live.place}", live.place.command
    event = live.current()
    if event is not None:
        what = "an adoption" if event.deployment.adopted is not None else "a healthy deployment"
        raise UsageError(
            attempted,
            f"the ledger has {what} there: {event.deployment.deployment}, of {event.recorded_at[:10]}",
            f"`{command('status')}` compares it with what runs",
        )
    ours = live.target.instances.look()
    if ours.every:
        raise UsageError(
            attempted,
            f"{ours.every[0].name} was deployed by this library, so there is nothing to adopt",
            f"`{command('status')}` shows it; `invoke sync` in the clone that deployed publishes its record",
        )
    holder = lock.current_holder(live.target.lock_store(), live.place)
    if holder is not None:
        raise LockHeld(attempted, f"the lock is held by {holder}", _LOCK.format(command("converge")))
