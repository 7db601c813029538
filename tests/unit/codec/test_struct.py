"""The structs: unknown fields, plain data, equality, copies, and plain answers read from JSON."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import msgspec
import pytest

import streamagg
from streamagg import (
    ChatCompletionChoice,
    ChatCompletionChunk,
    ChatCompletionMessage,
    ChatCompletionResponse,
    CompletionUsage,
    DecodeError,
    Extra,
    LimitError,
    ProviderError,
    ToolCall,
    ToolCallFunction,
    stream_sync,
)
from tests.support.helpers import chunk, strip_nulls

STRUCTS = [
    value
    for name in streamagg.__all__
    if isinstance(value := getattr(streamagg, name), type)
    and issubclass(value, msgspec.Struct)
    and "extra" in value.__struct_fields__
]

RICH: dict[str, Any] = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "hi é",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}", "v3": 3}, "v2": [1]},
                    {"id": "b", "type": "custom", "custom": {"name": "g", "input": "ls"}},
                ],
                "audio": {"id": "i", "data": "QQ==", "transcript": "t", "expires_at": 1},
                "v1": {"deep": [1, {"er": None}]},
            },
            "finish_reason": "stop",
            "logprobs": {
                "content": [
                    {
                        "token": "h",
                        "logprob": -0.5,
                        "bytes": [104],
                        "top_logprobs": [{"token": "h", "logprob": -1.0, "w": 1}],
                    }
                ]
            },
            "v4": "x",
        }
    ],
    "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0, "v6": 1}, "v5": 0.5},
    "extra": {"a field": "that is really named so"},
    "v0": True,
}


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_each_struct(struct: type[Any]) -> None:
    empty = struct()
    assert empty == struct()
    assert empty.extra == {}
    with_extra = struct(extra=Extra({"k": [1]}))
    assert with_extra != empty
    assert with_extra.to_dict() == {**empty.to_dict(), "k": [1]}
    assert json.loads(with_extra.to_json()) == with_extra.to_dict()
    for same in (pickle.loads(pickle.dumps(with_extra)), copy.copy(with_extra), copy.deepcopy(with_extra)):
        assert same == with_extra
        assert type(same) is struct
    assert pickle.loads(pickle.dumps(empty)).extra is empty.extra
    assert "k" in repr(with_extra)
    assert "extra" not in repr(empty)


def test_the_shared_empty_extra_cannot_be_written_by_accident() -> None:
    usage = CompletionUsage()
    for write in (lambda e: e.__setitem__("a", 1), lambda e: e.update(a=1), lambda e: e.setdefault("a", 1)):
        with pytest.raises(TypeError, match="shared"):
            write(usage.extra)
    assert CompletionUsage().extra == {}


def test_repr_shows_what_is_there() -> None:
    call = ToolCall(id="a", function=ToolCallFunction(name="f", arguments="{}"))
    message = ChatCompletionMessage(content="hi", tool_calls=[call])
    assert repr(message) == (
        "ChatCompletionMessage(content='hi', tool_calls=[ToolCall(id='a', function=ToolCallFunction(name='f', arguments='{}'))])"
    )


class TestFromJson:
    def test_round_trip_in_their_own_places(self) -> None:
        response = ChatCompletionResponse.from_json(json.dumps(RICH))
        assert strip_nulls(response.to_dict()) == strip_nulls(RICH)
        assert json.loads(response.to_json()) == response.to_dict()
        assert ChatCompletionResponse.from_json(response.to_json().encode()) == response
        assert response.extra == {"v0": True, "extra": {"a field": "that is really named so"}}
        assert response.choices[0].extra == {"v4": "x"}
        assert response.choices[0].message.tool_calls is not None
        assert response.choices[0].message.tool_calls[0].extra == {"v2": [1]}

    def test_is_what_accumulate_makes_of_the_body(self) -> None:
        assert streamagg.accumulate_sync(json.dumps(RICH)) == ChatCompletionResponse.from_json(json.dumps(RICH))

    def test_reads_tolerantly(self) -> None:
        odd = {
            "created": "7",
            "choices": [{"message": None}, {"index": None, "message": {"role": None, "content": 5}}],
            "usage": {"prompt_tokens": 1.0},
        }
        assert ChatCompletionResponse.from_json(json.dumps(odd)) == ChatCompletionResponse(
            created=7,
            choices=[
                ChatCompletionChoice(index=0),
                ChatCompletionChoice(index=1, message=ChatCompletionMessage(content="5")),
            ],
            usage=CompletionUsage(prompt_tokens=1),
        )

    def test_errors(self) -> None:
        with pytest.raises(ProviderError, match="boom"):
            ChatCompletionResponse.from_json('{"error": {"message": "boom"}}')
        for data in (
            '{"object": "error", "message": "boom"}',
            '{"object": "error"}',
            '{"error": "boom", "choices": []}',
        ):
            with pytest.raises(ProviderError):
                ChatCompletionResponse.from_json(data)
        with pytest.raises(LimitError, match="depth"):
            ChatCompletionResponse.from_json('{"choices": [], "x_groq": ' + "[" * 900 + "]" * 900 + "}")
        for data in (
            "",
            "{}",
            '{"id": "x"}',
            "nonsense",
            "[]",
            "5",
            '{"detail": "x"}',
            '{"choices": 5}',
            "[" * 100_000,
            b"\xff",
        ):
            with pytest.raises(DecodeError):
                ChatCompletionResponse.from_json(data)
        with pytest.raises(DecodeError, match=r"\$\.choices\[1\]\.message\.tool_calls") as caught:
            ChatCompletionResponse.from_json('{"choices": [{}, {"message": {"tool_calls": 5}}]}')
        assert caught.value.path == "$.choices[1].message.tool_calls"

    def test_half_a_surrogate_pair_is_replaced(self) -> None:
        response = ChatCompletionResponse.from_json('{"id": "x\\ud83d", "choices": []}')
        assert response.id == "x\ufffd"
        response.to_json()

    def test_index_of_calls_is_dropped(self) -> None:
        body = '{"choices": [{"message": {"tool_calls": [{"index": 3, "id": "a"}]}}]}'
        response = ChatCompletionResponse.from_json(body)
        assert response.to_dict()["choices"][0]["message"]["tool_calls"] == [{"id": "a", "type": "function"}]


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
