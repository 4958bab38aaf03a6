"""Secrets show themselves to nobody."""

from __future__ import annotations

import base64
import copy
import html
import json
import pickle
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.secrets.redact import MASK, Mask, Redacted

VALUE = 'can"ary\nsecond line'


@pytest.mark.parametrize("show", [str, repr, "{}".format, lambda value: f"{[value]}"])
def test_a_redacted_value_is_not_in_any_text_of_it(show: object) -> None:
    """Text, repr, formats and containers show stars."""
    assert callable(show)
    assert "ary" not in show(Redacted(VALUE))


@pytest.mark.parametrize("write", [json.dumps, pickle.dumps, copy.deepcopy])
def test_a_redacted_value_refuses_to_be_written(write: object) -> None:
    """JSON, pickle and copies of it are a TypeError, not a leak."""
    assert callable(write)
    with pytest.raises(TypeError):
        write(Redacted(VALUE))


def test_a_redacted_value_has_no_attribute_with_the_value_in_its_dictionary() -> None:
    """`vars` finds nothing, and the value comes only by name."""
    assert not hasattr(Redacted(VALUE), "__dict__")
    assert Redacted(VALUE).reveal() == VALUE


TOKEN = "p4ss/wörd+&<1>"
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSj+/=\nQ=\n-----END KEY-----\n"

WAYS: Mapping[str, Callable[[str], str]] = {
    "itself": str,
    "JSON": json.dumps,
    "JSON as it is": lambda value: json.dumps(value, ensure_ascii=False),
    "a URL": lambda value: quote(value, safe=""),
    "a path": quote,
    "a form": quote_plus,
    "a URL in small letters": lambda value: re.sub("%..", lambda found: found[0].lower(), quote(value)),
    "XML": lambda value: html.escape(value, quote=False),
    "an attribute": lambda value: html.escape(value).replace("\n", "&#10;"),
    "Python": repr,
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
    "base64 in lines": lambda value: base64.encodebytes(value.encode()).decode(),
}


def seen(text: str, secret: str) -> list[str]:
    """Pieces of six characters of the secret that the text still has."""
    return [secret[at : at + 6] for at in range(len(secret) - 5) if secret[at : at + 6] in text]


@pytest.mark.parametrize("value", [TOKEN, KEY], ids=["token", "key"])
@pytest.mark.parametrize("way", WAYS)
def test_a_mask_finds_a_secret_however_it_is_written(way: str, value: str) -> None:
    """As itself, in JSON, Python, XML and URLs, in base64; and all of it."""
    written = WAYS[way](value)
    masked = Mask([Redacted(value)])(f"before {written} after")
    assert MASK in masked
    assert not seen(masked, written)
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@pytest.mark.parametrize("before", ["u:", "us:", "usr:", "user:"])
def test_a_mask_finds_base64_of_something_that_holds_the_secret(before: str) -> None:
    """As `Authorization: Basic` holds a password; whatever stands before it."""
    header = base64.b64encode(f"{before}{TOKEN}:".encode()).decode()
    masked = Mask([Redacted(TOKEN)])(f"Authorization: Basic {header}")
    assert not seen(masked, base64.b64encode(TOKEN.encode()).decode())
    assert len(masked.replace(MASK, "")) < len("Authorization: Basic ") + 14


def test_each_line_of_a_secret_is_masked_alone() -> None:
    """However a program indents it."""
    lines = Mask([Redacted(KEY)]).lines(f"    | {line}" for line in KEY.splitlines())
    assert lines == (*[f"    | {MASK}"] * 3, "    | Q=", f"    | {MASK}")


def test_a_mask_finds_the_password_of_an_address() -> None:
    """A configuration file as a whole is a secret; a program shows the one word of it that is one."""
    mask = Mask([Redacted("[global]\nindex-url = https://ada:canary@index.example/simple\n")])
    assert mask("401 for ada:canary") == "401 for ada:***"


def test_a_mask_takes_the_longer_value_first() -> None:
    """A secret that holds another leaves no rest."""
    assert Mask([Redacted("abcd"), Redacted("abcdefgh")])("abcdefgh") == MASK


