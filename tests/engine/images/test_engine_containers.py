"""Containers on a real engine."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest

from release.errors import Cancelled, EngineError, ImageLost, NameTaken, PortTaken
from release.images.engine import ContainerSpec, Engine
from release.programs.cancellation import Cancellation
from release.programs.environment import ENGINE
from release.programs.process import Command, output_of, run
from release.reference import Digest, Reference
from release.runspec import Mount, Publish
from release.values import replace
from tests.engine import lab

Run = Callable[..., str]


@pytest.fixture(scope="module")
def spec(engine: Engine) -> ContainerSpec:
    """A container of the base image that sleeps for a minute and ends at once on SIGTERM."""
    base = engine.inspect(Reference.parse(lab.BASE_IMAGE))
    assert base is not None
    return ContainerSpec(image=base.id, command=("sleep", "60"), stop_grace=300)


@pytest.fixture
def python(engine: Engine, spec: ContainerSpec, labels: Mapping[str, str]) -> Run:
    """Create a container that runs this Python code; its id."""

    def create(code: str, **settings: object) -> str:
        wanted = replace(spec, command=("python", "-c", code), labels=labels)
        return engine.create(replace(wanted, **settings))  # type: ignore[arg-type]

    return create


@pytest.fixture
def started(engine: Engine, python: Run) -> Run:
    """Create and start a container that runs this Python code; its id."""

    def start(code: str, **settings: object) -> str:
        container = python(code, **settings)
        engine.start(container)
        return container

    return start


def finish(engine: Engine, container: str) -> int:
    return engine.wait(container, timeout=30_000, cancellation=Cancellation())


def test_an_image_that_the_store_does_not_give_is_an_error_of_its_own(
    engine: Engine, spec: ContainerSpec
) -> None:
    """The same answer as for one that lost a layer: it can be brought again, and that is said."""
    with pytest.raises(ImageLost) as caught:
        engine.create(replace(spec, image=Digest.of(b"nobody has this")))
    assert "docker pull" in caught.value.hint


def test_a_program_in_a_container_that_does_not_end_is_given_up(engine: Engine, started: Run) -> None:
    """In time; and where no container runs, the engine says so."""
    container = started("import time; time.sleep(60)")
    with pytest.raises(TimeoutError, match="still runs after 300 ms"):
        engine.execute(container, ["sleep", "60"], env={}, timeout=300)
    cancellation = Cancellation()
    signal = threading.Timer(0.3, cancellation.request, ("SIGINT arrived",))
    signal.start()
    with pytest.raises(Cancelled, match="SIGINT arrived"):
        engine.execute(container, ["sleep", "60"], env={}, timeout=30_000, cancellation=cancellation)
    signal.join()
    engine.stop(container, grace=0)
    with pytest.raises(EngineError, match="is not running"):
        engine.execute(container, ["true"], env={}, timeout=30_000)


@pytest.mark.attack(
    "a health command in the container prints without measure",
    "the reader keeps the last bytes of the output",
)
def test_a_program_that_prints_much_leaves_its_last_bytes(engine: Engine, started: Run) -> None:
    """Its whole output is read, in little memory; a caller may want fewer bytes than usual."""
    container = started("import time; time.sleep(60)")
    flood = "import sys; [sys.stdout.write('x' * 2**20) for _ in range(64)]; print('the end')"
    tracemalloc.start()
    found = engine.execute(container, ["python", "-c", flood], env={}, timeout=60_000, limit=4096)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.status, found.is_cut, len(found.output)) == (0, True, 4096)
    assert found.output.endswith(b"xthe end\n")
    assert peak < 16 * 2**20


@pytest.mark.attack(
    "a container writes one line of many megabytes before it fails",
    "the last lines of a log are read within a limit of bytes, and each line is cut",
)
def test_the_last_lines_of_a_container_have_a_limit(engine: Engine, started: Run) -> None:
    """Of bytes, and of characters in a line."""
    container = started("print('x' * 2**24); print('y' * 5000); print('the end')")
    finish(engine, container)
    long, end = engine.logs(container, lines=20)
    assert (long[:3], len(long) < 3000, end) == ("yyy", True, "the end")


def test_a_program_that_the_image_does_not_have_is_told_with_the_entrypoint(
    engine: Engine, spec: ContainerSpec, labels: Mapping[str, str]
) -> None:
    """By the status that the engine gives such a container."""
    container = engine.create(replace(spec, command=("serve-nothing",), labels=labels))
    with pytest.raises(EngineError) as caught:
        engine.start(container)
    assert "`serve-nothing` does not begin with a program of the image" in caught.value.hint


def test_a_container_has_further_names_and_an_address_on_its_network(engine: Engine, python: Run) -> None:
    """The engine's name server knows them."""
    network = lab.unique("net")
    output_of(["docker", "network", "create", network])
    try:
        container = python("import time; time.sleep(60)", networks=(network,), aliases=("one", "two"))
        engine.start(container)
        state = engine.state(container)
        assert state is not None
        assert {"one", "two"} <= set(state.aliases)
        found = engine.execute(container, ["getent", "hosts", "two"], env={}, timeout=30_000)
        assert found.output.decode().split()[0] == state.networks[network]
        engine.remove(container)
    finally:
        output_of(["docker", "network", "rm", network])


