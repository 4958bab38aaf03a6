"""Options of all commands, each declared once: name, type, default and help.

invoke lists the tasks from these tables, so this module imports nothing else.
"""

from typing import Annotated, Final, NamedTuple

_RELEASE: Final = 'version, digest, commit, git tag, deployment id, previous, -2, or a time ("20:00", 2h)'


class CommandOptions(NamedTuple):
    """Options of one command. A field has its help, and its name as an option if that differs."""

    to: Annotated[str | None, f"release to deploy: {_RELEASE}"] = None
    target: Annotated[str | None, f"release: {_RELEASE}"] = None
    before: Annotated[str | None, f"one release: {_RELEASE}"] = None
    after: Annotated[str | None, "the other release"] = None
    service: Annotated[str | None, "service, if the repository has several"] = None
    services: Annotated[
        str | None, "several services of the repository, all or none, as api,worker-pool: in this order"
    ] = None
    group: Annotated[str | None, "the services of a group of the configuration, all or none"] = None
    environment: Annotated[str | None, "environment, if the service has several"] = None
    message: Annotated[str, "reason, for the record"] = ""
    yes: Annotated[bool, "do it without a question"] = False
    plan: Annotated[bool, "show the plan, and stop"] = False
    json: Annotated[bool, "print the result as JSON"] = False
    allow_quarantined: Annotated[bool, "accept a release that is quarantined; needs a message"] = False
    cross_migrations: Annotated[bool, "roll back although that leaves migrations behind"] = False
    down: Annotated[
        str | None,
        "state of the command that undoes migrations: done (it is skipped) or again (it runs once more)",
    ] = None
    up: Annotated[
        str | None,
        "state of the command that migrates the data: done (it is skipped)",
    ] = None
    wait: Annotated[str, "seconds to wait for the lock of another deployment"] = "0"
    break_lock: Annotated[bool, "take the lock from its holder; needs a message"] = False
    rebuild: Annotated[
        bool, "if no place has the image: build it from its record, and compare the digests"
    ] = False
    again: Annotated[bool, "replace the running container although it is as asked"] = False
    thaw: Annotated[bool, "end the freeze of the environment first; needs a message"] = False
    exit_code: Annotated[
        bool, "end with 1 if something differs from the ledger, or a deployment was interrupted"
    ] = False
    prometheus: Annotated[bool, "print the result in the text format of Prometheus"] = False
    limit: Annotated[str, "number of records; absent: 20"] = "20"
    since: Annotated[str | None, 'only records since a time: 2d, "yesterday 18:00", 2026-11-21'] = None
    evidence: Annotated[bool, "fetch and list the files that its gates wrote"] = False
    process: Annotated[str | None, "process, if the environment has several; absent: all"] = None
    follow: Annotated[bool, "go on with what is being written, until Ctrl-C"] = False
    lines: Annotated[str, 'last lines of each container, or "all"; absent: 100'] = "100"
    deployment: Annotated[str | None, "only the containers of this deployment, by its id"] = None
    failed: Annotated[bool, "output of the last deployment, if it failed"] = False
    timeout: Annotated[str, "time after which the command is stopped; absent: 1h"] = "1h"
    lift: Annotated[bool, "end the quarantine: the release may be deployed again"] = False
    finish: Annotated[bool, "finish the interrupted deployment"] = False
    revert: Annotated[bool, "restore the release that ran before"] = False
    for_: Annotated[str | None, "duration, as 2h; absent: until `invoke thaw`"] = None
    adopt: Annotated[str | None, "publish a refused event that you have checked: the name of its file"] = None
    last: Annotated[str | None, "number of releases of each environment; absent: `retention.releases`"] = None
    deep: Annotated[bool, "download or export every layer, and hash it"] = False
    record: Annotated[bool, "record the result in the ledger"] = False
    no_engine: Annotated[bool, "skip the questions to engines, if this machine reaches none"] = False
    secrets_elsewhere: Annotated[bool, "skip secrets that this machine cannot read"] = False
    rebuild_of: Annotated[
        str | None, f"instead: build this release from its record and compare: {_RELEASE}", "rebuild"
    ] = None
    keep: Annotated[
        bool, "with --rebuild: keep an image that is equal to the released one, for deployments"
    ] = False
    repair: Annotated[
        bool, "instead: add what releases lack after they were recorded: tags, index entries, events"
    ] = False
    ledger: Annotated[bool, "instead: prove the ledger, from its first commit"] = False
    on: Annotated[
        str | None, "environment whose engine is used; absent: `drill_on`, or else the environment itself"
    ] = None
    with_secrets: Annotated[bool, "use the real secrets instead of those of the smoke run"] = False
    with_networks: Annotated[bool, "join the environment's networks instead of a separate one only"] = False
    no_record: Annotated[bool, "do not record the drill"] = False
    last_copies: Annotated[bool, "remove also images of which no other copy exists"] = False
    from_: Annotated[
        str | None,
        "file to take settings over from: a compose file, a Procfile, or Kamal's config/deploy.yml",
    ] = None
    watch: Annotated[bool, "show it again whenever it changes, until Ctrl-C"] = False
    incident: Annotated[bool, "instead: print what happened since --since as Markdown, for a post-mortem"] = (
        False
    )
    output: Annotated[str | None, "file to write; absent: .release/report.html"] = None
    only: Annotated[str | None, "what to check: releases or deployments; absent: both"] = None
    check: Annotated[bool, "only show what is missing, and end with 1 if something is"] = False
    name: Annotated[str | None, "name of what runs; absent: it is found by name, port or image"] = None
    as_version: Annotated[
        str | None, "version to record the image as; absent: one that is made from its digest"
    ] = None
    leave_out: Annotated[
        str | None,
        "settings that a rollback need not restore, by the names of the error, as hostname,Ulimits",
    ] = None
    offline: Annotated[bool, "use what this clone knows, if the git remote does not answer"] = False


