"""`[tool.release.smoke]`: its questions, and those of its processes."""

from __future__ import annotations

import pytest

from release.config.smoke import ASK
from tests.unit.config.written import problems, read

HEAD = '[project]\nname = "api"\n[tool.release.smoke]\n'
WORKER = '[tool.release.smoke.processes.worker]\ncommand = ["work"]\n'


def smoke_runs(text: str, *environments: str) -> dict[str, object]:
    """The smoke runs of these keys, and of environments with these."""
    tables = [f"\n[tool.release.environments.e{n}]\n{keys}" for n, keys in enumerate(environments)]
    return dict(read(HEAD + text + "".join(tables)).service("api").smoke_runs)


@pytest.mark.parametrize("keys", ["tcp = [5432]", 'check = ["true"]', 'stays_up = "10s"', "port = 80"])
def test_one_question_is_enough(keys: str) -> None:
    """Without a port there is no request to repeat."""
    run = read(HEAD + keys).service("api").smoke
    assert run.asks
    assert (run.probe is None) == (run.port is None)


@pytest.mark.parametrize("keys", ["", 'memory = "64m"', "tcp = []", 'command = ["work"]'])
def test_no_question_is_refused_with_the_lines_to_write(keys: str) -> None:
    """Also for a process; each of the four ways is named."""
    assert problems(HEAD + keys) == {"tool.release.smoke": ASK}
    found = problems(f"{HEAD}port = 80\n{WORKER}")
    assert found == {"tool.release.smoke.processes.worker": ASK}


def test_a_request_without_a_port_is_refused() -> None:
    """It would never be made."""
    message = problems(f'{HEAD}stays_up = "10s"\npath = "/healthz"')["tool.release.smoke"]
    assert message == "path: a request needs `port`, as port = 8000"
    message = problems(f"{HEAD}port = 80\nhealthcheck = {{ disable = true }}")["tool.release.smoke"]
    assert "stays_up" in message


def test_a_process_has_its_own_questions_and_the_settings_of_smoke() -> None:
    """The questions of `smoke` are not asked twice; a key of its own wins."""
    text = 'port = 80\npath = "/up"\nmemory = "64m"\npids = 9\ntimeout = "5s"\n'
    runs = smoke_runs(f'{text}{WORKER}check = ["true"]\npids = 8')
    assert list(runs) == ["", "worker"]
    worker = runs["worker"]
    assert (worker.port, worker.path, worker.check) == (None, "/", ("true",))  # type: ignore[attr-defined]
    assert (worker.memory, worker.pids, worker.timeout) == (64 * 1024**2, 8, 5000)  # type: ignore[attr-defined]


def test_processes_may_be_all_there_is() -> None:
    """Then `smoke` itself is not run."""
    assert list(smoke_runs(f'{WORKER}stays_up = "10s"')) == ["worker"]


def test_a_process_takes_settings_from_the_environments_that_run_its_command() -> None:
    """And `smoke` from the others."""
    runs = smoke_runs(
        f'port = 80\n{WORKER}stays_up = "10s"',
        'command = ["work"]\nuser = "7"\nhealthcheck = { disable = true }',
        'command = ["serve"]\nuser = "8"',
    )
    assert runs["worker"].user == "7"  # type: ignore[attr-defined]
    assert runs["worker"].healthcheck.disable  # type: ignore[attr-defined]
    assert (runs[""].user, runs[""].command) == ("8", ("serve",))  # type: ignore[attr-defined]


def test_a_proxy_needs_a_port_of_the_smoke_run_or_its_own() -> None:
    """That of the run with the environment's command; a worker has none."""
    proxy = '[tool.release.environments.e.proxy]\nkind = "traefik"\nnetwork = "edge"\nrule = "Host(`x`)"\n'
    worker = '[tool.release.environments.e]\ncommand = ["work"]\n'
    message = problems(f'{HEAD}stays_up = "10s"\n{proxy}')["tool.release"]
    assert message.startswith("environments.e.proxy.port: ")
    assert read(f'{HEAD}stays_up = "10s"\n{proxy}port = 80').services
    assert read(f"{HEAD}port = 80\n{proxy}").service("api").port_of("e") == 80
    assert problems(f'{HEAD}port = 80\n{WORKER}stays_up = "10s"\n{worker}{proxy}')