def test_a_container_runs_to_its_end_and_says_how(engine: Engine, started: Run) -> None:
    """wait gives the exit status; state tells the same afterwards."""
    container = started("import sys; print('one'); print('two', file=sys.stderr); sys.exit(7)")
    assert finish(engine, container) == 7
    state = engine.state(container)
    assert state is not None
    assert (state.status, state.exit_code, state.health, state.oom_killed) == ("exited", 7, "none", False)
    assert sorted(engine.logs(container, lines=10)) == ["one", "two"]
    assert len(engine.logs(container, lines=1)) == 1


def test_a_container_runs_with_what_its_spec_says(engine: Engine, started: Run) -> None:
    """Environment, user, limits, read-only root and tmpfs reach the process."""
    code = """
import os, pathlib
print(os.environ["COLOUR"], os.getuid())
pathlib.Path("/scratch/x").write_text("x")
try:
    pathlib.Path("/x").write_text("x")
except OSError as error:
    print(error.strerror)
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("NoNewPrivs")][0])
"""
    container = started(
        code,
        env={"COLOUR": "a=b c"},
        user="1234",
        memory=64 * 1024**2,
        cpus=500,
        pids=32,
        read_only=True,
        tmpfs=("/scratch",),
        cap_drop=("ALL",),
        no_new_privileges=True,
    )
    assert finish(engine, container) == 0
    assert engine.logs(container, lines=9) == ("a=b c 1234", "Read-only file system", "1")
    host = inspect(engine, container)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (64 * 1024**2, 64 * 1024**2)
    assert (host["NanoCpus"], host["PidsLimit"]) == (500_000_000, 32)


def inspect(engine: Engine, container: str) -> dict[str, dict[str, object]]:
    client = docker.APIClient(base_url=engine.host, version="auto")
    try:
        found: dict[str, dict[str, object]] = client.inspect_container(container)
        return found
    finally:
        client.close()


def test_a_container_that_takes_too_much_memory_is_told_apart(engine: Engine, started: Run) -> None:
    """oom_killed is set when the kernel ended it for its memory limit."""
    container = started("x = b'x' * 200_000_000", memory=32 * 1024**2)
    assert finish(engine, container) != 0

    def told() -> bool:  # the engine hears of the end and of its reason in two events, in either order
        state = engine.state(container)
        return state is not None and state.oom_killed

    assert lab.eventually(told, what="the reason of the end")


def test_waiting_ends_at_the_time_given(engine: Engine, started: Run) -> None:
    """A container that goes on is a TimeoutError, after about the time given."""
    container = started("import time; time.sleep(60)")
    before = time.monotonic()
    with pytest.raises(TimeoutError, match="400 ms"):
        engine.wait(container, timeout=400, cancellation=Cancellation())
    assert 0.35 < time.monotonic() - before < 30


def test_waiting_ends_at_once_when_cancelled(engine: Engine, started: Run) -> None:
    """A cancellation ends a wait long before its time and leaves no thread behind."""
    container, cancellation = started("import time; time.sleep(60)"), Cancellation()
    before = set(threading.enumerate())
    requested: list[float] = []

    def request() -> None:
        requested.append(time.monotonic())
        cancellation.request("lint failed")

    timer = threading.Timer(0.5, request)
    timer.start()
    with pytest.raises(Cancelled, match="lint failed"):
        engine.wait(container, timeout=30_000, cancellation=cancellation)
    assert time.monotonic() - requested[0] < 15
    timer.join()
    assert set(threading.enumerate()) <= before


def test_waiting_does_not_begin_when_cancelled_before(engine: Engine, started: Run) -> None:
    """A cancellation from before counts."""
    container, cancellation = started("import time; time.sleep(60)"), Cancellation()
    cancellation.request("test failed")
    with pytest.raises(Cancelled, match="test failed"):
        engine.wait(container, timeout=30_000, cancellation=cancellation)


