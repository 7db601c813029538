"""What a type checker must see; mypy reads this file in `test_typing.py`, nothing runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import attrs
import msgspec
import pydantic
from openai.types.chat import ChatCompletion
from typing_extensions import TypedDict, assert_type

import streamagg


async def drivers(source: Any) -> None:
    assert_type(await streamagg.accumulate(source), streamagg.ChatCompletionResponse)
    assert_type(streamagg.accumulate_sync(source, usage="sum", incomplete="return"), streamagg.ChatCompletionResponse)
    async with streamagg.stream(source, idle_timeout=1.5) as chunks:
        assert_type(chunks, streamagg.ChatCompletionStream)
        async for chunk in chunks:
            assert_type(chunk, streamagg.ChatCompletionChunk)
            assert_type(chunk.text, str)
        assert_type(chunks.response(), streamagg.ChatCompletionResponse)
        assert_type(chunks.snapshot(), streamagg.ChatCompletionResponse | None)
    with streamagg.stream_sync(source) as sync:
        assert_type(next(sync), streamagg.ChatCompletionChunk)
        assert_type(sync.repairs, Mapping[str, int])


def response(value: streamagg.ChatCompletionResponse) -> None:
    assert_type(value.choices[0].message.content, str | list[Any] | None)
    assert_type(value.choices[0].finish_reason, str | None)
    assert_type(value.choices[0].message.tool_calls, list[streamagg.ToolCall] | None)
    assert_type(value.usage, streamagg.CompletionUsage | None)
    assert_type(value.extra, streamagg.Extra)
    assert_type(value.to_dict(), dict[str, Any])
    assert_type(value.to_json(), str)
    assert_type(streamagg.ChatCompletionResponse.from_json(b""), streamagg.ChatCompletionResponse)
    if value.usage is not None:
        assert_type(value.usage + value.usage, streamagg.CompletionUsage)
        assert_type(value.usage.total_tokens, int | None)


def push() -> None:
    accumulator = streamagg.Accumulator(usage="last", strict=True, limits=streamagg.Limits(choices=1))
    assert_type(accumulator.finish(), streamagg.ChatCompletionResponse)
    assert_type(accumulator.complete, bool)
    assert_type(streamagg.SSEDecoder().feed(b""), list[streamagg.ServerSentEvent])
    streamagg.Accumulator(usage="max")  # type: ignore[arg-type]


def errors(error: streamagg.StreamAggError, provider: streamagg.ProviderError) -> None:
    assert_type(error.partial, streamagg.ChatCompletionResponse | None)
    assert_type(provider.code, int | str | None)


class AsStruct(msgspec.Struct):
    city: str


class AsTypedDict(TypedDict):
    city: str


class AsPydantic(pydantic.BaseModel):
    city: str


@dataclass
class AsDataclass:
    city: str


@attrs.define
class AsAttrs:
    city: str


def typed(message: streamagg.ChatCompletionMessage, function: streamagg.ToolCallFunction) -> None:
    assert_type(message.parse(AsStruct), AsStruct)
    assert_type(message.parse(AsTypedDict), AsTypedDict)
    assert_type(message.parse(list[AsStruct]), list[AsStruct])
    assert_type(function.parse(AsDataclass), AsDataclass)
    assert_type(function.parse(AsAttrs), AsAttrs)
    assert_type(function.parse(AsPydantic), AsPydantic)
    message.parse(AsStruct | list[int])  # a union is Any
    partial = function.parse_partial()
    assert_type(partial, streamagg.PartialJSON)
    assert_type(partial.growing, tuple[str | int, ...])
    assert_type(partial.finished("items", 0), bool)
    assert_type(streamagg.parse_partial("{").complete, bool)


def elsewhere(value: streamagg.ChatCompletionResponse) -> None:
    assert_type(streamagg.replay(value, piece=4), Iterator[streamagg.ChatCompletionChunk])
    assert_type(streamagg.to_sse(value, done=True), bytes)
    assert_type(value.to_openai(), ChatCompletion)
    assert_type(streamagg.ChatCompletionResponse.from_openai(value.to_openai()), streamagg.ChatCompletionResponse)
    assert_type(streamagg.ChatCompletionResponse.json_schema(), dict[str, Any])
    assert_type(streamagg.otel_attributes(value), dict[str, Any])
