"""The places of an event whose values change from one event to the next."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streamagg._apis.openai_chat import OpenAIChat
from streamagg._fastpath.placeholders import Alphabet, ChoiceIndex, LastValue, Padding, Placeholder, Text, Usage

decode = OpenAIChat.decode


@pytest.mark.parametrize(
    ("placeholder", "raw", "value"),
    [
        (Text("content"), [b"a", b"\\u00e9\\n"], ["a", "é\n"]),
        (Padding("obfuscation"), [b'a\\"'], ['a"']),
        (Alphabet("p"), [b"", b"abc"], ["", "abc"]),
        (LastValue("x"), [b"1", b"2.5", b'"a"', b"true"], [1, 2.5, "a", True]),
        (ChoiceIndex("index"), [b"0", b"12"], [0, 12]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_read_together_and_one_by_one(placeholder: Placeholder, raw: list[bytes], value: list[Any]) -> None:
    assert placeholder.read(raw) == value
    assert [placeholder.read_one(quoted(placeholder, each)) for each in raw] == value


def quoted(placeholder: Placeholder, raw: bytes) -> bytes:
    return b'"%b"' % raw if placeholder.is_string else raw


def test_a_report_is_read() -> None:
    (report,) = Usage("usage").read([b'{"prompt_tokens":1}'])
    assert report.prompt_tokens == 1


@pytest.mark.parametrize(
    ("placeholder", "raw"),
    [
        (Text("content"), b'a"'),
        (Text("content"), b"\\"),
        (Text("content"), b'a","b'),
        (Text("content"), b"\n"),
        (Text("content"), b"\\ud800"),
        (Alphabet("p"), b"b"),
        (Padding("obfuscation"), b'a","b'),
        (LastValue("x"), b"null"),
        (LastValue("x"), b"{}"),
        (LastValue("x"), b"1,2"),
        (ChoiceIndex("index"), b"1,2"),
        (ChoiceIndex("index"), b""),
        (ChoiceIndex("index"), b"1.5"),
        (Usage("usage"), b"null"),
        (Usage("usage"), b'{"cost":{"a":1}}'),
        (Usage("usage"), b'{"x":1}'),
    ],
)
def test_what_is_not_one_value_of_its_kind_is_refused(placeholder: Placeholder, raw: bytes) -> None:
    for read in (
        lambda raw: placeholder.read_one(quoted(placeholder, raw)),
        lambda raw: placeholder.read([raw]),
        lambda raw: placeholder.read([raw, raw]),
    ):
        with pytest.raises((ValueError, msgspec.ValidationError)):
            read(raw)


def test_an_event_that_needs_a_repair_is_not_decoded() -> None:
    for payload in (b'{"choices": 5}', b'{"created": "1"}', b"{"):
        with pytest.raises(ValueError):  # noqa: PT011 - each decoder says it in its own words
            decode(payload)


def test_a_name_that_stands_at_several_places() -> None:
    """The place is where another value changes that field alone: not in an object nor in a field of the same name."""
    data = b'{"id":"c","zz":{"content":"q"},"choices":[{"index":0,"delta":{"content":"a","name":"bob"}}],"name":5}'
    for placeholder, value in ((Text("content"), b"a"), (LastValue("name"), b"5")):
        assert placeholder.find(data, decode)
        assert data[placeholder.start : placeholder.end] == value


def test_a_place_that_is_not_there() -> None:
    assert not Text("content").find(b'{"id":"c","choices":[{"index":0,"delta":{"role":"a"}}]}', decode)