def test_output_is_followed_line_by_line(engine: Engine, started: Run) -> None:
    """follow gives each line as it comes, whole lines only, and ends with the container."""
    container = started("import time\nfor n in 'abc':\n print(n, 'ü', flush=True)\n time.sleep(0.1)")
    assert list(engine.follow(container)) == ["a ü", "b ü", "c ü"]


def test_following_can_be_given_up(engine: Engine, started: Run) -> None:
    """Closing the iterator ends it while the container goes on."""
    container = started("import time\nprint('up', flush=True)\ntime.sleep(60)")
    lines = engine.follow(container)
    assert next(iter(lines)) == "up"
    assert isinstance(lines, Iterator)
    lines.close()  # type: ignore[attr-defined]
    state = engine.state(container)
    assert state is not None
    assert state.status == "running"


def test_a_file_comes_out_of_a_stopped_container(engine: Engine, started: Run) -> None:
    """read_file gives the bytes, follows a link, and None for what is not there."""
    code = "import os; open('/tmp/report','wb').write(b'<x/>\\n'); os.symlink('/tmp/report', '/tmp/link')"
    container = started(code)
    assert finish(engine, container) == 0
    assert engine.read_file(container, "/tmp/report") == b"<x/>\n"
    assert engine.read_file(container, "/tmp/link") == b"<x/>\n"
    assert engine.read_file(container, "/tmp/nothing") is None
    with pytest.raises(EngineError, match="folder"):
        engine.read_file(container, "/tmp")
    with pytest.raises(EngineError):
        engine.read_file(lab.unique(), "/tmp/report")


def test_stopping_asks_politely_and_then_kills(engine: Engine, started: Run) -> None:
    """SIGTERM first; a process that ignores it is killed after the grace; stopping twice is no error."""
    code = "import os, signal, time\nsignal.signal(15, {})\nprint('ready', flush=True)\ntime.sleep(60)"
    polite, deaf = started(code.format("lambda *_: os._exit(0)")), started(code.format("signal.SIG_IGN"))
    for container, grace in ((polite, 10_000), (deaf, 1000)):
        lab.eventually(lambda: engine.logs(container, lines=1), what="the signal handler")  # noqa: B023
        engine.stop(container, grace=grace)
        engine.stop(container, grace=grace)
    codes = [state.exit_code for c in (polite, deaf) if (state := engine.state(c)) is not None]
    assert codes == [0, 137]


def test_a_container_that_is_gone_is_no_error(engine: Engine, started: Run) -> None:
    """remove ends a running container, can be repeated, and state is None afterwards."""
    container = started("import time; time.sleep(60)")
    engine.remove(container)
    engine.remove(container)
    assert engine.state(container) is None


def test_a_container_is_removed_by_many_at_once(engine: Engine, started: Run) -> None:
    """Whoever comes second waits until it is gone."""
    container = started("import time; time.sleep(60)")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(engine.remove, [container] * 4))
    assert engine.state(container) is None


def test_a_name_is_given_once(engine: Engine, python: Run) -> None:
    """Creating or renaming to a name that exists is NameTaken; the name is free again after a rename."""
    name = lab.unique()
    first = python("pass", name=name)
    with pytest.raises(NameTaken, match=name):
        python("pass", name=name)
    second = python("pass")
    with pytest.raises(NameTaken, match=name):
        engine.rename(second, name)
    engine.rename(first, f"{name}-old")
    engine.rename(second, name)
    states = [engine.state(name), engine.state(f"{name}-old")]
    assert [state.id for state in states if state] == [second, first]


SERVER = "import http.server as h; h.HTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()"


def test_ports_are_published_where_the_spec_says(engine: Engine, started: Run) -> None:
    """A fixed port has its address, an ephemeral one is on 127.0.0.1; state tells both."""
    port = lab.free_port()
    container = started(
        SERVER,
        publish=(Publish(address="127.0.0.1", host=port, container=8000),),
        publish_ephemeral=(9000,),
    )
    state = engine.state(container)
    assert state is not None
    assert state.ports[8000] == ("127.0.0.1", port)
    assert state.ports[9000][0] == "127.0.0.1"
    assert state.ports[9000][1] > 0
    assert state.address is not None


def test_a_port_of_another_container_is_named(engine: Engine, started: Run, python: Run) -> None:
    """Starting on a port that another container publishes is PortTaken and names it."""
    port, name = lab.free_port(), lab.unique()
    publish = (Publish(address="127.0.0.1", host=port, container=8000),)
    started(SERVER, publish=publish, name=name)
    with pytest.raises(PortTaken, match=f"port {port} is published by {name}"):
        engine.start(python(SERVER, publish=publish))


