"""Every source that async code may hold, made by its real client from a real answer.

A source is given for a base address, whose scenario says what the server of `tests.support.app` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import anyio
import anyio.streams.buffered
import httpx
import httpx_sse
import niquests
import openai
import trio

from streamagg import ChatCompletionResponse, accumulate, stream, tap
from tests.support.sync_clients import (
    BODY,
    CHECKED,
    CHUNKS,
    CONNECTION,
    EVENTS,
    HEAD,
    READ,
    STORED,
    STREAMED,
    SYNC_SOURCES,
    httpx2,
)


async def _stream(source: Any) -> ChatCompletionResponse:
    async with stream(source) as chunks:
        async for _ in chunks:
            pass
    return chunks.response()


async def _tap(source: Any) -> ChatCompletionResponse:
    async with tap(source) as body:
        async for _ in body:
            pass
    return body.response()


WAYS: dict[str, Callable[[Any], Awaitable[ChatCompletionResponse]]] = {
    "accumulate": accumulate,
    "stream": _stream,
    "tap": _tap,
}
"""The ways to read a source."""


class Source(NamedTuple):
    """A kind of source for async code."""

    open: Callable[[str], AbstractAsyncContextManager[Any]]
    traits: str
    """As those of `SyncSource`, and

    sync    blocking code takes it too
    nested  the client leaves its inner generators unfinished where [DONE] is not their end, of which trio tells
    """
    loops: str = "asyncio uvloop trio"


@asynccontextmanager
async def _httpx(base: str, module: Any = httpx) -> AsyncIterator[Any]:
    async with (
        module.AsyncClient(verify=False) as client,
        client.stream("POST", f"{base}/chat/completions", json=BODY) as response,
    ):
        yield response


@asynccontextmanager
async def _httpx_read(base: str, module: Any = httpx) -> AsyncIterator[Any]:
    async with module.AsyncClient(verify=False) as client:
        yield await client.post(f"{base}/chat/completions", json=BODY)


@asynccontextmanager
async def _httpx_sse(base: str) -> AsyncIterator[Any]:
    async with (
        httpx.AsyncClient(verify=False) as client,
        httpx_sse.aconnect_sse(client, "POST", f"{base}/chat/completions", json=BODY) as events,
    ):
        yield events


@asynccontextmanager
async def _httpx_sse_events(base: str) -> AsyncIterator[Any]:
    async with _httpx_sse(base) as events:
        yield events.aiter_sse()


@asynccontextmanager
async def _httpx2_sse(base: str) -> AsyncIterator[Any]:
    async with (
        httpx2.AsyncClient(verify=False) as client,
        client.sse(f"{base}/chat/completions", method="POST", json=BODY) as events,
    ):
        yield events


@asynccontextmanager
async def _httpx2_sse_events(base: str) -> AsyncIterator[Any]:
    async with _httpx2_sse(base) as events:
        yield aiter(events)


@asynccontextmanager
async def _aiohttp(base: str) -> AsyncIterator[Any]:
    async with aiohttp.ClientSession() as session, session.post(f"{base}/chat/completions", json=BODY) as response:
        yield response


@asynccontextmanager
async def _aiohttp_content(base: str) -> AsyncIterator[Any]:
    async with _aiohttp(base) as response:
        yield response.content


@asynccontextmanager
async def _aiohttp_read(base: str) -> AsyncIterator[Any]:
    async with _aiohttp(base) as response:
        await response.read()
    yield response


@asynccontextmanager
async def _niquests(base: str) -> AsyncIterator[Any]:
    async with niquests.AsyncSession() as session:
        response = await session.post(f"{base}/chat/completions", json=BODY, stream=True)
        async with response:
            yield response


@asynccontextmanager
async def _niquests_read(base: str) -> AsyncIterator[Any]:
    async with niquests.AsyncSession() as session:
        yield await session.post(f"{base}/chat/completions", json=BODY)


@asynccontextmanager
async def _urllib3_future(base: str) -> AsyncIterator[Any]:
    async with niquests.packages.urllib3.AsyncPoolManager() as pool:
        response = await pool.request("POST", f"{base}/chat/completions", json=BODY, preload_content=False)
        yield response
        await response.close()


@asynccontextmanager
async def _openai(base: str) -> AsyncIterator[Any]:
    """The client's completions, which make three kinds of source."""
    async with openai.AsyncOpenAI(
        api_key="k", base_url=base, max_retries=0, http_client=openai.DefaultAsyncHttpxClient(verify=False)
    ) as client:
        yield client.chat.completions


@asynccontextmanager
async def _openai_chunks(base: str) -> AsyncIterator[Any]:
    async with _openai(base) as completions, await completions.create(**BODY) as chunks:
        yield chunks


@asynccontextmanager
async def _openai_streaming(base: str) -> AsyncIterator[Any]:
    async with _openai(base) as completions, completions.with_streaming_response.create(**BODY) as response:
        yield response


@asynccontextmanager
async def _openai_raw(base: str) -> AsyncIterator[Any]:
    async with _openai(base) as completions:
        response = await completions.with_raw_response.create(**BODY)
        yield response
        await response.http_response.aclose()


@asynccontextmanager
async def _openai_events(base: str) -> AsyncIterator[Any]:
    async with _openai(base) as completions, completions.stream(model="m", messages=[]) as events:
        yield events


