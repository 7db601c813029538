"""JSON that is still being written: what is finished stays, and nothing unfinished looks finished."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamagg import (
    ChatCompletionMessage,
    ParseError,
    PartialJSON,
    ToolCallFunction,
    parse_partial,
)
from tests.support.steps import steps_of


@pytest.mark.parametrize(
    ("text", "value", "growing"),
    [
        ("", None, ()),
        (" \n", None, ()),
        ("{", {}, ()),
        ('{"ci', {}, ()),
        ('{"city"', {}, ("city",)),
        ('{"city": ', {}, ("city",)),
        ('{"city": "Mal', {"city": "Mal"}, ("city",)),
        ('{"city": "Malmö"', {"city": "Malmö"}, ()),
        ('{"n": 12', {}, ("n",)),
        ('{"n": 12 ', {"n": 12}, ()),
        ('{"n": 12,', {"n": 12}, ()),
        ('{"n": -', {}, ("n",)),
        ('{"n": 1.', {}, ("n",)),
        ('{"n": 1.5e+', {}, ("n",)),
        ("[tru", [], (0,)),
        ("[true", [True], ()),
        ("[null, ", [None], (1,)),
        ("[[1, 2], [3", [[1, 2], []], (1, 0)),
        ('{"a": {"b": [{"c": "x', {"a": {"b": [{"c": "x"}]}}, ("a", "b", 0, "c")),
        ('{"a": [1], "b": {', {"a": [1], "b": {}}, ("b",)),
        ('{"a": 1, "a"', {}, ("a",)),  # the later one counts, and nothing is there of it
        ('"', "", ()),
        ('"a\\', "a", ()),
        ('"a\\u00', "a", ()),
        ('"a\\u00e9', "aé", ()),
        ('"a\\n', "a\n", ()),
        ('"a\\ud83d', "a", ()),
        ('"a\\ud83d\\', "a", ()),
        ('"a\\ud83d\\ude0', "a", ()),
        ('"a\\ud83d\\ude00', "a😀", ()),
        ('"a\\\\ud83d', "a\\ud83d", ()),  # a backslash, then letters
        ("nul", None, ()),
        ("12", None, ()),  # may become 123
    ],
)
def test_unfinished(text: str, value: Any, growing: tuple[str | int, ...]) -> None:
    assert parse_partial(text) == PartialJSON(value, complete=False, growing=growing)


@pytest.mark.parametrize("text", ['{"a": [1, {}], "b": ""}', " [ ] ", '"x"', "null", "false", "12 ", "-0.5e3\n"])
def test_complete(text: str) -> None:
    assert parse_partial(text) == PartialJSON(json.loads(text), complete=True)


def test_which_values_are_finished() -> None:
    partial = parse_partial('{"city": "Malmö", "days": [1, 2, 3')
    assert partial.value == {"city": "Malmö", "days": [1, 2]}
    assert partial.growing == ("days", 2)
    assert partial.finished("city")
    assert partial.finished("days", 0)
    assert partial.finished("days", 1)
    for path in [(), ("days",), ("days", 2), ("days", 3), ("days", -1), ("unit",), ("city", 0), ("days", "x"), (0,)]:
        assert not partial.finished(*path), path
    whole = parse_partial('{"city": "Malmö", "days": [1, 2, 3]}')
    assert whole.finished()
    assert whole.finished("days", 2)


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("Sure! {", "$", "expected a value (character 0)"),
        ('{"a": 1}}', "$", "expected nothing more (character 8)"),
        ("{1", "$", "expected a key in quotes (character 1)"),
        ('{"a" 1', "$.a", "expected a colon (character 5)"),
        ('{"a": 1]', "$", "expected a comma or the end of the list or object (character 7)"),
        ('{"a": [1 2', "$.a", "expected a comma or the end of the list or object (character 9)"),
        ("[1,]", "$[1]", "expected a value (character 3)"),
        ("[,", "$[0]", "expected a value (character 1)"),
        ("[01", "$[0]", "expected a value (character 1)"),
        ("[1-", "$[0]", "expected a value (character 1)"),
        ("[1.]", "$[0]", "expected a value (character 1)"),
        ("[1e999]", "$[0]", "expected a value (character 1)"),
        ("[NaN", "$[0]", "expected a value (character 1)"),
        ("[trueish", "$[0]", "expected a value (character 1)"),
        ('["\\x', "$[0]", "a string that is no JSON (character 1)"),
        ('["a\nb', "$[0]", "a string that is no JSON (character 1)"),
        ('["\\u00g', "$[0]", "an escape that JSON does not know (character 1)"),
        ('["\\ud83d"', "$[0]", "an escape that JSON does not know (character 1)"),
        ('["\\ude00', "$[0]", "a string that is no JSON (character 1)"),
        ('{"a": "\ud83d', "$.a", "a string that is no JSON (character 6)"),
        ("[" * 129, "$" + "[0]" * 128, "it nests deeper than 128 (character 128)"),
        ('{"a":' * 10**6, "$" + ".a" * 128, "it nests deeper than 128 (character 640)"),
    ],
)
def test_what_is_no_json(text: str, path: str, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_partial(text)
    assert (caught.value.path, caught.value.reason, caught.value.text) == (path, reason, text)


def test_content_and_arguments() -> None:
    text = '{"city": "Mal'
    partial = PartialJSON({"city": "Mal"}, complete=False, growing=("city",))
    assert ChatCompletionMessage(content=text).parse_partial() == partial
    assert ChatCompletionMessage(content=[{"type": "text", "text": text}]).parse_partial() == partial
    assert ToolCallFunction(arguments=text).parse_partial() == partial
    for nothing in (ChatCompletionMessage(), ToolCallFunction()):
        assert nothing.parse_partial() == PartialJSON(None, complete=False)


@pytest.mark.skipif(sys.gettrace() is not None, reason="counts steps with the hook that a tracer has taken")
@pytest.mark.parametrize("unit", ['{"a": "b"}, ', "[[1, 2], true], ", '"\\n\\ud83d\\ude00", '])
def test_steps_grow_linearly(unit: str) -> None:
    steps = [steps_of(lambda count=count: parse_partial("[" + unit * count)) for count in (250, 500, 1000)]
    assert all(more <= 2.1 * less for less, more in pairwise(steps)), steps


LEAF = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(["é😀", '"\\', "\\u0041", "\x00\n", "/"])
)  # fmt: skip
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4), max_leaves=12
)  # fmt: skip


def whole_values(value: Any, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Any]:
    """Every value inside a value, by its path."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {path: value}
    for place, item in items:
        found |= whole_values(item, (*path, place))
    return found


