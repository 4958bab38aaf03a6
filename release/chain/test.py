"""The gate that runs the tests inside the image, in one of three ways.

Most runtime images carry no pytest: the tests then run in a `test` stage of the Dockerfile, or in a
throw-away layer on the released image, and the layers are checked to begin with exactly the released ones.
Where the image has all it needs, they run in the image itself.
"""

from __future__ import annotations

import base64
import itertools
import shlex
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final

from release import private
from release.chain import leftovers, passes
from release.chain.build import (
    BUILD_REUSE,
    BuiltImage,
    engine_facts,
    label_options,
    run_build,
    run_buildkit,
)
from release.chain.context import write_archive
from release.chain.labels import refuse_reserved_labels
from release.chain.lending import lent
from release.chain.passes import Pass, Reuse
from release.chain.reports import failed_tests
from release.chain.selection import build_context
from release.chain.shop import Shop, evidence
from release.committed import Committed
from release.config import Test
from release.errors import EngineError, GateFailed
from release.events import Found
from release.frozen import Struct, replace
from release.images.engine import ContainerSpec, StoredImage
from release.images.values import UNWATCHED
from release.inherited import ENGINE
from release.process import TAIL_LINES, Command
from release.reference import Reference, Repository
from release.source import Entry

_DOCKERFILE: Final = "release-test.Dockerfile"
_FILE_OPTIONS: Final = ("-r", "-c", "--requirement", "--constraint")
_JUNIT: Final = "/tmp/release-junit.xml"  # noqa: S108 - in the container
_REPORT: Final = ("--override-ini=junit_family=xunit1", f"--junitxml={_JUNIT}")
"""The family with file and line of each test (pytest's documentation, `junit_family`)."""
_LAST_WORDS_SECONDS: Final = 10.0
"""How long the output of a container that was removed is waited for."""


class TestsPassed(Struct, frozen=True, kw_only=True):
    """The tests passed in an image that begins with the released layers."""

    evidence: bytes
    summary: str


def test(shop: Shop) -> TestsPassed:
    """Run the configured command in the image. Raises GateFailed: it failed, or the layers are others."""
    built = shop.products.get(BuiltImage)
    shop.reports.forget(shop.reports.junit)
    with _test_image(shop, built) as image:
        _begins_with(image, built.stored)
        lines = _run(shop, image)
    junit = shop.folder.path / "junit.xml"
    seen = junit.read_bytes() if junit.exists() else "\n".join(lines).encode()
    return TestsPassed(
        evidence=evidence("test", {"image": str(image.id)}) + seen,
        summary=lines[-1].strip("= ") if lines else "",
    )


def _inputs(shop: Shop) -> dict[str, Any]:
    """The image, the settings, and the files and arguments that a test stage or layer is made from."""
    plan, built = shop.plan, shop.products.get(BuiltImage)
    return {
        "image": str(built.stored.id),
        "config": str(built.config_digest),
        "settings": plan.service.test.model_dump(mode="json"),
        "files": shop.source.tree(plan.commit.id, plan.service.context),
        "build": [plan.service.build.model_dump(mode="json"), plan.build_args],
        "engine": engine_facts(shop),
    }


def _keep(shop: Shop, _made: TestsPassed) -> dict[str, Any]:
    junit = shop.folder.path / "junit.xml"
    return {"junit": base64.b64encode(junit.read_bytes()).decode() if junit.exists() else None}


def _restore(shop: Shop, passed: Pass) -> TestsPassed:
    """The report is laid out for this run too, for whoever reads it there."""
    if passed.data["junit"] is not None:
        _lay_out(shop, base64.b64decode(passed.data["junit"], validate=True).decode())
    return TestsPassed(evidence=passed.evidence, summary=passed.summary)


TEST_REUSE: Final = Reuse(inputs=_inputs, keep=_keep, restore=_restore)


