"""Who closes what, on every way out; one reader at a time; files and pipes that make one wait."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from streamagg import (
    Accumulator,
    DecodeError,
    IdleTimeoutError,
    IncompleteStreamError,
    accumulate,
    accumulate_sync,
    stream,
    stream_sync,
    tap,
    tap_sync,
)
from tests.support.app import CHUNKS, EVENTS, STREAM, WANTED
from tests.support.async_clients import WAYS
from tests.support.helpers import chunk, merged
from tests.support.sync_clients import SYNC_WAYS

pytestmark = pytest.mark.anyio

BAD = b"data: nonsense\n\n"
CUT = b"".join(EVENTS[:3])


class Unclosable:
    """Makes generators that raise when they are closed."""

    def __init__(self, *items: Any) -> None:
        self.items = items

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            for item in self.items:
                await anyio.lowlevel.checkpoint()
                yield item
            await anyio.sleep_forever()
        finally:
            raise OSError("closing failed")

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self.items
            yield b": a comment, so that it is not at its end\n\n"
        finally:
            raise OSError("closing failed")


WARNED = "closing a source failed: OSError"


class TestErrorsInClosing:
    """They are warned of: they neither lose a response nor hide what went wrong before."""

    @pytest.mark.parametrize("way", ["accumulate", "stream"])
    async def test_the_response_is_kept(self, way: str) -> None:
        with pytest.warns(ResourceWarning, match=WARNED):
            assert (await WAYS[way](Unclosable(STREAM))).to_dict() == WANTED

    @pytest.mark.parametrize("way", ["accumulate_sync", "stream_sync"])
    async def test_the_response_is_kept_sync(self, way: str) -> None:
        with pytest.warns(ResourceWarning, match=WARNED):
            assert SYNC_WAYS[way](iter(Unclosable(STREAM))).to_dict() == WANTED
        with pytest.warns(ResourceWarning, match=WARNED):  # a blocking source in async code
            assert (await accumulate(iter(Unclosable(STREAM)))).to_dict() == WANTED

    @pytest.mark.parametrize("way", ["accumulate", "stream"])
    async def test_the_error_is_kept(self, way: str) -> None:
        with pytest.warns(ResourceWarning, match=WARNED), pytest.raises(DecodeError):
            await WAYS[way](Unclosable(BAD))

    @pytest.mark.parametrize("way", ["accumulate_sync", "stream_sync"])
    def test_the_error_is_kept_sync(self, way: str) -> None:
        with pytest.warns(ResourceWarning, match=WARNED), pytest.raises(DecodeError):
            SYNC_WAYS[way](iter(Unclosable(BAD)))

    async def test_the_callers_error_is_kept(self) -> None:
        with pytest.warns(ResourceWarning, match=WARNED), pytest.raises(KeyError):
            async with stream(Unclosable(CUT, STREAM[len(CUT) :])) as chunks:
                await anext(chunks)
                raise KeyError
        with (
            pytest.warns(ResourceWarning, match=WARNED),
            pytest.raises(KeyError),
            stream_sync(iter(Unclosable(CUT))) as sync,
        ):
            next(sync)
            raise KeyError

    async def test_cancellation_is_kept(self) -> None:
        async with stream(Unclosable(CUT)) as chunks:
            await anext(chunks)
            with anyio.CancelScope() as scope, pytest.warns(ResourceWarning, match=WARNED):
                scope.cancel()
                await chunks.aclose()
                await anyio.lowlevel.checkpoint()
            assert scope.cancelled_caught


class Slow:
    """Gives a slice to whoever asks, two at once if need be: no generator that would refuse that."""

    def __init__(self) -> None:
        self.slices = [STREAM[place : place + 50] for place in range(0, len(STREAM), 50)]

    def __aiter__(self) -> Slow:
        return self

    async def __anext__(self) -> bytes:
        await anyio.sleep(0.001)
        if not self.slices:
            raise StopAsyncIteration
        return self.slices.pop(0)


class TestOneReader:
    async def test_two_tasks_at_once(self) -> None:
        """The second one is told; the first one's answer stays what it is."""
        refused = []

        async def read_too() -> None:
            for other in (anext(chunks), accumulate(chunks), chunks.aclose()):
                with pytest.raises(RuntimeError, match="another task is reading this stream") as caught:
                    await other
                refused.append(caught.value)

        async with stream(Slow()) as chunks, anyio.create_task_group() as tasks:
            tasks.start_soon(read_too)
            assert (await accumulate(chunks)).to_dict() == WANTED
        assert len(refused) == 3

    async def test_leaving_while_another_task_reads(self) -> None:
        async def read() -> None:
            with pytest.raises(IncompleteStreamError):
                await accumulate(chunks)

        async with anyio.create_task_group() as tasks:
            with pytest.raises(RuntimeError, match="another task"):
                async with stream(Slow()) as chunks:
                    tasks.start_soon(read)
                    await anyio.sleep(0.002)
            tasks.cancel_scope.cancel()
        async with anyio.create_task_group() as tasks:
            with pytest.raises(KeyError):  # which is the error that matters
                async with stream(Slow()) as chunks:
                    tasks.start_soon(read)
                    await anyio.sleep(0.002)
                    raise KeyError
            tasks.cancel_scope.cancel()

    def test_two_threads_at_once(self) -> None:
        reading, going_on = threading.Event(), threading.Event()

        def slices() -> Iterator[bytes]:
            reading.set()
            assert going_on.wait(10)
            yield STREAM

        chunks = stream_sync(slices())
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(accumulate_sync(chunks).to_dict()))
        thread.start()
        assert reading.wait(10)
        for read in (lambda: next(chunks), lambda: accumulate_sync(chunks), chunks.close):
            with pytest.raises(RuntimeError, match="another task is reading this stream"):
                read()
        with pytest.raises(KeyError), chunks:
            raise KeyError
        going_on.set()
        thread.join(10)
        assert answers == [WANTED]


