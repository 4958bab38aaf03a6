"""The gate that compares the packages in the built image with the lockfile, without running the image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final

from packaging.utils import canonicalize_name

from release.chain.building.selection import read_committed_dockerfile
from release.chain.building.stage import BuiltImage
from release.chain.findings import join_first
from release.chain.installed.comparing import ComparisonResult, ImageComparison, PackageDifference
from release.chain.installed.contents import ImagePackages, environment_of, is_pypy, merge_layers, python_of
from release.chain.installed.leaks import needles_of, refuse_leaks
from release.chain.installed.listing import package_list_document
from release.chain.installed.locked import select_locked_packages
from release.chain.installed.origins import LayerOrigin, find_layer_origins
from release.chain.installed.reading import ImageScan, UnreadableImage, path_folders, scan_image_layers
from release.chain.installed.sbom import create_sbom
from release.chain.installed.target import LockfileNotEvaluated, PythonTarget
from release.chain.lockgate.damaged import ANY_TROUBLE
from release.chain.lockgate.gate import read_committed_lockfile, service_file_reader
from release.chain.plan import SOURCE_DATE_EPOCH
from release.chain.stage_context import StageContext, evidence_bytes
from release.config import Service
from release.errors import GateFailed
from release.events import Warned
from release.images.imageconfig import own_layers
from release.parsing import tomltext
from release.records import LockFile
from release.text.control_characters import json_text
from release.values import Struct

NAME: Final = "installed"
_SHOWN: Final = 3
_ALLOW: Final = 'or write installed.allow_unchecked = true, or installed.check = "off"'


class InstalledChecked(Struct, frozen=True, kw_only=True):
    """Result of the gate: packages of the image, compared with the lockfile."""

    packages: bytes
    """List of packages as JSON; the evidence of the gate."""
    summary: str
    sbom: bytes = b""
    """The list as CycloneDX; empty if nothing was compared."""
    findings: tuple[str, ...] = ()
    """Differences that did not stop the release, or the reason of a failed comparison."""
    waivers: Mapping[str, str] = {}

    @property
    def evidence(self) -> bytes:
        """Return the list of packages."""
        return self.packages


def read_lockfile(ctx: StageContext) -> LockFile:
    """Return the committed lockfile; the lock gate judges it. Raises GateFailed."""
    found = ctx.shared_values.get_or_compute(
        "lockfile", lambda: read_committed_lockfile(ctx.source, ctx.plan.commit.id, ctx.plan.service)
    )
    if found is None:
        raise GateFailed(
            NAME, "the commit has no lockfile that can be read", "run `nox -s lock`, which shows the reason"
        )
    return found


def is_installed_gate_on(service: Service) -> bool:
    """Return whether the gate is on."""
    return service.installed.check != "off"


def check_installed_packages(ctx: StageContext) -> InstalledChecked:
    """Compare the image with the lockfile.

    Raises GateFailed: they differ or cannot be compared, or a layer holds a secret.
    """
    try:
        scan = scan_image_layers(ctx, ctx.products.get(BuiltImage).reference, needles_of(ctx))
        made = _layer_origins(ctx, scan)
        refuse_leaks(ctx, scan.layers, made)
        found = _ScannedImage.of(ctx, scan, made)
        compared = found.compare(ctx)
    except UnreadableImage as error:
        return _pass_without_check(ctx, str(error), "build the image again with: -- --no-cache")
    except LockfileNotEvaluated as error:
        hint = "say what the image has: installed.groups, installed.environments"
        return _pass_without_check(ctx, str(error), hint)
    except ANY_TROUBLE as error:
        reason = f"the lockfile cannot be read: {error}"[:300]
        return _pass_without_check(ctx, reason, "make the lockfile again")
    _refuse_open_differences(ctx, compared)
    return _build_result(ctx, found, compared)


class _ScannedImage(Struct, frozen=True, kw_only=True):
    """Packages and Python of the compared image."""

    contents: ImagePackages
    origins: tuple[LayerOrigin, ...]
    folders: tuple[str, ...]
    target: PythonTarget | None
    """Python and platform of the image; None without a Python."""

    @classmethod
    def of(cls, ctx: StageContext, scan: ImageScan, made: tuple[LayerOrigin, ...]) -> _ScannedImage:
        """Apply the layers. Raises LockfileNotEvaluated: the image has packages for several Pythons."""
        found = merge_layers(scan.layers, path_folders(scan.config))
        folders = _compared_folders(found, made, ctx.plan.service.installed.environments)
        target = _choose_python_target(ctx, found, folders, scan)
        return cls(contents=found, origins=made, folders=folders, target=target)

    def compare(self, ctx: StageContext) -> ComparisonResult:
        """Return the differences from the lockfile. Raises LockfileNotEvaluated."""
        lock = read_lockfile(ctx)
        wanted = select_locked_packages(ctx, lock, self.target)
        if wanted.required and not self.contents.packages:
            raise LockfileNotEvaluated(
                "no installed packages were found in the image: are they packed into one file?"
            )
        comparison = ImageComparison(
            contents=self.contents,
            origins=self.origins,
            folders=self.folders,
            wanted=wanted,
            target=self.target or PythonTarget(python="3", exact_version=None, platform=_image_platform(ctx)),
            own_names=_own_project_names(ctx),
            waivers=ctx.plan.service.installed.waivers,
        )
        return comparison.compare()


def _layer_origins(ctx: StageContext, scan: ImageScan) -> tuple[LayerOrigin, ...]:
    """Return the Dockerfile line of each layer."""
    text = read_committed_dockerfile(ctx.source, ctx.plan).decode("utf-8", "replace")
    own, target = own_layers(scan.config_bytes, SOURCE_DATE_EPOCH), ctx.plan.service.build.target
    return find_layer_origins(scan.history, text, target, own)


def _compared_folders(
    found: ImagePackages, made: tuple[LayerOrigin, ...], named: Iterable[str]
) -> tuple[str, ...]:
    """Return the compared package folders."""
    wanted = {name.strip("/") for name in named}
    if wanted:
        return tuple(each for each in found.folders if each in wanted or environment_of(each) in wanted)
    own = (
        each.folder
        for each in found.packages
        if not each.is_bundled and not (each.layer < len(made) and made[each.layer].is_base)
    )
    return tuple(dict.fromkeys(own))


def _choose_python_target(
    ctx: StageContext, found: ImagePackages, folders: tuple[str, ...], scan: ImageScan
) -> PythonTarget | None:
    """Return the Python of the compared packages; else the only Python of the image."""
    named = (python_of(folder) or found.pythons.get(environment_of(folder)) for folder in folders)
    pythons = {python for python in named if python is not None} or set(found.pythons.values())
    if len(pythons) > 1:
        names = ", ".join(sorted(pythons))
        raise LockfileNotEvaluated(f"the image has packages for the Pythons {names}")
    if not pythons:
        return None
    python = pythons.pop()
    exact = found.exact.get(python) or _python_version_variable(scan, "PYTHON_VERSION", python)
    return PythonTarget(
        python=python,
        exact_version=exact,
        platform=_image_platform(ctx),
        is_pypy=any(is_pypy(each) for each in folders),
    )


def _python_version_variable(scan: ImageScan, name: str, python: str) -> str | None:
    variables = (scan.config.get("config") or {}).get("Env") or ()
    value = dict(str(each).partition("=")[::2] for each in variables).get(name, "")
    return value if re.fullmatch(rf"{re.escape(python)}\.\d+", value) else None


def _image_platform(ctx: StageContext) -> str:
    return ctx.plan.service.build.platform or ctx.engine.info.platform


def _own_project_names(ctx: StageContext) -> frozenset[str]:
    """Return the names of the commit's own projects."""
    read = service_file_reader(ctx.source, ctx.plan.commit.id, ctx.plan.service)
    files = ctx.source.listing(ctx.plan.commit.id, ctx.plan.service.context)
    found: set[str] = set()
    for path in files:
        if PurePosixPath(path).name == "pyproject.toml":
            try:
                document = tomltext.read(read(path) or b"")
            except ValueError:
                continue
            tables = (document.get("project"), document.get("tool", {}).get("poetry"))
            names = (table.get("name") for table in tables if isinstance(table, dict))
            found |= {canonicalize_name(name) for name in names if isinstance(name, str)}
    return frozenset(found)


