"""A stream's chunks in other forms."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from streamagg import (
    Accumulator,
    ChatCompletionChunk,
    ChatCompletionResponse,
    ProviderError,
)


def texts_of(chunks: list[Any]) -> list[Any]:
    return [json.dumps(chunk).encode() for chunk in chunks]


def structs_of(chunks: list[Any]) -> list[Any]:
    """The chunks as the stream wrappers yield them."""
    return [struct_of(chunk) for chunk in chunks]


def struct_of(chunk: Any) -> Any:
    """The struct of a chunk. A payload that is no chunk, or has half a surrogate pair, stays as it is."""
    given: list[ChatCompletionChunk] = []
    accumulator = Accumulator()
    accumulator.deliver = given.append
    with suppress(ProviderError):  # an error beside choices comes after its chunk
        accumulator.add(json.dumps(chunk))
    has_half = any("\ud800" <= character <= "\udfff" for character in json.dumps(chunk, ensure_ascii=False))
    return given[0] if given and not has_half else chunk


TOKENS = [{"token": token, "logprob": -0.5} for token in ("Hel", "lo", ", ", "world", "!")]
RESPONSE_DICT: dict[str, Any] = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "provider": "P",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "reasoning": "hm, hello?",
                "content": "Hello, world!",
                "annotations": [{"type": "url"}],
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                    {"id": "b", "type": "custom", "custom": {"name": "g", "input": "go"}},
                ],
            },
            "logprobs": {"content": TOKENS},
            "finish_reason": "tool_calls",
            "stop_reason": 7,
        },
        {"index": 1, "message": {"role": "assistant", "refusal": "No"}, "finish_reason": "stop"},
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
}


def response_of(plain: Any) -> ChatCompletionResponse:
    return ChatCompletionResponse.from_json(json.dumps(plain))


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
