"""A short stream in every form, and sources that are watched."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
from openai import OpenAI

from tests.support.helpers import chunk, merged, sse

CHUNKS = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hel"}),
    chunk({"content": "lo"}),
    chunk(finish="stop"),
    {**chunk(), "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
]
BODY = sse(*CHUNKS)
WANTED = merged(*CHUNKS)
CUT = BODY[: BODY.index(b"lo")]
BEGUN = sse(*CHUNKS[:2], done=False)


class Closable:
    """An async iterator that is no generator, as clients' streams are; notes whether it was closed."""

    def __init__(self, *items: Any, error: BaseException | None = None) -> None:
        self.items = list(items)
        self.error = error
        self.closed = False

    def __aiter__(self) -> Closable:
        return self

    async def __anext__(self) -> Any:
        await anyio.lowlevel.checkpoint()
        if self.items:
            return self.items.pop(0)
        if self.error is not None:
            raise self.error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


class SyncClosable(Closable):
    """The same for blocking code."""

    def __iter__(self) -> SyncClosable:
        return self

    def __next__(self) -> Any:
        if self.items:
            return self.items.pop(0)
        raise StopIteration

    def close(self) -> None:
        self.closed = True


class Watched:
    """Makes generators over items, and counts those that are open."""

    def __init__(self, *items: Any) -> None:
        self.items = items
        self.open = 0

    async def agen(self) -> AsyncIterator[Any]:
        self.open += 1
        try:
            for item in self.items:
                await anyio.lowlevel.checkpoint()
                yield item
        finally:
            self.open -= 1

    def gen(self) -> Iterator[Any]:
        self.open += 1
        try:
            yield from self.items
        finally:
            self.open -= 1

    def __aiter__(self) -> AsyncIterator[Any]:
        return self.agen()


def events(*chunks: Any) -> list[Any]:
    return [SimpleNamespace(data=json.dumps(item), event="message") for item in chunks]


class Stalling:
    """Sends items, one every `pause` seconds, calls `then`, and sends comments without end."""

    def __init__(self, *items: bytes, pause: float = 0, then: Callable[[], Any] = lambda: None) -> None:
        self.items = items
        self.pause = pause
        self.then = then
        self.finished = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for item in self.items:
                await anyio.sleep(self.pause)
                yield item
            self.then()
            while True:
                await anyio.sleep(0.005)
                yield b": keep-alive\n\n"
        finally:
            self.finished = True


def openai_client(handler: Callable[[httpx.Request], httpx.Response]) -> OpenAI:
    return OpenAI(api_key="k", base_url="http://test", http_client=httpx.Client(transport=httpx.MockTransport(handler)))


def answer(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=BODY)
