"""The builder's own answer to ignore files, many in one build; and ignore files that are made by chance."""

from __future__ import annotations

import random
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from release.images.dockerignore import BadPattern, Ignore

FILES: Final = (
    *("README.md", "readme.md", "Dockerfile", "a", "b.py", "ab", "a.b", "a+b", "-", "^", "!odd", "#odd", "~"),
    *("with space", " lead", "trail ", "new\nline.py", "tab\there", "back\\slash", "[x]", "x", "star*", "q?"),
    *(
        "ü.md",
        "é/ß.py",
        "\ufeffbom",
        "日本/語.txt",
        "(p)|{q}$",
        "d1",
        "dd",
        "dir/.hidden",
        ".env",
        ".dockerignore",
    ),
    *("secrets/key.pem", "app/secrets/key.pem", "app/secrets.py", "app/a.py", "app/b/c.py", "app/b/d/e.py"),
    *("foo", "xfoo", "app/foo", "app/xfoo", "foo.d/bar", "bar/foo/baz", "node/modules/x/y", "Dir/x", "dir/x"),
    *(
        "dir/new\nline/x.py",
        "deep/1/2/3/4/5.txt",
        "deep/1/2/x.md",
        "only/one",
        "a b/c d",
        "app/.git/x",
        "z-1/a",
    ),
    *(
        "z.1/a",
        "z/1",
        "vendor/lib/x.go",
        "vendor/lib2/README.md",
        "empty.d/x",
        "S/s",
        "s",
        "w_w",
        "9",
        "-a/-b",
    ),
)
"""Odd names: case, glob characters, blanks, new lines, other alphabets."""

_AT_ONCE: Final = 30
"""Ignore files that one build answers for."""

_WORDS: Final = (
    *(
        "a",
        "b",
        "foo",
        "app",
        "dir",
        "secrets",
        "Dir",
        "x",
        "vendor",
        "lib",
        "deep",
        "1",
        "2",
        "README.md",
        "é",
    ),
    *(
        "ü",
        "日本",
        "with space",
        "only",
        "py",
        ".md",
        ".py",
        ".",
        "..",
        "new",
        "line",
        "key.pem",
        "S",
        "z",
        "-",
        "Dockerfile",
    ),
)
_GLOBS: Final = (
    *(
        "*",
        "*",
        "*",
        "**",
        "**",
        "?",
        "[a-f]",
        "[^a]",
        "[!a]",
        "[^a-c]",
        "[]",
        "[a",
        "[-a]",
        "[a-]",
        "[z-a]",
        "[]a]",
    ),
    *(
        r"\*",
        r"\?",
        r"\[",
        r"\d",
        r"\w",
        r"\s",
        r"\S",
        r"\pL",
        r"\x41",
        r"\141",
        r"\Q",
        r"\E",
        r"\b",
        "\\\\",
        "\\",
    ),
    *(
        "[[:alpha:]]",
        "[[:foo:]]",
        "[[:^digit:]]",
        r"[\d]",
        r"[^\w]",
        r"[\]]",
        "[*]",
        "[?]",
        "[a*]",
        "[**]",
        "[a-\\d]",
    ),
    *(
        "+",
        "(",
        ")",
        "|",
        "{",
        "}",
        "$",
        "^",
        "{2}",
        "{1,2}",
        "{,2}",
        "#",
        "!",
        "~",
        "\ufeff",
        "\t",
        "\x85",
        "\xa0",
        "\x1c",
        "\x00"[:0],
    ),
)
_ENDS: Final = ("\n", "\n", "\n", "\r\n", " \n", "\t\n", "\n\n", "\r\r\n", "\v\n")

