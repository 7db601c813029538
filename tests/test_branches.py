"""What no other test happens to reach: rare, and right all the same."""

from __future__ import annotations

import importlib
import json
import os
from collections import OrderedDict
from typing import Any

import pytest

from streamagg import (
    Accumulator,
    ChatCompletionChunk,
    ProviderError,
    accumulate,
    accumulate_sync,
    stream_sync,
)
from streamagg._codec.lenient import ignore, to_struct
from streamagg._fastpath.placeholders import _indices as indices
from streamagg._fastpath.placeholders import decode_chunk, holes_of
from streamagg._merge.tool_calls import Callee
from tests.support.helpers import chunk, merged, so_far, sse
from tests.support.streams import BODY, WANTED


def test_the_module_of_the_command_line_can_be_imported() -> None:
    assert callable(importlib.import_module("streamagg.__main__").main)


def test_a_choice_that_says_nothing_has_no_text() -> None:
    with stream_sync([{"id": "x", "choices": [{"index": 0}]}, chunk({"content": "a"}, finish="stop")]) as chunks:
        assert [each.text for each in chunks] == ["", "a"]


def test_an_error_that_is_a_list_is_shown() -> None:
    assert ProviderError(["no"]).message == "['no']"


def test_nulls_inside_usage_add_nothing() -> None:
    one, two = (
        accumulate_sync([chunk(usage={"prompt_tokens": 1, "d": {"a": value}}, finish="stop")]).usage
        for value in (1, None)
    )
    two.extra["d"] = {"a": None}  # type: ignore[union-attr]
    assert (one + two).to_dict() == {"prompt_tokens": 2, "d": {"a": 1}}  # type: ignore[operator]


@pytest.mark.anyio
async def test_a_file_that_is_ready_with_nothing_is_asked_again() -> None:
    """As where another process was quicker."""
    reader, writer = os.pipe()
    os.write(writer, b"x")
    os.set_blocking(reader, False)
    given: list[Any] = [None, None, BODY, b"", b""]

    class File:
        def fileno(self) -> int:
            return reader

        def read(self, size: int) -> Any:
            return given.pop(0)

    assert (await accumulate(File())).to_dict() == WANTED
    os.close(reader)
    os.close(writer)


class Words(str):
    __slots__ = ()


def test_subclasses_of_plain_types() -> None:
    plain = chunk({"content": "a"}, finish="stop", usage={"prompt_tokens": "1"})
    odd: Any = OrderedDict({**plain, "choices": [OrderedDict({**plain["choices"][0], "delta": OrderedDict(content=Words("a"))})]})  # fmt: skip
    assert merged(odd) == merged(plain)
    for cls in (dict, OrderedDict):
        read = to_struct(ChatCompletionChunk, cls(id=Words("x")), ignore)
        assert read == ChatCompletionChunk(id="x")


def test_two_calls_in_one_fragment_need_no_repair() -> None:
    calls = [{"index": n, "id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in (0, 1)]  # fmt: skip
    assert merged(chunk({"tool_calls": calls}), strict=True) == merged(chunk({"tool_calls": calls}))


def _call(**fields: Any) -> Any:
    return chunk({"tool_calls": [{"index": 0, **fields}]})


def test_continuations_that_say_more_than_arguments() -> None:
    begun = _call(id="a", type="function", function={"name": "f", "arguments": '{"x"'})
    for rest in (
        _call(id="a", function={"name": "", "arguments": ":1}"}),
        _call(type="custom", function={"arguments": ":1}"}),
    ):
        (call,) = merged(begun, rest)["choices"][0]["message"]["tool_calls"]
        assert call["function"] == {"name": "f", "arguments": '{"x":1}'}


def test_an_empty_name_changes_none() -> None:
    callee = Callee()
    assert [callee.add(name, None, {}, ignore) for name in ("", "f", "", "f")] == [0, 1, 0, 0]
    assert callee.name == "f"


class TestEnvelopes:
    def test_chunks_that_are_wanted_only_later(self) -> None:
        events = [sse(chunk({"content": f"w{n}"}), done=False) for n in range(9)]
        accumulator = Accumulator()
        for event in events[:4]:
            accumulator.feed(event)
        given: list[ChatCompletionChunk] = []
        accumulator.deliver = given.append
        accumulator.feed(events[4])
        accumulator.feed(events[5] + events[6])
        accumulator.feed(events[7])
        assert [each.text for each in given] == ["w4", "w5", "w6", "w7"]
        accumulator = Accumulator()
        for event in events[:4]:
            accumulator.feed(event)
        given = []
        accumulator.deliver = given.append
        accumulator.feed(events[4] + events[5])
        assert [each.text for each in given] == ["w4", "w5"]

    def test_half_a_surrogate_pair_beside_the_text(self) -> None:
        chunks = [chunk({"content": f"w{n}"}, zz={"a": "\ud800"}) for n in range(5)]
        accumulator = Accumulator()
        for each in chunks:
            accumulator.feed(f"data: {json.dumps(each)}\n\n".encode())
        assert accumulator.snapshot().to_dict() == merged(*chunks)  # type: ignore[union-attr]

    def test_a_comment_between_events_and_inside_one(self) -> None:
        events = [sse(chunk({"content": f"w{n}"}), done=False) for n in range(12)]
        noise = b": keep-alive\n\n"
        inside = events[8][:-1] + noise + events[9]
        for slices in (
            [*events[:4], noise, *events[4:6], noise + events[6] + noise + events[7], inside, events[10] + noise + events[11]],
            [b"".join([*events[:4], noise, *events[4:6], noise, *events[6:8], noise, inside, *events[10:]])],
        ):  # fmt: skip
            accumulator = Accumulator()
            for each in slices:
                accumulator.feed(each)
            assert so_far(accumulator) == "".join(f"w{n}" for n in range(12))

    def test_indices_are_one_each(self) -> None:
        assert indices([b"1", b"22"]) == [1, 22]
        with pytest.raises(ValueError, match="not one integer each"):
            indices([b"1,2"])

    def test_what_cannot_be_read_makes_none(self) -> None:
        with pytest.raises(ValueError, match="unreadable"):
            decode_chunk(b'{"choices": 5}')

    def test_a_name_that_stands_at_several_places(self) -> None:
        """The hole is where another value changes that field alone: not in an object nor a field of that name."""
        data = b'{"id":"c","zz":{"content":"q"},"choices":[{"index":0,"delta":{"content":"a","name":"bob"}}],"name":5}'
        found = holes_of(decode_chunk(data), "content", data, indexed=False)
        assert [data[hole.start : hole.end] for hole in found or ()] == [b"a", b"5"]

    def test_usage_with_a_cost_makes_none(self) -> None:
        data = b'{"id":"c","choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":1,"cost":1}}'
        assert holes_of(decode_chunk(data), "content", data, indexed=False) is None
