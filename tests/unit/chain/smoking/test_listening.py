"""The line to write for a service that listens elsewhere."""

from __future__ import annotations

import pytest

from release.chain.smoking.listening import (
    hint_for_loopback_address,
    hint_for_other_port,
    listen_on_all_addresses,
)
from release.chain.smoking.sockets import ListeningPorts


@pytest.mark.parametrize(
    ("command", "mended"),
    [
        ("uvicorn app:app", "uvicorn app:app --host 0.0.0.0"),
        (
            "/venv/bin/uvicorn app:app --host 127.0.0.1 --port 8000",
            "/venv/bin/uvicorn app:app --host 0.0.0.0 --port 8000",
        ),
        ("uvicorn --host=localhost app:app", "uvicorn --host=0.0.0.0 app:app"),
        ("gunicorn -b 127.0.0.1:8000 app", "gunicorn -b 0.0.0.0:8000 app"),
        ("gunicorn app", "gunicorn app --bind 0.0.0.0:8000"),
        ("python -m http.server", "python -m http.server --bind 0.0.0.0"),
        ("flask run -h localhost", "flask run -h 0.0.0.0"),
        ("python manage.py runserver", "python manage.py runserver 0.0.0.0:8000"),
        ("python manage.py runserver 8000 --noreload", "python manage.py runserver 0.0.0.0:8000 --noreload"),
        ("python own.py", ""),
    ],
)
def test_known_servers_have_an_option(command: str, mended: str) -> None:
    """Its other value is replaced; a program of one's own has none that is known."""
    assert " ".join(listen_on_all_addresses(tuple(command.split()), 8000)) == mended


def test_the_line_is_the_whole_cmd() -> None:
    """With an ENTRYPOINT or a command of the settings, the option alone."""
    argv = ("uvicorn", "app:app", "--host", "127.0.0.1")
    start = "it listens on port 8000 of its own loopback alone: let it listen on 0.0.0.0"
    whole = hint_for_loopback_address(argv, 8000, 8000, is_cmd=True)
    assert whole == f'{start}, as CMD ["uvicorn", "app:app", "--host", "0.0.0.0"]'
    assert hint_for_loopback_address(argv, 8000, 8000, is_cmd=False) == f"{start}, with `--host 0.0.0.0`"
    assert hint_for_loopback_address(argv[:2], 8000, 8000, is_cmd=False) == f"{start}, with `--host 0.0.0.0`"
    assert hint_for_loopback_address(("own",), 5000, 8000, is_cmd=True).endswith(
        "0.0.0.0, and write `smoke.port = 5000`"
    )


def test_another_port_is_named() -> None:
    """One port is a line to write; of several, one has to be chosen."""
    one = ListeningPorts(on_all_addresses=frozenset({9000}), on_loopback=frozenset())
    assert (
        hint_for_other_port(one) == "it listens on port 9000: set `smoke.port` to it, as `smoke.port = 9000`"
    )
    two = ListeningPorts(on_all_addresses=frozenset({9000, 80}), on_loopback=frozenset())
    assert hint_for_other_port(two) == "it listens on port 80, 9000: set `smoke.port` to it"
