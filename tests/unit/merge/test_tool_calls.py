"""Which call does a fragment continue? Rule by rule, with the servers that need it."""

from __future__ import annotations

import sys
from itertools import product
from typing import Any

import pytest

from streamagg import (
    Accumulator,
    LimitError,
    Limits,
)
from streamagg._codec.lenient import ignore
from streamagg._merge.function import FunctionState
from streamagg._merge.tool_calls import ToolCalls
from tests.support.helpers import calls_chunk, chunk, fragment, merged
from tests.support.steps import steps_of


def calls(*fragments: dict[str, Any] | list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    """The calls that fragments give, each in a delta of its own, or several in one."""
    chunks = [chunk({"tool_calls": part if isinstance(part, list) else [part]}) for part in fragments]
    found: list[dict[str, Any]] = merged(*chunks, **options)["choices"][0]["message"].get("tool_calls", [])
    return found


def part(
    index: Any = None, call_id: str | None = None, name: str | None = None, arguments: Any = None, **more: Any
) -> dict[str, Any]:
    fragment = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}, **more}
    return {key: value for key, value in fragment.items() if value is not None}


def short(found: list[dict[str, Any]]) -> list[tuple[Any, Any, Any]]:
    return [(call.get("id"), call["function"].get("name"), call["function"].get("arguments")) for call in found]


