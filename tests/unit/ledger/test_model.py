"""Any sequence of appends answers like a few dictionaries would."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.errors import TargetUnavailable, VersionTaken
from release.ledger import query
from release.ledger.store import Ledger
from release.records import Release
from tests.unit.ledger import samples
from tests.unit.repository import Repository

VERSIONS = ("1.0.0", "1.0.1", "1.1.0", "2.0.0-rc.1", "2.0.0")
COMMITS = ("a" * 40, "b" * 40)
ENVIRONMENTS = ("production", "staging")
STATUSES = ("started", "healthy", "failed", "restored")

releasing = st.tuples(
    st.just("release"), st.sampled_from(VERSIONS), st.sampled_from("xyz"), st.sampled_from(COMMITS)
)
deploying = st.tuples(
    st.just("deploy"), st.integers(0, 4), st.sampled_from(ENVIRONMENTS), st.sampled_from(STATUSES)
)
reopening = st.tuples(st.just("reopen"))
steps = st.lists(st.one_of(releasing, deploying, reopening), max_size=12)


class Model:
    """The ledger as dictionaries."""

    def __init__(self) -> None:
        self.releases: dict[str, tuple[str, str]] = {}
        self.healthy: dict[str, list[str]] = {name: [] for name in ENVIRONMENTS}
        self.count = 0

    def release(self, version: str, content: str, commit: str) -> bool:
        """Whether it is, or was, possible."""
        if version in self.releases:
            return self.releases[version] == (content, commit)
        if any(content == known for known, _ in self.releases.values()):
            return False
        self.releases[version] = (content, commit)
        self.count += 1
        return True

    def deploy(self, version: str, environment: str, status: str) -> None:
        self.count += 1
        if status == "healthy":
            self.healthy[environment].append(version)

    def previous(self, environment: str) -> str | None:
        ran = list(dict.fromkeys(reversed(self.healthy[environment])))
        return ran[1] if len(ran) > 1 else None


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps)
def test_any_sequence_of_appends_resolves_like_a_simple_model(sequence: list[tuple[object, ...]]) -> None:
    """Releases, refusals, deployments and reopening, in any order."""
    with tempfile.TemporaryDirectory() as folder:
        here = Repository.init(Path(folder))
        model, ledger = Model(), samples.ledger(here.root)
        for minute, step in enumerate(sequence):
            ledger = _done(step, minute, model, ledger, here.root)
        _agree(model, samples.ledger(here.root))


def _done(step: tuple[object, ...], minute: int, model: Model, ledger: Ledger, root: Path) -> Ledger:
    match step:
        case ("release", str(version), str(content), str(commit)):
            draft = samples.release(version, content=content, commit=commit, at=samples.moment(minute))
            try:
                ledger.append([draft])
                landed = True
            except VersionTaken:
                landed = False
            assert landed == model.release(version, content, commit)
        case ("deploy", int(number), str(environment), str(status)) if model.releases:
            version = sorted(model.releases)[number % len(model.releases)]
            record = query.release_of_version(ledger, "api", version)
            assert record is not None
            ledger.append_events(
                [
                    samples.event(
                        record.id,
                        status,
                        deployment=str(minute),
                        environment=environment,
                        at=samples.moment(minute),
                    )
                ]
            )
            model.deploy(version, environment, status)
        case ("reopen",):
            return samples.ledger(root)
    return ledger


def _agree(model: Model, ledger: Ledger) -> None:
    assert sorted(query.versions(ledger, "api")) == sorted(model.releases)
    for version, (content, commit) in model.releases.items():
        by_version = query.release_of_version(ledger, "api", version)
        assert by_version is not None
        assert by_version.body.source.commit == commit
        by_digest = query.resolve(ledger, "api", f"sha256:{samples.digits(content)}", environment=None)
        assert by_digest == by_version
    for environment, ran in model.healthy.items():
        current = query.current_deployment(ledger, "api", environment)
        assert (_version(ledger, current) if current else None) == (ran[-1] if ran else None)
        assert _previous(ledger, environment) == model.previous(environment)
    records = list(query.history(ledger, "api"))
    assert [record.envelope.seq for record in records] == list(range(model.count, 0, -1))


def _version(ledger: Ledger, event: query.Event) -> str:
    body = ledger.record(event.deployment.release).body
    assert isinstance(body, Release)
    return body.version


def _previous(ledger: Ledger, environment: str) -> str | None:
    try:
        return query.resolve(ledger, "api", "previous", environment=environment).body.version
    except TargetUnavailable:
        return None
