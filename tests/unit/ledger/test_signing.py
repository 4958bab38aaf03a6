"""Signatures of the ledger: made by git, judged by git, asked for by settings."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.config import Ledger as Settings
from release.errors import LedgerError, LedgerUnproven
from release.git import runner
from release.git.source import Source
from release.ledger.opening import open_ledger
from release.ledger.signing import Signature, Signers
from release.ledger.store import Ledger
from tests.unit.ledger import intruder
from tests.unit.ledger.forge import BRANCH, forget, verified
from tests.unit.ledger.keys import SIGNERS, use
from tests.unit.ledger.samples import note
from tests.unit.repository import Repository


def ledger(repository: Repository, *, sign: bool = True) -> Ledger:
    return Ledger.open(Source.open(repository.root), branch="release-ledger", remote=None, sign=sign)


def kinds(repository: Repository, **settings: object) -> list[str]:
    report = verified(repository, **{"sign": True, "allowed_signers": SIGNERS, **settings})
    return [violation.kind for violation in report.violations]


def test_a_signed_ledger_is_clean(signed: Repository) -> None:
    """Every commit carries git's own signature, and git knows whose it is."""
    ledger(signed).append([note("a")])
    ledger(signed).append([note("b")])
    assert signed.git("cat-file", "commit", BRANCH).count("BEGIN SSH SIGNATURE") == 1
    assert kinds(signed) == []


def test_without_the_setting_nothing_is_signed(signed: Repository) -> None:
    """Also where the person signs their own commits."""
    signed.git("config", "commit.gpgSign", "true")
    ledger(signed, sign=False).append([note("a")])
    assert "gpgsig" not in signed.git("cat-file", "commit", BRANCH)


def test_an_unsigned_commit_is_named(signed: Repository) -> None:
    """After the first signed one, each that is not."""
    ledger(signed).append([note("a")])
    ledger(signed, sign=False).append([note("b")])
    ledger(signed).append([note("c")])
    report = verified(signed, sign=True, allowed_signers=SIGNERS)
    assert [(violation.kind, violation.commit) for violation in report.violations] == [
        ("unsigned", signed.git("rev-parse", f"{BRANCH}~1"))
    ]


def test_an_unknown_signer_is_named(signed: Repository, keys: Path) -> None:
    """Eve's key is a good key, and not one of ours."""
    ledger(signed).append([note("a")])
    use(signed, keys / "eve")
    ledger(signed).append([note("b")])
    (violation,) = verified(signed, sign=True, allowed_signers=SIGNERS).violations
    assert (violation.kind, violation.commit) == ("unknown-signer", signed.git("rev-parse", BRANCH))
    assert SIGNERS in violation.found


def test_a_signature_of_another_commit_is_named(signed: Repository) -> None:
    """The signed text is not that of the commit."""
    ledger(signed).append([note("a")])
    content = signed.git("cat-file", "commit", BRANCH) + "\n"
    forged = signed.git(
        "hash-object", "-t", "commit", "-w", "--stdin", stdin=content.replace("note", "nose").encode()
    )
    signed.git("update-ref", BRANCH, forged)
    forget(signed)
    assert kinds(signed) == ["bad-signature"]


def test_commits_before_signing_began_are_counted_and_not_blamed(signed: Repository) -> None:
    """A ledger may begin to sign one day; with `require_signed` all of it must be signed."""
    ledger(signed, sign=False).append([note("a")])
    ledger(signed).append([note("b")])
    report = verified(signed, sign=True, allowed_signers=SIGNERS)
    assert (report.violations, len(report.unchecked)) == ((), 1)
    assert kinds(signed, require_signed=True) == ["unsigned"]


def test_a_ledger_that_nobody_signed_is_named_commit_by_commit(signed: Repository) -> None:
    """Where the settings speak of signatures."""
    for text in "ab":
        ledger(signed, sign=False).append([note(text)])
    assert kinds(signed) == ["unsigned", "unsigned"]


def test_where_the_settings_say_nothing_signatures_are_not_looked_at(signed: Repository) -> None:
    """An unsigned ledger is the ordinary case."""
    ledger(signed, sign=False).append([note("a")])
    assert verified(signed).violations == ()


