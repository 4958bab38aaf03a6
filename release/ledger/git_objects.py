"""Git objects of the ledger: a commit for each append, a tag for each release."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from release.errors import LedgerError, LedgerUnsigned
from release.git.runner import Answer, Git
from release.ledger import layout
from release.ledger.index_reader import Reader
from release.ledger.signing import Signers, read_signatures
from release.ledger.tree import DURABLE
from release.ledger.verified_head import Memory
from release.records import Actor, Body, Deployment, Record, Release
from release.values import Struct

_NOT_IN_NAMES: Final = re.compile(r"[<>\x00-\x1f]")


class TagRequest(Struct, frozen=True, kw_only=True):
    """Git tag that is pushed together with a record."""

    name: str
    commit: str
    message: str


class Writer:
    """Writer of objects into one repository; it moves no reference."""

    def __init__(self, git: Git, name: str, *, sign: bool, signers: Signers | None, memory: Memory) -> None:
        """Keep the arguments; write nothing.

        Args:
            plumbing: the repository.
            name: name of the ledger, for messages.
            sign: True: git signs each commit, by the committer's own git settings.
            signers: allowed signers; commits without their signature are refused.
            memory: stores that the signing key is allowed, so that git is asked only once.
        """
        self._memory = memory
        self._plumbing = git
        self._name = name
        self._sign = sign
        self._signers = signers

    def commit(self, tree: str, parent: str | None, message: str, actor: Actor, seconds: int) -> str:
        """Write a commit and return its id. Raise LedgerError, LedgerUnsigned."""
        parents = ("-p", parent) if parent is not None else ()
        signature = "--gpg-sign" if self._sign else "--no-gpg-sign"
        commit = self._written(
            self._plumbing.run(
                *(*DURABLE, "-c", "i18n.commitEncoding=UTF-8", "commit-tree", signature, tree, *parents),
                stdin=message.encode(),
                env=_signature(actor, seconds),
            )
        )
        self.check_own_signature(commit)
        return commit

    def check_own_signature(self, commit: str) -> None:
        """Check that an allowed signer signed the new commit. Raise LedgerUnsigned."""
        if self._signers is None:
            return
        key = self._key
        if key and self._memory.knows_signer(key):
            return
        (signature,) = read_signatures(self._plumbing, self._signers, [commit])
        if not self._signers.allow(signature):
            raise LedgerUnsigned(
                f"append to the ledger {self._name} with your signature",
                self._signers.found(signature),
                "nothing was recorded; ask an allowed signer to add your key to "
                "`allowed_signers`, or set git's `user.signingKey` to a key that is there",
            )
        if key:
            self._memory.keep_signer(key)

    @cached_property
    def _key(self) -> str:
        """Return a hash of the ssh key and of git's signing settings; empty for other kinds of keys."""
        settings_text = self._plumbing.run(
            "config", "--get-regexp", r"^(user\.signingkey|gpg\.(format|ssh\..*))$"
        ).text
        settings = dict(line.partition(" ")[::2] for line in settings_text.splitlines())
        if settings.get("gpg.format") != "ssh" or "gpg.ssh.defaultkeycommand" in settings:
            return ""
        file = Path(settings.get("user.signingkey", "")).expanduser()
        try:
            public = file.with_name(f"{file.name.removesuffix('.pub')}.pub").read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""
        return hashlib.sha256(f"{settings_text}\n{public}".encode()).hexdigest()

    def tag(self, request: TagRequest, record: Record[Body]) -> str:
        """Write an annotated tag (git-mktag) and return its id; the same for the same record."""
        name, email = _names(record.envelope.actor)
        tagger = f"tagger {name} <{email}> {git_seconds(record.envelope.recorded_at)} +0000"
        head = [f"object {request.commit}", "type commit", f"tag {request.name}", tagger]
        content = "\n".join([*head, "", request.message.rstrip("\n"), ""])
        return self._written(self._plumbing.run(*DURABLE, "mktag", stdin=content.encode()))

    def _written(self, answer: Answer) -> str:
        if answer.status != 0:
            raise LedgerError(
                f"write to the ledger {self._name}",
                answer.words,
                "nothing was recorded; "
                + ("check that git can sign: git config --get-regexp 'gpg|signingkey'; then " * self._sign)
                + "check free space and permissions: df . && git fsck",
            )
        return answer.text


def commit_message(records: Sequence[Record[Body]], ledger: Reader) -> str:
    """Return a commit's message: a line for each record."""
    sentences = [_sentence(record, ledger) for record in records]
    if len(sentences) == 1:
        return f"{sentences[0]}\n"
    return "\n".join([f"{len(sentences)} records", "", *sentences, ""])


def _sentence(record: Record[Body], ledger: Reader) -> str:
    service, body = record.envelope.service, record.body
    if isinstance(body, Release):
        return f"{service} {body.version} released"
    if isinstance(body, Deployment):
        return f"{service} {_version(body, ledger)} → {body.environment}: {body.status}"
    return f"{service}: {record.envelope.kind}"


def _version(deployment: Deployment, ledger: Reader) -> str:
    """Return the version of the deployed release; its digest if the ledger lacks the release."""
    if ledger.read(layout.record_path(deployment.release)) is None:
        return deployment.digest[:19]
    release = ledger.record(deployment.release).body
    return release.version if isinstance(release, Release) else deployment.digest[:19]


def git_seconds(moment: str) -> int:
    """Return a record's time (RFC 3339) as whole seconds since 1970, as git stores it."""
    return int(datetime.fromisoformat(moment).timestamp())


def _names(actor: Actor) -> tuple[str, str]:
    """Return name and address in the form of git objects (git-commit-tree, "COMMIT INFORMATION")."""
    name, email = (_NOT_IN_NAMES.sub("", text).strip() for text in (actor.name, actor.email))
    return name or "unknown", email or "unknown"


def _signature(actor: Actor, seconds: int) -> dict[str, str]:
    """Return git's variables for the actor of the record, so that git does not use its settings."""
    name, email = _names(actor)
    return {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in {"NAME": name, "EMAIL": email, "DATE": f"@{seconds} +0000"}.items()
    }
