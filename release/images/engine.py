"""A Docker Engine through its API: its image store and its containers. The only importer of `docker`.

Short questions share one client; what may take long (pulls, pushes, waiting, following) has a connection of
its own, which a cancellation can cut. Source: Docker Engine API 1.45.
"""

from __future__ import annotations

import errno
import io
import json
import os
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Self, cast

import docker
import requests
import stamina
import urllib3
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.context import ContextAPI
from docker.context.config import get_current_context_name, get_tls_dir
from docker.errors import APIError, DockerException, NotFound, create_api_error_from_http_exception
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env, parse_host, version_lt

from release.errors import (
    EngineError,
    EngineUnreachable,
    NameTaken,
    PortTaken,
    RegistryError,
    ReleaseError,
    TransferBroken,
    UsageError,
)
from release.images import faults, ssh
from release.images.credentials import credentials
from release.images.registry import Registry, is_loopback
from release.images.trust import engine_folder
from release.images.values import (
    ContainerSpec,
    ContainerState,
    EngineInfo,
    Executed,
    Publisher,
    StoredImage,
    container_config,
    container_state,
    executed,
    files_archive,
    numbers_of,
    publisher,
    stored_image,
    whole_seconds,
)
from release.process import Cancellation
from release.reference import Digest, Reference, Repository

__all__ = [
    "ContainerSpec",
    "ContainerState",
    "Engine",
    "EngineInfo",
    "Executed",
    "StoredImage",
]

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"

_CONNECT_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 10
"""For the first question to an engine."""
_READ_SECONDS: Final = 120
"""For any other: the engine may be busy starting a container on a slow disk."""
_REMOVAL_SECONDS: Final = 30
_LISTINGS: Final = 9
"""How often a list of images is asked for again when others remove some meanwhile."""
STILL: Final = 120_000
"""Milliseconds in which nothing of a transfer moves, after which it is ended."""
_PULL: Final = stamina.RetryingCaller(attempts=3, timeout=None, wait_initial=0.5, wait_max=5.0)
_LONGEST_QUOTE: Final = 500
"""Characters of the engine's own words in a message."""
_STATUS_TRIES: Final = 20
_STATUS_SECONDS: Final = 0.02
_CHUNK: Final = 256 * 1024
_IS_FOLDER: Final = 1 << 31
"""Go's os.ModeDir, in the mode of a container's file."""
OnBytes = Callable[[int, int], None]
"""Told bytes: how many went, of how many."""