FIXED: Final = (
    b'**/secrets\n', b'secrets\n', b'/secrets\n', b'**/*.py\n', b'**foo\n', b'foo**\n', b'**/foo\n',
    b'**/foo/**\n', b'*\n!app\n', b'*\n!app/b\n', b'*\n!**/*.py\n', b'app\n!app/b/c.py\n', b'app/*\n',
    b'app/**\n', b'app/\n', b'README.MD\n', b'[^a]\n', b'[!a]\n', b'[^a]*\n', b'.\n', b'/\n', b'./\n',
    b'!\n', b'! \n', b'!/\n', b'..\n', b'*\n!.\n', b'*\n!/\n', b'**\n', b'**/\n', b'**/**\n', b'****\n',
    b'***\n', b'!**\n', b'*\n!**\n', b'*\n!*\n', b'new*\n', b'new*.py\n', b'**/x.py\n', b'**line.py\n',
    b'dir/new*\n', b'new?line.py\n', b'dir/**/x.py\n', b'\xef\xbb\xbfa\n', b'\xef\xbb\xbf#a\n',
    b'\n\xef\xbb\xbfa\n', b'\n\xef\xbb\xbf**foo\n', b'# a\na\n', b' # a\na\n', b'a\r\nfoo\r\n', b'  a  \n',
    b'with space\n', b' lead\n', b'trail \n', b'back\\slash\n', b'back\\\\slash\n', b'\\[x\\]\n',
    b'[[]x]\n', b'[x]\n', b'star\\*\n', b'q\\?\n', b'q?\n', b'\\!odd\n', b'!odd\n', b'\\#odd\n', b'#odd\n',
    b'a+b\n', b'a.b\n', b'(p)|{q}$\n', b'(p)*\n', b'*$\n', b'[\n', b'a[\n', b'a[b\n', b'[]\n', b'[]a]\n',
    b'[a-]\n', b'\\\n', b'a\\\n', b'\\d1\n', b'\\dd\n', b'd\\d\n', b'\\w\n', b'\\pL\n', b'\\PL\n',
    b'\\Qa\n', b'*\\E\n', b'[z-a]\n', b'[[:alpha:]]\n', b'[[:foo:]]\n', b'[[:alpha:]\n', b'[*]\n', b'[?]\n',
    b'[a-\\d]\n', b'[\\d-z]\n', b'\xfc.md\n', b'\xff\n', b'*\xff*\n', b'a\x00b\n', b'app//b\n',
    b'app/./b\n', b'app/../a\n', b'app/b/..\n', b'../a\n', b'/../a\n', b'//a\n', b'!!odd\n', b'*\n!!odd\n',
    b'*\n! app\n', b'\x1ca\n', b'\x85a\n', b'\xc2\x85a\n', b'\xc2\xa0a\n', b'a*\n!a*b\n',
    b'**/b\n!app/b/d\n', b'*/b\n', b'*/*/*.py\n', b'vendor/*\n!vendor/lib\n',
    b'Dockerfile\n.dockerignore\n', b'**/.*\n', b'.*\n', b'\xce\xa9\n', b'', b'\n', b'^\n', b'^*\n',
    b'(p)|{q}$/*\n', b'x|*a\n', b'|*\n', b'd{2}*\n', b'*{2}\n', b'{2}*\n', b'|{2}*\n', b'[d]{2,1}\n',
    b'[d]{,2}\n', b'[d]{02}\n', b'[d]{1001}\n', b'x*[a-]\n', b'x*[\n', b'x*\\\n', b'?*[\n', b'.*[\n',
    b'[.]*[\n', b'**/[\n', b'[^x]*[\n', b'**{2}x\n',
    b"x" * 65535 + b"\n", b"x" * 65536 + b"\n",
)  # fmt: skip
"""Each rule's own example, and what has been read differently somewhere."""


def generated(seed: int, count: int) -> Iterator[bytes]:
    """Ignore files by chance, the same ones for a seed."""
    chance = random.Random(seed)
    for _ in range(count):
        lines = (_line(chance) for _ in range(chance.choice((1, 1, 2, 2, 3, 4, 6))))
        text = "".join(lines)
        bom = b"\xef\xbb\xbf" if chance.random() < 0.05 else b""
        yield bom + text.encode()


