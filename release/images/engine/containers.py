"""Containers of an engine: create, start, inspect, read, execute, stop and remove."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Final, cast

import requests
from docker.errors import APIError, NotFound
from docker.utils import version_lt

from release.errors import EngineError, ImageLost, NameTaken, PortTaken
from release.images.container_spec import ContainerSpec, container_config, files_archive, whole_seconds
from release.images.engine import execution
from release.images.engine.cancellable_connection import Deadline, DeadlinePassed
from release.images.engine.connection import Connection, engine_error_text
from release.images.engine.container_files import LARGEST, SLOW, only_file
from release.images.engine.output_lines import split_lines
from release.images.engine.start_failure_hint import program_hint
from release.images.output_frames import LOG_LIMIT, LONGEST_LINE, OUTPUT_LIMIT
from release.images.values import (
    ContainerState,
    Executed,
    Publisher,
    Used,
    container_state,
    read_publisher,
    user_and_group_ids,
)
from release.programs.cancellation import Cancellation
from release.reference import Digest

_REMOVAL_SECONDS: Final = 30
_COPY_MS: Final = 120_000
"""Limit for the copy of a file from a container."""
_MOST_LINKS: Final = 8
_LOG_MILLISECONDS: Final = 60_000
"""Limit for the last lines of a container."""
_IS_FOLDER: Final = 1 << 31
"""Bit of a folder in the file mode of a container's file (Go, os.ModeDir)."""


