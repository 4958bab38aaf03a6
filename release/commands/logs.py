"""`invoke logs`: output of the running release, or of the last failed deployment."""

from __future__ import annotations

from collections.abc import Iterator

from release.commands.command_line import CommandContext, parse_whole_number
from release.deploy.core.operations import LogLine
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.inspection import output
from release.deploy.inspection.output import OutputRequest
from release.errors import Cancelled, UsageError
from release.events import Notice
from release.ledger import query
from release.text.control_characters import inert_line, json_text

_NO_LIMIT = "all"


def logs(cmd: CommandContext) -> int:
    """Print output lines with time, process and replica, and return the exit code."""
    options = cmd.options
    if options.failed and (options.follow or options.deployment is not None):
        raise UsageError(
            "show the output of the failed deployment", "it is over, and there is one", "use --failed alone"
        )
    with cmd.open_workspace() as workspace, workspace.live(options.environment) as live:
        asked = _parse_log_options(cmd)
        if refusal := live.target.operations.refusal("failed" if options.failed else "logs"):
            raise UsageError(f"show the output of {live.place}", refusal)
        cmd.console.mask_values(output.secrets(live))
        with cmd.interruption.held():
            try:
                for line in _read_log_lines(cmd, live, asked):
                    _print_log_line(cmd, live, line)
            except Cancelled:
                if not options.follow:
                    raise
    return 0


def _parse_log_options(cmd: CommandContext) -> OutputRequest:
    options, since = cmd.options, None
    if options.since is not None:
        moment = query.parse_since(options.since, query.Clock())
        cmd.console.emit(Notice(text=moment.explanation))
        since = moment.at
    last = None
    if options.lines != _NO_LIMIT and since is None:
        last = parse_whole_number(
            options.lines, f"show {options.lines!r} lines", "use --lines 500, or --lines all"
        )
    return OutputRequest(process=options.process, deployment=options.deployment, last=last, since=since)


def _read_log_lines(cmd: CommandContext, live: LiveEnvironment, asked: OutputRequest) -> Iterator[LogLine]:
    cancellation = cmd.interruption.cancellation
    if cmd.options.failed:
        found = live.target.operations.failed()
        if found is None:
            raise UsageError(
                f"show the output of the failed deployment to {live.place}",
                "nothing is kept: the last deployment did not fail, or nothing that it started wrote a line",
                f"`{live.place.command('logs')}` shows the output of what runs",
            )
        text = f"deployment {found.deployment} of {found.version} failed; its output:"
        cmd.console.emit(Notice(text=text))
        return output.of_failed(found, asked)
    if cmd.options.follow:
        return output.followed(live, asked, cancellation)
    return output.written(live, asked, cancellation)


def _print_log_line(cmd: CommandContext, live: LiveEnvironment, line: LogLine) -> None:
    source = line.source
    if cmd.options.json:
        entry = {
            "time": line.moment,
            "process": source.process,
            "replica": source.replica,
            "deployment": source.deployment,
            "text": line.text,
        }
        cmd.console.print_result(json_text(entry, indent=None, clean=cmd.console.mask))
    else:
        who = f"{source.process or live.place.service}.{source.replica}"
        cmd.console.print_result(inert_line(f"{line.moment[:23]:23} {who} | {line.text}"))
