"""Tables for making a release: ledger, lock, lint, build, push, migrations and retention."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from release.config.dockerfile import DockerfileLint
from release.config.kinds import (
    Arguments,
    BuildCache,
    CommandLine,
    GitName,
    Pinned,
    RegistryName,
    RelativePath,
    SshForward,
)
from release.scalars import Duration, Entrypoint, Items, Matching, Name, Value, VariableName
from release.secrets.detection import secret_suspicion


def _without_ours(arguments: dict[str, str]) -> dict[str, str]:
    ours = [name for name in ("VERSION", "COMMIT", "SOURCE_DATE_EPOCH") if name in arguments]
    if ours:
        raise ValueError(
            f"{', '.join(ours)}: remove it, because each release sets it itself. "
            "Declare it as ARG in the Dockerfile"
        )
    return arguments


def _no_secrets(arguments: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    """Return the build arguments. Raise ValueError for an argument that looks like a secret."""
    allowed = info.data.get("not_secret", ())
    found = {name: secret_suspicion(name, value) for name, value in arguments.items() if name not in allowed}
    problems = [f"{name} looks like a secret ({why})" for name, why in found.items() if why is not None]
    if problems:
        raise ValueError(
            f"{'; '.join(problems)}: arguments stay in the image's history and in the record. Use "
            "`build.secrets.<id>` and RUN --mount=type=secret,id=<id>. If it is not a secret, "
            "name it in not_secret"
        )
    return arguments


class Ledger(Value):
    """`[tool.release.ledger]`: where releases and deployments are recorded."""

    branch: GitName = "release-ledger"
    """The branch of the service's repository that holds the ledger."""
    remote: GitName | None = None
    """Git remote to which the ledger is pushed; absent: the ledger stays in this clone."""
    sign: bool = False
    """Signature by git on the ledger's commits, with the key and format of the committer's git settings."""
    allowed_signers: RelativePath | None = None
    """File with the ssh keys that may sign, in git's format; absent: all keys known to gpg and ssh here."""
    require_signed: bool = False
    """Refuse to read past a commit that no allowed signer has signed; implies `sign`."""
    fetch: Literal["auto", "whole"] = "auto"
    """First fetch of a clone: "auto" takes the newest commits only in a CI job and all elsewhere."""
    id: Annotated[str, Matching(r"[0-9a-f]{32}", "32 hexadecimal digits")] | None = None
    """Id of the ledger, as its genesis record says; another ledger in its place is refused, in any clone."""


