"""Files of the branch may hold any bytes: they are read, or refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.errors import Refused, Unreadable
from delivery.gitops import documents, freeze
from delivery.gitops.documents import NotText
from delivery.gitops.release import Release
from delivery.guard.tests.states import GOOD

_TEXT = GOOD.to_yaml()
# What means something in YAML, and numbers and times that no calendar or memory holds.
_WORDS = [
    *"[]{}:-&*!|>'\"\n\t #%@`,?~\0\\é😀",
    "\n  ",
    ": ",
    "- ",
    "&a",
    "*a",
    "<<: ",
    "!!float ",
    "!!timestamp ",
    "%YAML 1.",
]
_WORDS += [
    "revision",
    "image:\n  version: ",
    "strategy: ",
    "2026-45-01",
    "1e999999",
    "9" * 5000,
    "60:60",
    "\\ud800",
    ".inf",
]


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A release file into which somebody has fallen asleep on the keyboard."""
    raw = _TEXT.encode()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.binary(max_size=4)) + raw[at + draw(st.integers(0, 20)) :]
    return raw


_FILES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from(_WORDS), max_size=30).map(lambda words: "".join(words).encode()),
    _damaged(),
)


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(_FILES)
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for read in (documents.value, lambda text: Release.parse(text, "release.yaml"), freeze.parsed):
        error = _refusal(read, raw)
        assert "\n" not in error
        assert len(error) < 400


def _refusal(read: Callable[[str], Any], raw: bytes) -> str:
    """What the one error says that may come of it; empty where the file can be read."""
    try:
        read(documents.text(raw))
    except Refused as refusal:
        return str(refusal)
    return ""


@pytest.mark.parametrize("written", ["1.10", "2026-45-01", "0x1F", "yes", "1:30", "9" * 10_000, "!"])
def test_what_is_no_text_stays_as_it_was_written(written: str) -> None:
    if written == "!":
        with pytest.raises(Unreadable, match="has a tag"):
            documents.value("a: ! b")
    else:
        assert documents.value(f"a: {written}") == {"a": NotText(written)}


def test_it_is_asked_for_in_quotes_as_it_was_written() -> None:
    with pytest.raises(Refused, match=r"version must be text, so write it in quotes: '1\.10'"):
        Release.parse(_TEXT.replace('"1.1"', "1.10"), "release.yaml")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: ]", "is not YAML (line 1)"),
        ("a: 1\n---\nb: 1\n", "is not YAML (line 2)"),
        ("a: &x b\nc: *x\n", "has an alias (line 2), which is not allowed"),
        ("a: !!python/name:os.system x\n", "has a tag (line 1), which is not allowed"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "has the field c twice (line 4)"),
        ("[a]: b\n", "has a field without a name (line 1)"),
        ("- " * 11 + "a", "is nested more than 10 deep (line 1)"),
        ("- a\n" * 50_001, "has more than 50,000 parts"),
    ],
)
def test_why_a_file_is_refused(text: str, why: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        documents.value(text)
    assert str(refusal.value) == why


def test_a_name_with_a_dot_is_no_field_of_a_field() -> None:
    with pytest.raises(Refused, match=r"does not know: 'image\.version'"):
        Release.parse(f'{_TEXT}image.version: "6.6.6"\n', "release.yaml")
