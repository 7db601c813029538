"""Real clients against a real server on loopback, which sends a stream in pieces, cut anywhere, as servers do."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import httpx
import niquests
import pytest
import requests
import urllib3
from openai import AsyncOpenAI, OpenAI

from streamagg import ChoiceFinished, TextDelta, UsageReported, accumulate, accumulate_sync, stream, stream_sync
from tests.support.helpers import chunk, merged, sse

CHUNKS = [chunk({"content": text}) for text in ("Hel", "lo ", "é😀")] + [
    chunk(finish="stop", usage={"prompt_tokens": 1})
]
WANTED = merged(*CHUNKS)
ASK: dict[str, Any] = {"model": "m", "messages": [], "stream": True}

# trio tells of async generators that clients leave unfinished themselves when they are not read to their end
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator object"),
    pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning"),
]


class Handler(socketserver.StreamRequestHandler):
    """Answers any request with the stream, an event and a half at a time: chunked, or, at `/gated`, as servers
    of HTTP/1.0 do, until the connection is closed. There the last piece waits for the gate."""

    gate = threading.Event()

    def handle(self) -> None:
        gated = b" /gated " in self.rfile.readline()
        length = 0
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.rfile.read(length)
        coding = b"" if gated else b"transfer-encoding: chunked\r\n"
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n" + coding + b"connection: close\r\n\r\n"
        )
        with contextlib.suppress(ConnectionError):  # of a client that leaves before the end
            self.send(b": hi\n\n" + sse(*CHUNKS), gated)

    def send(self, body: bytes, gated: bool) -> None:
        for place in range(0, len(body), 200):
            piece = body[place : place + 200]
            if gated and place + 200 >= len(body):
                self.gate.wait(10)
            self.wfile.write(piece if gated else b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
        if not gated:
            self.wfile.write(b"0\r\n\r\n")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


async def test_httpx(url: str) -> None:
    async with httpx.AsyncClient() as client:
        async with client.stream("POST", url, json={}) as response:
            assert (await accumulate(response)).to_dict() == WANTED
        async with client.stream("POST", url, json={}) as response, stream(response) as chunks:
            assert [item.text async for item in chunks] == ["Hel", "lo ", "é😀", ""]
        assert (await accumulate(await client.post(url, json={}))).to_dict() == WANTED


async def test_events(url: str) -> None:
    async with httpx.AsyncClient() as client, client.stream("POST", url, json={}) as response:
        async with stream(response) as chunks:
            events = [event async for event in chunks.events()]
        assert events[:4] == [*(TextDelta(text, 0) for text in ("Hel", "lo ", "é😀")), ChoiceFinished("stop", 0)]
        assert isinstance(events[4], UsageReported)
        assert chunks.response().to_dict() == WANTED
        timing = chunks.timing
        assert None not in (timing.first_byte, timing.first_chunk, timing.first_text, timing.last_text)
        assert timing.first_reasoning is None


def test_text_and_timing_of_blocking_code(url: str) -> None:
    with OpenAI(api_key="k", base_url=url) as openai:
        with openai.chat.completions.with_streaming_response.create(**ASK) as streamed, stream_sync(streamed) as chunks:
            assert [*chunks.text()] == ["Hel", "lo ", "é😀"]
        with stream_sync(openai.chat.completions.create(**ASK)) as chunks:
            assert [*chunks.text()] == ["Hel", "lo ", "é😀"]
            assert chunks.timing.first_text is not None


@pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {}), ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"]
)
async def test_aiohttp(anyio_backend: Any, url: str) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json={}) as response:
            assert (await accumulate(response)).to_dict() == WANTED
        async with session.post(url, json={}) as response, stream(response.content) as chunks:
            assert [item.text async for item in chunks] == ["Hel", "lo ", "é😀", ""]
        request = session.post(url, json={})
        with pytest.raises(TypeError, match="await it first"):
            await accumulate(request)
        (await request).close()


async def test_openai(url: str) -> None:
    async with AsyncOpenAI(api_key="k", base_url=url) as client:
        assert (await accumulate(await client.chat.completions.create(**ASK))).to_dict() == WANTED
        async with client.chat.completions.with_streaming_response.create(**ASK) as response:
            assert (await accumulate(response)).to_dict() == WANTED
        assert (await accumulate(await client.chat.completions.with_raw_response.create(**ASK))).to_dict() == WANTED


def test_blocking(url: str) -> None:
    with httpx.Client() as client, client.stream("POST", url, json={}) as response:
        assert accumulate_sync(response).to_dict() == WANTED
    with OpenAI(api_key="k", base_url=url) as openai:
        assert accumulate_sync(openai.chat.completions.create(**ASK)).to_dict() == WANTED
        with openai.chat.completions.with_streaming_response.create(**ASK) as streamed:
            assert accumulate_sync(streamed).to_dict() == WANTED
        assert accumulate_sync(openai.chat.completions.with_raw_response.create(**ASK)).to_dict() == WANTED


@pytest.mark.parametrize(
    "ask",
    [
        lambda url: requests.post(url, json={}, stream=True),
        lambda url: niquests.post(url, json={}, stream=True),
        lambda url: urllib3.request("POST", url, json={}, preload_content=False),
    ],
    ids=["requests", "niquests", "urllib3"],
)
def test_a_body_without_chunks_comes_as_it_arrives(url: str, ask: Callable[[str], Any]) -> None:
    """For which some clients' own iterators wait until all of it is there."""
    Handler.gate.clear()
    response = ask(f"{url}/gated")
    with stream_sync(response) as chunks:
        assert next(chunks).text == "Hel"
        Handler.gate.set()
        assert accumulate_sync(chunks).to_dict() == WANTED
    response.close()