def test_a_port_of_another_program_is_named(engine: Engine, python: Run) -> None:
    """Starting on a port that a program of this machine has is PortTaken."""
    with lab.busy_port() as port:
        container = python(SERVER, publish=(Publish(address="127.0.0.1", host=port, container=8000),))
        with pytest.raises(PortTaken, match=f"port {port} is in use"):
            engine.start(container)


def test_another_failure_to_start_is_not_called_a_taken_port(engine: Engine, python: Run) -> None:
    """A command that does not exist is an EngineError of its own."""
    container = python("pass", command=("/no/such/program",))
    with pytest.raises(EngineError, match="no such file") as caught:
        engine.start(container)
    assert type(caught.value) is EngineError


@pytest.fixture
def volume(engine: Engine) -> Iterator[str]:
    """The name of a volume of this test's own; asked for before the containers, it is removed after them."""
    name = lab.unique()
    yield name
    run(
        Command(
            inherits=ENGINE,
            argv=("docker", "volume", "rm", "--force", name),
            env=engine.command_environment(),
        )
    )
    assert not engine.has_volume(name)


def test_volumes_and_folders_are_mounted(engine: Engine, volume: str, started: Run, tmp_path: Path) -> None:
    """A bind mount is protected by :ro; a named volume appears and outlives its container."""
    (tmp_path / "in").write_text("hello")
    code = "print(open('/in/in').read()); open('/data/x','w').write('x'); open('/in/x','w')"
    mounts = (
        Mount(source=str(tmp_path), target="/in", read_only=True),
        Mount(source=volume, target="/data"),
    )
    assert not engine.has_volume(volume)
    container = started(code, volumes=mounts)
    assert finish(engine, container) == 1
    assert "hello" in engine.logs(container, lines=50)
    engine.remove(container)
    assert engine.has_volume(volume)


def test_a_folder_that_is_not_there_is_refused(engine: Engine, python: Run, tmp_path: Path) -> None:
    """A bind mount never creates its source."""
    with pytest.raises(EngineError, match="does not exist"):
        python("pass", volumes=(Mount(source=str(tmp_path / "missing"), target="/in"),))
    assert not (tmp_path / "missing").exists()


def test_containers_are_found_by_label_oldest_first(
    engine: Engine, python: Run, started: Run, labels: Mapping[str, str]
) -> None:
    """Running or not, and only those that carry every label."""
    made = [python("pass", labels={**labels, "n": "1"}), started("import time; time.sleep(60)")]
    assert [state.id for state in engine.containers(labels)] == made
    assert [state.id for state in engine.containers({**labels, "n": "1"})] == made[:1]
    assert engine.containers({lab.LABEL: lab.unique()}) == []


@pytest.fixture
def network(engine: Engine) -> Iterator[str]:
    """A network of this test's own."""
    name = lab.unique()
    environment = engine.command_environment()
    run(Command(inherits=ENGINE, argv=("docker", "network", "create", name), env=environment))
    yield name
    run(Command(inherits=ENGINE, argv=("docker", "network", "rm", name), env=environment))


def test_a_container_joins_its_networks(
    engine: Engine, started: Run, network: str, labels: Mapping[str, str]
) -> None:
    """All networks of the spec; the address is that of the first."""
    container = started("import time; time.sleep(60)", networks=(network, "bridge"))
    joined = inspect(engine, container)["NetworkSettings"]["Networks"]
    assert isinstance(joined, dict)
    assert set(joined) == {network, "bridge"}
    state = engine.state(container)
    assert state is not None
    assert state.address == joined[network]["IPAddress"]
    assert engine.has_network(network)
    assert not engine.has_network(network[:-1])
    engine.remove(container)


def test_health_is_told(engine: Engine, started: Run, tmp_path: Path) -> None:
    """An image with a health check says starting, then healthy."""
    name = lab.unique()
    dockerfile = f"FROM {lab.BASE_IMAGE}\nHEALTHCHECK --interval=1s --start-period=1s CMD true\n"
    image = lab.build(engine, name, dockerfile=dockerfile, folder=tmp_path / "image")
    built = engine.inspect(image)
    assert built is not None
    assert built.has_healthcheck
    container = started("import time; time.sleep(60)", image=image)
    try:
        seen = []

        def is_healthy() -> bool:
            state = engine.state(container)
            seen.append(state.health if state else "gone")
            return seen[-1] == "healthy"

        lab.eventually(is_healthy, what="health")
        assert seen[0] in {"starting", "healthy"}
    finally:
        engine.remove(container)
        engine.untag(Reference.parse(name))