@contextmanager
def _test_image(shop: Shop, built: BuiltImage) -> Iterator[StoredImage]:
    """The image the tests run in; one that was made for it is `last` from then on, instead of the run's."""
    config = shop.plan.service.test
    name = _name(shop)
    if config.target is not None:
        _stage_image(shop, built, config.target, name)
    elif config.install or config.copy_:
        _build_layer(shop, built, name)
    else:
        yield built.stored
        return
    try:
        image = shop.engine.inspect(name)
        if image is None:
            raise GateFailed(
                "test",
                f"the engine has no image {name} after building it",
                "run the same again; something may remove images there, as `docker image prune`",
            )
        refuse_reserved_labels("test", image, shop.labels("test"))
        yield image
    finally:
        shop.aside.do(lambda: _rename(shop, name))


def _rename(shop: Shop, name: Reference) -> None:
    """Let the image be found as `last`, and no more as this run's.

    Taking an image its only name makes containerd look through all that it has, which takes half a second.
    While the next tests run nobody waits for that.
    """
    image = shop.engine.inspect(name)
    if image is not None and shop.engine.inspect(_last(shop)) is None:  # else one of another clone's run
        shop.engine.tag(image.id, _last(shop))
    shop.engine.untag(name)


def _last(shop: Shop) -> Reference:
    """What the image of the last tests is called after them: one for each service of an engine."""
    return _name(shop).repository.tagged(leftovers.LAST)


def _name(shop: Shop) -> Reference:
    """What the image that the tests run in is called while they do."""
    return Repository(f"localhost/release-test/{shop.plan.service.service}").tagged(shop.folder.id)


class Ahead(Struct, frozen=True, kw_only=True):
    """The test stage's image, being built beside the released one."""

    future: Future[None]


@contextmanager
def image_ahead(shop: Shop, pool: Executor) -> Iterator[None]:
    """Build the test stage's image from the start on, while the block runs; its name goes with the run.

    BuildKit does once what two builds at the same time have in common, so that the tests need not wait for
    what is theirs alone. Without a cache nothing is in common, and nothing is built ahead.
    """
    config, plan = shop.plan.service.test, shop.plan
    if config.target is None or plan.no_cache:
        yield
        return
    future = pool.submit(_build_ahead, shop, config.target)
    shop.products.add(Ahead(future=future))
    try:
        yield
    finally:
        wait([future])
        shop.aside.do(lambda: shop.engine.untag(_name(shop)))


def _stage_image(shop: Shop, built: BuiltImage, target: str, name: Reference) -> None:
    """What was built ahead, if it stands on the released image; else the stage is built now, on top of that.

    Two builds of one Dockerfile may come to other layers where it reads the clock and BuildKit's cache does
    not bring them together. The one here takes the released image for the stage that this was built from.
    """
    ahead = shop.products.find(Ahead)
    if ahead is not None:
        ahead.future.result()
    image = shop.engine.inspect(name)
    other = _other_layers(image, built.stored) if image is not None else ""
    if other:
        shop.say("test", f"{other}: building the test stage again, on top of the released image")
        shop.engine.untag(name)
    if image is None or other:
        base = shop.plan.service.build.target
        _build_stage(shop, target, {base: built.reference} if base is not None else {})


def _build_ahead(shop: Shop, target: str) -> None:
    """Nothing where the released image comes from an earlier run: so may its tests."""
    if not passes.stands(shop, "build", BUILD_REUSE):
        _build_stage(shop, target)


def _build_stage(shop: Shop, target: str, stages: Mapping[str, Reference] | None = None) -> None:
    run_build(
        shop, "test", target, _name(shop), build_context(shop), labels=shop.labels("test"), stages=stages
    )


def layer_dockerfile(base: Reference, user: str, config: Test) -> str:
    """The Dockerfile of the throw-away layer: as root, then as the image's own user again.

    Args:
        base: the released image.
        user: its user, empty for root.
        config: what is installed and copied.
    """
    mounts, variables = _mounts(config), _variables(config)
    install = f"RUN {mounts}{variables}{_installer()} {shlex.join(_words(config.install))}"
    installs = [install] if config.install else []
    copies = [f"COPY {path} {path}" for path in layer_paths(config)]
    restore = [f"USER {user}"] if user else []
    return "\n".join([f"FROM {base}", "USER 0", *copies, *installs, *restore, ""])


