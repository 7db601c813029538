"""`accumulate` and `stream`, async under every event loop and sync: sources, closing, time, cancellation."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import suppress

import anyio
import httpx
import pytest

import streamagg
from streamagg import (
    Accumulator,
    IdleTimeoutError,
    IncompleteStreamError,
    ProviderError,
    accumulate,
    accumulate_sync,
    stream,
    stream_sync,
)
from tests.support.helpers import chunk, sse
from tests.support.streams import (
    BEGUN,
    BODY,
    CHUNKS,
    CUT,
    WANTED,
    Closable,
    Stalling,
    SyncClosable,
    Watched,
)

pytestmark = pytest.mark.anyio


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

    @pytest.mark.sampled(3)
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
