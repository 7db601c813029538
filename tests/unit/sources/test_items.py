"""Any source as an iterator of slices, by its shape."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
from openai import AsyncOpenAI

import streamagg
from streamagg import (
    DecodeError,
    accumulate,
    accumulate_sync,
    stream,
    stream_sync,
)
from tests.support.helpers import chunk, sse
from tests.support.streams import (
    BODY,
    CHUNKS,
    WANTED,
    Closable,
    Watched,
    answer,
    events,
    openai_client,
)

pytestmark = pytest.mark.anyio


def test_a_requests_response_is_read_as_it_arrives() -> None:
    body = io.BytesIO(sse(chunk({"content": "a"})))
    raw = SimpleNamespace(read1=lambda size, decode_content: body.read1(min(size, 20)))
    response = SimpleNamespace(raw=raw, _content_consumed=False, iter_content=None)
    assert accumulate_sync(response).text == "a"


MEMORY: dict[str, Callable[[], Any]] = {
    "bytes": lambda: BODY,
    "str": lambda: BODY.decode(),
    "bytearray": lambda: bytearray(BODY),
    "memoryview": lambda: memoryview(BODY),
    "slices": lambda: [BODY[:100], BODY[100:]],
    "texts": lambda: iter([BODY[:99].decode(), BODY[99:].decode()]),
    "dicts": lambda: CHUNKS,
    "structs": lambda: [*stream_sync(BODY)],
    "events": lambda: events(*CHUNKS),
    "generator": lambda: (item for item in CHUNKS),
    "BytesIO": lambda: io.BytesIO(BODY),
    "StringIO": lambda: io.StringIO(BODY.decode()),
    "gzip": lambda: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(BODY))),
    "read httpx response": lambda: httpx.Response(200, content=BODY),
    "a plain answer as dict": lambda: WANTED,
}


class TestSources:
    @pytest.mark.parametrize("kind", MEMORY)
    async def test_in_memory(self, kind: str) -> None:
        assert (await accumulate(MEMORY[kind]())).to_dict() == WANTED
        assert accumulate_sync(MEMORY[kind]()).to_dict() == WANTED

    async def test_path_and_file(self, tmp_path: Path) -> None:
        path = tmp_path / "recording.sse"
        path.write_bytes(BODY)
        assert (await accumulate(path)).to_dict() == WANTED
        assert accumulate_sync(path).to_dict() == WANTED
        with path.open("rb") as file:
            assert (await accumulate(file)).to_dict() == WANTED
            assert not file.closed
        with path.open("rb") as file:
            assert accumulate_sync(file).to_dict() == WANTED
            assert not file.closed
        async with await anyio.open_file(path, "rb") as opened:
            assert (await accumulate(opened)).to_dict() == WANTED
        with pytest.raises(FileNotFoundError):
            await accumulate(tmp_path / "none")

    @pytest.mark.parametrize(
        "items", [[BODY], [BODY[:99], BODY[99:]], CHUNKS, events(*CHUNKS)], ids=["body", "slices", "dicts", "events"]
    )
    async def test_async_iterables(self, items: list[Any]) -> None:
        watched = Watched(*items)
        assert (await accumulate(watched)).to_dict() == WANTED
        assert (await accumulate(watched.agen())).to_dict() == WANTED
        assert (await accumulate(Closable(*items))).to_dict() == WANTED
        assert watched.open == 0

    async def test_anyio_streams(self) -> None:
        send, receive = anyio.create_memory_object_stream[bytes](10)
        async with send, receive:
            for piece in (BODY[:99], BODY[99:]):
                await send.send(piece)
            assert (await accumulate(receive)).to_dict() == WANTED

    async def test_starlette_bodies(self) -> None:
        assert (await accumulate(SimpleNamespace(body_iterator=Watched(BODY)))).to_dict() == WANTED

    async def test_httpx(self) -> None:
        async with (
            httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client,
            client.stream("GET", "http://test") as response,
        ):
            assert (await accumulate(response)).to_dict() == WANTED
        with httpx.Client(transport=httpx.MockTransport(answer)) as sync, sync.stream("GET", "http://test") as response:
            assert accumulate_sync(response).to_dict() == WANTED

    # openai's own generators stay unfinished when it sees [DONE], which trio's hooks tell
    @pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator object (SSEDecoder|AsyncStream)")
    async def test_openai(self) -> None:
        ask: dict[str, Any] = {"model": "m", "messages": [], "stream": True}
        transport = httpx.MockTransport(answer)
        async with AsyncOpenAI(
            api_key="k", base_url="http://test", http_client=httpx.AsyncClient(transport=transport)
        ) as client:
            assert (await accumulate(await client.chat.completions.create(**ask))).to_dict() == WANTED
            async with client.chat.completions.with_streaming_response.create(**ask) as response:
                assert (await accumulate(response)).to_dict() == WANTED
            assert (await accumulate(await client.chat.completions.with_raw_response.create(**ask))).to_dict() == WANTED
        with openai_client(answer) as sync:
            assert accumulate_sync(sync.chat.completions.create(**ask)).to_dict() == WANTED
            with sync.chat.completions.with_streaming_response.create(**ask) as streamed:
                assert accumulate_sync(streamed).to_dict() == WANTED
            assert accumulate_sync(sync.chat.completions.with_raw_response.create(**ask)).to_dict() == WANTED

    async def test_requests_shape(self) -> None:
        response = SimpleNamespace(iter_content=lambda chunk_size: iter([BODY[:50], BODY[50:]]))
        assert accumulate_sync(response).to_dict() == WANTED
        with pytest.raises(TypeError, match="blocking response: use accumulate_sync"):
            await accumulate(response)

    async def test_a_pipe_gives_what_is_there(self) -> None:
        """`read` of a pipe waits until its buffer is full; a live stream must not."""
        import os

        reader, writer = os.pipe()
        with os.fdopen(reader, "rb") as source, os.fdopen(writer, "wb", buffering=0) as sink:
            sink.write(sse(*CHUNKS[:2], done=False))
            async with stream(source) as chunks:
                assert (await anext(chunks)).text == ""
                assert (await anext(chunks)).text == "Hel"
                sink.write(sse(*CHUNKS[2:]))
                assert (await accumulate(chunks)).to_dict() == WANTED

    async def test_a_named_pipe_gives_what_is_there(self, tmp_path: Path) -> None:
        import os

        path = tmp_path / "pipe"
        os.mkfifo(path)
        going_on = anyio.Event()
        seen = []

        def write(go: Any) -> None:
            with open(path, "wb", buffering=0) as sink:
                sink.write(sse(*CHUNKS[:2], done=False))
                anyio.from_thread.run(going_on.wait)
                sink.write(sse(*CHUNKS[2:]))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, write, None)
            async with stream(path) as chunks:
                seen = [(await anext(chunks)).text, (await anext(chunks)).text]  # while the writer waits
                going_on.set()
                assert (await accumulate(chunks)).to_dict() == WANTED
        assert seen == ["", "Hel"]

    async def test_what_was_not_awaited_or_entered_is_named(self) -> None:
        for forgotten, word in (
            (accumulate(BODY), "await it first"),
            (httpx.AsyncClient().stream("GET", "http://x"), "was not entered"),
        ):
            with pytest.raises(TypeError, match=word):
                await accumulate(forgotten)
            if hasattr(forgotten, "close"):
                forgotten.close()

    async def test_an_answer_of_the_openai_client_that_was_not_streamed(self) -> None:
        from openai.types.chat import ChatCompletion

        for whole in (
            ChatCompletion.model_validate(WANTED),
            streamagg.ChatCompletionResponse.from_json(json.dumps(WANTED)),
        ):
            assert (await accumulate(whole)).to_dict() == WANTED
            assert accumulate_sync(whole).to_dict() == WANTED

    def test_a_path_as_text_is_named(self) -> None:
        with pytest.raises(DecodeError, match=r"pass a pathlib\.Path for a file"):
            accumulate_sync("tests/data/weather.sse")
        with pytest.raises(DecodeError, match="that is gzip"):
            accumulate_sync(gzip.compress(BODY))

    @pytest.mark.parametrize("source", [None, 5, object()])
    async def test_no_source(self, source: Any) -> None:
        with pytest.raises(TypeError, match="cannot read a stream from"):
            await accumulate(source)
        with pytest.raises(TypeError, match="cannot read a stream from"):
            accumulate_sync(source)
        with pytest.raises(TypeError, match="cannot read a stream from"):
            next(stream_sync(source))

    # httpx nests generators: closing the outer one at [DONE] leaves its inner ones, which trio's hooks tell
    @pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator object (BoundAsyncStream|Response)")
    async def test_the_wrong_kind_is_named(self) -> None:
        with pytest.raises(TypeError, match=r"asynchronous: use `await accumulate\(...\)`"):
            accumulate_sync(Watched(BODY))
        with pytest.raises(TypeError, match="asynchronous"):
            accumulate_sync(SimpleNamespace(read=Closable().__anext__))
        live = httpx.MockTransport(lambda request: httpx.Response(200, content=Watched(BODY)))
        async with httpx.AsyncClient(transport=live) as client, client.stream("GET", "http://test") as response:
            with pytest.raises(TypeError, match="await accumulate"):
                accumulate_sync(response)
            assert (await accumulate(response)).to_dict() == WANTED
        live = httpx.MockTransport(lambda request: httpx.Response(200, content=iter([BODY])))
        with httpx.Client(transport=live) as sync, sync.stream("GET", "http://test") as response:
            with pytest.raises(TypeError, match="accumulate_sync"):
                await accumulate(response)
            assert accumulate_sync(response).to_dict() == WANTED