def _mounts(config: Test) -> str:
    """The options of RUN that lend the installation its secrets (Dockerfile reference, "RUN --mount")."""
    ids = sorted(set(config.secrets.values()))
    return "".join(f"--mount=type=secret,id={name},required=true " for name in ids)


def _variables(config: Test) -> str:
    """Where they are: BuildKit puts a secret into /run/secrets."""
    named = " ".join(f"{variable}=/run/secrets/{name}" for variable, name in sorted(config.secrets.items()))
    return f"export {named}; " if named else ""


def _installer() -> str:
    """pip of the image's own Python; images made by uv have none, then Python's bundled one."""
    return (
        "python -m pip --version >/dev/null 2>&1 || python -m ensurepip; python -m pip install --no-cache-dir"
    )


def layer_paths(config: Test) -> tuple[str, ...]:
    """What the layer copies: the configured paths, and the files that pip's options name."""
    words = _words(config.install)
    files = [file for option, file in itertools.pairwise(words) if option in _FILE_OPTIONS]
    return tuple(dict.fromkeys((*files, *config.copy_)))


def _words(options: tuple[str, ...]) -> list[str]:
    return [word for option in options for word in shlex.split(option)]


def _build_layer(shop: Shop, built: BuiltImage, name: Reference) -> None:
    """Build the layer from the committed files it names; `.dockerignore` often leaves tests out, here not."""
    config = shop.plan.service.test
    text = layer_dockerfile(built.reference, built.stored.user, config)
    archive = shop.folder.path / "test-context.tar"
    write_archive([_dockerfile(text), *_layer_entries(shop, layer_paths(config))], archive)
    with lent(shop, "test") as lending:
        own = label_options(shop.labels("test"))
        command = layer_command(name, archive, lending=(*own, *lending))
        ready = replace(command, env=shop.engine.command_environment())
        run_buildkit(shop, "test", name, ready, hint="look at `test.install` and `test.copy`")


def layer_command(name: Reference, archive: Path, *, lending: tuple[str, ...] = ()) -> Command:
    """The command line that builds the throw-away layer, with the options that lend it secrets."""
    options = [
        *("--builder", "default", "--progress", "plain", "--provenance=false", "--sbom=false"),
        *("--file", _DOCKERFILE, "--tag", str(name)),
        *lending,
    ]
    return Command(argv=("docker", "buildx", "build", *options, "-"), stdin=archive, inherits=ENGINE)


def _dockerfile(text: str) -> Entry:
    return Entry(path=_DOCKERFILE, executable=False, symlink=False, content=text.encode())


def _layer_entries(shop: Shop, paths: tuple[str, ...]) -> Iterator[Entry]:
    service = shop.plan.service
    committed = Committed(shop.source, shop.plan.commit.id, service.context)
    found = {path: [name for name in committed.leaves if _is_below(name, path)] for path in paths}
    wanted = sorted({name for below in found.values() for name in below})
    missing = [path for path, below in found.items() if not below]
    if missing:
        raise GateFailed(
            "test",
            f"commit {shop.plan.commit.id[:12]} has no {', '.join(missing)} in {service.context}",
            "commit them, or correct `test.copy` and `test.install`",
        )
    if submodules := sorted(set(wanted).intersection(committed.submodules)):
        raise GateFailed(
            "test",
            f"{submodules[0]} is a submodule, and its files are in no commit of this repository",
            "name what is beside it in `test.copy`, or commit its files",
        )
    return committed.entries(wanted)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/") or folder == "."


def _begins_with(image: StoredImage, released: StoredImage) -> None:
    """What was tested is what ships: the layers of the released image come first, unchanged."""
    if other := _other_layers(image, released):
        raise GateFailed(
            "test",
            f"{other}; what would be tested is not what would ship",
            "write the test stage as FROM the released stage, and name that one in `build.target`",
        )


