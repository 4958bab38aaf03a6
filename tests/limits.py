"""The table of limits, written from the constants of the package.

`nox -s docs` writes docs/reference/limits.md; a unit test compares the file with the constants.
"""

from __future__ import annotations

from release.deploy.environment import files
from release.deploy.targets.engine.proxies import admin_connection, caddy
from release.files import regular
from release.git import runner
from release.images import http_limits, output_frames
from release.images.engine import answer_stream, client, transfers
from release.images.registry import CALM, PRESSED, error_text, http, manifest, tags
from release.images.registry import client as registry
from release.parsing import jsontext, tomltext

HEAD = """# Limits of what comes from outside

Each answer and each file from outside has a limit of size, depth, count and time. If it exceeds one, the tool
stops with an error. The error says what the tool asked, whom it asked, what it got, and what to do next.
`nox -s docs` writes this page from the constants of the package.

| from | what | limit |
| --- | --- | --- |
"""


def size(number: int) -> str:
    """Bytes, as people write them."""
    for unit, name in ((1024**2, "MiB"), (1024, "KiB")):
        if number >= unit and number % unit == 0:
            return f"{number // unit} {name}"
    return f"{number:,} bytes"


def rows() -> list[tuple[str, str, str]]:
    """From, what, limit."""
    usual = jsontext.USUAL
    return [
        ("any JSON", "size; depth; values", f"{size(usual.size)}; {usual.depth}; {usual.values:,}"),
        ("any JSON", "largest whole number", f"{usual.largest:,} (2^53 - 1)"),
        (
            "any JSON",
            "refused",
            "NaN, infinity, half characters, a name twice in one object, other encodings than UTF-8",
        ),
        ("registry", "manifest, config, page of tags, token", size(http.DOCUMENT)),
        (
            "registry",
            "body of an error",
            f"{size(http.ERROR)}; a message quotes {error_text.LONGEST_QUOTE} characters",
        ),
        ("registry", "headers of an answer", size(http_limits.MOST_HEADER_BYTES)),
        ("registry", "packed answers (gzip)", "refused: they are not asked for"),
        ("registry", "one answer", f"{CALM.answer:g} s; {PRESSED.answer:g} s before a deployment"),
        (
            "registry",
            "one question, with attempts, redirects and tokens",
            f"{CALM.total:g} s; {PRESSED.total:g} s before a deployment",
        ),
        (
            "registry",
            "redirects",
            f"{http.MOST_REDIRECTS}; to another host only for downloads over TLS, without the login",
        ),
        ("registry", "tags; pages of tags", f"{tags.MOST_TAGS:,}; {tags.MOST_PAGES:,}"),
        ("registry", "layers of a manifest", f"{manifest.MOST_LAYERS:,}"),
        ("registry", "a blob", f"the size in its descriptor; {size(registry.SLOWEST)} a second on average"),
        ("engine", "a whole answer", f"{size(client.LARGEST_ANSWER)}; {client.READ_SECONDS} s"),
        (
            "engine",
            "one line of a transfer; parts of a transfer",
            f"{size(answer_stream.LONGEST_MESSAGE)}; {transfers.MOST_PARTS:,}",
        ),
        ("engine", "a transfer that does not move", f"{transfers.STILL // 1000} s"),
        ("engine", "output of a program in a container", f"the last {size(output_frames.OUTPUT_LIMIT)}"),
        ("engine", "last lines of a container", f"the last {size(output_frames.LOG_LIMIT)}"),
        ("proxy", "an answer", size(output_frames.OUTPUT_LIMIT)),
        ("proxy", "upstreams: depth; values", f"{caddy._UPSTREAMS.depth}; {caddy._UPSTREAMS.values:,}"),
        ("proxy", "its words in a message", f"{admin_connection.LONGEST_QUOTE} characters"),
        ("git server", "its list of refs", f"{runner.ANSWER_SECONDS:g} s"),
        ("git server", "history", f"{runner.FETCH_SECONDS:g} s"),
        ("git", "one object", f"{size(runner.LARGEST_OBJECT)}; {runner.OBJECT_SECONDS:g} s"),
        (
            "git",
            "any other command",
            f"{size(runner.LARGEST_OUTPUT)} of output; {runner.LOCAL_SECONDS:g} s",
        ),
        (
            "configuration",
            "pyproject.toml, release.toml",
            f"{size(tomltext.LARGEST)}; {tomltext.DEEPEST} levels",
        ),
        ("configuration", "a lockfile in TOML", size(tomltext.LARGEST_LOCK)),
        (
            "configuration",
            "a file of `files`; all of them",
            f"{size(files.LARGEST)}; {size(files.LARGEST_TOGETHER)}; only regular files of the repository",
        ),
        ("configuration", "a secret from a file", f"{size(regular.SECRET)}; only regular files"),
        ("Docker", "config.json", size(regular.CREDENTIALS)),
    ]


def page() -> str:
    """Return the whole page as Markdown."""
    return HEAD + "".join(f"| {source} | {what} | {limit} |\n" for source, what, limit in rows())
