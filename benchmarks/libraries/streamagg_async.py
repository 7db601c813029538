"""streamagg, by each of its ways for async code: the twins of those in `streamagg_ways`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from streamagg import ChatCompletionResponse
from streamagg import accumulate as accumulated
from streamagg import stream as streamed
from streamagg import tap as tapped

from .streamagg_ways import wire

__all__ = ["accumulate", "events", "stream", "tap", "text", "wire"]


async def _source(reads: list[bytes]) -> AsyncIterator[bytes]:
    for data in reads:
        yield data


async def accumulate(reads: list[bytes]) -> ChatCompletionResponse:
    return await accumulated(_source(reads))


async def tap(reads: list[bytes]) -> ChatCompletionResponse:
    async with tapped(_source(reads)) as body:
        async for _ in body:
            pass
        return body.response()


async def stream(reads: list[bytes]) -> ChatCompletionResponse:
    async with streamed(_source(reads)) as chunks:
        async for _ in chunks:
            pass
        return chunks.response()


async def text(reads: list[bytes]) -> ChatCompletionResponse:
    async with streamed(_source(reads)) as chunks:
        async for _ in chunks.text():
            pass
        return chunks.response()


async def events(reads: list[bytes]) -> ChatCompletionResponse:
    async with streamed(_source(reads)) as chunks:
        async for _ in chunks.events():
            pass
        return chunks.response()
