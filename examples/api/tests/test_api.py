"""The HTTP interface, asked as a client would ask it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings


@pytest.fixture
def client() -> Iterator[TestClient]:
    settings = Settings(version="1.2.3", commit="0123abc", greeting="Good evening")
    with TestClient(create_app(settings)) as client:
        yield client


def test_the_index_says_who_answers_and_with_which_greeting(client: TestClient) -> None:
    expected = {"service": "api", "version": "1.2.3", "greeting": "Good evening"}
    assert client.get("/").json() == expected


def test_a_guest_is_greeted_by_name(client: TestClient) -> None:
    assert client.get("/greetings/Ada Lovelace").json() == {"message": "Good evening, Ada Lovelace!"}


@pytest.mark.parametrize("guest", ["%20", "x" * 41])
def test_a_blank_or_endless_name_is_refused(client: TestClient, guest: str) -> None:
    assert client.get(f"/greetings/{guest}").status_code == 422


def test_a_healthy_service_says_so(client: TestClient) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_the_version_names_the_build(client: TestClient) -> None:
    assert client.get("/version").json() == {"service": "api", "version": "1.2.3", "commit": "0123abc"}


def test_an_unknown_path_is_not_found(client: TestClient) -> None:
    assert client.get("/nothing").status_code == 404