def _line(chance: random.Random) -> str:
    parts = [_part(chance) for _ in range(chance.choice((1, 1, 1, 2, 2, 3)))]
    begin = chance.choice(("", "", "", "", "", "/", "./", " ", "!", "!", "! ", "!/", "**/", "!**/", "#"))
    end = chance.choice(("", "", "", "", "", "/", "/**", "/*", "/."))
    return begin + "/".join(parts) + end + chance.choice(_ENDS)


def _part(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.3:
        return chance.choice(FILES).split("/")[0].replace("\n", "?")
    words = [
        chance.choice(_WORDS if chance.random() < 0.6 else _GLOBS) for _ in range(chance.choice((1, 1, 2, 3)))
    ]
    return "".join(words)


def differences(folder: Path, rules: Sequence[bytes], *, refused: int | None = None) -> list[str]:
    """Say where the rules of this library and the builder do not agree.

    Args:
        folder: for the builds.
        rules: ignore files.
        refused: how many of those that are refused here the builder is asked for; None: all.
    """
    ours = {content: _ours(content) for content in rules}
    accepted = [(content, kept) for content, kept in ours.items() if kept is not None]
    others = [content for content, kept in ours.items() if kept is None][:refused]
    found = [f"refused only here: {content!r}" for content in others if not is_refused(folder, content)]
    for at in range(0, len(accepted), _AT_ONCE):
        found += _compared(folder, accepted[at : at + _AT_ONCE])
    return found


def _ours(content: bytes) -> frozenset[str] | None:
    try:
        kept = Ignore(content).kept(FILES)
    except BadPattern:
        return None
    return kept.files | {f"{path}/" for path in kept.folders}


def _compared(folder: Path, rules: Sequence[tuple[bytes, frozenset[str]]]) -> list[str]:
    """Ask for all at once; for halves where the builder refuses one."""
    try:
        answers = builders_answers(folder, [content for content, _ in rules])
    except subprocess.CalledProcessError as error:
        if len(rules) == 1:
            return [f"refused only there: {rules[0][0]!r}: {error.stderr[-200:]}"]
        half = len(rules) // 2
        return _compared(folder, rules[:half]) + _compared(folder, rules[half:])
    return [
        f"{content!r}: too many {sorted(kept - answer)}, missing {sorted(answer - kept)}"
        for (content, kept), answer in zip(rules, answers, strict=True)
        if kept != answer
    ]


def builders_answers(folder: Path, rules: Sequence[bytes]) -> list[frozenset[str]]:
    """The paths below the context that the builder copies under each ignore file; folders end with /.

    Each is the ignore file of a named context of one build. Raises CalledProcessError: one is refused.
    """
    folder = Path(tempfile.mkdtemp(dir=folder))
    names = [f"c{number}" for number in range(len(rules))]
    for name, content in zip(names, rules, strict=True):
        _lay_out(folder / name, content)
    (folder / "Dockerfile").write_text(
        "\n".join(["FROM scratch", *(f"COPY --from={name} . /{name}/" for name in names)])
    )
    contexts = [word for name in names for word in ("--build-context", f"{name}={folder / name}")]
    result = folder / "result.tar"
    subprocess.run(
        (
            *("docker", "buildx", "build", "--builder", "default", "--provenance=false", "--no-cache"),
            *(*contexts, "--output", f"type=tar,dest={result}"),
            *("--file", str(folder / "Dockerfile"), str(_empty(folder))),
        ),
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, set[str]] = {name: set() for name in names}
    with tarfile.open(result) as archive:
        for member in archive:
            name, _, path = member.name.partition("/")
            if path.strip("/"):
                found[name].add(path.rstrip("/") + ("/" if member.isdir() else ""))
    return [frozenset(found[name]) for name in names]


def is_refused(folder: Path, rule: bytes) -> bool:
    """Whether the builder refuses an ignore file."""
    try:
        builders_answers(folder, [rule])
    except subprocess.CalledProcessError:
        return True
    return False


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir(exist_ok=True)
    return folder / "empty"


def _lay_out(folder: Path, content: bytes) -> None:
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (folder / ".dockerignore").write_bytes(content)