@pytest.mark.attack(
    "an unsigned commit of the ledger has a message of 200 MB",
    "`verify --ledger` names the commit as damaged and goes on; other commands stop before it",
)
def test_an_oversized_commit_is_named_and_the_rest_is_proved(
    signed: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit cannot be read whole, so nobody knows whether it is signed."""
    ledger(signed).append([note("a")])
    tip = signed.git("rev-parse", BRANCH)
    message = ("x" * 70 + "\n") * 60
    large = signed.git("commit-tree", "-p", tip, "-F", "-", f"{tip}^{{tree}}", stdin=message.encode())
    signed.git("update-ref", BRANCH, large)
    small = intruder.commit(signed, {"format": None})
    monkeypatch.setattr(runner, "LARGEST_OBJECT", 4000)
    report = verified(signed, sign=True, allowed_signers=SIGNERS)
    found = {(each.kind, each.commit) for each in report.violations}
    assert {("damaged", large), ("no-records", large), ("deleted", small), ("unsigned", small)} <= found
    assert report.commits == 3
    (damaged,) = [each for each in report.violations if each.kind == "damaged"]
    assert "bytes; the limit is 4000" in damaged.found
    settings = Settings.model_validate({"allowed_signers": SIGNERS, "require_signed": True})
    opened = open_ledger(Source.open(signed.root), settings, ["api"], lambda _: None, lambda _: None)
    opened.refresh()
    assert isinstance(opened.unproven, LedgerUnproven)
    assert large in str(opened.unproven)


def test_a_missing_list_of_signers_is_an_error(signed: Repository) -> None:
    """It says what a line of it looks like."""
    (signed.root / SIGNERS).unlink()
    with pytest.raises(LedgerError, match="file does not exist"):
        verified(signed, allowed_signers=SIGNERS)


def test_without_a_list_an_ssh_signature_cannot_be_checked(signed: Repository) -> None:
    """Git answers as if there were none; the signature is there all the same."""
    ledger(signed).append([note("a")])
    (violation,) = verified(signed, sign=True).violations
    assert (violation.kind, violation.found) == (
        "unknown-signer",
        "git on this machine cannot check this kind of signature",
    )


def test_a_key_that_cannot_be_used_stops_the_append(signed: Repository) -> None:
    """Nothing is recorded without its signature."""
    signed.git("config", "user.signingKey", "/nowhere/key")
    with pytest.raises(LedgerError) as raised:
        ledger(signed).append([note("a")])
    assert "signingkey" in raised.value.hint
    assert BRANCH not in signed.refs()


# gpg


@pytest.fixture
def keyring(
    monkeypatch: pytest.MonkeyPatch, here: Repository, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A gpg home with Ada's key, which git signs with."""
    home = tmp_path_factory.mktemp("g")
    home.chmod(0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    words = (
        "gpg",
        "--batch",
        "--quiet",
        "--passphrase",
        "",
        "--quick-gen-key",
        "Ada <ada@example.org>",
        "ed25519",
    )
    subprocess.run((*words, "sign"), check=True, capture_output=True)
    here.git("config", "gpg.format", "openpgp")
    here.git("config", "user.signingKey", "ada@example.org")
    yield home
    subprocess.run(("gpgconf", "--homedir", str(home), "--kill", "all"), check=True)


def test_a_gpg_signature_counts_when_its_key_is_in_the_keyring(here: Repository, keyring: Path) -> None:
    """Without a file of ssh keys the keyring is the list; gpg's own trust in the key does not matter."""
    ledger(here).append([note("a")])
    assert "BEGIN PGP SIGNATURE" in here.git("cat-file", "commit", BRANCH)
    assert verified(here, require_signed=True).violations == ()


def test_a_gpg_signature_of_a_key_that_is_not_in_the_keyring_is_named(
    here: Repository, keyring: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine that was never given the key."""
    ledger(here).append([note("a")])
    empty = tmp_path_factory.mktemp("e")
    empty.chmod(0o700)
    monkeypatch.setenv("GNUPGHOME", str(empty))
    (violation,) = verified(here, sign=True).violations
    assert (violation.kind, violation.found.partition(":")[0]) == (
        "unknown-signer",
        "this machine cannot check the signature",
    )


def test_a_gpg_signature_does_not_count_where_ssh_keys_are_listed(here: Repository, keyring: Path) -> None:
    """The file names everybody who may sign."""
    ledger(here).append([note("a")])
    here.write(SIGNERS, "")
    assert kinds(here) == ["unknown-signer"]


@pytest.mark.parametrize("letter", ["B", "E", "N", "R", "U", "X", "Y", "?"])
def test_only_good_signatures_are_allowed(letter: str) -> None:
    """Each other one is told in words."""
    signature, signers = Signature.parse(f"{letter}|SHA256:abc"), Signers(file=Path("signers"))
    assert not signers.allow(signature)
    assert signers.found(signature)
