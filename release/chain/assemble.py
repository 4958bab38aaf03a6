"""Open one service at a commit: repository, configuration and ledger become a plan and a stage context."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from semver import Version

from release import config
from release.actor import ci_system, current_actor, run_url
from release.chain.building.dockerfile import refuse_release_of_test_stage
from release.chain.linting.default import with_default_lint
from release.chain.plan import (
    Facts,
    Options,
    Plan,
    describe_changes,
    find_release_of_commit,
    make_gates_plan,
    make_plan,
    refuse_other_tags,
)
from release.chain.release_folder import HOME, refuse_committed_release_folder
from release.chain.reports import ReportFolder
from release.chain.run_folder import RunFolder
from release.chain.smoking.caution import untested_commands_warning
from release.chain.stage_context import Purpose, StageContext
from release.chain.uncommitted import suggest_committing_configuration
from release.config import Config, Service
from release.errors import LedgerUnreachable, SourceError, UsageError
from release.events import Emit, Notice, Warned
from release.git.commit_files import read_linked
from release.git.history import deepen, is_shallow, last_version
from release.git.source import Commit, Source
from release.git.tag_forms import loose_tags, version_tag_patterns
from release.git.tags import VersionTag, all_tags, by_version
from release.git.working_copy import changed_files, untracked_files
from release.images.engine import Engine
from release.images.trust import trust_certificates
from release.ledger import query
from release.ledger.opening import home, open_ledger
from release.ledger.store import Ledger
from release.programs.cancellation import Cancellation
from release.records import Record, Release, Run
from release.secrets.redact import Mask
from release.values import Struct, field, replace
from release.versioning.unreleased_commits import messages_since, stands_on_own_line
from release.versioning.version import Request, tag_prefix


class Project(Struct, frozen=True, kw_only=True, dict=True):
    """One service of a repository at one commit, ready to be planned."""

    source: Source
    service: Service
    services: frozenset[str]
    """Names of all services of the configuration."""
    several: bool
    commit: Commit
    emit: Emit
    mask: Mask = field(default_factory=Mask)
    """Takes secrets out of what a run writes."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    """Tells whether this is a CI job."""
    new_ledger: bool = False
    """True: a ledger may begin, though git tags name releases of another one."""

    @classmethod
    def open(cls, folder: Path, service: str | None, emit: Emit, mask: Mask | None = None) -> Project:
        """Read the configuration out of the commit.

        Raises SourceError, also for a commit that contains `.release/`; ConfigError, UsageError.
        """
        source = Source.open(folder)
        commit = source.head()
        refuse_committed_release_folder(source, commit.id)
        with suggest_committing_configuration(source, committed_file_reader(source, commit)):
            configured = read_committed_config(source, commit)
        chosen = configured.service(service)
        if chosen.registry_ca is not None:
            trust_certificates(chosen.repository.host, source.root / chosen.registry_ca)
        return cls(
            source=source,
            service=chosen,
            services=frozenset(configured.services),
            several=configured.several,
            commit=commit,
            emit=emit,
            mask=mask or Mask(),
        )

    @cached_property
    def ledger(self) -> Ledger:
        """Return the ledger, read from this clone."""
        settings = self.service.ledger
        return open_ledger(
            self.source,
            settings,
            self.services,
            self._notify,
            self._warn,
            anew=self.new_ledger,
            in_ci=ci_system(self.environ) is not None,
        )

    def _notify(self, text: str) -> None:
        self.emit(Notice(text=text))

    def _warn(self, text: str) -> None:
        self.emit(Warned(text=text))

    def read_facts(self, options: Options) -> Facts:
        """Read everything that a plan is made from."""
        prefix, remote = tag_prefix(self.service.service, several=self.several), self.service.ledger.remote
        commits = all_tags(self.source, *version_tag_patterns(prefix, self.service.service), remote=remote)
        self._deepen_shallow_clone(options)
        exact, others = by_version(commits, prefix), loose_tags(commits, prefix, self.service.service)
        facts = Facts(
            commit=self.commit,
            changed=changed_files(self.source),
            tags=(),
            last=None,
            messages=(),
            released_versions=query.versions(self.ledger, self.service.service),
            release_of_commit=query.release_of_commit(self.ledger, self.service.service, self.commit.id),
            remote_url=self.source.remote_url(remote or "origin"),
            prefix=prefix,
        )
        if self.service.tags == "loose" or not others:
            return self._add_commits_since_tag(facts, (*exact, *others))
        loosely = self._add_commits_since_tag(facts, (*exact, *others)) if self.service.tags is None else None
        return replace(self._add_commits_since_tag(facts, exact), facts_with_loose_tags=loosely)

    def _add_commits_since_tag(self, facts: Facts, tags: tuple[VersionTag, ...]) -> Facts:
        """Return the facts with the commits since the newest of these tags that the commit contains."""
        last = last_version(self.source, self.commit.id, tags)
        since = last.commit if last is not None else None
        named = {str(tag.version) for tag in tags}
        untagged = (Version.parse(text) for text in facts.released_versions if text not in named)
        known = last is not None and all(version <= last.version for version in untagged)
        return replace(
            facts,
            tags=tags,
            last=last,
            messages=messages_since(self.source, self.commit.id, since=since, paths=self.service.paths),
            own_line=known
            and stands_on_own_line(self.source, self.commit.id, last, tags, self.service.ledger.remote),
        )

    def report_commit_messages(self, facts: Facts, options: Options) -> None:
        """Report how the commit messages were read, if the commit messages choose the version."""
        if options.request != Request() or (facts.last is None and not facts.tags):
            return
        for text in facts.message_reading.warnings:
            self.emit(Warned(text=text))
        for text in facts.message_reading.notices:
            self.emit(Notice(text=text))

    def _deepen_shallow_clone(self, options: Options) -> None:
        """Deepen a shallow clone, as CI makes, if the version is chosen from commit messages."""
        if options.request.version is None and is_shallow(self.source):
            remote = self.service.ledger.remote or "origin"
            self.emit(Notice(text=f"this clone is shallow: fetching its history and tags from {remote}"))
            deepen(self.source, remote)

    def refresh_ledger(self) -> None:
        """Bring the ledger up to date. A release needs the remote: the next version stands there.

        Raises:
            LedgerUnreachable: the remote does not answer.
            LedgerError: git fetches from one repository and pushes to another.
            LedgerUnproven: a commit of the ledger breaks its rules.
            LedgerMissing: the branch of an earlier ledger does not exist.
        """
        self.ledger.check_address()
        self.ledger.refresh()
        if self.ledger.silence is not None:
            remote = self.service.ledger.remote
            raise LedgerUnreachable(
                f"read the ledger on {remote}",
                f"the git remote does not answer ({self.ledger.silence.found})",
                "a release needs the remote, so that two runs cannot take one version; run it "
                "again when the remote answers",
            )
        if self.ledger.unproven is not None:
            raise self.ledger.unproven
        if self.ledger.head is None:
            settings = self.service.ledger
            own = home(self.source, settings, self.services, anew=self.new_ledger)
            own.check_beginning(str(self.ledger))

    def released(self, facts: Facts, options: Options) -> Record[Release] | None:
        """Return the release of this commit; None if the commit is not released. Raises VersionTaken."""
        return find_release_of_commit(facts, options)

    def plan_release(self, facts: Facts, options: Options) -> Plan:
        """Return the plan of a release. Raises SourceError, NothingToRelease, VersionTaken."""
        self._warn_about_untracked_files()
        self._warn_about_untested_commands()
        self._refuse_release_of_test_stage()
        return make_plan(self._service_with_lint(), facts, options, several=self.several)

    def plan_gates(self, facts: Facts, options: Options) -> Plan:
        """Return the plan of a run that releases nothing."""
        if facts.changed:
            self.emit(
                Warned(text=f"{describe_changes(facts.changed)}; this run uses the committed files only")
            )
        self._warn_about_untested_commands()
        try:
            refuse_other_tags(facts, options)
        except UsageError as error:
            self.emit(Warned(text=f"a release would be refused: {error.found}; {error.hint}"))
        return make_gates_plan(self._service_with_lint(), facts, options, several=self.several)

    def _service_with_lint(self) -> Service:
        return with_default_lint(self.service, self.source, self.commit.id)

    def _refuse_release_of_test_stage(self) -> None:
        """Refuse to release the tests' own stage, before anything is built. Raises ConfigError."""
        path = Path(self.service.context) / self.service.build.dockerfile
        dockerfile = read_linked(self.source, self.commit.id, path.as_posix())
        if dockerfile is not None:
            refuse_release_of_test_stage(dockerfile.decode("utf-8", "replace"), self.service)

    def _warn_about_untracked_files(self) -> None:
        strangers = untracked_files(self.source, self.service.context)
        if strangers:
            shown = ", ".join(strangers[:3]) + (", …" if len(strangers) > 3 else "")
            self.emit(Warned(text=f"untracked files, so the release does not contain them: {shown}"))

    def _warn_about_untested_commands(self) -> None:
        if said := untested_commands_warning(self.service):
            self.emit(Warned(text=said))

    @property
    def reports(self) -> ReportFolder:
        """Return the reports that runs write for other programs."""
        return ReportFolder(path=self.source.root / HOME / "reports" / self.service.service)

    def create_context(
        self,
        plan: Plan,
        environ: Mapping[str, str] = os.environ,
        *,
        purpose: Purpose = "other",
        reusable: frozenset[str] = frozenset(),
        cancellation: Cancellation | None = None,
    ) -> StageContext:
        """Return the stage context that runs the plan.

        Args:
            plan: the plan to run.
            environ: variables that identify the CI job.
            purpose: decides which build caches are read and written.
            reusable: names of stages that may use a cached result.
            cancellation: stops the stages from outside.
        """
        folder = RunFolder.create(self.source.root)
        folder.write_json("plan.json", plan.to_json())
        return StageContext(
            plan=plan,
            source=self.source,
            run_folder=folder,
            actor=current_actor(self.source.identity(), environ),
            run=Run(id=folder.id, url=run_url(environ)),
            emit=self.emit,
            open_engine=Engine.connect,
            open_ledger=lambda: self.ledger,
            environ=environ,
            mask=self.mask,
            cancellation=cancellation or Cancellation(),
            purpose=purpose,
            reusable=reusable,
        )


def committed_file_reader(source: Source, commit: Commit) -> Callable[[str], bytes | None]:
    """Return a function that reads files of the commit by their paths."""
    return lambda name: read_linked(source, commit.id, name)


def read_committed_config(source: Source, commit: Commit) -> Config:
    """Return the configuration of the commit, not of the working copy: a release holds committed files."""
    read = committed_file_reader(source, commit)
    if read(config.FILE) is None and read(config.OWN_FILE) is None:
        raise SourceError(
            f"read the configuration of commit {commit.id[:12]}",
            f"the commit has neither {config.OWN_FILE} nor {config.FILE}",
            f"commit a {config.FILE} with a [{config.ROOT}] table, or a {config.OWN_FILE} with its tables",
        )
    return config.read(read)
