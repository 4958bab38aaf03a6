"""Variables of the operator's environment that a program inherits.

A lint tool, a lock tool and the code of packages that they build need no password of a database. Each group
is a list of names and of patterns as `fnmatch` reads them. docs/reference/environment.md lists the groups.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY")

BASIC: Final = (
    # the user and the system
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TMP", "TEMP", "XDG_*"),
    # language, time and terminal
    *("LANG", "LANGUAGE", "LC_*", "LOCALE_ARCHIVE", "TZ", "TERM", "COLORTERM", "COLUMNS", "LINES"),
    *("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"),
    # the network
    *_PROXIES,
    *(name.lower() for name in _PROXIES),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    # where programs on the PATH find themselves
    *("LD_LIBRARY_PATH", "DYLD_*", "NIX_*", "PYENV_*", "ASDF_*", "MISE_*", "VOLTA_HOME", "NVM_DIR"),
    *("CONDA_PREFIX", "NODE_PATH", "GOPATH", "GOROOT", "CARGO_HOME", "RUSTUP_HOME", "JAVA_HOME"),
)
"""Variables of every program."""

PACKAGES: Final = (*BASIC, "UV_*", "PIP_*", "NETRC", "SOURCE_DATE_EPOCH")
"""Variables of uv, to lock and to install: also the settings and logins of package indexes."""

ENGINE: Final = (
    *BASIC,
    # docker, buildx and ssh themselves
    *("DOCKER_*", "BUILDX_*", "BUILDKIT_*", "COMPOSE_*", "SSH_*", "KRB5*", "DBUS_SESSION_BUS_ADDRESS"),
    *("DISPLAY", "WAYLAND_DISPLAY", "GNUPGHOME", "GPG_TTY", "PASSWORD_STORE_*"),
    # the helpers that log in to registries and hosts
    *("AWS_*", "ECR_*", "AZURE_*", "ACR_*", "GOOGLE_*", "CLOUDSDK_*", "GCLOUD_*", "OCI_*", "DIGITALOCEAN_*"),
    *("GITHUB_TOKEN", "GH_*", "TELEPORT_*", "TSH_*", "TAILSCALE_*", "CLOUDFLARED_*", "TUNNEL_*"),
)
"""Variables of docker, buildx and ssh: also those that their own helpers need to log in."""

VARIABLE: Final = "RELEASE_PASS_ENV"
"""More names and patterns for docker, buildx and ssh, as a login helper or a ProxyCommand may need them."""

EVERYTHING: Final = ("*",)
"""For git and for `from_command`: their helpers are the operator's, and may need any variable."""

NEVER: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
"""Variables that no program gets, because they select another repository or run other code."""


def inherited_variables(patterns: Iterable[str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables whose names match one of the patterns."""
    wanted = tuple(patterns)
    if wanted == ENGINE:
        wanted += tuple(environ.get(VARIABLE, "").replace(",", " ").split())
    return {
        name: value
        for name, value in environ.items()
        if name not in NEVER and any(fnmatchcase(name, pattern) for pattern in wanted)
    }
