"""The hooks and the view of an accumulator, and the rare branches that no stream of the other tests reaches."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from streamagg import Accumulator, ChatCompletionChunk, StreamAggError
from streamagg._codec.lenient import ignore
from streamagg._codec.size import size_of
from streamagg._codec.struct import Extra, _encodes_all
from streamagg._fastpath.template import Template, template_of
from streamagg._framing.sse import Framer
from streamagg._merge.checks import _items_in, _lists_in
from streamagg._merge.choice import ChoiceState, _extend
from streamagg._merge.rules import append_content
from streamagg._types.chunk import ChatCompletionChunkChoice, ChatCompletionChunkDelta
from streamagg._types.completion import ChatCompletionLogProbs
from tests.support.helpers import chunk, sse


def test_hooks_are_read_back() -> None:
    accumulator = Accumulator()
    handed_out: list[ChatCompletionChunk] = []
    accumulator.deliver = handed_out.append
    accumulator.origin = lambda: " from here"
    assert accumulator.deliver == handed_out.append
    assert accumulator.origin() == " from here"


def test_the_view_of_a_stream() -> None:
    accumulator = Accumulator()
    view = accumulator.view
    assert (view.events, view.text_length, view.has_reasoning) == (0, 0, False)
    accumulator.feed(sse(chunk({"content": "abc", "reasoning": "r"}), done=False))
    assert (view.events, view.text_length, view.has_reasoning) == (1, 3, True)


def test_input_after_done_and_finish_is_ignored() -> None:
    accumulator = Accumulator()
    accumulator.feed(sse(chunk({"content": "a"}, finish="stop")))
    response = accumulator.finish()
    accumulator.feed(b"data: more\n\n")
    assert accumulator.finish() is response


def test_the_fast_path_hands_out_fields_that_no_type_knows() -> None:
    accumulator = Accumulator()
    handed_out: list[ChatCompletionChunk] = []
    accumulator.deliver = handed_out.append
    for n in range(60):
        accumulator.feed(sse(chunk({"content": f"w{n}"}, token_rank=n, same="x"), done=False))
    assert accumulator._pipeline.fast is not None
    assert accumulator._pipeline.fast.taken > 0
    assert [one.extra for one in handed_out] == [{"token_rank": n, "same": "x"} for n in range(60)]


def test_a_framer_that_failed_fails_again() -> None:
    framer = Framer(max_event_bytes=10)
    first = list(framer.read(b"data: " + b"x" * 100 + b"\n\n"))
    assert isinstance(first[-1], StreamAggError)
    assert list(framer.read(b"data: 1\n\n")) == [first[-1]]


def test_lists_of_a_delta_that_no_type_knows_are_checked() -> None:
    delta = ChatCompletionChunkDelta(extra=Extra({"steps": [{"index": 0}], "name": "x"}))
    assert _lists_in(delta) == [("steps", [{"index": 0}])]
    choices = [ChatCompletionChunkChoice(index=0, delta=delta), ChatCompletionChunkChoice(index=1)]
    assert _items_in(ChatCompletionChunk(choices=choices)) == {(0, "steps"): [{"index": 0}]}


def test_logprobs_with_half_of_a_surrogate_pair_have_a_size() -> None:
    logprobs = ChatCompletionLogProbs(extra=Extra({"token": "\ud800", "none": None}))
    assert ChoiceState().add_logprobs(logprobs) == size_of(logprobs)
    fields: dict[str, Any] = {}
    _extend(fields, "none", None)
    assert fields == {}


def test_a_text_after_a_text_grows() -> None:
    state = ChoiceState()
    assert append_content(state.delta, "content", "ab") > 0
    assert append_content(state.delta, "content", "cd") == 2
    state.add_delta(ChatCompletionChunkDelta(role="assistant"), ignore, is_usual=True)
    assert state.text_length == 4


def test_a_text_that_never_came_is_no_target() -> None:
    assert Accumulator()._pipeline.merger.text_target(0, "content", None) is None


def test_a_struct_of_another_package_is_not_encoded_as_it_is() -> None:
    assert not _encodes_all(msgspec.defstruct("Other", [("a", int)]))
    assert json.loads(ChatCompletionChunk(id="a").to_json())["id"] == "a"


def padded(text: str) -> bytes:
    return sse(chunk({"content": text}, obfuscation="pad"), done=False)


def with_a_template() -> tuple[Accumulator, Template]:
    accumulator = Accumulator()
    for n in range(60):
        accumulator.feed(padded(f"w{n}"))
    fast = accumulator._pipeline.fast
    assert fast is not None
    assert fast.template is not None
    return accumulator, fast.template


def test_a_template_refuses_what_follows_an_event() -> None:
    _, template = with_a_template()
    assert template.read_one(padded("a"))
    with pytest.raises(ValueError, match="another event"):
        template.read_one(padded("a") + b"x" + template.end)


def test_a_template_without_a_text_merges_nothing() -> None:
    accumulator, template = with_a_template()
    before = accumulator.snapshot()
    template.append = None
    assert not template.merge([["a"], ["pad"]])
    assert accumulator.snapshot() == before


def test_no_template_of_a_chunk_that_is_not_its_payload() -> None:
    accumulator, _ = with_a_template()
    merger, decode = accumulator._pipeline.merger, accumulator._pipeline.api.decode
    assert decode is not None
    payload = padded("a")[6:-2]
    assert template_of(decode(payload), b"data: ", payload, payload, decode, merger) is not None
    assert template_of(decode(padded("b")[6:-2]), b"data: ", payload, payload, decode, merger) is None