def test_of_two_values_that_overlap_nothing_is_left() -> None:
    """The end of one is the beginning of the other."""
    assert Mask([Redacted("abcdef"), Redacted("defghi")])("-abcdefghi-") == f"-{MASK}-"


def test_a_mask_leaves_values_of_three_characters() -> None:
    """They would make every text unreadable; four are the fewest."""
    assert Mask([Redacted("abc"), Redacted("")])("abcabc") == "abcabc"
    assert Mask([Redacted("abcd")])("abcd") == MASK


def test_a_secret_is_found_over_line_breaks_and_colours() -> None:
    """As a terminal's width, or a highlighter, cuts it; the lines stay as many as they were."""
    mask = Mask([Redacted("correct-horse")])
    assert mask("a corr\nect-h\r\norse b") == f"a {MASK}\n{MASK}\r\n{MASK} b"
    assert mask("corr\x1b[31mect-horse\x1b[0m") == f"{MASK}\x1b[0m"


def test_a_secret_is_found_over_lines_of_a_build() -> None:
    """BuildKit puts the step's number and the time before each line of its plain output."""
    mask = Mask([Redacted("correct-horse")])
    assert mask("#9 0.412 correct\n#9 0.413 -horse\n") == f"#9 0.412 {MASK}\n{MASK}\n"


def test_a_secret_is_found_where_the_last_lines_of_a_failed_instruction_are_repeated() -> None:
    """buildx then puts the time alone before all lines but the first."""
    mask = Mask([Redacted("correct-horse")])
    assert mask("------\n > [2/4] RUN x:\ncorrect\n0.413 -horse\n") == (
        f"------\n > [2/4] RUN x:\n{MASK}\n{MASK}\n"
    )


def test_short_secrets_are_not_seen_over_line_breaks() -> None:
    """There they would be seen where there is none."""
    assert Mask([Redacted("this")])("th\nis") == "th\nis"


def test_a_mask_learns_and_tells() -> None:
    """What is hidden later is hidden for everybody who holds the mask."""
    told: list[Sequence[Redacted]] = []
    mask = Mask([Redacted("first-value")], told=told.append)
    stream = mask.stream()
    mask.hide([Redacted("second-value")])
    assert stream.feed("first-value second-value\n") + stream.end() == f"{MASK} {MASK}\n"
    assert [[value.reveal() for value in values] for values in told] == [["second-value"]]


def test_a_mask_can_learn_while_others_use_it() -> None:
    """No thread sees a half-learned mask, and none is forgotten."""
    mask = Mask()
    values = [f"secret-number-{number}" for number in range(40)]
    threads = [threading.Thread(target=mask.hide, args=([Redacted(value)],)) for value in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mask(" ".join(values)).split() == [MASK] * 40


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_pieces_are_masked_as_the_whole_would_be(data: st.DataObject) -> None:
    """Wherever a stream is cut, what comes out is the masked whole: nothing lost, nothing shown."""
    secrets = data.draw(st.lists(st.text("ab\n", min_size=4, max_size=12), min_size=1, max_size=3))
    mask = Mask(map(Redacted, secrets))
    pieces = data.draw(
        st.lists(st.one_of(st.sampled_from(secrets), st.text("ab\n", max_size=9), st.just("\x1b[1m")))
    )
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    stream = mask.stream()
    came = "".join(
        stream.feed(text[start:stop]) for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True)
    )
    assert (came + stream.end()).replace("*", "") == mask(text).replace("*", "")


def test_a_stream_gives_on_what_is_no_secret_at_once() -> None:
    """A log that is read while it grows is complete up to its last line."""
    stream = Mask([Redacted("correct-horse")]).stream()
    assert stream.feed("collected 3 items\n") == "collected 3 items\n"
    assert stream.feed("a corr") == "a "
    assert stream.feed("idor\n") == "corridor\n"


def test_masking_a_long_log_is_fast_enough_not_to_be_seen() -> None:
    """Twenty thousand lines with a key among the secrets go through, whole."""
    mask = Mask([Redacted(KEY), Redacted(TOKEN)])
    stream = mask.stream()
    lines = [f"tests/test_api.py::test_{number} PASSED\n" for number in range(20_000)]
    assert "".join([*map(stream.feed, lines), stream.end()]) == "".join(lines)
