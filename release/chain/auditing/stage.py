"""The gate that asks a command for known vulnerabilities of the packages in the image."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from release.chain.auditing.findings import AuditReport, apply_audit_waivers, parse_audit_output
from release.chain.findings import join_first
from release.chain.installed.stage import InstalledChecked
from release.chain.stage_context import StageContext, evidence_bytes
from release.chain.tools import Toolset, install_tool_environment
from release.config import FILE, ROOT, Service
from release.errors import ConfigError, GateFailed, Problem, ReleaseError
from release.events import Warned
from release.parsing import jsontext
from release.programs.environment import BASIC
from release.programs.process import Command, Completed
from release.values import Struct

NAME: Final = "audit"
_SHOWN: Final = 5


class AuditPassed(Struct, frozen=True, kw_only=True):
    """Result of the gate `audit`: no known vulnerability stops the release."""

    evidence: bytes
    summary: str
    findings: tuple[str, ...] = ()
    """Vulnerabilities that did not stop the release, or the reason why nothing is known."""
    waivers: Mapping[str, str] = {}


class _AuditUnavailable(Exception):
    """Raised if the audit command gave no findings. Holds the reason and the last lines of output."""

    def __init__(self, reason: str, tail: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.tail = tail


def is_audit_configured(service: Service) -> bool:
    """Return whether `audit` has a command."""
    return service.audit.command is not None


def audit(ctx: StageContext) -> AuditPassed:
    """Run the audit command on the packages of the image. Raises GateFailed, ConfigError."""
    config, installed = ctx.plan.service.audit, ctx.products.find(InstalledChecked)
    if installed is None:
        message = 'it needs the list of packages: write installed.check = "warn" or "fail"'
        raise ConfigError(FILE, [Problem(path=f"{ROOT}.audit", message=message)])
    try:
        audited = _collect_audit_report(ctx, installed)
    except _AuditUnavailable as error:
        return _pass_without_audit(ctx, error)
    judged = apply_audit_waivers(audited.vulnerabilities, config.waivers, datetime.now(UTC).date())
    ctx.write_log(NAME, [*judged.open, *(f"not audited: {each}" for each in audited.skipped)])
    if judged.open and config.check == "fail":
        hint = "update it: nox -s refresh; or write audit.waivers.<id> with a reason, and the day it ends"
        raise GateFailed(NAME, join_first(judged.open, _SHOWN), hint, judged.open[_SHOWN:])
    if judged.open:
        ctx.emit(Warned(text=join_first(judged.open, _SHOWN)))
    seen = {"open": list(judged.open), "waivers": judged.waivers, "skipped": list(audited.skipped)}
    return AuditPassed(
        evidence=evidence_bytes(NAME, seen),
        summary=_summarize_audit(audited, len(judged.open), len(judged.waivers)),
        findings=(*judged.open, *(f"not audited: {each}" for each in audited.skipped)),
        waivers=judged.waivers,
    )


def _summarize_audit(audited: AuditReport, open_count: int, waived_count: int) -> str:
    parts = [
        f"{open_count} known vulnerabilities" if open_count else "no known vulnerability without a waiver"
    ]
    parts += [f"{waived_count} waived"] if waived_count else []
    parts += [f"{len(audited.skipped)} packages were not audited"] if audited.skipped else []
    return ", ".join(parts)


def _pass_without_audit(ctx: StageContext, error: _AuditUnavailable) -> AuditPassed:
    text = f"known vulnerabilities could not be looked up: {error}"
    if not ctx.plan.service.audit.allow_unchecked:
        hint = "run the command by hand, with the files of `{packages}` and `{sbom}`; or write "
        raise GateFailed(NAME, text, f"{hint}audit.allow_unchecked = true", error.tail)
    ctx.emit(Warned(text=f"{text}. audit.allow_unchecked lets it pass"))
    return AuditPassed(
        evidence=evidence_bytes(NAME, {"unchecked": str(error)}),
        summary="vulnerabilities were not looked up",
        findings=(f"not looked up: {error}",),
    )


def _collect_audit_report(ctx: StageContext, installed: InstalledChecked) -> AuditReport:
    """Run the audit command; return its output. Raises _AuditUnavailable."""
    with ctx.run_folder.temporary_folder(NAME) as folder:
        packages, sbom, output = (folder / name for name in ("packages.txt", "sbom.json", "output.json"))
        packages.write_text(to_requirements_file(installed.packages), encoding="utf-8")
        sbom.write_bytes(installed.sbom)
        places = {"packages": packages, "sbom": sbom, "output": output}
        done = _run_audit_command(ctx, folder, places)
        if not output.is_file():
            raise _AuditUnavailable(f"the command wrote no {{output}} (status {done.status})", done.tail)
        try:
            found = parse_audit_output(output.read_bytes())
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise _AuditUnavailable(f"its output cannot be read: {error}"[:300], done.tail) from error
    if done.status != 0 and not found.vulnerabilities:
        raise _AuditUnavailable(f"the command ended with status {done.status} and no findings", done.tail)
    listed = len(to_requirements_file(installed.packages).splitlines())
    if found.skipped and len(found.skipped) >= listed:  # as with an index that knows no vulnerabilities
        raise _AuditUnavailable(f"none of the {listed} packages was looked up: {found.skipped[0]}", done.tail)
    return found


def _run_audit_command(ctx: StageContext, folder: Path, paths: Mapping[str, Path]) -> Completed:
    config = ctx.plan.service.audit
    words = list(config.command or ())
    for name, place in paths.items():
        words = [word.replace(f"{{{name}}}", str(place)) for word in words]
    path = os.environ.get("PATH", os.defpath)
    if config.tools:
        tools = Toolset(stage=NAME, requirements=config.tools, pass_env=config.pass_env)
        try:
            path = f"{install_tool_environment(ctx, Path(sys.executable), tools)}{os.pathsep}{path}"
        except GateFailed as error:
            raise _AuditUnavailable(error.found, error.tail) from error
    program = shutil.which(words[0], path=path)
    if program is None:
        raise _AuditUnavailable(
            f"`{words[0]}` is not installed: add it to audit.tools with its exact version"
        )
    command = Command(
        argv=(program, *words[1:]),
        cwd=folder,
        env={"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        inherits=(*BASIC, *config.pass_env),
    )
    ctx.report_progress(NAME, shlex.join([words[0], *words[1:2]]))
    try:
        return ctx.execute(NAME, command, check=False)
    except ReleaseError as error:
        ctx.cancellation.check()
        raise _AuditUnavailable(error.found) from error


def to_requirements_file(packages: bytes) -> str:
    """Return the packages as a requirements file: each name and version once, sorted."""
    document: Any = jsontext.read(packages, jsontext.Bounds(size=8 * 1024 * 1024, depth=16))
    lines = {f"{row['name']}=={row['version']}" for row in document.get("packages", ())}
    return "".join(f"{line}\n" for line in sorted(lines))