class Containers(Connection):
    """Requests about containers of an engine."""

    def create(self, spec: ContainerSpec) -> str:
        """Create a container and return its id. Raises NameTaken, ImageLost, EngineError."""
        attempted = f"create the container {spec.name or f'of {spec.image.short}'}"
        config, later = container_config(spec), self._networks_for_later(spec)
        for network in later:
            del config["NetworkingConfig"]["EndpointsConfig"][network]
        with self._asking(attempted), _conflict(attempted, spec.name):
            with _lost(attempted, spec.image):
                answer = self._client.create_container_from_config(config, spec.name)  # type: ignore[no-untyped-call]
            made = str(answer["Id"])
            for network in later:
                self._client.connect_container_to_network(made, network, aliases=list(spec.aliases))
        self._place(made, spec)
        return made

    def _place(self, container: str, spec: ContainerSpec) -> None:
        """Copy the files into a new container, each folder that is a volume by itself."""
        if not spec.files:
            return
        owner = self._owner(container) if any(file.private for file in spec.files) else (0, 0)
        folders = {file.path: file.path.rpartition("/")[0] for file in spec.files}
        for folder in ("/", *spec.own_folders):
            inside = [
                file
                for file in spec.files
                if (folders[file.path] if folders[file.path] in spec.own_folders else "/") == folder
            ]
            if inside:
                with self._asking(f"put files into {folder} of the container {_short(container)}"):
                    self._client.put_archive(container, folder, files_archive(inside, folder, owner))

    def _owner(self, container: str) -> tuple[int, int]:
        """Return user and group ids of the container's program, by names in the container's own files."""
        with self._asking(f"inspect the container {_short(container)}"):
            user = str(self._client.inspect_container(container)["Config"].get("User") or "")
        read = (self.read_file(container, path) or b"" for path in ("/etc/passwd", "/etc/group"))
        return user_and_group_ids(user, *(content.decode(errors="replace") for content in read))

    def _networks_for_later(self, spec: ContainerSpec) -> tuple[str, ...]:
        """Return the networks to connect after creation: before API 1.44 creation takes one network."""
        return spec.networks[1:] if version_lt(self.info.api_version, "1.44") else ()

    def start(self, container: str) -> None:
        """Start a container. Raise PortTaken if a published port is in use, else EngineError."""
        attempted = f"start the container {_short(container)}"
        with self._asking(attempted):
            try:
                self._client.start(container)
            except APIError as error:
                if taken := self._taken_port(container):
                    raise PortTaken(
                        attempted, taken, "stop the program that uses it, or publish another port"
                    ) from error
                if hint := program_hint(self._client.inspect_container(container)):
                    text = engine_error_text(error)
                    raise EngineError(f"{attempted} on {self.host}", text, hint) from error
                raise

    def _taken_port(self, container: str) -> str:
        """Return text about the published port that another program uses; empty if there is none."""
        about = self._client.inspect_container(container)
        wanted = _wanted_ports(about)
        for other in self._client.containers():
            for port in other.get("Ports") or ():
                if (port.get("PublicPort"), port.get("Type")) in wanted and other["Id"] != about["Id"]:
                    return f"port {port['PublicPort']} is published by {_names(other)}"
        is_here = self.host.startswith("unix://")
        busy = [port for port, kind in wanted if is_here and kind == "tcp" and _listens(port)]
        return f"port {busy[0]} is in use on this machine" if busy else ""

    def state(self, container: str) -> ContainerState | None:
        """Return the state of a container; None if the container does not exist."""
        with self._asking(f"inspect the container {_short(container)}"):
            found = self._inspected(container)
            return None if found is None else container_state(found)

    def inspected(self, container: str) -> Mapping[str, Any] | None:
        """Return the engine's facts of a container (ContainerInspect), secrets too; None if it is missing."""
        with self._asking(f"inspect the container {_short(container)}"):
            return self._inspected(container)

    def wait(self, container: str, *, timeout: int, cancellation: Cancellation) -> int:
        """Wait for the end, return the exit status. Raise TimeoutError after `timeout` ms, Cancelled."""
        try:
            with (
                self._asking(f"wait for the container {_short(container)}"),
                self._line(cancellation, deadline=Deadline.after(timeout)) as line,
            ):
                return int(line.wait(container)["StatusCode"])
        except DeadlinePassed:
            raise TimeoutError(f"container {_short(container)} still runs after {timeout} ms") from None

    def follow(self, container: str, whole: Callable[[str], None] | None = None) -> Iterator[str]:
        """Yield the output of a container, line by line, until the container ends.

        A long line is cut (see `split_lines`); `whole` gets the uncut text as it comes.
        """
        with self._asking(f"follow the container {_short(container)}"), self._line() as line:
            yield from split_lines(line.logs(container, stream=True, follow=True), whole)

    def logs(
        self, container: str, *, lines: int, limit: int = LOG_LIMIT, longest: int | None = LONGEST_LINE
    ) -> tuple[str, ...]:
        """Return the last lines of output: at most `limit` bytes, each line of at most `longest` characters.

        Raises:
            EngineError: the container does not exist, or the engine does not send the lines in time.
        """
        attempted = f"read the output of the container {_short(container)}"
        try:
            with self._asking(attempted), self._line(deadline=Deadline.after(_LOG_MILLISECONDS)) as line:
                return execution.read_log_tail(line, container, lines, limit).lines(longest)
        except DeadlinePassed:
            raise EngineError(attempted, f"no answer within {_LOG_MILLISECONDS / 1000:g} s", SLOW) from None

    def read_file(self, container: str, path: str, *, limit: int = LARGEST) -> bytes | None:
        """Return the content of a file in a running or stopped container; None if the file does not exist.

        Links are followed. Files on a tmpfs do not exist after the container has stopped.

        Raises:
            TooLarge: the file has more bytes than `limit`.
            EngineError: the path is not a file, or cannot be read in time.
        """
        attempted = f"read {path} in the container {_short(container)}"
        with self._asking(attempted):
            try:
                return self._read_file(container, path, limit, attempted)
            except NotFound:
                self._client.inspect_container(container)
                return None
            except DeadlinePassed:
                raise EngineError(
                    attempted, f"the engine took more than {_COPY_MS / 1000:g} s", SLOW
                ) from None

    def _read_file(self, container: str, path: str, limit: int, attempted: str) -> bytes:
        for _ in range(_MOST_LINKS):
            with self._line(deadline=Deadline.after(_COPY_MS)) as line:
                chunks, about = line.get_archive(container, path)
                if about["mode"] & _IS_FOLDER:
                    raise EngineError(attempted, "the path is a folder", "give the path of a file")
                if about["linkTarget"] in ("", path):
                    return only_file(chunks, limit, attempted)
                path = about["linkTarget"]
        raise EngineError(
            attempted, f"the path has more than {_MOST_LINKS} links", "give the path of the file itself"
        )

    def execute(
        self,
        container: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        timeout: int,
        cancellation: Cancellation | None = None,
        limit: int = OUTPUT_LIMIT,
    ) -> Executed:
        """Run a program inside a running container, as its own user, with nothing on its standard input.

        Only the last `limit` bytes of output and of errors are kept.

        Raises:
            EngineError: the container does not exist, or does not run.
            TimeoutError: the program still runs after `timeout` milliseconds, and goes on.
            Cancelled: the program still runs, and goes on.
        """
        words = [f"{key}={value}" for key, value in env.items()]
        try:
            with (
                self._asking(f"run {argv[0]} in the container {_short(container)}"),
                self._line(cancellation, deadline=Deadline.after(timeout)) as line,
            ):
                made = line.exec_create(container, list(argv), environment=words)["Id"]
                frames = execution.read_program_output(
                    line, f"{line.base_url}/v{self.info.api_version}/exec/{made}/start", limit
                )
                return Executed(
                    status=execution.await_exit_status(line, made),
                    output=frames.output.content,
                    errors=frames.errors.content,
                    is_cut=frames.output.is_cut or frames.errors.is_cut,
                )
        except DeadlinePassed:
            raise TimeoutError(f"{argv[0]} in {_short(container)} still runs after {timeout} ms") from None

    def used(self, container: str) -> Used:
        """Return processor time and memory of a container (ContainerStats), as far as the engine tells."""
        if not self.info.speaks((1, 41)):
            return Used()
        with self._asking(f"measure the processor time of {_short(container)}"):
            told: Any = self._client.stats(container, stream=False, one_shot=True)
        time = ((told.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage")
        peak = (told.get("memory_stats") or {}).get("max_usage")
        return Used(
            seconds=time / 1e9 if isinstance(time, int) and time else None,
            peak_memory=peak if isinstance(peak, int) and peak > 0 else None,
        )

    def signal(self, container: str, number: int) -> None:
        """Send a signal to process 1 of a container (ContainerKill). No error if the container has ended."""
        with self._asking(f"send a signal to the container {_short(container)}"):
            try:
                self._client.kill(container, number)
            except APIError as error:
                if error.status_code != requests.codes.conflict:
                    raise

    def stop(self, container: str, *, grace: int) -> None:
        """Send the stop signal, and SIGKILL after `grace` ms. No error if the container has ended."""
        with self._asking(f"stop the container {_short(container)}"):
            self._client.stop(container, timeout=whole_seconds(grace))

    def remove(self, container: str) -> None:
        """Kill and remove a container with its anonymous volumes. No error if it does not exist."""
        with self._asking(f"remove the container {_short(container)}"), suppress(NotFound):
            try:
                self._client.remove_container(container, v=True, force=True)
            except APIError as error:
                if error.status_code != requests.codes.conflict:
                    raise
                self._client.wait(container, timeout=_REMOVAL_SECONDS, condition="removed")

    def rename(self, container: str, name: str) -> None:
        """Rename a container. Raise NameTaken if another container has the name, else EngineError."""
        attempted = f"rename the container {_short(container)} to {name}"
        with self._asking(attempted), _conflict(attempted, name):
            self._client.rename(container, name)

    def containers(self, labels: Mapping[str, str]) -> Sequence[ContainerState]:
        """Return the containers with these labels, running or not, oldest first."""
        wanted = [f"{key}={value}" for key, value in labels.items()]
        with self._asking(f"list the containers labelled {', '.join(wanted)}"):
            listed = self._client.containers(all=True, filters={"label": wanted})
            found = [self._inspected(item["Id"]) for item in listed]
            by_age = sorted((data for data in found if data is not None), key=_created)
            return [container_state(data) for data in by_age]

    def publishers(self) -> Sequence[Publisher]:
        """Return all running containers with their published ports, in one request."""
        with self._asking("list the containers that run"):
            return [read_publisher(item) for item in self._client.containers()]

    def _inspected(self, container: str) -> Mapping[str, Any] | None:
        with suppress(NotFound):
            return cast("Mapping[str, Any]", self._client.inspect_container(container))
        return None


@contextmanager
def _lost(attempted: str, image: Digest) -> Iterator[None]:
    """In the block, raise ImageLost for a 404 of ContainerCreate: an image or a layer is missing."""
    try:
        yield
    except NotFound as error:
        hint = f"get the image {image.short} again: `docker pull` by digest, or `docker load` from a copy"
        raise ImageLost(attempted, engine_error_text(error), hint) from error


@contextmanager
def _conflict(attempted: str, name: str | None) -> Iterator[None]:
    """In the block, raise NameTaken for a conflict of names (ContainerCreate, ContainerRename: 409)."""
    try:
        yield
    except APIError as error:
        if error.status_code != requests.codes.conflict:
            raise
        raise NameTaken(
            attempted,
            f"there is a container named {name}",
            f"remove it, if you do not need it: docker rm -f {name}",
        ) from error


def _short(container: str) -> str:
    """Return a container's id cut to twelve characters, as `docker ps` shows it."""
    return container[:12] if len(container) == 64 else container


def _names(container: Mapping[str, Any]) -> str:
    return ", ".join(name.removeprefix("/") for name in container.get("Names") or ()) or _short(
        container["Id"]
    )


def _created(data: Mapping[str, Any]) -> datetime:
    """Return the time of creation with parts of a second, which a list does not have."""
    return datetime.fromisoformat(data["Created"])


def _wanted_ports(data: Mapping[str, Any]) -> set[tuple[int, str]]:
    """Return the fixed host ports of a container with their protocol."""
    bindings: Mapping[str, Any] = data["HostConfig"].get("PortBindings") or {}
    return {
        (int(place["HostPort"]), name.partition("/")[2])
        for name, places in bindings.items()
        for place in places or ()
        if place.get("HostPort")
    }


def _listens(port: int) -> bool:
    """Return whether a program on this machine holds the TCP port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
