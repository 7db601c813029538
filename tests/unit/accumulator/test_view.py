"""The hooks of an accumulator, and its view."""

from __future__ import annotations

from streamagg import Accumulator, ChatCompletionChunk
from tests.support.helpers import chunk, sse


def test_hooks_are_read_back() -> None:
    accumulator = Accumulator()
    handed_out: list[ChatCompletionChunk] = []
    accumulator.deliver = handed_out.append
    accumulator.origin = lambda: " from here"
    assert accumulator.deliver == handed_out.append
    assert accumulator.origin() == " from here"


def test_the_view_follows_the_stream() -> None:
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