@asynccontextmanager
async def _asyncio_reader(base: str) -> AsyncIterator[Any]:
    url = urlsplit(base)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(HEAD % url.path.encode())
    await reader.readuntil(b"\r\n\r\n")
    yield reader
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def _anyio_bytes(base: str) -> AsyncIterator[Any]:
    url = urlsplit(base)
    async with await anyio.connect_tcp(str(url.hostname), int(url.port or 0)) as connection:
        await connection.send(HEAD % url.path.encode())
        buffered = anyio.streams.buffered.BufferedByteReceiveStream(connection)
        await buffered.receive_until(b"\r\n\r\n", 65536)
        yield buffered


@asynccontextmanager
async def _anyio_objects(base: str) -> AsyncIterator[Any]:
    send, receive = anyio.create_memory_object_stream[bytes]()

    async def pass_on() -> None:
        async with send, _httpx(base) as response:
            async for data in response.aiter_bytes():
                await send.send(data)

    async with receive, anyio.create_task_group() as tasks:
        tasks.start_soon(pass_on)
        yield receive
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def _trio_bytes(base: str) -> AsyncIterator[Any]:
    url = urlsplit(base)
    async with await trio.open_tcp_stream(str(url.hostname), int(url.port or 0)) as connection:
        await connection.send_all(HEAD % url.path.encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await connection.receive_some(1)
        yield connection


@asynccontextmanager
async def _trio_objects(base: str) -> AsyncIterator[Any]:
    send, receive = trio.open_memory_channel[bytes](0)

    async def pass_on() -> None:
        async with send, _httpx(base) as response:
            async for data in response.aiter_bytes():
                await send.send(data)

    async with receive, trio.open_nursery() as nursery:
        nursery.start_soon(pass_on)
        yield receive
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _slices(base: str) -> AsyncIterator[Any]:
    async with _httpx(base) as response:
        yield response.aiter_bytes()


@asynccontextmanager
async def _anyio_file(base: str) -> AsyncIterator[Any]:
    with SYNC_SOURCES["path"].open(base) as path:
        async with await anyio.open_file(path, "rb") as file:
            yield file


@asynccontextmanager
async def _trio_file(base: str) -> AsyncIterator[Any]:
    with SYNC_SOURCES["path"].open(base) as path:
        async with await trio.open_file(path, "rb") as file:
            yield file


def _in_async(
    open_sync: Callable[[str], AbstractContextManager[Any]],
) -> Callable[[str], AbstractAsyncContextManager[Any]]:
    """A source in memory or on disk, which async code takes too."""

    @asynccontextmanager
    async def opened(base: str) -> AsyncIterator[Any]:
        with open_sync(base) as source:
            yield source

    return opened


ASYNCIO = "asyncio uvloop"

SOURCES: dict[str, Source] = {
    "httpx": Source(_httpx, STREAMED),
    "httpx, read": Source(_httpx_read, f"{READ} sync"),
    "httpx-sse": Source(_httpx_sse, STREAMED),
    "httpx-sse, its iterator": Source(_httpx_sse_events, f"{EVENTS} nested"),
    "aiohttp": Source(_aiohttp, STREAMED, ASYNCIO),
    "aiohttp, content": Source(_aiohttp_content, CHECKED, ASYNCIO),
    "aiohttp, read": Source(_aiohttp_read, f"{READ} sync", ASYNCIO),
    "niquests": Source(_niquests, STREAMED, ASYNCIO),
    "niquests, read": Source(_niquests_read, f"{READ} sync", ASYNCIO),
    "urllib3-future": Source(_urllib3_future, CONNECTION, ASYNCIO),
    "openai, chunks": Source(_openai_chunks, f"{CHUNKS} nested"),
    "openai, helper": Source(_openai_events, f"{CHUNKS} nested"),
    "openai, with_streaming_response": Source(_openai_streaming, CHECKED),
    "openai, with_raw_response": Source(_openai_raw, CHECKED),
    "asyncio.StreamReader": Source(_asyncio_reader, CONNECTION, ASYNCIO),
    "anyio byte stream": Source(_anyio_bytes, CONNECTION),
    "anyio object stream": Source(_anyio_objects, CONNECTION),
    "anyio file": Source(_anyio_file, STORED),
    "trio byte stream": Source(_trio_bytes, CONNECTION, "trio"),
    "trio memory channel": Source(_trio_objects, CONNECTION, "trio"),
    "trio file": Source(_trio_file, STORED, "trio"),
    "async generator": Source(_slices, f"{CONNECTION} nested"),
}
if httpx2 is not None:
    SOURCES |= {
        "httpx2": Source(partial(_httpx, module=httpx2), STREAMED),
        "httpx2, read": Source(partial(_httpx_read, module=httpx2), f"{READ} sync"),
        "httpx2, event source": Source(_httpx2_sse, STREAMED),
        "httpx2, event source, its iterator": Source(_httpx2_sse_events, f"{EVENTS} nested"),
    }
for name, source in SYNC_SOURCES.items():
    if "live" not in source.traits.split():
        SOURCES[f"{name}, of blocking code"] = Source(_in_async(source.open), f"{source.traits} sync")