class Option(NamedTuple):
    """An option as invoke shows it. `field` is its field of `CommandOptions`."""

    field: str
    name: str
    default: str | bool | None
    help: str


class Command(NamedTuple):
    """Command: its help line, its options in order, and help texts that differ from the usual ones."""

    line: str
    names: str
    positional: tuple[str, ...] = ()
    help: dict[str, str] = {}  # noqa: RUF012 - nothing changes it

    def options(self) -> list[Option]:
        """Return the options in the order in which invoke gives them their short names."""
        return [_option(field, self.help) for field in (*self.names.split(), "json")]


def _option(field: str, help_of_command: dict[str, str]) -> Option:
    usual, *name = CommandOptions.__annotations__[field].__metadata__
    return Option(
        field=field,
        name=name[0] if name else field,
        default=CommandOptions._field_defaults[field],
        help=help_of_command.get(field, usual),
    )


_DEPLOYING: Final = (
    "to service environment message yes plan "
    "allow_quarantined cross_migrations down wait break_lock rebuild again"
)
_TOGETHER: Final = "services group"
_OPERATING: Final = "process message yes wait break_lock service environment"
_ALL: Final = {"environment": "only this environment; absent: all"}

COMMANDS: Final = {
    "deploy": Command(
        "Put a recorded release into an environment, with today's settings.",
        f"{_DEPLOYING} up thaw {_TOGETHER}",
    ),
    "rollback": Command(
        "Restore an earlier release, with the settings it ran with.",
        f"{_DEPLOYING} {_TOGETHER}",
        help={"to": f"release to go back to: {_RELEASE}; absent: the healthy release before this one"},
    ),
    "status": Command(
        "Show what runs, and how it differs from the ledger.",
        f"service environment exit_code watch {_TOGETHER}",
        help=_ALL | {"services": "these services, as api,worker-pool", "group": "the services of a group"},
    ),
    "history": Command(
        "List what was released, deployed and rolled back, newest first.",
        f"service environment limit since {_TOGETHER}",
        help={"services": "these services, as api,worker-pool", "group": "the services of a group"},
    ),
    "metrics": Command(
        "Compute deployment frequency, lead time, fail rate and more from the ledger.",
        "service environment since prometheus",
        help=_ALL
        | {"since": "beginning of the span, also compared with an equal span before it; absent: 90 days ago"},
    ),
    "show": Command("Show the record of one release.", "target service environment evidence", ("target",)),
    "diff": Command(
        "Show what changed from one release to another.",
        "before after service environment",
        ("before", "after"),
    ),
    "converge": Command(
        "Finish or revert an interrupted deployment, as after a laptop died.",
        "finish revert message yes plan break_lock service environment",
    ),
    "adopt": Command(
        "Record what another program started as the first deployment, so that a rollback can restore it.",
        "name as_version leave_out message yes plan service environment",
    ),
    "quarantine": Command(
        "Quarantine a release, so that no rollback chooses it.",
        "target message lift service environment",
        ("target",),
        help={"environment": "only in this environment; absent: everywhere"},
    ),
    "freeze": Command(
        "Refuse deployments to an environment; rollbacks still work.", "for_ message service environment"
    ),
    "thaw": Command("Accept deployments to an environment again.", "message service environment"),
    "sync": Command(
        "Publish deployment events that wait for the git remote, and fetch what others recorded.",
        "adopt service yes",
    ),
    "verify": Command(
        "Prove that a rollback to the last releases would work; or prove the ledger (--ledger).",
        "environment last deep record no_engine secrets_elsewhere "
        "rebuild_of keep repair yes plan ledger service",
        help=_ALL
        | {
            "yes": "with --repair: do it without a question",
            "plan": "with --repair: show the plan, and stop",
        },
    ),
    "drill": Command(
        "Start a release beside what runs, measure it and remove it, as a test of a rollback.",
        "to service environment on with_secrets with_networks no_record yes",
        help={"to": f"release to start: {_RELEASE}; absent: the target of `invoke rollback` without --to"},
    ),
    "prune": Command(
        "Remove images that no rollback needs any more from the engines.",
        "service environment last_copies offline yes plan",
        help={
            "environment": "only the engine of this environment; absent: all engines of the service",
        },
    ),
    "init": Command(
        "Set up a repository: write the files and settings that releases need.",
        "from_ check service yes",
        help={
            "service": "with --from: service of a compose file; absent: the one that is built and has ports",
            "yes": "write the files without a question",
        },
    ),
    "logs": Command(
        "Show the output of what runs, merged by time, or of the deployment that failed last.",
        "process follow since lines deployment failed service environment",
        help={"since": 'only lines since a time: 10m, "20:00", 2026-11-21; `lines` does not count then'},
    ),
    "report": Command(
        "Write one HTML file: what runs where, the timeline, each release, metrics.",
        "output since incident service",
        help={"since": 'beginning of the timeline, and of the metrics: 30d, "yesterday 18:00", 2026-11-21'},
    ),
    "run": Command(
        "Run a command in the image of the running release, with its settings and secrets: -- COMMAND.",
        "process message timeout wait break_lock service environment",
        help={"process": "process whose settings it has, if the environment has several"},
    ),
    "exec": Command(
        "Run a command in a container that serves: -- COMMAND.",
        "process message timeout wait break_lock service environment",
        help={"process": "process in whose container it runs, if the environment has several"},
    ),
    "restart": Command("Restart the containers that serve, one by one.", _OPERATING),
    "stop": Command("Stop the containers that serve, for maintenance.", _OPERATING),
    "start": Command("Start the containers that were stopped for maintenance.", _OPERATING),
    "doctor": Command(
        "Check everything that releases and deployments need, and show how to correct it.", "service only"
    ),
    "ledger_rebuild": Command(
        "Rebuild what the ledger lost: index entries, or all releases from their images.",
        "service yes plan",
    ),
    "ledger_checkpoint": Command(
        "Vouch with your signature for ledger commits that lack an allowed one.",
        "service message yes",
    ),
}
"""The invoke tasks, by the name of their function in release/commands."""
