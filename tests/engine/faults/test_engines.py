"""The cells of the fault matrix that break an engine: one on a small disk, that nobody else uses."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from release.images.engine import Engine
from release.programs.environment import ENGINE
from release.programs.process import Command, output_of, run
from tests.engine import lab
from tests.engine.chain.test_kills import releases_of
from tests.engine.chain.test_release import pulled_manifest, released
from tests.engine.faults.case import CacheGone, Cell, EngineDies, EngineDiskFull, OfEngine
from tests.engine.faults.matrix import CELLS
from tests.engine.faults.proxy import Fault, FaultProxy, Slow, fault_proxy
from tests.engine.service import APP, TEST, Ran, Service, make_service, slow_dockerfile
from tests.soak import rows

pytestmark = pytest.mark.xdist_group("brittle engine")

SLEEP = "RUN sleep 2"
SLOW = {
    "app.py": APP.replace(
        'if __name__ == "__main__":', 'if __name__ == "__main__":\n    __import__("time").sleep(2)'
    ),
    "test.py": f"import time\ntime.sleep(2)\n{TEST}",
}
"""Every stage takes long enough to be met in its middle."""

PLAYED = [cell for cell in CELLS if isinstance(cell.trouble, OfEngine) and (rows.ALL or not cell.is_long)]


@pytest.fixture(scope="module")
def brittle(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[lab.BrittleEngine]:
    """With the base image in it."""
    with lab.brittle_engine(tmp_path_factory.mktemp("brittle"), megabytes=600) as made:
        with Engine.connect(host=made.address) as target:
            lab.small_image()
            lab.copy_image(lab.SMALL_IMAGE, source=engine, target=target)
        yield made


@pytest.fixture
def proxy(running_registry: lab.RunningRegistry) -> Iterator[FaultProxy]:
    """In front of a registry of this worker."""
    with fault_proxy(running_registry.host) as made:
        yield made


@pytest.mark.parametrize("cell", PLAYED, ids=lambda cell: cell.name)
def test_every_cell_that_breaks_an_engine(
    cell: Cell, brittle: lab.BrittleEngine, proxy: FaultProxy, bare_remote: Path, tmp_path: Path
) -> None:
    """What the run says; nothing or one release is there; run again, it is one, and no container stays."""
    service = make_service(
        tmp_path / "service",
        remote=bare_remote,
        files={**SLOW, "Dockerfile": slow_dockerfile(SLEEP, before="ARG SOURCE_DATE_EPOCH")},
        registry=f"{proxy.host}/{lab.unique()}",
        environ={"DOCKER_HOST": brittle.address},
    )
    ran = played(cell, service, brittle, proxy)
    said = " ".join(ran.err.split())
    assert ran.status == cell.exit, ran.all
    assert cell.happened in said, ran.all
    assert cell.hint in said, ran.all
    assert releases_of(bare_remote, "0.1.0") == 1 - cell.exit
    line = released(service.nox("release"))
    assert releases_of(bare_remote, "0.1.0") == 1
    assert pulled_manifest(f"{line['repository']}:0.1.0")[0] == line["digest"]
    with Engine.connect(host=brittle.address) as again:
        assert again.containers({"release.service": service.name}) == []


def played(cell: Cell, service: Service, brittle: lab.BrittleEngine, proxy: FaultProxy) -> Ran:
    """The run that meets the fault; afterwards the engine is well."""
    match cell.trouble:
        case EngineDies(during=during, returns=returns):
            return killed(service, brittle, proxy, during, returns=returns)
        case EngineDiskFull():
            return on_a_full_disk(service, brittle)
        case CacheGone():
            return without_memory(service, brittle)
    raise ValueError(f"{cell.trouble} is played elsewhere")


def killed(
    service: Service, brittle: lab.BrittleEngine, proxy: FaultProxy, during: str, *, returns: bool
) -> Ran:
    """The engine dies as soon as the stage is in its middle."""
    if during == "push":
        proxy.arm(Fault(method="POST", path="/blobs/uploads/", action=Slow(seconds=10)))
    with service.start(sys.executable, "-m", "nox", "-s", "release") as process:
        output: list[tuple[str, str]] = []
        reading = threading.Thread(target=lambda: output.append(process.communicate(timeout=200)))
        reading.start()
        lab.eventually(
            middle_of(during, service, brittle, proxy), what=f"the middle of {during}", seconds=100
        )
        brittle.kill()
        if returns:
            brittle.start()
        reading.join()
    proxy.arm()
    if not returns:
        brittle.start()
    ((out, err),) = output
    return Ran(status=process.returncode, out=out, err=err)


def middle_of(
    during: str, service: Service, brittle: lab.BrittleEngine, proxy: FaultProxy
) -> Callable[[], bool]:
    """Whether the stage is in its middle now."""
    if during == "push":
        return lambda: bool(proxy.hits)
    if during == "build":
        logs = service.folder / ".release/runs"
        return lambda: any(SLEEP in log.read_text() for log in logs.glob("*/build.log"))
    label = f"label=release.role={during}"
    docker = ("docker", "--host", brittle.address, "ps", "--quiet", "--filter", label)
    return lambda: bool(run(Command(inherits=ENGINE, argv=docker), check=False).output.strip())


def on_a_full_disk(service: Service, brittle: lab.BrittleEngine) -> Ran:
    """Not one byte is left while the release runs."""
    ballast = brittle.disk / "ballast"
    with ballast.open("wb") as sink:
        try:
            while True:
                sink.write(bytes(1024 * 1024))
                sink.flush()
        except OSError:
            pass
    try:
        return service.nox("release")
    finally:
        ballast.unlink()


def without_memory(service: Service, brittle: lab.BrittleEngine) -> Ran:
    """The image of an earlier run is built once more, from nothing, and is the same."""
    built = service.nox("build")
    assert built.status == 0, built.all
    docker = ("docker", "--host", brittle.address)
    names = [*docker, "images", "--format", "{{.ID}}", "--no-trunc", "--filter"]
    wanted = f"label=org.opencontainers.image.title={service.name}"
    (first,) = set(output_of([*names, wanted]).split())
    output_of([*docker, "rmi", "--force", first])
    output_of([*docker, "builder", "prune", "--all", "--force"])
    ran = service.nox("release")
    service.git("fetch", "--quiet", "origin", "release-ledger:release-ledger")
    assert [record["image"]["config_digest"] for record in service.records()] == [first]
    return ran
