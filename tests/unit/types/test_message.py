"""The text and the reasoning of chunks and messages."""

from __future__ import annotations

from typing import Any

import streamagg
from streamagg import (
    ChatCompletionChunk,
    ChatCompletionMessage,
    ChatCompletionResponse,
    stream_sync,
)
from tests.support.helpers import chunk


class TestText:
    def test_of_a_chunk(self) -> None:
        (text,) = streamagg.stream_sync([chunk({"content": "a"})], incomplete="return")
        assert text.text == "a"
        assert ChatCompletionChunk().text == ""
        answer = {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"content": "all"}, "finish_reason": "stop"}],
        }
        (text,) = streamagg.stream_sync(answer)
        assert text.text == "all"
        for other in (chunk({"content": "a"}, index=1), chunk({"content": None}), {"id": "x", "choices": []}):
            (text,) = streamagg.stream_sync([other], incomplete="return")
            assert text.text == ""

    def test_of_a_message(self) -> None:
        parts = [
            {"type": "thinking", "thinking": []},
            {"type": "text", "text": "a"},
            "x",
            {"type": "text", "text": "b"},
        ]
        assert ChatCompletionMessage(content=parts).text == "axb"  # as the merge makes a text part of a string
        assert ChatCompletionMessage().text == ""

    def test_text_and_reasoning_of_parts(self) -> None:
        thoughts = [{"type": "text", "text": "H"}, "m"]
        parts: list[Any] = [
            "a", {"type": "thinking", "thinking": thoughts, "text": "no"}, {"type": "thinking", "thinking": "!"},
            {"type": "thinking"}, {"text": "b", "thinking": "no"}, {"type": "text", "text": ["c", 5]}, 5,
        ]  # fmt: skip
        message = ChatCompletionMessage(content=parts)
        assert (message.text, message.reasoning_text) == ("abc", "Hm!")
        twice = {"id": "x", "choices": [{"index": 0, "delta": {"content": content}} for content in (parts, "d")]}
        [both] = stream_sync([twice], incomplete="return")
        assert both.text == "abcd"

    def test_reasoning_is_that_of_one_field(self) -> None:
        assert ChatCompletionMessage(reasoning="a", reasoning_content="a").reasoning_text == "a"
        assert ChatCompletionMessage(reasoning="a", reasoning_content="").reasoning_text == "a"
        assert ChatCompletionMessage(content="a").reasoning_text == ""
        assert ChatCompletionResponse().text == ""