RULES: dict[str, tuple[list[Any], list[tuple[Any, Any, Any]]]] = {
    "an id finds its slot": (
        [part(0, "a", "f", "{"), part(1, "b", "g", "["), part(None, "a", None, "}"), part(None, "b", None, "]")],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "an id without a name finds its slot at another index": (
        [part(0, "a", "f", "{"), part(3, "a", None, "}")],
        [("a", "f", "{}")],
    ),
    "the same id at another index with a name is another call": (
        [part(0, "a", "f", "{"), part(1, "a", "f", "[")],
        [("a", "f", "{"), ("a", "f", "[")],
    ),
    "of two slots with one id the one at the index counts": (
        [part(0, "a", "f", "{"), part(1, "a", "g", "["), part(0, "a", None, "}"), part(1, "a", None, "]")],
        [("a", "f", "{}"), ("a", "g", "[]")],
    ),
    "an id that comes late joins the slot at its index": (
        [part(0, None, "f", "{"), part(0, "a", None, "}")],
        [("a", "f", "{}")],
    ),
    "a late id joins the newest slot there that has none": (
        [part(0, None, "f", "{}"), part(0, "b", "g", "{}"), part(0, "c", None, "!")],
        [("b", "fg", "{}{}"), ("c", None, "!")],
    ),
    "another id at a taken index is another call (Mistral)": (
        [part(0, "a", "f", "{}"), part(0, "b", "g", "{}")],
        [("a", "f", "{}"), ("b", "g", "{}")],
    ),
    "a slot without index takes the index of its id": (
        [part(None, "a", "f", "{"), part(2, "a", None, "1"), part(2, None, None, "}")],
        [("a", "f", "{1}")],
    ),
    "an index alone continues the newest slot there": (
        [part(0, "a", "f", "{"), part(0, "b", "g", "["), part(0, None, None, "]")],
        [("a", "f", "{"), ("b", "g", "[]")],
    ),
    "neither continues the newest slot": (
        [part(0, "a", "f", "{"), part(1, "b", "g", "["), part(None, None, None, "]")],
        [("a", "f", "{"), ("b", "g", "[]")],
    ),
    "nothing at all begins a call": ([part(None, None, None, "{}")], [(None, None, "{}")]),
    "the index may be a number in a string": (
        [part("0", "a", "f", "{"), part(0, None, None, "}")],
        [("a", "f", "{}")],
    ),
    "empty ids and the word null are none": (
        [part(0, "a", "f", "{"), part(0, "", "", "1"), part(0, "null", "", "}")],
        [("a", "f", "{1}")],
    ),
    "another name after arguments began is another call": (
        [part(0, None, "f", "{}"), part(0, None, "g"), part(0, None, None, "{}")],
        [(None, "f", "{}"), (None, "g", "{}")],
    ),
    "another name before that continues it": ([part(0, None, "get_"), part(0, None, "weather", "{}")], [(None, "get_weather", "{}")]),
    "whole arguments and more of them are another call": (
        [part(0, None, "f", '{"a":"}"}'), part(0, None, "f", "{}")],
        [(None, "f", '{"a":"}"}'), (None, "f", "{}")],
    ),
    "whole arguments and no more are the same call": (
        [part(0, None, "f", "{}"), part(0, None, "f", ""), part(0, None, "f")],
        [(None, "f", "{}")],
    ),
    "a repeated name while arguments grow is kept once": (
        [part(0, "a", "f", "{"), part(0, None, "f", '"a":'), part(0, "a", "f", "1}")],
        [("a", "f", '{"a":1}')],
    ),
    "arguments as an object are encoded compactly": ([part(0, "a", "f", {"x": [1, "é"]})], [("a", "f", '{"x":[1,"é"]}')]),
    "several in one delta": (
        [[part(0, "a", "f", "{"), part(1, "b", "g", "["), part(0, None, None, "}")]],
        [("a", "f", "{}"), ("b", "g", "[")],
    ),
    "order is that of the index, with gaps closed": (
        [part(7, "c", "h"), part(2, "a", "f"), part(5, "b", "g")],
        [("a", "f", None), ("b", "g", None), ("c", "h", None)],
    ),
    "a slot without index has its place of appearance": (
        [part(1, "b", "g"), part(None, "a", "f"), part(0, "c", "h")],
        [("c", "h", None), ("b", "g", None), ("a", "f", None)],
    ),
    "absurd indices are keys like any other": (
        [part(10**18, "b", "g"), part(-1, "a", "f"), part(2.5, "c", "h"), part(2.5, None, None, "{}")],
        [("a", "f", None), ("c", "h", "{}"), ("b", "g", None)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str) -> None:
    fragments, wanted = RULES[rule]
    assert short(calls(*fragments)) == wanted


@pytest.mark.parametrize("rule", RULES)
def test_limit_counts_calls_not_fragments(rule: str) -> None:
    """At a limit of just the calls that there are, nothing is refused: the rehearsal knows the rules too."""
    from streamagg import LimitError, Limits

    fragments, wanted = RULES[rule]
    assert short(calls(*fragments, limits=Limits(tool_calls=len(wanted)))) == wanted
    with pytest.raises(LimitError, match="tool_calls"):
        calls(*fragments, limits=Limits(tool_calls=len(wanted) - 1))


def test_type_and_extra_fields() -> None:
    found = calls(
        part(0, "a", "f", "{", type="", extra_content={"google": {"thought_signature": "s"}}, v="1"),
        part(0, None, None, "}", type="function", extra_content={"google": {"more": 1}}, v="2"),
        {"index": 0, "function": {"arguments": "", "w": {"x": 1}}},
    )
    assert found == [
        {
            "id": "a",
            "type": "function",
            "function": {"name": "f", "arguments": "{}", "w": {"x": 1}},
            "extra_content": {"google": {"thought_signature": "s", "more": 1}},
            "v": "2",
        }
    ]


def test_custom_calls() -> None:
    found = calls(
        {"index": 0, "id": "a", "custom": {"name": "shell", "input": "ls"}},
        {"index": 0, "custom": {"name": "shell", "input": " -l"}},
        {"index": 0, "custom": {"name": "python", "input": "1"}},
    )
    assert found == [
        {"id": "a", "type": "custom", "custom": {"name": "shell", "input": "ls -l"}},
        {"type": "custom", "custom": {"name": "python", "input": "1"}},
    ]


@pytest.mark.parametrize(
    "text", ['{"a":"\\\\"}', '{"a":"\\""}', '{"a":{"b":["}"]}}', ' {} ', '{"a":"\\u007d"}', '{"k":"{[\\\\\\""}']
)  # fmt: skip
def test_whole_arguments_are_seen_wherever_they_are_cut(text: str) -> None:
    for one, two in product(range(1, len(text)), repeat=2):
        if one < two:
            pieces = [text[:one], text[one:two], text[two:], "{}"]
            wanted = [(None, "f", text), (None, "f", "{}")]
            if not text[:one].strip() or not text[two:].strip():  # whole already, or nothing yet, at the cut
                continue
            assert short(calls(*(part(0, None, "f", piece) for piece in pieces))) == wanted


@pytest.mark.parametrize("text", ["{}{}", "{]", "[]", '"a"', "{a}", "} {", "{'a':1}"])
def test_what_is_no_json_object_is_never_whole(text: str) -> None:
    assert short(calls(part(0, None, "f", text), part(0, None, "f", "x"), part(0, None, "f", "{}"))) == [
        (None, "f", text + "x{}")
    ]


@pytest.mark.skipif(sys.gettrace() is not None, reason="counts steps with the hook that a tracer has taken")
def test_repeated_names_are_read_once() -> None:
    """A server that repeats the name on every fragment: text that was looked at is not looked at again."""

    def run(count: int) -> int:
        accumulator = Accumulator()
        pieces = [chunk({"tool_calls": [part(0, None, "f", piece)]}) for piece in ['{"a":[', *['"x",'] * count]]
        return steps_of(lambda: [accumulator.add(piece) for piece in pieces])

    run(1)
    assert run(400) <= 2.2 * run(200)


def test_arguments_for_a_call_that_has_no_function_yet() -> None:
    items = [
        chunk({"content": "a"}),
        chunk({"tool_calls": [{"index": 0, "id": "i"}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
    ]
    call = {"id": "i", "type": "function", "function": {"arguments": "{}"}}
    assert merged(*items)["choices"][0]["message"]["tool_calls"] == [call]


def test_two_calls_in_one_fragment_need_no_repair() -> None:
    calls = [{"index": n, "id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in (0, 1)]  # fmt: skip
    assert merged(chunk({"tool_calls": calls}), strict=True) == merged(chunk({"tool_calls": calls}))


def _first_call(**fields: Any) -> Any:
    return chunk({"tool_calls": [{"index": 0, **fields}]})


def test_continuations_that_say_more_than_arguments() -> None:
    begun = _first_call(id="a", type="function", function={"name": "f", "arguments": '{"x"'})
    for rest in (
        _first_call(id="a", function={"name": "", "arguments": ":1}"}),
        _first_call(type="custom", function={"arguments": ":1}"}),
    ):
        (call,) = merged(begun, rest)["choices"][0]["message"]["tool_calls"]
        assert call["function"] == {"name": "f", "arguments": '{"x":1}'}


def test_an_empty_name_changes_none() -> None:
    callee = FunctionState()
    assert [callee.add(name, None, {}, ignore) for name in ("", "f", "", "f")] == [0, 1, 0, 0]
    assert callee.name == "f"


def test_fragments_at_the_limit() -> None:
    at_limit = [calls_chunk(*(fragment(n) for n in range(4)))]
    assert (
        len(
            merged(*at_limit, calls_chunk(fragment(0), fragment(3), fragment(3)), limits=Limits(tool_calls=4))[
                "choices"
            ][0]["message"]["tool_calls"]
        )
        == 4
    )
    with pytest.raises(LimitError):
        merged(*at_limit, calls_chunk(fragment(0), fragment(4)), limits=Limits(tool_calls=4))


def test_strict_sees_a_name_repeated_within_a_chunk() -> None:
    """It merged the first half and was then refused."""
    entry = {"index": 0, "delta": {"function_call": {"name": "f", "arguments": "x"}}}
    accumulator = Accumulator(strict=True)
    with pytest.raises(ValueError, match="tool_name_repeated"):
        accumulator.add({"id": "x", "choices": [entry, entry]})
    assert accumulator.snapshot() is None
    assert not accumulator.repairs


LIKELY_FRAGMENTS: list[dict[str, Any]] = [
    {"index": index, "id": name, "function": {"name": callee, "arguments": text}}
    for index in (0, 1, None) for name in (None, "a", "b") for callee in (None, "f", "g") for text in ("", "{", "{}", "}", " ", '"\\')
]  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_a_trial_foretells(seed: int) -> None:
    """What trying fragments says, repairs and count, is what taking them then does; and it changes nothing."""
    import random

    import msgspec

    from streamagg._types.chunk import ChatCompletionChunkToolCall as Fragment

    dice = random.Random(seed)
    slots = ToolCalls()
    for _ in range(30):
        fragments = [msgspec.convert(dice.choice(LIKELY_FRAGMENTS), Fragment) for _ in range(dice.randint(1, 4))]
        foretold: list[str] = []
        noted: list[str] = []
        before = slots.value()
        trial = slots.trial(fragments)
        for each in fragments:
            trial.add(each, foretold.append)
        assert slots.value() == before
        for each in fragments:
            slots.add(each, noted.append)
        assert (foretold, trial.count) == (noted, len(slots.calls))


def test_empty_names_on_continuations() -> None:
    calls = [{"index": 0, "function": {"arguments": "a"}}, {"index": 0, "function": {"name": "", "arguments": "b"}}]
    apart = merged(*(chunk({"tool_calls": [call]}) for call in calls))
    assert apart == merged(chunk({"tool_calls": calls}))
