"""`accumulate` and `stream`, async under every event loop and sync: sources, closing, time, cancellation."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
from openai import AsyncOpenAI, OpenAI

import streamagg
from streamagg import (
    Accumulator,
    ChatCompletionChunk,
    DecodeError,
    IdleTimeoutError,
    IncompleteStreamError,
    ProviderError,
    accumulate,
    accumulate_sync,
    stream,
    stream_sync,
)
from tests.support.helpers import chunk, merged, sse
from tests.support.streams import BEGUN, BODY, CHUNKS, CUT, WANTED, Closable, Stalling, SyncClosable, Watched, events

pytestmark = pytest.mark.anyio


def openai_client(handler: Callable[[httpx.Request], httpx.Response]) -> OpenAI:
    return OpenAI(api_key="k", base_url="http://test", http_client=httpx.Client(transport=httpx.MockTransport(handler)))


def answer(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=BODY)


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


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncio_stream_reader(anyio_backend: str) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(BODY)
    reader.feed_eof()
    assert (await accumulate(reader)).to_dict() == WANTED


class TestEnds:
    async def test_reading_stops_at_done(self) -> None:
        """Though the connection stays open: what the source says next is never asked for."""
        source = Closable(BODY, error=AssertionError("read on after [DONE]"))
        assert (await accumulate(source)).to_dict() == WANTED
        assert accumulate_sync(iter([BODY, 5])).to_dict() == WANTED

    @pytest.mark.parametrize(
        "how", [BODY, CUT, b"data: x\n\n", b'data: {"error": "x"}\n\n'], ids=["done", "cut", "bad", "error"]
    )
    async def test_generators_are_finished_and_the_caller_closes_the_rest(self, how: bytes) -> None:
        watched, closable = Watched(how, b"", b""), Closable(how, b"")
        for source in (watched, watched.agen(), closable):
            with suppress(streamagg.StreamAggError):
                await accumulate(source)
            with suppress(streamagg.StreamAggError):
                async with stream(source) as chunks:
                    async for _ in chunks:
                        pass
        with suppress(streamagg.StreamAggError):
            accumulate_sync(watched.gen())
        assert watched.open == 0
        assert not closable.closed
        blocking = SyncClosable(how)
        with suppress(streamagg.StreamAggError):
            accumulate_sync(blocking)
        assert not blocking.closed

    async def test_early_exit_closes(self) -> None:
        watched = Watched(*CHUNKS)
        async with stream(watched) as chunks:
            async for item in chunks:
                assert item.text == ""
                break
            assert watched.open == 1
        assert watched.open == 0
        with stream_sync(watched.gen()) as sync:
            next(sync)
        assert watched.open == 0

    async def test_what_the_source_raises_passes(self) -> None:
        for error in (ConnectionResetError("gone"), httpx.ReadError("gone")):
            with pytest.raises(type(error)):
                await accumulate(Closable(CUT, error=error))
            async with stream(Closable(CUT, error=error)) as chunks:
                with pytest.raises(type(error)):
                    await accumulate(chunks)
                snapshot = chunks.snapshot()
                assert snapshot is not None
                assert snapshot.text == "Hel"
                with pytest.raises(IncompleteStreamError):
                    chunks.response()

    async def test_incomplete_return(self) -> None:
        for source in (CUT, [CUT], Watched(CUT)):
            assert (await accumulate(source, incomplete="return")).text == "Hel"
            with pytest.raises(IncompleteStreamError) as caught:
                await accumulate(source)
            assert caught.value.partial is not None
            assert caught.value.partial.text == "Hel"
        assert accumulate_sync(CUT, incomplete="return").text == "Hel"
        with pytest.raises(IncompleteStreamError):
            await accumulate(b"", incomplete="return")
        with pytest.raises(ProviderError):
            await accumulate(CUT[: CUT.rindex(b"data")] + b'data: {"error": "x"}\n\n', incomplete="return")
        with pytest.raises(ValueError, match="incomplete must be"):
            await accumulate(b"", incomplete="ignore")  # type: ignore[arg-type]

    async def test_options_arrive(self) -> None:
        twice = [*CHUNKS, CHUNKS[-1]]
        assert (await accumulate(twice, usage="sum")).usage == accumulate_sync(twice, usage="sum").usage
        assert accumulate_sync(twice, usage="sum").usage.total_tokens == 10  # type: ignore[union-attr]
        limits = streamagg.Limits(event_bytes=5)
        for options in ({"limits": limits}, {"strict": True}):
            with pytest.raises(streamagg.StreamAggError):
                await accumulate(BODY[:-1] + b"data: x", **options)  # type: ignore[arg-type]
            async with stream([{"type": "ping"}], **options) as chunks:  # type: ignore[arg-type]
                with pytest.raises(streamagg.StreamAggError):
                    await anext(chunks)


class TestStream:
    async def test_chunks_then_the_response(self) -> None:
        async with stream(Watched(*[BODY[place : place + 7] for place in range(0, len(BODY), 7)])) as chunks:
            texts = [item.text async for item in chunks]
            assert texts == ["", "Hel", "lo", "", ""]
            assert chunks.response().to_dict() == WANTED
            assert await accumulate(chunks) == chunks.response()
            assert chunks.complete
            assert chunks.repairs == {}
        with stream_sync(BODY) as sync:
            assert [item.text for item in sync] == texts
            assert sync.response().to_dict() == WANTED
            assert accumulate_sync(sync) == sync.response()

    async def test_chunks_are_typed_and_independent(self) -> None:
        async with stream(BODY) as chunks:
            async for item in chunks:
                assert isinstance(item, ChatCompletionChunk)
                item.choices = None
                item.id = "ruined"
            assert chunks.response().to_dict() == WANTED

    def test_logprobs_of_chunks_are_independent_too(self) -> None:
        item = chunk({"content": "a"}, finish="stop")
        item["choices"][0]["logprobs"] = {"content": [{"token": "a", "bytes": [97], "x": {"y": 1}}]}
        for source in (sse(item, item), [item, item]):
            with stream_sync(source) as chunks:
                for each in chunks:
                    entry = each.choices[0].logprobs.content[0]  # type: ignore[index,union-attr]
                    entry.token = "ruined"
                    entry.bytes.append(0)  # type: ignore[union-attr]
                    entry.extra["x"]["y"] = 0
            assert chunks.response().to_dict() == merged(item, item)
            assert chunks.repairs == {}

    async def test_snapshot_at_any_time_response_at_the_end(self) -> None:
        async with stream(CHUNKS) as chunks:
            assert chunks.snapshot() is None
            async for item in chunks:
                if item.text == "Hel":
                    snapshot = chunks.snapshot()
                    assert snapshot is not None
                    assert snapshot.text == "Hel"
                    with pytest.raises(RuntimeError, match="has not ended"):
                        chunks.response()
                    break
            assert (await accumulate(chunks)).to_dict() == WANTED
        async with stream(CHUNKS) as chunks:
            await anext(chunks)
        with pytest.raises(IncompleteStreamError):
            chunks.response()

    async def test_chunks_before_an_error_come_first(self) -> None:
        bad = sse(*CHUNKS[:3], "nonsense", *CHUNKS[3:])
        async with stream([bad]) as chunks:
            texts = []
            with pytest.raises(DecodeError):
                async for item in chunks:
                    texts.append(item.text)
            assert texts == ["", "Hel", "lo"]
            for _ in range(2):
                with pytest.raises(DecodeError):
                    await anext(chunks)
                with pytest.raises(DecodeError):
                    chunks.response()

    async def test_a_cut_stream_raises_at_its_end(self) -> None:
        texts = []
        with pytest.raises(IncompleteStreamError), stream_sync(CUT) as sync:
            for item in sync:
                texts.append(item.text)
        assert texts == ["", "Hel"]
        with stream_sync(CUT, incomplete="return") as sync:
            assert [item.text for item in sync] == texts
            assert sync.response().text == "Hel"
            assert not sync.complete

    async def test_without_the_context(self) -> None:
        assert [item.text async for item in stream(CHUNKS)] == [item.text for item in stream_sync(CHUNKS)]

    async def test_wraps_itself(self) -> None:
        assert (await accumulate(stream(stream(BODY)))).to_dict() == WANTED
        assert accumulate_sync(stream_sync(stream_sync(BODY))).to_dict() == WANTED


class TestTime:
    async def test_comments_do_not_reset_the_idle_timeout(self) -> None:
        source = Stalling(BEGUN)
        with anyio.fail_after(10), pytest.raises(IdleTimeoutError, match=r"for 0\.25 seconds") as caught:
            await accumulate(source, idle_timeout=0.25)
        assert caught.value.partial is not None
        assert caught.value.partial.text == "Hel"
        assert isinstance(caught.value, TimeoutError)
        assert source.finished

    async def test_a_silent_source_times_out_too(self) -> None:
        source = Closable(CUT)
        source.__class__ = type("Silent", (Closable,), {"__anext__": lambda self: anyio.sleep(math.inf)})
        with anyio.fail_after(10), pytest.raises(IdleTimeoutError) as caught:
            await accumulate(source, idle_timeout=0.02)
        assert caught.value.partial is None

    async def test_data_resets_it(self) -> None:
        """Together the pauses are longer than the timeout, each alone is not."""
        pieces = [sse(item, done=False) for item in CHUNKS] + [b"data: [DONE]\n\n"]
        with anyio.fail_after(30):
            assert (await accumulate(Stalling(*pieces, pause=0.25), idle_timeout=1.2)).to_dict() == WANTED

    async def test_in_a_stream(self) -> None:
        async with stream(Stalling(BEGUN), idle_timeout=0.25) as chunks:
            texts = []
            with anyio.fail_after(10), pytest.raises(IdleTimeoutError):
                async for item in chunks:
                    texts.append(item.text)
            assert texts == ["", "Hel"]
            with pytest.raises(IdleTimeoutError):
                await anext(chunks)

    async def test_sync_looks_once_a_read_returns(self) -> None:
        import time

        def slow() -> Iterator[bytes]:
            yield BEGUN
            time.sleep(0.05)
            yield b": still there\n\n"

        with pytest.raises(IdleTimeoutError) as caught:
            accumulate_sync(slow(), idle_timeout=0.01)
        assert caught.value.partial is not None
        assert accumulate_sync([BODY], idle_timeout=60).to_dict() == WANTED

    @pytest.mark.parametrize("seconds", [0, -1, math.nan])
    async def test_nonsense_is_refused(self, seconds: float) -> None:
        with pytest.raises(ValueError, match="idle_timeout"):
            await accumulate(BODY, idle_timeout=seconds)

    async def test_cancellation_passes_and_the_partial_stays(self) -> None:
        scope = anyio.CancelScope()
        source = Stalling(BEGUN, then=scope.cancel)
        async with stream(source) as chunks:
            with scope:
                async for _ in chunks:
                    pass
            assert scope.cancelled_caught
            snapshot = chunks.snapshot()
            assert snapshot is not None
            assert snapshot.text == "Hel"
        assert source.finished
        scope = anyio.CancelScope()
        source = Stalling(BEGUN, then=scope.cancel)
        with scope:
            await accumulate(source)
        assert scope.cancelled_caught
        assert source.finished

    async def test_many_at_once(self) -> None:
        pieces = [BODY[place : place + 50] for place in range(0, len(BODY), 50)]
        responses = []

        async def one() -> None:
            responses.append(await accumulate(Watched(*pieces)))

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(one)
        assert [response.to_dict() for response in responses] == [WANTED] * 50


async def test_accumulator_needs_no_event_loop() -> None:
    accumulator = Accumulator()
    async for piece in Watched(BODY):
        accumulator.feed(piece)
    assert accumulator.finish().to_dict() == WANTED


@pytest.mark.anyio
async def test_a_blocking_stream_given_to_the_async_driver() -> None:
    assert (await accumulate(stream_sync(sse(chunk({"content": "a"}))))).text == "a"