def _refuse_open_differences(ctx: StageContext, compared: ComparisonResult) -> None:
    """Refuse differences without a waiver, if the settings say so. Raises GateFailed."""
    wrong = compared.open_differences
    if not wrong:
        return
    texts = tuple(each.text for each in wrong)
    text = f"the image does not have what {read_lockfile(ctx).path} locks: {join_first(texts, _SHOWN)}"
    ctx.write_log(NAME, texts)
    if ctx.plan.service.installed.check == "fail":
        raise GateFailed(NAME, text, _hint_for_differences(wrong), texts[_SHOWN:])
    ctx.emit(Warned(text=f'{text}. installed.check = "fail" makes this an error'))


def _hint_for_differences(wrong: tuple[PackageDifference, ...]) -> str:
    first = wrong[0]
    ways = {
        "missing": "let the Dockerfile install it from the lockfile, or say what it has: installed.groups",
        "different": "install it from the lockfile alone, in the last step that installs packages",
        "extra": "lock it, or leave it out of the Dockerfile",
    }
    return f'{ways[first.kind]}; or write a reason: installed.waivers = {{ {first.name} = "..." }}'


def _pass_without_check(ctx: StageContext, reason: str, hint: str) -> InstalledChecked:
    """Return the result for an image that could not be compared. Raises GateFailed if that is not allowed."""
    config, lock = ctx.plan.service.installed, read_lockfile(ctx)
    text = f"the packages of the image could not be compared with {lock.path}: {reason}"
    if config.check == "fail" and not config.allow_unchecked:
        raise GateFailed(NAME, text, f"{hint}; {_ALLOW}")
    ctx.emit(Warned(text=text))
    return InstalledChecked(
        packages=evidence_bytes(NAME, {"unchecked": reason}),
        summary="the packages were not compared",
        findings=(f"not compared: {reason}",),
    )


def _build_result(ctx: StageContext, found: _ScannedImage, compared: ComparisonResult) -> InstalledChecked:
    lock, image = read_lockfile(ctx), ctx.products.get(BuiltImage).stored_image
    document = package_list_document(image.id.text, found.target, found.folders, compared, found.contents)
    ctx.run_folder.write_json("packages.json", document)
    wrong, locked = compared.open_differences, sum(each.part == "locked" for each in compared.packages)
    waived = f", {len(compared.waivers)} waived" if compared.waivers else ""
    differ = f"{len(wrong)} differ from {lock.path}" if wrong else f"as {lock.path} locks them"
    return InstalledChecked(
        packages=(json_text(document) + "\n").encode(),
        summary=f"{locked} packages, {differ}{waived}",
        sbom=create_sbom(document, ctx.plan.service.service, str(ctx.plan.version), ctx.plan.commit.time),
        findings=tuple(each.text for each in wrong),
        waivers=compared.waivers,
    )
