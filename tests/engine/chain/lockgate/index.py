"""A package index on this machine, with packages of one empty module each (PEP 503; PEP 427)."""

from __future__ import annotations

import hashlib
import http.server
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

PACKAGES: Final[Mapping[str, Sequence[str]]] = {
    "alpha==1.0": ("beta>=1", 'gamma>=1 ; extra == "more"'),
    "beta==1.0": (),
    "beta==2.0": (),
    "gamma==1.0": (),
    "delta==1.0": ('epsilon>=1 ; python_version >= "3.13"',),
    "delta==2.0": (),
    "epsilon==1.0": (),
    "zeta==1.0": (),
}
"""Requirements by package: `delta` needs `epsilon` on newer Pythons."""


WHEEL: Final = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make_wheels(folder: Path) -> None:
    """Make a wheel for each package, below a folder of its name."""
    for package, requires in PACKAGES.items():
        name, version = package.split("==")
        about = f"{name}-{version}.dist-info"
        metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "Provides-Extra: more"]
        metadata += [f"Requires-Dist: {line}" for line in requires]
        files = {
            f"{name}.py": "",
            f"{about}/METADATA": "\n".join([*metadata, ""]),
            f"{about}/WHEEL": WHEEL,
        }
        files[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{about}/RECORD"))
        (folder / name).mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(folder / name / f"{name}-{version}-py3-none-any.whl", "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)


class _Index(http.server.SimpleHTTPRequestHandler):
    """`/simple/<name>/` lists the files of `/<name>/`."""

    def do_GET(self) -> None:
        parts = [part for part in self.path.split("/") if part]
        if parts[:1] != ["simple"]:
            super().do_GET()
            return
        wheels = sorted((Path(self.directory) / parts[-1]).glob("*.whl"))
        links = "".join(map(_link, wheels))
        page = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
        self.send_response(200 if wheels else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_words: object) -> None:
        """Nothing."""


def _link(file: Path) -> str:
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return f'<a href="/{file.parent.name}/{file.name}#sha256={sha256}">{file.name}</a>'


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the packages; give the index's address."""
    make_wheels(folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Index, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
