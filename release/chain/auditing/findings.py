"""Findings of an audit, read from the JSON of pip-audit, of OSV-Scanner, or of a plain list; and waivers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final

from packaging.utils import canonicalize_name

from release.chain.findings import JudgedFindings
from release.config import AuditWaiver
from release.parsing import jsontext
from release.values import Struct

_BOUNDS: Final = jsontext.Bounds(size=32 * 1024 * 1024, depth=32)


class Vulnerability(Struct, frozen=True, kw_only=True):
    """One known vulnerability of one package."""

    id: str
    package: str
    version: str
    fixed: tuple[str, ...] = ()
    """Versions of the package without the vulnerability."""
    aliases: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """Return the finding as "six 1.16.0 has GHSA-1234; fixed in 1.17.0"."""
        fixed = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no version is known to be without it"
        return f"{self.package} {self.version} has {self.id}; {fixed}"


class AuditReport(Struct, frozen=True, kw_only=True):
    """The findings that an audit command reported."""

    vulnerabilities: tuple[Vulnerability, ...]
    skipped: tuple[str, ...] = ()
    """Packages that were not looked up, with the reason."""


def parse_audit_output(content: bytes) -> AuditReport:
    """Return the findings in a document.

    Raises ValueError, LookupError, TypeError or AttributeError: unknown shape.
    """
    document = jsontext.read(content, _BOUNDS)
    if isinstance(document, list):
        return AuditReport(vulnerabilities=_sort_vulnerabilities(map(_vulnerability_from_row, document)))
    if "dependencies" in document:
        rows = document["dependencies"]
        skipped = tuple(f"{row['name']}: {row['skip_reason']}" for row in rows if "skip_reason" in row)
        return AuditReport(
            vulnerabilities=_sort_vulnerabilities(_vulnerabilities_from_pip_audit(rows)), skipped=skipped
        )
    return AuditReport(vulnerabilities=_sort_vulnerabilities(_vulnerabilities_from_osv(document["results"])))


def _sort_vulnerabilities(vulnerabilities: Iterable[Vulnerability]) -> tuple[Vulnerability, ...]:
    return tuple(sorted(vulnerabilities, key=lambda each: (each.package, each.id)))


def _vulnerability_from_row(row: Mapping[str, Any]) -> Vulnerability:
    return Vulnerability(
        id=str(row["id"]),
        package=canonicalize_name(row["package"]),
        version=str(row["version"]),
        fixed=tuple(map(str, row.get("fixed", ()))),
    )


def _vulnerabilities_from_pip_audit(rows: Iterable[Mapping[str, Any]]) -> Iterator[Vulnerability]:
    for row in rows:
        for each in row.get("vulns", ()):
            yield Vulnerability(
                id=str(each["id"]),
                package=canonicalize_name(row["name"]),
                version=str(row["version"]),
                fixed=tuple(map(str, each.get("fix_versions", ()))),
                aliases=frozenset(map(str, each.get("aliases", ()))),
            )


def _vulnerabilities_from_osv(results: Iterable[Mapping[str, Any]]) -> Iterator[Vulnerability]:
    for result in results:
        for row in result.get("packages", ()):
            for each in row.get("vulnerabilities", ()):
                yield Vulnerability(
                    id=str(each["id"]),
                    package=canonicalize_name(row["package"]["name"]),
                    version=str(row["package"]["version"]),
                    aliases=frozenset(map(str, each.get("aliases", ()))),
                )


def apply_audit_waivers(
    vulnerabilities: Iterable[Vulnerability], waivers: Mapping[str, AuditWaiver], today: date
) -> JudgedFindings:
    """Return the findings that no waiver covers today, and the waivers that count."""
    wrong: list[str] = []
    reasons: dict[str, str] = {}
    for each in vulnerabilities:
        names = [name for name in (each.id, *sorted(each.aliases)) if name in waivers]
        valid = [name for name in names if date.fromisoformat(waivers[name].until) >= today]
        if valid:
            waiver = waivers[valid[0]]
            reasons[each.id] = f"{waiver.reason} (until {waiver.until})"
        else:
            ended = f"; its waiver ended on {waivers[names[0]].until}" if names else ""
            wrong.append(f"{each}{ended}")
    return JudgedFindings(open=tuple(wrong), waivers=reasons)