def exactly(value: Any) -> str:
    """A value in a form that tells 1, 1.0 and True apart."""
    return repr(value)


@given(VALUE, st.booleans(), st.sampled_from([None, 1]))
def test_every_prefix(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        text += "\n"  # a number is over where something follows it
    wanted = whole_values(msgspec.json.decode(text))
    before: dict[tuple[str | int, ...], Any] = {}
    for end in range(len(text) + 1):
        partial = parse_partial(text[:end])
        there = whole_values(partial.value) if partial.value is not None or partial.complete else {}
        done = {path: item for path, item in there.items() if partial.finished(*path)}
        for path, item in done.items():
            assert exactly(item) == exactly(wanted[path])
        for path in there.keys() - done.keys():  # what is unfinished lies on one path, and is a beginning
            assert path == partial.growing[: len(path)]
            if isinstance(there[path], str):
                assert wanted[path].startswith(there[path])
            else:
                assert type(there[path]) is type(wanted[path])
                assert type(there[path]) in (dict, list)
        assert done.keys() >= before.keys()  # what is finished stays so
        before = done
    assert partial.complete
    assert exactly(partial.value) == exactly(wanted[()])


@given(st.text(st.sampled_from('{}[]",:\\u0d8c12.-e+truefalsn \n'), max_size=12) | st.text(max_size=4))
def test_it_reads_what_a_decoder_reads(text: str) -> None:
    """Any text: complete where a decoder takes it, and refused only where no continuation could be taken."""
    try:
        partial = parse_partial(text)
    except ParseError:
        for more in ("", "0", '"', "}", "]", "e0", ":0}", '":0}'):
            with pytest.raises((msgspec.DecodeError, UnicodeEncodeError)):
                msgspec.json.decode(text + more)
        return
    try:
        value = msgspec.json.decode(text + " ")
    except (msgspec.DecodeError, UnicodeEncodeError):
        assert not partial.complete
    else:
        partial = parse_partial(text + " ")
        assert partial.complete
        assert exactly(partial.value) == exactly(value)