LockKind = Literal["uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "requirements.txt"]
"""Kinds of lockfiles by their usual file names, in order of preference."""


class Lock(Value):
    """`[tool.release.lock]`: the lockfile that the gate checks."""

    path: RelativePath | None = None
    """Path of the lockfile below `context`; absent: detected, see `invoke explain lockfiles`."""
    kind: LockKind | None = None
    """Kind of the lockfile; absent: by its name."""
    tool: Pinned | None = None
    """The lock tool in an exact version, as "poetry==2.1.3"; absent: the version that the project names."""
    source: RelativePath | None = None
    """Source of a requirements.txt or pylock.toml; absent: the file in its header, else its `.in` file."""
    require_hashes: bool = False
    """Refuse a requirements.txt without a source if one of its entries has no hash."""
    allow_unchecked: bool = False
    """Go on with a warning if the lockfile could not be checked. A stale one is refused all the same."""
    python: Annotated[str, Matching(r"3\.[0-9]+", 'a version of Python, as "3.13"')] | None = None
    """Version of Python for which the lockfile is resolved; absent: from its header, else from the image."""
    pass_env: Items[VariableName] = ()
    """Variables of the operator's environment that the lock tool gets beside the usual ones."""
    max_age: Duration | None = 14 * 86_400_000
    """Time since the commit that changed the lockfile last, or that `nox -s refresh` made."""
    max_base_age: Duration | None = 14 * 86_400_000
    """Time since the commit that wrote the digest of a base image into the Dockerfile. A base without a
    digest has no age."""
    too_old: Literal["warn", "fail", "off"] = "warn"
    """Answer to a lockfile or base image that is older: a warning, an error, or none."""


RUFF: Final = "ruff==0.14.5"
"""The linter of a service that does not say which."""


class Lint(Value):
    """`[tool.release.lint]`: tools of exact versions in an environment of their own.

    Without this table, `ruff check .` runs if the service has Python files and no settings of ruff, flake8 or
    Pylint; `commands = []` switches it off.
    """

    tools: Items[Pinned] = ()
    """Requirements, each with `==` and an exact version."""
    python: Annotated[str, Matching(r"3\.[0-9]+", 'a version of Python, as "3.13"')] | None = None
    """The Python that the tools run on; absent: the project's, if this machine has it."""
    commands: Items[CommandLine] = ()
    """Commands run in `context` of the committed tree, split into words as a shell would. All of them run, at
    the same time, or one after the other with `parallel = false`."""
    pass_env: Items[VariableName] = ()
    """Variables of the operator's environment that the commands get beside the usual ones."""
    dockerfile: DockerfileLint = DockerfileLint()


class Secret(Value):
    """`[tool.release.build.secrets.<id>]`: where one secret comes from, when it is needed."""

    from_env: VariableName | None = None
    """Variable of the operator's environment that has the value."""
    from_file: str | None = None
    """File on the operator's machine with the value; ~ is the home folder. One last newline is dropped."""
    from_command: Arguments | None = None
    """Command whose standard output is the value, as ["op", "read", "op://prod/db/url"]."""
    timeout: Duration = 60_000
    """Time limit for the command. After this time it is stopped, and the secret counts as missing."""

    @model_validator(mode="after")
    def _one_source(self) -> Secret:
        given = [
            source for source in (self.from_env, self.from_file, self.from_command) if source is not None
        ]
        if len(given) != 1:
            raise ValueError("give exactly one of from_env, from_file and from_command")
        return self


class Build(Value):
    """`[tool.release.build]`: how BuildKit makes the image."""

    dockerfile: RelativePath = "Dockerfile"
    """Path of the Dockerfile below `context`."""
    target: str | None = None
    """Stage that is released; absent: the last stage."""
    not_secret: Items[VariableName] = ()
    """Names of build arguments that look like secrets, but are not."""
    args: Annotated[dict[VariableName, str], AfterValidator(_without_ours), AfterValidator(_no_secrets)] = (
        Field(default_factory=dict)
    )
    """Build arguments beside VERSION, COMMIT and SOURCE_DATE_EPOCH, which each release sets."""
    secrets: dict[Name, Secret] = Field(default_factory=dict)
    """Secrets for `RUN --mount=type=secret,id=<id>`. They are not stored."""
    ssh: Items[SshForward] = ()
    """Agents or keys for steps with `RUN --mount=type=ssh`: "default" is the agent of SSH_AUTH_SOCK."""
    proxy: bool = False
    """Pass HTTP_PROXY, HTTPS_PROXY, FTP_PROXY, ALL_PROXY and NO_PROXY of the environment to RUN steps."""
    platform: (
        Annotated[str, Matching(r"linux/[a-z0-9]+(/v[0-9]+)?", 'a platform, as "linux/amd64"')] | None
    ) = None
    """Platform of the image; absent: the engine's own platform."""
    cache: BuildCache | None = None
    """Build cache that other machines use: a tag, as "registry.example/acme/api:cache", a folder, "github" or
    "off"; absent: in CI with a `registry`, the tag `cache` beside the image's own."""
    builder: Annotated[str, Matching(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", 'a builder, as "ci"')] | None = None
    """A builder of `docker buildx ls`; absent: the BuildKit of the engine."""
    mirrors: dict[RegistryName, RegistryName] = Field(default_factory=dict)
    """Mirrors of base images, by registry: { "docker.io" = "registry.example/hub" }. They are tried first."""


class Push(Value):
    """`[tool.release.push]`: how the image goes to the registry."""

    stalled: Duration = 120_000
    """Time without progress after which an upload is ended and tried again."""
    read_back: Literal["all", "new"] = "all"
    """Layers that are read back and hashed: "all", or "new": only those that the release before lacks."""
    evidence: bool = True
    """Keep the files that the gates wrote beside the image: reports, packages, the log of the smoke run."""


class Migrations(Value):
    """`[tool.release.migrations]`: what releases do to the data, which going back does not undo by itself."""

    paths: Arguments
    """The files below `context`, one for each migration, as ["migrations/versions/*.py"]: `*` stays in one
    folder, `**/` is any number of them. Going back over one of them needs `--cross-migrations`."""
    up: Arguments | None = None
    """A command that migrates the data forward, as ["alembic", "upgrade", "head"]: each deployment runs it
    once in the new image, with the environment's settings and secrets. A rollback runs none."""
    when: Literal["before", "after"] = "before"
    """Moment of `up`: "before" anything is replaced; "after" the new release is verified healthy."""
    down: Arguments | None = None
    """Command that reverts migrations, run in the newer image before its replacement; `{count}` is the number
    and `{head}` the name of the last one that stays, without its suffix: ["alembic", "downgrade",
    "-{count}"]."""
    entrypoint: Entrypoint = "replace"
    """"keep": the image's ENTRYPOINT gets the command as arguments; "replace": the command replaces it."""
    base: Annotated[str, Field(min_length=1)] | None = None
    """Value of `{head}` if no migration stays: "base" for Alembic, "zero" for Django. Absent:
    going back that far with a command that has `{head}` is refused."""
    timeout: Duration = 600_000
    """After this time the command is stopped, and the deployment or rollback with it."""

    @model_validator(mode="after")
    def _has_its_command(self) -> Migrations:
        if self.when == "after" and self.up is None:
            raise ValueError('when = "after" needs `up`, the command that runs then')
        return self


class Retention(Value):
    """`[tool.release.retention]`: how far back a rollback must be possible; none of that is ever pruned."""

    releases: Annotated[int, Field(ge=1)] = 5
    """Number of last healthy releases of each environment to keep; quarantined releases do not count."""
    window: Duration = 30 * 86_400_000
    """Time since a release or deployment in which its image is kept too."""
    prune_after_deploy: bool = False
    """Prune the engine after a deployment. If pruning fails, a warning is printed."""
    last_copies: bool = False
    """Let pruning remove images of which no other copy exists; always so without a configured registry."""
