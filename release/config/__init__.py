"""`release.toml`, or `[tool.release]` of pyproject.toml, parsed once into frozen values.

Every problem is reported at once, each with its key's path. Keys of `[tool.release]` itself describe one
service; with `[tool.release.services.<name>]` tables they are the defaults of each of them.
"""

from __future__ import annotations

from release.config.audit import Audit, AuditWaiver
from release.config.chain import (
    RUFF,
    Build,
    Ledger,
    Lint,
    Lock,
    LockKind,
    Migrations,
    Push,
    Retention,
    Secret,
)
from release.config.companion import Companion
from release.config.dockerfile import DockerfileLint
from release.config.environment import Environment, EnvironmentSecret
from release.config.hooks import Hook, Webhook
from release.config.installed import Installed
from release.config.kinds import (
    FILE,
    OWN_FILE,
    ROOT,
    Arguments,
    CommandLine,
    GitName,
    Pinned,
    RegistryName,
    RelativePath,
    Slug,
    SshForward,
)
from release.config.limits import Limits
from release.config.place import files_with_table, own_file
from release.config.process import Process
from release.config.proxy import Proxy
from release.config.reading import folder_reader, load, parse, read
from release.config.reuse import Reuse
from release.config.runsettings import File, HealthcheckSettings
from release.config.service import Config, Service
from release.config.smoke import Smoke, SmokeRun
from release.config.swarm import NodeEngine, Swarm
from release.config.testing import Test

__all__ = [
    "FILE",
    "OWN_FILE",
    "ROOT",
    "RUFF",
    "Arguments",
    "Audit",
    "AuditWaiver",
    "Build",
    "CommandLine",
    "Companion",
    "Config",
    "DockerfileLint",
    "Environment",
    "EnvironmentSecret",
    "File",
    "GitName",
    "HealthcheckSettings",
    "Hook",
    "Installed",
    "Ledger",
    "Limits",
    "Lint",
    "Lock",
    "LockKind",
    "Migrations",
    "NodeEngine",
    "Pinned",
    "Process",
    "Proxy",
    "Push",
    "RegistryName",
    "RelativePath",
    "Retention",
    "Reuse",
    "Secret",
    "Service",
    "Slug",
    "Smoke",
    "SmokeRun",
    "SshForward",
    "Swarm",
    "Test",
    "Webhook",
    "files_with_table",
    "folder_reader",
    "load",
    "own_file",
    "parse",
    "read",
]
