"""The table of exit codes, written from the tree of errors.

`nox -s docs` writes docs/reference/exit-codes.md; a unit test compares the file with the tree.
"""

from __future__ import annotations

import re

from release import errors

HEAD = """# Exit codes

An exit code is the status that a command ends with: `echo $?` shows it. `nox -s docs` writes this page from
the tree of errors.

| code | meaning for the environment or the release |
| --- | --- |
| 0 | done; with `--plan`: the plan was shown |
| 1 | failed; what runs was not changed, or nothing ran before and nothing runs now |
| 2 | the command line, the configuration or the environment lacks something; nothing was changed |
| 3 | the deployment failed; the release that ran before runs again |
| 4 | the deployment failed and was not undone; the message lists what runs |
| 5 | another deployment has the lock: `--wait SECONDS` waits; if its operator died, `invoke converge` |
| 6 | the release, the registry, the engine or the git remote cannot be reached; nothing was changed |
| 128 + N | stopped by signal N: 130 is Ctrl-C, 143 is SIGTERM |

These are the codes of the `invoke` tasks. `nox` ends with 1 for every failure, and
with 128 + N after signal N. If a migration ran before the failure, the message says so.

## Errors and their codes

| code | error | meaning |
| --- | --- | --- |
"""

_LINE = re.compile(r"^ {4}[│├└─ ]*(?P<name>[A-Z]\w+) +(?P<code>\d)  (?P<meaning>\S.*)$", re.MULTILINE)


def page() -> str:
    """Return docs/reference/exit-codes.md."""
    rows = sorted(_LINE.findall(errors.__doc__ or ""), key=lambda row: row[1])
    return HEAD + "".join(f"| {code} | `{name}` | {meaning} |\n" for name, code, meaning in rows)
