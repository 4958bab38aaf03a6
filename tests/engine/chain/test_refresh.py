"""`nox -s refresh`: an update of the lockfile as one commit, and nothing if a gate fails."""

from __future__ import annotations

from tests.engine.chain.conftest import Make
from tests.engine.chain.test_lockfiles import uv
from tests.engine.service import TEST


def test_an_update_is_one_commit_that_passed_all_gates(make: Make) -> None:
    """The branch moves only then; a second one finds nothing to update, and says that it looked."""
    service = make(files={"requirements.in": "six\n", "requirements.txt": "six==1.16.0\n"})
    uv(service.folder, "pip", "compile", "--quiet", "requirements.in", "-o", "requirements.txt")
    before = service.commit("feat: need it", {"test.py": "raise SystemExit(1)\n"})

    ran = service.nox("refresh")
    assert ran.status == 1, ran.all
    assert "the update is not taken over; to see it: git show " in ran.err
    assert service.git("rev-parse", "HEAD") == before
    assert service.git("status", "--porcelain") == ""

    before = service.commit("fix: pass the tests", {"test.py": TEST})
    ran = service.nox("refresh", "--", "--package", "six")
    assert ran.status == 0, ran.all
    assert "six" in ran.out
    assert "1.16.0" in ran.out
    assert service.git("rev-parse", "HEAD^") == before
    assert service.git("status", "--porcelain") == ""
    assert service.git("diff", "--name-only", "HEAD^", "HEAD") == "requirements.txt"
    message = service.git("log", "-1", "--format=%B")
    assert message.startswith("fix(deps): update 1 package\n\n- six 1.16.0 → ")
    assert message.endswith("Lock-Refreshed: requirements.txt")

    ran = service.nox("refresh")
    assert ran.status == 0, ran.all
    assert service.git("log", "-1", "--format=%s") == "chore(deps): look for updates"


def test_changed_files_are_not_mixed_with_an_update(make: Make) -> None:
    """They would not be in the commit, and the branch could not move."""
    service = make()
    (service.folder / "app.py").write_text("\n")
    ran = service.nox("refresh")
    assert ran.status == 2, ran.all
    assert "app.py is changed and not committed" in ran.err
