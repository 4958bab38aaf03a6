"""Waiting until a container serves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from release.deploy.targets.engine import health
from release.deploy.targets.engine.gates import Gates
from release.deploy.targets.engine.health import Healthy, Watch, await_healthy, keep_watch, warn_unreachable
from release.errors import Cancelled, DeploymentFailed, EngineError
from release.events import Event, Warned
from release.images.engine import ContainerState, Executed
from release.programs.cancellation import Cancellation
from release.runspec import Probe
from release.secrets.redact import Mask, Redacted
from release.values import replace
from tests.unit.deploy.fakes import FakeEngine, RolloutRequest, state

PROBE = Probe(port=8000, path="/healthz")


@contextmanager
def answering(statuses: list[int], reason: str | None = None) -> Iterator[int]:
    """A server that gives these statuses, the last one for ever; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0], reason)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


class Changing(FakeEngine):
    """A container that goes through these states, one for each look; the last one stays."""

    def __init__(self, states: list[ContainerState], logs: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.states = states
        self.add(states[0]).logs = logs

    def state(self, container: str) -> ContainerState | None:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def watch(engine: FakeEngine, **changes: Any) -> Watch:
    made = Watch(
        engine=engine, container="id-api-production", probe=None, timeout=5000, emit=lambda event: None
    )
    return replace(made, **changes)


def seen(watch: Watch) -> Healthy:
    """As it is at this look."""
    found = watch.engine.state(watch.container)
    assert found is not None
    return Healthy(watch=watch, state=found, evidence="it was well")


def test_it_waits_for_the_health_check() -> None:
    """Running is not enough while the check is starting."""
    engine = Changing([state(health="starting"), state(health="starting"), state(health="healthy")])
    assert await_healthy(watch(engine)).evidence == "health check healthy"


def test_it_waits_for_the_right_answer() -> None:
    """Another status is an answer, and not the one that is wanted."""
    with answering([503, 503, 200]) as port:
        engine = FakeEngine()
        engine.add(state(ports={8000: ("127.0.0.1", port)}))
        assert await_healthy(watch(engine, probe=PROBE)).evidence == "GET /healthz gave 200 OK"


def test_a_health_check_alone_is_not_enough_where_the_request_can_be_made() -> None:
    """Both must be well."""
    with answering([500]) as port:
        engine = FakeEngine()
        engine.add(state(health="healthy", ports={8000: ("127.0.0.1", port)}))
        with pytest.raises(DeploymentFailed) as caught:
            await_healthy(watch(engine, probe=PROBE, timeout=200))
    assert "health check healthy, GET /healthz gave 500" in caught.value.found


@pytest.mark.parametrize(
    ("ended", "found"),
    [
        (state(status="exited", exit_code=3), "exit status 3"),
        (state(status="exited", exit_code=137, oom_killed=True), "more memory"),
        (state(status="restarting", exit_code=1), "the engine restarted it"),
        (state(restarts=1), "the engine restarted it"),
        (state(health="unhealthy"), "unhealthy"),
    ],
)
def test_a_container_that_breaks_fails_at_once_with_its_last_lines(ended: ContainerState, found: str) -> None:
    """Nobody waits for the end of the time; secrets are taken out of what it wrote."""
    engine = Changing([state(), ended], logs=("password=canary", "Traceback"))
    with pytest.raises(DeploymentFailed) as caught:
        await_healthy(watch(engine, timeout=600_000, mask=Mask([Redacted("canary")])))
    assert found in caught.value.found
    assert caught.value.tail == ("password=***", "Traceback")


def test_a_container_that_is_gone_fails() -> None:
    """Somebody removed it."""
    with pytest.raises(DeploymentFailed, match="the container was removed"):
        await_healthy(watch(FakeEngine()))


def test_the_end_of_the_time_says_what_there_was() -> None:
    """The state that it was stuck in."""
    with pytest.raises(DeploymentFailed, match=r"after 0\.1 s health check starting"):
        await_healthy(watch(Changing([state(health="starting")]), timeout=100))


def test_a_container_that_is_not_running_is_never_healthy() -> None:
    """Created or paused is not serving, whatever the time."""
    with pytest.raises(DeploymentFailed, match="paused"):
        await_healthy(watch(Changing([state(status="paused", health="healthy")]), timeout=100))


def test_without_check_and_port_it_must_stay_up_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the evidence says that this is all there is."""
    monkeypatch.setattr(health, "_SETTLE_SECONDS", 0.2)
    assert "no health check" in await_healthy(watch(Changing([state()]))).evidence


def test_the_wait_can_be_given_up() -> None:
    """A cancellation ends it at the next look."""

    cancellation = Cancellation()
    cancellation.request("SIGINT arrived")
    with pytest.raises(Cancelled):
        await_healthy(watch(Changing([state(health="starting")]), cancellation=cancellation))


def test_a_program_that_is_waited_for_is_given_up_with_the_wait() -> None:
    """A signal does not wait for the end of `health_command`."""
    cancellation = Cancellation()

    class Busy(FakeEngine):
        def ran(self, order: RolloutRequest) -> Executed:
            assert order.cancellation is not None
            order.cancellation.request("SIGINT arrived")
            order.cancellation.check()
            raise AssertionError("it was cancelled")

    engine = Busy()
    engine.add(state(health="healthy"))
    with pytest.raises(Cancelled):
        await_healthy(watch(engine, cancellation=cancellation, gates=Gates(command=("check",))))


class Far(FakeEngine):
    """An engine on another machine whose container has no Python (126), or gives these answers with it."""

    def __init__(self, *answers: bytes, **changes: Any) -> None:
        super().__init__(host="ssh://far.example")
        self.answers = list(answers)
        self.asked: list[Sequence[str]] = []
        self.add(state(ports={8000: ("127.0.0.1", 8080)}, address="172.17.0.2", **changes))

    def ran(self, order: RolloutRequest) -> Executed:
        self.asked.append(order.argv)
        if not self.answers:
            return Executed(status=126, output=b"executable file not found", errors=b"")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Executed(status=int(b"Error" in answer), output=answer, errors=answer)


def warned(engine: FakeEngine, **changes: Any) -> list[str]:
    said: list[Event] = []
    warn_unreachable(watch(engine, probe=PROBE, emit=said.append, **changes))
    return [event.text for event in said if isinstance(event, Warned)]


def test_a_port_that_can_be_asked_from_here_or_from_inside_is_no_news() -> None:
    """On this machine, or with the Python of the image."""
    here = FakeEngine()
    here.add(state(ports={8000: ("127.0.0.1", 8080)}))
    assert warned(here) == []
    assert warned(Far(b"")) == []


@pytest.mark.parametrize(
    ("health", "gates", "judge"),
    [
        ("starting", Gates(), "only its health check decides"),
        ("none", Gates(command=("ok",)), "only its health_command decides"),
        ("none", Gates(), 'only its status "running" decides; add a HEALTHCHECK or health_command'),
    ],
)
def test_who_decides_where_nobody_can_ask_is_said(health: str, gates: Gates, judge: str) -> None:
    """An image without Python, on a far engine, with a port of its own loopback."""
    (text,) = warned(Far(health=health), gates=gates)
    assert text.endswith(f"the container has no Python for a probe inside: {judge}")


def test_a_far_container_is_asked_from_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its own address, until the right answer comes; a port is tried in the same way."""
    monkeypatch.setattr(health, "_PAUSE_SECONDS", 0.01)
    engine = Far(b"ConnectionRefusedError: not yet", b"503 Busy", b"200 OK", b"accepts connections")
    found = await_healthy(watch(engine, probe=PROBE, gates=Gates(tcp=(9000,))))
    assert found.evidence == "GET /healthz gave 200 OK, port 9000 accepts connections"
    assert [list(argv[4:7]) for argv in engine.asked[-2:]] == [
        ["172.17.0.2", "8000", "/healthz"],
        ["172.17.0.2", "9000"],
    ]


def test_a_far_container_that_gives_no_answer_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it runs is not enough where it can be asked."""
    monkeypatch.setattr(health, "_PAUSE_SECONDS", 0.01)
    with pytest.raises(DeploymentFailed, match="gave no answer: ConnectionRefusedError: no"):
        await_healthy(watch(Far(b"ConnectionRefusedError: no"), probe=PROBE, timeout=100))


def test_the_gates_are_asked_when_everything_else_is_well() -> None:
    """And what they say is part of the evidence, or of the failure."""
    with answering([200]) as port:
        engine = FakeEngine()
        engine.add(state(ports={8000: ("127.0.0.1", port)}))
        found = await_healthy(watch(engine, probe=PROBE, gates=Gates(tcp=(8000,)))).evidence
        assert found == "GET /healthz gave 200 OK, port 8000 accepts connections"
    engine = Changing([state(health="healthy", ports={8000: ("127.0.0.1", port)})])
    with pytest.raises(DeploymentFailed, match="port 8000 accepts no connection"):
        await_healthy(watch(engine, timeout=100, gates=Gates(tcp=(8000,))))


def test_an_answer_that_holds_a_secret_is_not_told() -> None:
    """Not in the progress, and not in the evidence, which is recorded."""
    events: list[Event] = []
    with answering([503, 200], reason="canary") as port:
        engine = FakeEngine()
        engine.add(state(ports={8000: ("127.0.0.1", port)}))
        mask = Mask([Redacted("canary")])
        found = await_healthy(watch(engine, probe=PROBE, mask=mask, emit=events.append)).evidence
    assert found == "GET /healthz gave 200 ***"
    assert "canary" not in repr(events)


def test_what_stays_healthy_passes_the_watch() -> None:
    """For as long as it is asked for."""
    engine = Changing([state(health="healthy")])
    assert keep_watch([seen(watch(engine))], 50) == "stayed healthy for 0.05 s"


@pytest.mark.parametrize(
    ("later", "found"),
    [
        (state(health="healthy", status="exited", exit_code=9), "exit status 9"),
        (state(health="healthy", restarts=1), "the engine restarted it"),
        (state(health="healthy", started_at="2026-11-20T10:00:01Z"), "did not stay up"),
        (state(health="starting"), "did not stay healthy: starting"),
        (state(health="unhealthy"), "is unhealthy"),
    ],
)
def test_what_does_not_stay_healthy_fails(later: ContainerState, found: str) -> None:
    """An end, a restart by whomever, a health check that changes its mind."""
    engine = Changing([state(health="healthy"), state(health="healthy"), later])
    with pytest.raises(DeploymentFailed, match=found):
        keep_watch([seen(watch(engine))], 600_000)


def test_one_wrong_answer_is_forgiven_and_two_are_not() -> None:
    """A request may be lost."""
    with answering([200, 500, 200]) as port:
        engine = FakeEngine()
        engine.add(state(ports={8000: ("127.0.0.1", port)}))
        assert keep_watch([seen(watch(engine, probe=PROBE))], 1200) == "stayed healthy for 1.2 s"
    with answering([200, 500]) as port:
        engine = FakeEngine()
        engine.add(state(ports={8000: ("127.0.0.1", port)}))
        with pytest.raises(DeploymentFailed, match="did not stay well: 500"):
            keep_watch([seen(watch(engine, probe=PROBE))], 600_000)


class Checked(Changing):
    """A container whose own check ends in these ways when it is run here, the last one for ever."""

    def __init__(self, states: list[ContainerState], *endings: int | Exception) -> None:
        super().__init__([replace(one, check=("ask", "me"), check_timeout=700) for one in states])
        self.endings = list(endings)
        self.times, self.patience = 0, 0

    def ran(self, order: RolloutRequest) -> Executed:
        assert (order.container, order.argv, order.env) == ("id-api-production", ("ask", "me"), {})
        self.patience = order.timeout
        assert order.cancellation is not None, "a signal ends it"
        self.times += 1
        ending = self.endings.pop(0) if len(self.endings) > 1 else self.endings[0]
        if isinstance(ending, Exception):
            raise ending
        return Executed(status=ending, output=b"", errors=b"")


def test_its_own_check_is_run_at_once_where_that_is_asked_for() -> None:
    """An image may have it run every 30 s: nobody waits for the engine's clock at night."""
    engine = Checked([state(health="starting")], 0)
    healthy = await_healthy(watch(engine, at_once=True))
    assert (healthy.evidence, healthy.state.health, engine.times) == ("health check healthy", "healthy", 1)
    assert engine.patience == 700
    with pytest.raises(DeploymentFailed, match=r"after 0\.1 s health check starting"):
        await_healthy(watch(engine, timeout=100))
    assert engine.times == 1


@pytest.mark.parametrize(
    "ending", [1, 126, TimeoutError("it still runs"), EngineError("run ask", "there is no such program")]
)
def test_a_check_that_it_does_not_pass_here_is_left_to_the_engine(ending: int | Exception) -> None:
    """It has its retries and its period of grace; and it is not asked at every look."""
    states = [state(health="starting")] * 5
    engine = Checked([*states, state(health="healthy")], ending)
    assert await_healthy(watch(engine, at_once=True)).evidence == "health check healthy"
    assert engine.times == 1
    sick = Checked([*states, state(health="unhealthy")], ending)
    with pytest.raises(DeploymentFailed, match="is unhealthy"):
        await_healthy(watch(sick, at_once=True))


def test_a_check_is_run_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not yet is not never."""
    monkeypatch.setattr(health, "_PAUSE_SECONDS", 0.05)
    engine = Checked([state(health="starting")], 1, 1, 0)
    assert await_healthy(watch(engine, at_once=True)).evidence == "health check healthy"
    assert engine.times == 3


def test_a_check_is_run_when_the_recorded_request_is_answered_well() -> None:
    """Before that it could only fail."""
    with answering([500, 500, 200]) as port:
        engine = Checked([state(health="starting", ports={8000: ("127.0.0.1", port)})], 0)
        evidence = await_healthy(watch(engine, probe=PROBE, at_once=True)).evidence
    assert evidence == "health check healthy, GET /healthz gave 200 OK"
    assert engine.times == 1


def test_what_was_checked_here_may_still_be_starting_by_the_engines_clock() -> None:
    """But it may not be unhealthy."""
    engine = Checked([state(health="starting")], 0)
    healthy = await_healthy(watch(engine, at_once=True))
    assert keep_watch([healthy], 50) == "stayed healthy for 0.05 s"
    engine.states = [state(health="unhealthy")]
    with pytest.raises(DeploymentFailed, match="is unhealthy"):
        keep_watch([healthy], 600_000)


def test_a_check_may_not_take_longer_than_the_whole_wait() -> None:
    """One that hangs ends with it."""
    engine = Checked([state(health="starting")], TimeoutError("it still runs"))
    with pytest.raises(DeploymentFailed, match=r"after 0\.05 s health check starting"):
        await_healthy(watch(engine, timeout=50, at_once=True))
    assert 0 < engine.patience <= 50


def test_the_last_answer_of_a_program_is_told_when_the_time_is_over() -> None:
    """It is not run once more with no time left: that would tell of the time alone."""

    class Failing(FakeEngine):
        def ran(self, order: RolloutRequest) -> Executed:
            assert order.timeout >= 1
            return Executed(status=1, output=b"", errors=b"no database")

    engine = Failing()
    engine.add(state(health="healthy"))
    with pytest.raises(
        DeploymentFailed, match=r"after 0\.2 s health check healthy, `check` ended with status 1: no"
    ):
        await_healthy(watch(engine, timeout=200, gates=Gates(command=("check",))))