class TestIdleSourcesThatNeverWait:
    async def test_async(self) -> None:
        async def comments() -> AsyncIterator[bytes]:
            yield CUT
            while True:
                yield b": keep-alive\n\n"

        for source in (comments(), _comments()):
            with pytest.raises(IdleTimeoutError) as caught:
                await accumulate(source, idle_timeout=0.02)
            assert caught.value.partial is not None
        async with stream(comments(), idle_timeout=0.02) as chunks:
            with pytest.raises(IdleTimeoutError):
                await accumulate(chunks)
        assert (await accumulate(Slow(), idle_timeout=60)).to_dict() == WANTED

    def test_sync(self) -> None:
        with pytest.raises(IdleTimeoutError):
            accumulate_sync(_comments(), idle_timeout=0.02)

    async def test_what_came_late_is_not_thrown_away(self) -> None:
        """The time is up once a read gives its item, as nothing could interrupt it: the item counts."""
        for rest, error in ((b"".join(EVENTS[3:]), None), (EVENTS[3], IncompleteStreamError)):
            wanted = WANTED if error is None else merged(*CHUNKS[:4])

            def late(rest: bytes = rest) -> Iterator[bytes]:
                yield CUT
                time.sleep(0.03)
                yield rest

            async def late_async(rest: bytes = rest) -> AsyncIterator[bytes]:
                for item in late(rest):
                    yield item

            async with stream(late_async(), idle_timeout=0.01) as chunks, tap(late_async(), idle_timeout=0.01) as body:
                with pytest.raises(error) if error else nullcontext():
                    await accumulate(chunks)
                assert [item async for item in body] == [CUT, rest]
            with stream_sync(late(), idle_timeout=0.01) as sync, tap_sync(late(), idle_timeout=0.01) as passed:
                with pytest.raises(error) if error else nullcontext():
                    accumulate_sync(sync)
                assert [*passed] == [CUT, rest]
            for read in (chunks, sync, body, passed):
                assert read.snapshot().to_dict() == wanted


