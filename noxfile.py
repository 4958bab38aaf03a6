"""This project's chores, and the release chain registered for examples/api."""

from __future__ import annotations

import os
from pathlib import Path

import nox

import release

nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = True

release.register()

SOURCES = ("release", "tests", "examples", "noxfile.py", "tasks.py", "dev")


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Style, documentation and every test: style, site, unit, engine and swarm in one run."""
    if not session.posargs:
        style(session)
        site(session)
    run_tests(session, *session.posargs)


@nox.session(venv_backend="none", default=False)
def unit(session: nox.Session) -> None:
    """Tests that need no engine."""
    run_tests(session, *(session.posargs or ["tests/unit"]))


@nox.session(venv_backend="none", default=False)
def engine(session: nox.Session) -> None:
    """Tests on real engines, registries, git servers and proxies."""
    run_tests(session, *(session.posargs or ["tests/engine"]))


@nox.session(venv_backend="none", default=False)
def swarm(session: nox.Session) -> None:
    """Tests in a Swarm of three engines."""
    run_tests(session, *(session.posargs or ["tests/lab"]))


@nox.session(venv_backend="none", default=False)
def kubernetes(session: nox.Session) -> None:
    """Tests on the cluster that KUBECONFIG names, in namespaces of their own. No part of `./dev tests`."""
    if not os.environ.get("KUBECONFIG"):
        session.error("set KUBECONFIG to a cluster for tests: it gets namespaces, which are removed again")
    if not os.environ.get("RELEASE_TEST_REGISTRY"):
        session.error("set RELEASE_TEST_REGISTRY to a registry that this machine and the nodes reach")
    session.env["RELEASE_TEST_KUBERNETES"] = "1"
    session.run("python", "-m", "pytest", *(session.posargs or ["tests/lab/kubernetes"]), external=True)


def run_tests(session: nox.Session, *words: str) -> None:
    """Run pytest, three tests at a time: on two processors, one of them waits for something."""
    compile_all(session)
    workers = ("-n", "3", "--dist", "loadgroup", "--durations", "15")
    session.run("python", "-m", "pytest", *workers, *words, external=True)


def compile_all(session: nox.Session) -> None:
    """Byte-code, as an installed package has it.

    The tests start thousands of processes; where PYTHONDONTWRITEBYTECODE is set, each would compile this
    library anew, which takes as long as all that it imports from elsewhere.
    """
    session.run("python", "-m", "compileall", "-q", "release", "tests", external=True)


@nox.session(venv_backend="none", default=False)
def style(session: nox.Session) -> None:
    """Format, lint and strict types."""
    session.run("ruff", "format", "--check", *SOURCES, external=True)
    session.run("ruff", "check", *SOURCES, external=True)
    session.run("mypy", "--scripts-are-modules", "dev", "noxfile.py", "tasks.py", external=True)
    session.run("mypy", "--package", "release", "--package", "tests", external=True)


@nox.session(venv_backend="none", default=False)
def site(session: nox.Session) -> None:
    """Build the documentation into docs/_build/html. A warning or a link to nowhere is an error."""
    build = ("sphinx-build", "--quiet", "--nitpicky", "--fail-on-warning", "--keep-going", "-b", "html")
    session.run(*build, "docs", "docs/_build/html", external=True)


@nox.session(venv_backend="none", default=False)
def package(session: nox.Session) -> None:
    """Build wheel and source archive of HEAD into dist/; `-- --prepare` first makes the next version."""
    session.run("python", "-m", "tests.packaging", *session.posargs, external=True)


@nox.session(venv_backend="none", default=False)
def docs(session: nox.Session) -> None:
    """Write the reference documents that come from the types, the tests and the constants."""
    from tests import attacks, command_reference, drawings, exits, limits
    from tests.engine.faults.page import page
    from tests.reference import configuration, kubernetes_role, records
    from tests.soak import rows

    pages = {"faults.md": page(), "attacks.md": attacks.page(), "limits.md": limits.page()}
    pages |= {"exit-codes.md": exits.page(), "commands.md": command_reference.page(), "soak.md": rows.page()}
    pages |= {"configuration.md": configuration.page(), "kubernetes-role.md": kubernetes_role.page()}
    pages |= records.pages()
    pages |= {f"../{name}": draw() for name, draw in drawings.PICTURES.items()}
    for path, text in pages.items():
        file = Path("docs/reference") / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        session.log(f"wrote {file}")


@nox.session(venv_backend="none", default=False)
def soak(session: nox.Session) -> None:
    """Long runs: many writers on one ledger, releases killed, engines that die, a Swarm in trouble."""
    from tests.soak import rows

    compile_all(session)
    session.run(
        *("python", "-m", "pytest", "-s", "--timeout=3000", "-o", "python_files=soak_*.py"),
        *(session.posargs or ["tests/soak", "tests/lab", "tests/engine/soak_shop.py"]),
        external=True,
    )
    if not session.posargs:
        chain = ("tests/engine/chain/test_kills.py", "tests/engine/chain/test_clones.py")
        kills = ("python", "-m", "pytest", "-s", "--timeout=3000", *chain)
        many = {"RELEASE_KILLS": "200", "RELEASE_BOUNDARIES": "0", "RELEASE_CLONES": "10"}
        session.run(*kills, env=many, external=True)
        traffic = "tests/engine/deploy/traffic"
        played = [
            "tests/engine/faults",
            "tests/engine/chain/lockgate/test_tools.py",
            "tests/engine/deploy/test_converge.py",
            *rows.TABLE,
        ]
        played += [f"{traffic}/test_deaths.py", f"{traffic}/test_load.py"]
        every = ("python", "-m", "pytest", "-s", "--timeout=3000", *played)
        session.run(*every, env={"RELEASE_SOAK": "1"}, external=True)


@nox.session(venv_backend="none", default=False)
def bench(session: nox.Session) -> None:
    """What things cost, side by side; writes docs/reference/numbers.md. About ten minutes."""
    session.run("python", "-m", "tests.bench", *session.posargs, external=True)


@nox.session(venv_backend="none", default=False)
def picture(session: nox.Session) -> None:
    """Draw a real run of the example on a terminal; writes docs/run.svg."""
    session.run("python", "-m", "tests.picture", external=True)


@nox.session(venv_backend="none", default=False)
def screenshot(session: nox.Session) -> None:
    """Take a picture of the report about real deployments; writes docs/report.webp."""
    session.run("python", "-m", "tests.screenshot", external=True)
