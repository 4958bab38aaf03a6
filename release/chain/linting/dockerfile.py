"""Lint of the Dockerfile: hadolint if configured, and checks that hadolint does not have.

Sources: Dockerfile reference, "USER", "CMD"; the rules DL3002 and DL3025 of hadolint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from release.chain.building.dockerfile import DockerStage, Instruction, parse_stages
from release.chain.building.selection import ContextSelection, select_context_files
from release.chain.findings import JudgedFindings, join_first
from release.chain.linting.python import find_lint_python
from release.chain.stage_context import StageContext
from release.chain.tools import Toolset, install_tool_environment
from release.config import Service
from release.errors import GateFailed, ReleaseError
from release.events import Finding, Found, Warned
from release.parsing import jsontext
from release.programs.environment import BASIC
from release.programs.process import Command, run
from release.text.shortening import shortened

_SECRETS: Final = frozenset(
    {".env", ".netrc", ".npmrc", ".pypirc", ".pgpass", "id_rsa", "id_ecdsa", "id_ed25519", "credentials.json"}
)
"""Names of files that usually hold a secret."""
_COUNTED: Final = frozenset({"error", "warning"})
"""Levels of hadolint that count as findings; style hints are in the log only."""
_SHOWN: Final = 5


def lint_dockerfile(ctx: StageContext, tree: Path) -> JudgedFindings:
    """Check the Dockerfile in the committed tree. Raises GateFailed: findings, with "fail".

    Args:
        ctx: the stage context.
        tree: the committed files; hadolint reads its own configuration there.
    """
    config = ctx.plan.service.lint.dockerfile
    if config.check == "off":
        return JudgedFindings()
    try:
        chosen = select_context_files(ctx)
    except ReleaseError:  # the build says it
        return JudgedFindings()
    program = _find_hadolint(ctx) if config.hadolint is not None else None
    found = [*check_dockerfile(chosen, ctx.plan.service, alone=program is None)]
    if program is not None:
        found += _run_hadolint(ctx, program, tree / ctx.plan.service.context, chosen)
    counted = [each for each in sorted(found, key=_sort_key) if each.title not in config.waivers]
    used = {each.title for each in found} & config.waivers.keys()
    judged = JudgedFindings(
        open=tuple(_describe_finding(each) for each in counted),
        waivers={rule: config.waivers[rule] for rule in sorted(used)},
    )
    if counted:
        _report_dockerfile_findings(ctx, tuple(counted), judged)
    return judged


def _report_dockerfile_findings(
    ctx: StageContext, findings: tuple[Finding, ...], judged: JudgedFindings
) -> None:
    """Report the findings. Raises GateFailed."""
    ctx.write_log("lint", judged.open)
    text = join_first(judged.open, _SHOWN)
    if ctx.plan.service.lint.dockerfile.check == "fail":
        ctx.emit(Found(name="lint", findings=findings))
        hint = "correct the Dockerfile, or write lint.dockerfile.waivers.<rule> with a reason"
        raise GateFailed("lint", text, hint, judged.open[_SHOWN:])
    ctx.emit(Warned(text=text))


def _sort_key(finding: Finding) -> tuple[int, str]:
    return finding.line or 0, finding.title


def _describe_finding(finding: Finding) -> str:
    place = f"{finding.file}:{finding.line}" if finding.line is not None else finding.file
    return f"{place}: {finding.title}: {finding.message}"


# hadolint


def _find_hadolint(ctx: StageContext) -> Path | None:
    """Return the path of hadolint; None if it is not available. Raises GateFailed with "fail"."""
    config = ctx.plan.service.lint.dockerfile
    tools = Toolset(
        stage="lint", requirements=(config.hadolint or "",), pass_env=ctx.plan.service.lint.pass_env
    )
    try:
        program = install_tool_environment(ctx, find_lint_python(ctx).path, tools) / "hadolint"
        reason = "" if program.exists() else f"{config.hadolint} has no program of that name"
    except GateFailed as error:
        if config.check == "fail":
            raise
        program, reason = None, error.found
    if not reason:
        return program
    ctx.emit(
        Warned(text=f"hadolint is not run: {reason}. Only the library's own checks of the Dockerfile ran")
    )
    return None


def _run_hadolint(
    ctx: StageContext, program: Path, folder: Path, selection: ContextSelection
) -> Iterator[Finding]:
    """Return the findings of hadolint. Raises GateFailed: the output is not a list of findings."""
    file = ctx.plan.service.build.dockerfile
    (folder / file).write_bytes(selection.dockerfile)  # a link is followed as the build does
    argv = (str(program), "--no-color", "--no-fail", "--format", "json", file)
    said = run(Command(argv=argv, cwd=folder, inherits=BASIC), mask=ctx.mask, cancellation=ctx.cancellation)
    try:
        listed = jsontext.read(said.output[said.output.index("[") :])
        rows = [each for each in listed if each["level"] in _COUNTED]
        yield from [_finding_from_hadolint(ctx.plan.service, each) for each in rows]
    except (ValueError, KeyError, TypeError) as error:
        last = next(iter(said.tail), "")
        raise GateFailed(
            "lint", f"hadolint did not list its findings: {last}", f"run {program} {file}"
        ) from error


def _finding_from_hadolint(service: Service, row: Mapping[str, Any]) -> Finding:
    return Finding(
        file=_dockerfile_path(service),
        line=int(row["line"]),
        column=int(row["column"]),
        title=str(row["code"]),
        message=shortened(str(row["message"]), 300),
    )


# our own


def check_dockerfile(selection: ContextSelection, service: Service, *, alone: bool) -> Iterator[Finding]:
    """Yield findings that hadolint lacks; with `alone`, also findings of two of its rules.

    Args:
        chosen: the Dockerfile, its ignore file and the files of the build context.
        service: names the stage that is released.
        alone: True if hadolint is not run.
    """
    stages = parse_stages(selection.dockerfile.decode("utf-8", "replace"))
    file = _dockerfile_path(service)
    for stage in stages:
        for each in stage.instructions:
            if _copies_whole_context(each):
                yield from _find_unwanted_copies(selection, each, file)
    released = list(_released_instructions(stages, service))
    yield from _find_root_user(released, file, alone=alone)
    if alone:
        yield from _find_shell_form(released, file)


def _dockerfile_path(service: Service) -> str:
    return (PurePosixPath(service.context) / service.build.dockerfile).as_posix()


def _released_instructions(stages: tuple[DockerStage, ...], service: Service) -> Iterator[Instruction]:
    """Yield the instructions of the released stage and of its base stages, last first."""
    named = {stage.name: stage for stage in stages if stage.name}
    target = (service.build.target or "").lower()
    here = named.get(target) if target else (stages[-1] if stages else None)
    seen = set[str]()
    while here is not None and here.name not in seen:
        seen.add(here.name)
        yield from reversed(here.instructions)
        here = named.get(here.base)


def _copies_whole_context(instruction: Instruction) -> bool:
    words = [word for word in instruction.text.split() if not word.startswith("--")]
    is_local = "--from=" not in instruction.text
    return is_local and words[0].upper() in ("COPY", "ADD") and words[1:2] in (["."], ["./"], ['[".",'])


def _find_unwanted_copies(
    selection: ContextSelection, instruction: Instruction, file: str
) -> Iterator[Finding]:
    """Yield findings for a COPY of the whole context, which may contain unwanted files."""
    if selection.ignore is None:
        text = "this copies the whole context: name in a .dockerignore what the image does not need"
        yield Finding(file=file, line=instruction.line, title="no-ignore-file", message=text)
    secret = sorted(path for path in selection.included.files if PurePosixPath(path).name in _SECRETS)
    if secret:
        text = f"the image gets {', '.join(secret[:3])}: name it in .dockerignore, and use build.secrets"
        yield Finding(file=file, line=instruction.line, title="secret-file", message=text)


def _find_root_user(released: list[Instruction], file: str, *, alone: bool) -> Iterator[Finding]:
    users = [each for each in released if each.keyword == "USER"]
    if not users and released:
        text = "no USER: the service runs as the user of the base image, which is usually root"
        yield Finding(file=file, line=released[0].line, title="root-user", message=text)
    elif users and alone and _instruction_argument(users[0]).partition(":")[0] in ("root", "0"):
        yield Finding(file=file, line=users[0].line, title="root-user", message="the service runs as root")


def _find_shell_form(released: list[Instruction], file: str) -> Iterator[Finding]:
    for keyword in ("CMD", "ENTRYPOINT"):
        last = next((each for each in released if each.keyword == keyword), None)
        if last is not None and not _instruction_argument(last).startswith("["):
            text = (
                f'{keyword} in shell form: the shell is process 1 and keeps SIGTERM; write {keyword} ["..."]'
            )
            yield Finding(file=file, line=last.line, title="shell-form", message=text)


def _instruction_argument(instruction: Instruction) -> str:
    return instruction.text.partition(" ")[2].strip()