def _other_layers(image: StoredImage, released: StoredImage) -> str:
    """Which layers of the released image another one does not begin with, in words; none is no words."""
    pairs = itertools.zip_longest(released.diff_ids, image.diff_ids[: len(released.diff_ids)])
    other = [
        f"layer {number} of {len(released.diff_ids)} is {found or 'missing'}, not {expected}"
        for number, (expected, found) in enumerate(pairs, start=1)
        if expected != found
    ]
    return f"the tests' image does not begin with the released one: {'; '.join(other)}" if other else ""


def with_report(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command, asked for a JUnit report where it is pytest's."""
    is_pytest = any(PurePosixPath(word).name == "pytest" for word in command)
    return (*command, *_REPORT) if is_pytest else command


def _run(shop: Shop, image: StoredImage) -> tuple[str, ...]:
    config = shop.plan.service.test
    spec = ContainerSpec(
        image=image.id,
        command=with_report(config.command),
        env=config.env,
        labels=shop.labels("test"),
        healthcheck=UNWATCHED,
    )
    with _Output(shop) as output, shop.container(lambda: shop.engine.create(spec)) as container:
        shop.engine.start(container)
        output.follow(container)
        shop.aside.do(lambda: shop.engine.untag(_last(shop)))
        status = _wait(shop, container, config.timeout)
        output.whole()
        junit = _keep_report(shop, container)
    if status == 0:
        return tuple(output.lines)
    _tell_failures(shop, junit)
    raise GateFailed(
        "test",
        f"`{shlex.join(config.command)}` in the image ended with status {status}",
        f"run `{shlex.join(config.command)}` where the service is developed",
        output.lines[-TAIL_LINES:],
    )


def _tell_failures(shop: Shop, junit: bytes | None) -> None:
    context = shop.plan.service.context
    if junit and (findings := failed_tests(junit, lambda path: _has_file(shop, path), context)):
        shop.emit(Found(name="test", findings=findings))


def _has_file(shop: Shop, path: str) -> bool:
    return shop.source.read(shop.plan.commit.id, path) is not None


class _Output:
    """What a container writes, line by line into the log while it runs. The block outlives the container."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.lines: list[str] = []
        self._error: EngineError | OSError | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.join(_LAST_WORDS_SECONDS)

    def follow(self, container: str) -> None:
        """Begin to read."""
        self._reader = threading.Thread(target=self._read, args=(container,), daemon=True)
        self._reader.start()

    def whole(self) -> None:
        """Wait for the last line. Raises EngineError, OSError: it could not be read or kept."""
        assert self._reader is not None  # noqa: S101 - the container was followed
        self._reader.join()
        if self._error is not None:
            raise self._error

    def _read(self, container: str) -> None:
        try:
            with self._shop.logging("test") as write:
                for line in self._shop.engine.follow(container):
                    self.lines.append(self._shop.mask(line))
                    write(f"{line}\n")
                    self._shop.flash("test", line)
        except (EngineError, OSError) as error:
            self._error = error


def _wait(shop: Shop, container: str, timeout: int) -> int:
    try:
        return shop.engine.wait(container, timeout=timeout, cancellation=shop.cancellation)
    except TimeoutError as error:
        raise GateFailed(
            "test",
            f"the tests still ran after {timeout / 1000:g} s and were stopped",
            "raise `test.timeout`, or look for a test that hangs",
            shop.mask.lines(shop.engine.logs(container, lines=TAIL_LINES)),
        ) from error


def _keep_report(shop: Shop, container: str) -> bytes | None:
    """Bring the JUnit report out of the container: into the run's folder, and to where CI systems look."""
    junit = None
    with suppress(EngineError):
        junit = shop.engine.read_file(container, _JUNIT)
    if junit is None:
        return None
    text = shop.mask(junit.decode("utf-8", errors="replace"))
    _lay_out(shop, text)
    return text.encode()


def _lay_out(shop: Shop, report: str) -> None:
    private.write(shop.folder.path / "junit.xml", report)
    shop.reports.put(shop.reports.junit, report)
