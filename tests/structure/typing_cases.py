"""What a type checker must see; mypy reads this file in `test_typing.py`, nothing runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from typing_extensions import assert_type

import streamagg
import streamagg.asgi


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


async def taps(source: Any) -> None:
    async with streamagg.tap(source, incomplete="return") as body:
        assert_type(body, streamagg.ChatCompletionTap)
        async for data in body:
            assert_type(data, Any)
    assert_type(body.response(), streamagg.ChatCompletionResponse)
    assert_type(body.usage, streamagg.CompletionUsage | None)
    assert_type(body.error, streamagg.StreamAggError | None)
    assert_type(body.timing, streamagg.Timing)
    with streamagg.tap_sync(source, limits=streamagg.Limits(choices=1)) as sync:
        assert_type(next(sync), Any)


async def many(sources: list[Any]) -> None:
    results = await streamagg.accumulate_all(sources, limit=3, usage="sum")
    assert_type(results, list[streamagg.ChatCompletionResponse | Exception])
    assert_type(streamagg.sum_usage(results), streamagg.CompletionUsage)


def middleware(app: FastAPI) -> None:
    async def bill(completion: streamagg.asgi.Completion) -> None:
        assert_type(completion.response, streamagg.ChatCompletionResponse | None)
        assert_type(completion.state, streamagg.asgi.State)

    app.add_middleware(streamagg.asgi.CompletionMiddleware, on_completion=bill, request_body=True)
    app.add_middleware(streamagg.asgi.CompletionMiddleware)


class Billing(streamagg.asgi.CompletionMiddleware):
    async def on_completion(self, completion: streamagg.asgi.Completion) -> None: ...


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