def _comments() -> Iterator[bytes]:
    yield CUT
    while True:
        yield b": keep-alive\n\n"


PIECES = [STREAM[:500], STREAM[500:900], STREAM[900:]]


def _write_slowly(path: Path | int) -> None:
    """As another process would: opened late, and a piece at a time."""
    with open(path, "wb", buffering=0) as sink:
        for piece in PIECES:
            sink.write(piece)
            threading.Event().wait(0.005)


class TestPipes:
    async def test_waiting_for_a_named_pipe_can_be_cancelled(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        with anyio.move_on_after(0.02) as scope:  # nobody ever writes
            await accumulate(path)
        assert scope.cancelled_caught
        sink = os.open(path, os.O_RDWR)
        os.write(sink, CUT)
        async with stream(path) as chunks:  # nobody writes on
            with anyio.CancelScope() as scope:
                async for _ in chunks:
                    scope.cancel()
            assert scope.cancelled_caught
            assert chunks.snapshot() is not None
        os.close(sink)

    @pytest.mark.parametrize("way", WAYS)
    async def test_a_named_pipe(self, tmp_path: Path, way: str) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        writer = threading.Thread(target=_write_slowly, args=(path,))
        writer.start()
        assert (await WAYS[way](path)).to_dict() == WANTED
        writer.join(10)

    @pytest.mark.parametrize("way", SYNC_WAYS)
    def test_a_named_pipe_sync(self, tmp_path: Path, way: str) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        writer = threading.Thread(target=_write_slowly, args=(path,))
        writer.start()
        assert SYNC_WAYS[way](path).to_dict() == WANTED
        writer.join(10)

    @pytest.mark.parametrize("buffering", [0, -1], ids=["raw", "buffered"])
    async def test_a_non_blocking_file(self, buffering: int) -> None:
        for use in (*WAYS, *SYNC_WAYS):
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            with os.fdopen(reader, "rb", buffering=buffering) as source:
                late = threading.Thread(target=_write_slowly, args=(writer,))
                late.start()
                response = await WAYS[use](source) if use in WAYS else SYNC_WAYS[use](source)
                assert response.to_dict() == WANTED
                late.join(10)

    async def test_a_non_blocking_file_that_ends_early(self) -> None:
        for sync in (False, True):
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            with os.fdopen(reader, "rb") as source:
                os.write(writer, CUT)
                os.close(writer)
                with pytest.raises(IncompleteStreamError):
                    _ = accumulate_sync(source) if sync else await accumulate(source)

    async def test_what_stands_in_its_buffer_is_not_waited_for(self) -> None:
        for sync in (False, True):
            reader, writer = os.pipe()
            os.write(writer, b": a first line\n" + STREAM)
            os.set_blocking(reader, False)
            with os.fdopen(reader, "rb") as source, os.fdopen(writer, "wb"):
                assert source.readline() == b": a first line\n"
                with anyio.fail_after(5):
                    response = accumulate_sync(source) if sync else await accumulate(source)
                assert response.to_dict() == WANTED


class TestPlainAnswersAsObjects:
    """A completion is whole, whatever it comes as."""

    async def test_without_a_finish_reason(self) -> None:
        message = {"role": "assistant", "content": "Hello"}
        answer = {"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": message}]}
        for source in (answer, [answer], json.dumps(answer), json.dumps(answer).encode()):
            assert accumulate_sync(source).text == "Hello"
            assert (await accumulate(source)).text == "Hello"
            with stream_sync(source) as chunks:
                assert [each.text for each in chunks] == ["Hello"]
            assert chunks.complete

    def test_only_alone(self) -> None:
        """Messages that grow, one after the other, are a stream."""
        accumulator = Accumulator()
        for text in ("Hel", "Hello"):
            accumulator.add({"id": "x", "choices": [{"index": 0, "message": {"content": text}}]})
        assert not accumulator.complete
        accumulator = Accumulator()
        accumulator.add(chunk({"content": "Hello"}))
        assert not accumulator.complete
