"""A plain answer read from JSON, and written again."""

from __future__ import annotations

import json

import pytest

import streamagg
from streamagg import (
    ChatCompletionChoice,
    ChatCompletionMessage,
    ChatCompletionResponse,
    CompletionUsage,
    DecodeError,
    LimitError,
    ProviderError,
)
from tests.support.forms import RICH
from tests.support.helpers import strip_nulls


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
