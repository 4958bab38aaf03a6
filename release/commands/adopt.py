"""`invoke adopt`: record what runs as the first deployment of an environment."""

from __future__ import annotations

from release.commands.command_line import CommandContext, require_confirmation
from release.deploy.execution.adopt import carry_out
from release.deploy.planning.adopt import AdoptionRequest, plan_adoption
from release.errors import LedgerUnreachable


def adopt(cmd: CommandContext) -> int:
    """Show what is taken over, ask, record it, and return the exit code."""
    options, console = cmd.options, cmd.console
    request = AdoptionRequest(
        name=options.name,
        version=options.as_version,
        left_out=tuple(filter(None, (text.strip() for text in (options.leave_out or "").split(",")))),
    )
    with cmd.open_workspace() as workspace, workspace.live(options.environment) as live:
        if not workspace.refresh():
            raise LedgerUnreachable(
                f"adopt what runs as {live.place}",
                "the git remote does not answer, so nothing can be recorded",
                "run the command again when the remote answers",
            )
        if workspace.ledger.unproven is not None:
            raise workspace.ledger.unproven
        plan = plan_adoption(live, request)
        console.mask_values(plan.settings.hidden)
        if options.plan:
            if options.json:
                console.print_json(plan.to_json())
            else:
                console.print_sheet(plan.title, plan.rows)
            return 0
        console.print_fields(plan.title, plan.rows)
        require_confirmation(cmd, plan.title)
        record = carry_out(plan, message=options.message)
        if options.json:
            console.print_json(record)
        else:
            image = plan.image.image
            console.print_result(
                f"{plan.live.place} {plan.body.version} {image.repository}@{image.digest} adopted"
            )
    return 0