_FAILURES: Final = (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""All that a call of docker-py raises when the engine, or the way to it, fails."""


# --- which engine


@dataclass(frozen=True, kw_only=True)
class _Address:
    """Where an engine is, who said so, and what TLS needs."""

    host: str
    origin: str
    tls: TLSConfig | None = None
    certificates: Path | None = None

    @property
    def is_ssh(self) -> bool:
        """Whether the way there is a program, not a socket."""
        return self.host.startswith("ssh://")

    def __str__(self) -> str:
        return f"{self.host} ({self.origin})" if self.origin else self.host


def _find_address(host: str | None, context: str | None, environment: Mapping[str, str]) -> _Address:
    """The rule of the `docker` command: what is asked for, DOCKER_HOST, DOCKER_CONTEXT, its own settings."""
    if host and context:
        raise UsageError(
            "choose an engine", f"both the host {host} and the context {context} are given", "give one"
        )
    if host:
        return _given(host, "", environment)
    if context:
        return _of_context(context, "", environment)
    if environment.get("DOCKER_HOST"):
        return _given(environment["DOCKER_HOST"], "from DOCKER_HOST", environment)
    if environment.get("DOCKER_CONTEXT"):
        return _of_context(environment["DOCKER_CONTEXT"], "from DOCKER_CONTEXT", environment)
    return _of_context(get_current_context_name(), "the current Docker context", environment)


def _given(host: str, origin: str, environment: Mapping[str, str]) -> _Address:
    """An address that stands alone; TLS is then told by DOCKER_TLS_VERIFY and DOCKER_CERT_PATH."""
    attempted = f"reach the Docker engine at {host}"
    try:
        parse_host(host)
        tls = kwargs_from_env(dict(environment)).get("tls") if host.startswith("tcp://") else None
    except DockerException as error:
        raise UsageError(
            attempted, str(error), "write it as unix:///path, tcp://host:port or ssh://user@host"
        ) from error
    folder = environment.get("DOCKER_CERT_PATH") or str(Path.home() / ".docker")
    return _Address(host=host, origin=origin, tls=tls, certificates=Path(folder) if tls else None)


def _of_context(name: str, origin: str, environment: Mapping[str, str]) -> _Address:
    said = f"context {name!r}" + (f" {origin}" if origin.startswith("from") else "")
    if name == "default":
        return _given(environment.get("DOCKER_HOST") or DEFAULT_HOST, "", environment)
    found = _load_context(name, f"use the Docker {said}")
    tls = found.TLSConfig
    folder = Path(get_tls_dir(name, "docker")) if tls else None
    return _Address(host=str(found.Host or DEFAULT_HOST), origin=said, tls=tls, certificates=folder)


def _load_context(name: str, attempted: str) -> Any:
    try:
        found = ContextAPI.get_context(name)
    except Exception as error:  # docker-py raises a plain Exception for a damaged context
        raise UsageError(attempted, f"it is damaged: {error}", f"docker context inspect {name}") from error
    if found is None:
        raise UsageError(attempted, "there is no such context", "`docker context ls` lists those that exist")
    return found


def _unreachable(address: _Address, error: BaseException) -> EngineUnreachable:
    attempted = f"reach the Docker engine at {address}"
    return EngineUnreachable(attempted, faults.words(error), _reaching_hint(address, error))


def _reaching_hint(address: _Address, error: BaseException) -> str:
    if faults.find(error, PermissionError):
        return "join the group `docker` (`sudo usermod -aG docker $USER`) and log in again"
    if faults.find(error, requests.exceptions.SSLError):
        return "check DOCKER_CERT_PATH, or the certificates of the Docker context"
    if address.is_ssh:
        return f"see what `{ssh.command(address.host)}` says; Docker's command must be installed there"
    return "start Docker there, or name another engine (DOCKER_HOST, a Docker context); `./dev` starts one"


# --- the way to it


class _Client(docker.APIClient):
    """docker-py's client with a short time to connect and a long one to answer."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Split the one timeout of docker-py in two (None waits for ever); trust the engine's authority.

        Left to itself, requests lets REQUESTS_CA_BUNDLE win over the authority that a client was given.
        """
        kwargs["verify"] = self.verify
        timeout = kwargs.get("timeout")
        if timeout is None or isinstance(timeout, int | float):
            kwargs["timeout"] = (_CONNECT_SECONDS, timeout)
        return super().send(request, **kwargs)


def _client(address: _Address, *, version: str, timeout: int | None) -> _Client:
    client = _Client(
        base_url=DEFAULT_HOST if address.is_ssh else address.host,
        version=version,
        timeout=_READ_SECONDS,
        tls=address.tls or False,
    )
    if address.is_ssh:
        client.mount("http+docker://", ssh.Adapter(address.host))
    client.timeout = cast(int, timeout)  # None waits for ever; the types of docker-py do not know it
    return client


def _introduced(address: _Address) -> Mapping[str, Any]:
    """The engine's answer to the one question that has no version in it: which versions it speaks."""
    _knock(address.host)
    with closing(_client(address, version=DEFAULT_DOCKER_API_VERSION, timeout=_ANSWER_SECONDS)) as client:
        return cast("Mapping[str, Any]", client.version(api_version=False))


def _knock(host: str) -> None:
    """Raise what a local socket raises: docker-py would leave its own socket open then."""
    path = str(parse_host(host)).removeprefix("http+unix://")
    if path.startswith("/"):
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(_CONNECT_SECONDS)
            knocking.connect(path)


class _Scissors:
    """Cuts the connection of a client from another thread: the reader then sees its end at once."""

    def __init__(self, client: _Client) -> None:
        self._responses: list[requests.Response] = []  # one call of docker-py may ask twice
        self._is_cut = False
        client.hooks["response"] = [self._keep]

    def _keep(self, response: requests.Response, **_: object) -> None:
        self._responses.append(response)
        if self._is_cut:
            self.cut()

    def cut(self) -> None:
        """End what is being read now, or will be."""
        self._is_cut = True
        for response in list(self._responses):
            _shut(response)

    def close(self) -> None:
        """Close what was opened."""
        for response in self._responses:
            response.close()

    @property
    def is_cut(self) -> bool:
        """Whether the end was ours."""
        return self._is_cut


def _shut(response: requests.Response) -> None:
    """Stop a blocked read."""
    with suppress(OSError, ValueError, RuntimeError):  # it has ended by itself
        response.raw.shutdown()


def auth_config(host: str) -> dict[str, str]:
    """For the engine; empty for none, so that docker-py does not go looking and trip over helpers."""
    known = credentials(host)
    if known is None:
        return {}
    if known.identity_token:
        return {"identitytoken": known.identity_token, "serveraddress": host}
    return {"username": known.user, "password": known.password, "serveraddress": host}


# --- the engine


class Engine:
    """One Docker Engine."""

    host: str
    """Its address, as "unix:///var/run/docker.sock"."""
    info: EngineInfo

    def __init__(self, address: _Address, version: Mapping[str, Any]) -> None:
        """Ask what kind of engine it is; use `connect`."""
        self.host = address.host
        self._address = address
        self._client = _client(address, version=version["ApiVersion"], timeout=_READ_SECONDS)
        with self._asking("ask for the image store"):
            self.info = _engine_info(version, self._client.info())

    @classmethod
    def connect(cls, *, host: str | None = None, context: str | None = None) -> Engine:
        """Reach an engine: this address, this Docker context, or the one that `docker` itself would use.

        Raises:
            EngineUnreachable: it does not answer; UsageError: no such context.
        """
        address = _find_address(host, context, os.environ)
        try:
            version = _introduced(address)
        except _FAILURES as error:
            raise _unreachable(address, error) from error
        return cls(address, version)

    def close(self) -> None:
        """Close its connections; a later call opens new ones."""
        self._client.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self.close()

    def command_environment(self) -> dict[str, str]:
        """Variables that make the `docker` command line talk to this engine (with `--builder default`).

        DOCKER_HOST wins over DOCKER_CONTEXT and the current context; an empty variable counts as none.
        """
        certificates = self._address.certificates
        verify = "1" if self._address.tls is not None and self._address.tls.verify else ""
        return {
            "DOCKER_HOST": self.host,
            "DOCKER_CONTEXT": "",
            "DOCKER_TLS": "1" if certificates else "",
            "DOCKER_TLS_VERIFY": verify,
            "DOCKER_CERT_PATH": str(certificates or ""),
        }

    # images

    def find(self, *, digest: Digest, config_digest: Digest) -> StoredImage | None:
        """The image with this content, whatever it is called here.

        A containerd store knows images by manifest digest, a graph driver by config digest; either covers
        every byte of every layer.
        """
        wanted = digest if self.info.image_store == "containerd" else config_digest
        found = self.inspect(wanted)
        return found if found is not None and found.id == wanted else None

    def inspect(self, reference: Reference | Digest) -> StoredImage | None:
        """The image of that name, or None. The digest decides where a reference has both."""
        with self._asking(f"inspect the image {reference}"), suppress(NotFound):
            return stored_image(self._client.inspect_image(_image_name(reference)))  # type: ignore[no-untyped-call]
        return None

    def told(self, image: Digest) -> str:
        """All that the image says about itself, as JSON: settings, labels and the history of its layers."""
        with self._asking(f"read the history of the image {image.short}"):
            about = self._client.inspect_image(image.text)  # type: ignore[no-untyped-call]
            return json.dumps([about, self._client.history(image.text)])  # type: ignore[no-untyped-call]

    def named_images(self, repository: Repository | None) -> Sequence[StoredImage]:
        """The images that have a name in a repository, or all that have a name anywhere."""
        with self._asking(f"list the images of {repository or 'every repository'}"):
            listed = self._all_images()
            named = {
                item["Id"]: [*(item.get("RepoTags") or ()), *(item.get("RepoDigests") or ())]
                for item in listed
            }
            wanted = [image for image, names in named.items() if _has_name_in(names, repository)]
        found = (self.inspect(Digest(image)) for image in wanted)
        return [image for image in found if image is not None]

    def _all_images(self) -> Sequence[Mapping[str, Any]]:
        """A containerd store answers 404 when some image goes while it makes the list: ask again."""
        for _ in range(_LISTINGS):
            with suppress(NotFound):
                return cast("Sequence[Mapping[str, Any]]", self._client.images())
        return cast("Sequence[Mapping[str, Any]]", self._client.images())

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Every tag of a repository in the engine's store, sorted."""
        with self._asking(f"list the images of {repository}"):
            listed = self._client.images(name=repository.text)
        names = (name for image in listed for name in image.get("RepoTags") or ())
        found = (name.rpartition(":") for name in names)
        return tuple(sorted(tag for place, _, tag in found if place == repository.text))

    def tag(self, image: Digest, reference: Reference) -> None:
        """Give the image one more name. Raises ValueError for a reference without a tag."""
        _need_tag(reference)
        with self._asking(f"tag the image {image.short} as {reference}"):
            self._client.tag(image.text, reference.repository.text, reference.tag)

    def labelled_images(self, labels: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
        """The names of images that carry these labels, each with all labels of its image."""
        wanted = [f"{key}={value}" for key, value in labels.items()]
        with self._asking(f"list the images labelled {', '.join(wanted)}"):
            listed = self._client.images(filters={"label": wanted})
        return {name: image.get("Labels") or {} for image in listed for name in image.get("RepoTags") or ()}

    def untag(self, reference: Reference) -> None:
        """Take a name away; the image goes with its last name. No error when the name is unknown."""
        with self._asking(f"remove the image name {reference}"), suppress(NotFound):
            self._client.remove_image(_image_name(reference))

    @contextmanager
    def exported(
        self, reference: Reference | Digest, *, cancellation: Cancellation | None = None
    ) -> Iterator[BinaryIO]:
        """The image as a tar stream (containerd store: an OCI image layout), as `docker save` gives it.

        Raises Cancelled when the cancellation cut it.
        """
        with (
            self._line(cancellation) as line,
            io.BufferedReader(_Chunks(self._export(line, reference)), _CHUNK) as stream,
        ):
            stream.peek(1)
            yield cast(BinaryIO, stream)

    def _export(self, line: docker.APIClient, reference: Reference | Digest) -> Iterator[bytes]:
        with self._asking(f"export the image {reference}"):
            yield from line.get_image(_image_name(reference), chunk_size=_CHUNK)

    def push(
        self,
        reference: Reference,
        *,
        cancellation: Cancellation,
        registry: Registry | None = None,
        still: int = STILL,
        on_bytes: OnBytes | None = None,
    ) -> None:
        """Upload the image to its registry, with the credentials that are known for it.

        The engine's answer is no proof (a stream that ends well may have pushed something else): read the
        registry back.

        Args:
            reference: with its tag.
            cancellation: ends it.
            registry: where it goes, as the caller reaches it; asked what is wrong when the upload fails.
            still: milliseconds without any progress after which the upload is ended.
            on_bytes: told how many bytes have been sent, of how many that are known until now.

        Raises:
            TransferBroken: it ended early, and the registry would take an upload.
            RegistryError: the registry refuses. RegistryUnreachable: it does not answer.
            ValueError: the reference has no tag.
        """
        _need_tag(reference)
        name, tag = reference.repository.text, reference.tag
        auth = auth_config(reference.repository.host)
        deadline = _Deadline.after(still)
        with self._transferring("push", reference, cancellation, registry, deadline) as line:
            progress = line.push(name, tag=tag, stream=True, decode=True, auth_config=auth)
            _drain(_counted(_moving(progress, deadline, still), on_bytes))

    def pull(self, reference: Reference, on_bytes: OnBytes | None = None) -> StoredImage:
        """Download an image by digest, telling `on_bytes`. Raises RegistryError, RegistryUnreachable.

        A transfer that breaks or stands still while the registry has the image is begun again, twice; layers
        that have arrived are kept by the engine.
        """
        _PULL(TransferBroken, self._pull, reference, on_bytes)
        found = self.inspect(reference)
        if found is None:
            raise EngineError(f"pull {reference}", "the engine says that it has it, and does not find it")
        return found

    def _pull(self, reference: Reference, on_bytes: OnBytes | None) -> None:
        auth, deadline = auth_config(reference.repository.host), _Deadline.after(STILL)
        with self._transferring("pull", reference, Cancellation(), None, deadline) as line:
            progress = line.pull(_image_name(reference), stream=True, decode=True, auth_config=auth)
            _drain(_counted(_moving(progress, deadline, STILL), on_bytes))

    @contextmanager
    def _transferring(
        self,
        verb: str,
        reference: Reference,
        cancellation: Cancellation,
        registry: Registry | None = None,
        deadline: _Deadline | None = None,
    ) -> Iterator[docker.APIClient]:
        """A transfer between the engine and a registry; what the engine reports of it is the registry's."""
        attempted = f"{verb} {reference}"
        with self._asking(attempted):
            try:
                with self._line(cancellation, deadline=deadline) as line:
                    yield line
            except (_TransferFailed, APIError, _Late) as error:
                with closing(registry or Registry(reference.repository)) as asked:
                    found = _transfer_error(verb, reference, _explanation(error), asked)
                raise found from error

    # containers

    def create(self, spec: ContainerSpec) -> str:
        """Create a container and return its id. Raises EngineError (name taken: NameTaken)."""
        attempted = f"create the container {spec.name or f'of {spec.image.short}'}"
        config, later = container_config(spec), self._networks_for_later(spec)
        for network in later:
            del config["NetworkingConfig"]["EndpointsConfig"][network]
        with self._asking(attempted), _conflict(attempted, spec.name):
            answer = self._client.create_container_from_config(config, spec.name)  # type: ignore[no-untyped-call]
            made = str(answer["Id"])
            for network in later:
                self._client.connect_container_to_network(made, network, aliases=list(spec.aliases))
        self._place(made, spec)
        return made

    def _place(self, container: str, spec: ContainerSpec) -> None:
        """Put the files of a new container where they belong, each folder that is a volume by itself."""
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
        """Who the program of the container runs as; names are looked up in its own files."""
        with self._asking(f"inspect the container {_short(container)}"):
            user = str(self._client.inspect_container(container)["Config"].get("User") or "")
        read = (self.read_file(container, path) or b"" for path in ("/etc/passwd", "/etc/group"))
        return numbers_of(user, *(content.decode(errors="replace") for content in read))

    def _networks_for_later(self, spec: ContainerSpec) -> tuple[str, ...]:
        """Before API 1.44 a container was created with one network at most."""
        return spec.networks[1:] if version_lt(self.info.api_version, "1.44") else ()

    def start(self, container: str) -> None:
        """Start it. Raises EngineError (a port in use: PortTaken)."""
        attempted = f"start the container {_short(container)}"
        with self._asking(attempted):
            try:
                self._client.start(container)
            except APIError as error:
                if taken := self._taken_port(container):
                    raise PortTaken(attempted, taken, "stop what uses it, or publish another port") from error
                raise

    def _taken_port(self, container: str) -> str:
        """Which port of the container something else has. Asked after a failure: the engine gives no type."""
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
        """What it is doing; None when there is no such container."""
        with self._asking(f"inspect the container {_short(container)}"):
            found = self._inspected(container)
        return None if found is None else container_state(found)

    def inspected(self, container: str) -> Mapping[str, Any] | None:
        """All that the engine says about it (ContainerInspect); its environment holds secrets."""
        with self._asking(f"inspect the container {_short(container)}"):
            return self._inspected(container)

    def wait(self, container: str, *, timeout: int, cancellation: Cancellation) -> int:
        """Its exit status. Raises TimeoutError after `timeout` milliseconds, Cancelled."""
        try:
            with (
                self._asking(f"wait for the container {_short(container)}"),
                self._line(cancellation, deadline=_Deadline.after(timeout)) as line,
            ):
                return int(line.wait(container)["StatusCode"])
        except _Late:
            raise TimeoutError(f"container {_short(container)} still runs after {timeout} ms") from None

    def follow(self, container: str) -> Iterator[str]:
        """Its output, line by line, until it ends. Closing the iterator ends it early."""
        with self._asking(f"follow the container {_short(container)}"), self._line() as line:
            yield from _lines(line.logs(container, stream=True, follow=True))

    def logs(self, container: str, *, lines: int) -> tuple[str, ...]:
        """The last lines of its output."""
        with self._asking(f"read the output of the container {_short(container)}"):
            return tuple(_lines([self._client.logs(container, tail=lines)]))

    def read_file(self, container: str, path: str) -> bytes | None:
        """One file out of a container, also a stopped one; None when it is not there.

        A link is followed. What was on a tmpfs is gone when the container has stopped.
        """
        attempted = f"read {path} in the container {_short(container)}"
        with self._asking(attempted):
            try:
                return self._read_file(container, path, attempted)
            except NotFound:
                self._client.inspect_container(container)
                return None

    def _read_file(self, container: str, path: str, attempted: str) -> bytes:
        with self._line() as line:
            chunks, about = line.get_archive(container, path)
            if about["mode"] & _IS_FOLDER:
                raise EngineError(attempted, "it is a folder")
            if about["linkTarget"] not in ("", path):
                return self._read_file(container, about["linkTarget"], attempted)
            return _only_member(b"".join(chunks))

    def execute(
        self, container: str, argv: Sequence[str], *, env: Mapping[str, str], timeout: int
    ) -> Executed:
        """Run a program inside a running container, as its own user, with nothing on its standard input.

        Raises:
            EngineError: there is no such container, or it does not run.
            TimeoutError: the program has not ended after `timeout` milliseconds; it is left alone.
        """
        words = [f"{key}={value}" for key, value in env.items()]
        try:
            with (
                self._asking(f"run {argv[0]} in the container {_short(container)}"),
                self._line(deadline=_Deadline.after(timeout)) as line,
            ):
                made = line.exec_create(container, list(argv), environment=words)["Id"]
                stream = _started(line, f"{line.base_url}/v{self.info.api_version}/exec/{made}/start")
                return executed(_ended(line, made), stream)
        except _Late:
            raise TimeoutError(f"{argv[0]} in {_short(container)} still runs after {timeout} ms") from None

    def stop(self, container: str, *, grace: int) -> None:
        """SIGTERM, and SIGKILL after `grace` milliseconds. No error when it is stopped already."""
        with self._asking(f"stop the container {_short(container)}"):
            self._client.stop(container, timeout=whole_seconds(grace))

    def remove(self, container: str) -> None:
        """Kill and remove it with its anonymous volumes. No error when it is gone."""
        with self._asking(f"remove the container {_short(container)}"), suppress(NotFound):
            try:
                self._client.remove_container(container, v=True, force=True)
            except APIError as error:
                if error.status_code != requests.codes.conflict:
                    raise
                self._client.wait(container, timeout=_REMOVAL_SECONDS, condition="removed")

    def rename(self, container: str, name: str) -> None:
        """Give it another name. Raises EngineError (name taken: NameTaken)."""
        attempted = f"rename the container {_short(container)} to {name}"
        with self._asking(attempted), _conflict(attempted, name):
            self._client.rename(container, name)

    def containers(self, labels: Mapping[str, str]) -> Sequence[ContainerState]:
        """All containers that carry these labels, running or not, oldest first."""
        wanted = [f"{key}={value}" for key, value in labels.items()]
        with self._asking(f"list the containers labelled {', '.join(wanted)}"):
            listed = self._client.containers(all=True, filters={"label": wanted})
            found = [self._inspected(item["Id"]) for item in listed]
        by_age = sorted((data for data in found if data is not None), key=_created)
        return [container_state(data) for data in by_age]

    def publishers(self) -> Sequence[Publisher]:
        """The containers that run, with their published ports: one question, however many there are."""
        with self._asking("list the containers that run"):
            return [publisher(item) for item in self._client.containers()]

    def _inspected(self, container: str) -> Mapping[str, Any] | None:
        with suppress(NotFound):
            return cast("Mapping[str, Any]", self._client.inspect_container(container))
        return None

    def has_network(self, name: str) -> bool:
        """Whether the engine has a network of that name."""
        with self._asking(f"look for the network {name}"), suppress(NotFound):
            return bool(self._client.inspect_network(name)["Name"] == name)
        return False

    def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a bridge network; the name may be there already, under another id. Raises EngineError."""
        with self._asking(f"create the network {name}"):
            self._client.create_network(name, driver="bridge", labels=dict(labels))

    def labelled_networks(self, labels: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """The networks that carry these labels: their names and all their labels."""
        wanted = [f"{key}={value}" for key, value in labels.items()]
        with self._asking(f"list the networks labelled {', '.join(wanted)}"):
            listed = self._client.networks(filters={"label": wanted})
        return {network["Name"]: network.get("Labels") or {} for network in listed}

    def remove_network(self, name: str) -> None:
        """Remove it. No error when it is gone. Raises EngineError: something is connected to it."""
        with self._asking(f"remove the network {name}"), suppress(NotFound):
            self._client.remove_network(name)

    def has_volume(self, name: str) -> bool:
        """Whether the engine has a volume of that name."""
        with self._asking(f"look for the volume {name}"), suppress(NotFound):
            return bool(self._client.inspect_volume(name)["Name"] == name)
        return False

    # connections

    @contextmanager
    def talking(self, attempted: str) -> Iterator[docker.APIClient]:
        """Its API for a question of another module of this folder; errors become ours in one place.

        Raises:
            EngineError, EngineUnreachable: instead of what docker-py raises.
        """
        with self._asking(attempted):
            yield self._client

    @contextmanager
    def _asking(self, attempted: str) -> Iterator[None]:
        """The one place where errors of docker-py and of the connection become ours."""
        try:
            yield
        except APIError as error:
            raise EngineError(f"{attempted} on {self.host}", _explanation(error)) from error
        except _FAILURES as error:
            raise EngineUnreachable(
                f"{attempted} on the engine at {self._address}",
                faults.words(error),
                _reaching_hint(self._address, error),
            ) from error

    @contextmanager
    def _line(
        self, cancellation: Cancellation | None = None, *, deadline: _Deadline | None = None
    ) -> Iterator[docker.APIClient]:
        """A connection of its own. Raises Cancelled when it was cut, _Late when the deadline cut it."""
        cancellation = cancellation or Cancellation()
        client = _client(self._address, version=self.info.api_version, timeout=None)
        scissors = _Scissors(client)
        try:
            with cancellation.stopping(scissors.cut), _cut_at(deadline, scissors):
                yield client
        except _FAILURES:
            cancellation.check()
            if scissors.is_cut:
                raise _Late from None
            raise
        finally:
            scissors.close()
            client.close()
        cancellation.check()
        if scissors.is_cut:
            raise _Late


def _started(line: docker.APIClient, url: str) -> bytes:
    """The output of a program in a container (ExecStart), to its end.

    Asked without an upgrade of the connection, the answer is a plain body that ends. docker-py asks for one,
    and reads past the buffer in which the first of the output may already be.
    """
    answer = line.post(url, json={"Tty": False, "Detach": False})
    try:
        answer.raise_for_status()
    except requests.HTTPError as error:
        create_api_error_from_http_exception(error)
    return answer.content


def _ended(line: docker.APIClient, made: str) -> int:
    """The status of a program whose output has ended; the engine may write it down a moment later."""
    for _ in range(_STATUS_TRIES):
        about = line.exec_inspect(made)
        if about["ExitCode"] is not None:
            return int(about["ExitCode"])
        time.sleep(_STATUS_SECONDS)
    raise requests.ConnectionError("the output ended before the program did")


class _Late(Exception):
    """A deadline cut a connection."""

    def __str__(self) -> str:
        """What it means for a transfer."""
        return "nothing moved for too long, and it was ended"


class _TransferFailed(Exception):
    """What the engine says in the middle of a push or a pull."""


class _Deadline:
    """When a connection is cut, on the monotonic clock; it may be put off."""

    def __init__(self, at: float) -> None:
        self.at = at

    @classmethod
    def after(cls, milliseconds: int) -> _Deadline:
        """From now on."""
        return cls(time.monotonic() + milliseconds / 1000)

    def put_off(self, milliseconds: int) -> None:
        """It begins anew."""
        self.at = time.monotonic() + milliseconds / 1000


@contextmanager
def _cut_at(deadline: _Deadline | None, scissors: _Scissors) -> Iterator[None]:
    if deadline is None:
        yield
        return
    is_over = threading.Event()

    def watch() -> None:
        while (left := deadline.at - time.monotonic()) > 0:
            if is_over.wait(left):
                return
        scissors.cut()

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        is_over.set()
        watching.join()


def _moving(
    progress: Iterable[Mapping[str, Any]], deadline: _Deadline, still: int
) -> Iterator[Mapping[str, Any]]:
    """Put the deadline off whenever a line says something new: an idle engine repeats itself."""
    said: dict[object, object] = {}
    for line in progress:
        if said.get(line.get("id")) != line:
            said[line.get("id")] = line
            deadline.put_off(still)
        yield line


def _counted(progress: Iterable[Mapping[str, Any]], on_bytes: OnBytes | None) -> Iterator[Mapping[str, Any]]:
    """Add up what the lines of the layers say (ImageCreate, ImagePush: `progressDetail`)."""
    known: dict[object, tuple[int, int]] = {}
    for line in progress:
        detail = line.get("progressDetail") or {}
        if on_bytes is not None and detail.get("total"):
            known[line.get("id")] = (int(detail.get("current") or 0), int(detail["total"]))
            on_bytes(sum(sent for sent, _ in known.values()), sum(total for _, total in known.values()))
        yield line


@contextmanager
def _conflict(attempted: str, name: str | None) -> Iterator[None]:
    """A conflict at creation or renaming is about the name (ContainerCreate, ContainerRename: 409)."""
    try:
        yield
    except APIError as error:
        if error.status_code != requests.codes.conflict:
            raise
        raise NameTaken(attempted, f"there is a container named {name}", f"docker rm -f {name}") from error


def _transfer_error(verb: str, reference: Reference, said: str, registry: Registry) -> RegistryError:
    """The engine passes on words without a type; asking the registry tells what kind of trouble it is."""
    attempted, host = f"{verb} {reference}", reference.repository.host
    said = said[:_LONGEST_QUOTE]
    try:
        if verb == "pull":
            if registry.digest(reference) is None:
                return RegistryError(attempted, said, f"the registry has no {reference}")
        elif is_loopback(host) or registry.is_trusted_by_engines():
            registry.check_upload()
        else:
            where = f"{engine_folder(host)}/ca.crt"
            return RegistryError(
                attempted, said, f"the engine needs the registry's authority too, as {where}"
            )
    except RegistryError as error:
        return type(error)(attempted, f"{error.found} (the engine says: {said})", error.hint)
    except ReleaseError as error:
        return RegistryError(attempted, said, error.hint)
    return TransferBroken(attempted, said, _HINTS[verb])


_HINTS: Final = {
    "pull": "the registry has it: run the same again; if it stays, look at the engine's log",
    "push": "the registry takes uploads: run the same again; if it stays, does a proxy limit their size?",
}


def _explanation(error: BaseException) -> str:
    if isinstance(error, APIError):
        return f"{error.explanation or 'no explanation'} (status {error.status_code})"
    return str(error)


def _drain(progress: Iterable[Mapping[str, Any]]) -> None:
    """Read a transfer to its end; the engine reports failures inside of it, with the status 200."""
    for line in progress:
        if "errorDetail" in line or "error" in line:
            detail = line.get("errorDetail") or {}
            raise _TransferFailed(detail.get("message") or line.get("error") or "no explanation")


class _Chunks(io.RawIOBase):
    """A stream of chunks as a file to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _engine_info(version: Mapping[str, Any], info: Mapping[str, Any]) -> EngineInfo:
    """The containerd store names its snapshotter in the driver's status; a graph driver says other things."""
    kinds = [value for key, value in info.get("DriverStatus") or () if key == "driver-type"]
    return EngineInfo(
        name=info["Name"],
        version=version["Version"],
        api_version=version["ApiVersion"],
        platform=f"{version['Os']}/{version['Arch']}",
        image_store="containerd"
        if any(kind.startswith("io.containerd.snapshotter") for kind in kinds)
        else "graph",
        ahead_ms=_ahead(info.get("SystemTime")),
        data_root=info.get("DockerRootDir") or "",
    )


def _ahead(told: str | None) -> int:
    """Milliseconds between the engine's clock (SystemInfo, SystemTime) and this machine's; 0 if not told."""
    if not told:
        return 0
    return round((datetime.fromisoformat(told) - datetime.now(UTC)).total_seconds() * 1000)


def _need_tag(reference: Reference) -> None:
    """Without one, the engine would take all tags, or `latest`."""
    if reference.tag is None:
        raise ValueError(f"{reference} has no tag")


def _has_name_in(names: Iterable[str], repository: Repository | None) -> bool:
    if repository is None:
        return any(names)
    return any(name.startswith((f"{repository.text}:", f"{repository.text}@")) for name in names)


def _image_name(reference: Reference | Digest) -> str:
    if isinstance(reference, Digest) or reference.digest is None:
        return str(reference)
    return str(reference.repository.at(reference.digest))


def _short(container: str) -> str:
    """An id is cut as `docker ps` cuts it; a name is shorter anyway."""
    return container[:12] if len(container) == 64 else container


def _names(container: Mapping[str, Any]) -> str:
    return ", ".join(name.removeprefix("/") for name in container.get("Names") or ()) or _short(
        container["Id"]
    )


def _created(data: Mapping[str, Any]) -> datetime:
    """Lists count in whole seconds; only an inspected container says when exactly."""
    return datetime.fromisoformat(data["Created"])


def _wanted_ports(data: Mapping[str, Any]) -> set[tuple[int, str]]:
    """The fixed host ports of a container with their protocol."""
    bindings: Mapping[str, Any] = data["HostConfig"].get("PortBindings") or {}
    return {
        (int(place["HostPort"]), name.partition("/")[2])
        for name, places in bindings.items()
        for place in places or ()
        if place.get("HostPort")
    }


def _listens(port: int) -> bool:
    """Whether a program on this machine holds the TCP port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Chunks as lines, without their ends; a chunk may end in the middle of a line or of a character."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.rstrip(b"\r").decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def _only_member(archive: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.extractfile(tar.getmembers()[0])
        return member.read() if member is not None else b""
