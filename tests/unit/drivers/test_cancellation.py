"""Cancelled at every await, in every way: it passes, what was made is closed, and what there is can be read."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from streamagg import (
    IdleTimeoutError,
    IncompleteStreamError,
    accumulate,
    accumulate_all,
    accumulate_sync,
    stream,
    stream_sync,
    tap,
    tap_sync,
)
from streamagg.asgi import Completion, CompletionMiddleware
from tests.support.checkpoints import Checkpoints
from tests.support.faults import nothing_left
from tests.support.helpers import merged, sse
from tests.support.streams import BODY, CHUNKS, WANTED, Watched

pytestmark = pytest.mark.anyio

SLICES = [*(sse(item, done=False) for item in CHUNKS), b"data: [DONE]\n\n"]


def merge_of(slices: int) -> Any:
    """The merge of the events in so many slices."""
    return merged(*CHUNKS[:slices]) if slices else None


class Source:
    """An answer in slices, each after a wait, by generators; knows how many it gave, and how many are open."""

    def __init__(self, fails: int = -1) -> None:
        self.fails = fails
        self.given = 0
        self.open = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.open += 1
        try:
            for item in SLICES:
                await anyio.lowlevel.checkpoint()
                self.given += 1
                yield item
                if self.given == self.fails:
                    raise ConnectionResetError
                await anyio.lowlevel.checkpoint()
        finally:
            self.open -= 1


class Response(Source):
    """The same as a client's response: what follows [DONE] is read too, and takes its time."""

    def __init__(self, fails: int = -1) -> None:
        super().__init__(fails)
        self.stream = self
        self.is_closed = self.is_stream_consumed = False
        self.status_code = 200

    def iter_bytes(self) -> None:
        raise NotImplementedError

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        return aiter(self)


Read = Callable[[Any], Awaitable[Any]]


async def by_accumulate(read: list[Any], source: Any) -> Any:
    return (await accumulate(source)).to_dict()


async def by_idle(read: list[Any], source: Any) -> Any:
    return (await accumulate(source, idle_timeout=60)).to_dict()


async def by_chunks(read: list[Any], source: Any) -> Any:
    async with stream(source) as chunks:
        read.append(chunks)
        async for _ in chunks:
            pass
    return chunks.response().to_dict()


async def by_events(read: list[Any], source: Any) -> Any:
    async with stream(source, idle_timeout=60) as chunks:
        read.append(chunks)
        async for _ in chunks.events():
            pass
    return chunks.response().to_dict()


async def by_text(read: list[Any], source: Any) -> Any:
    async with stream(source) as chunks:
        read.append(chunks)
        assert "".join([text async for text in chunks.text()]) == "Hello"
    return chunks.response().to_dict()


async def by_tap(read: list[Any], source: Any) -> Any:
    async with tap(source, idle_timeout=60) as body:
        read.append(body)
        async for _ in body:
            pass
    return body.response().to_dict()


WAYS = {way.__name__: way for way in (by_accumulate, by_idle, by_chunks, by_events, by_text, by_tap)}


def told(source: Source, read: list[Any]) -> None:
    """After a cancellation: all is closed, and the partial is the merge of what was given."""
    assert source.open == 0
    for each in read:
        snapshot = each.snapshot()
        assert (None if snapshot is None else snapshot.to_dict()) == merge_of(source.given)
        if source.given < len(SLICES) - 2:  # the choice has no finish reason yet
            with pytest.raises(IncompleteStreamError) as caught:
                each.response()
            assert caught.value.partial == snapshot


@pytest.mark.parametrize("kind", [Source, Response])
@pytest.mark.parametrize("way", WAYS)
class TestAtEveryAwait:
    async def test_in_a_scope(self, way: str, kind: type[Source]) -> None:
        for number in itertools.count(1):
            source, read, answer = kind(), [], None
            with anyio.CancelScope() as scope:
                counter = Checkpoints(number, scope.cancel)
                answer = await counter.drive(WAYS[way](read, source))
                assert not counter.reached or source.given == len(SLICES)  # else the wait was no wait
            if not counter.reached:
                break
            assert answer in (None, WANTED)
            told(source, read)
        assert answer == WANTED
        assert number > len(SLICES)

    async def test_in_a_task_group(self, way: str, kind: type[Source]) -> None:
        for number in itertools.count(1):
            source, read, answers = kind(), [], []

            async def run(counter: Checkpoints, source: Any, read: list[Any], answers: list[Any]) -> None:
                answers.append(await counter.drive(WAYS[way](read, source)))

            async with anyio.create_task_group() as tasks:
                counter = Checkpoints(number, tasks.cancel_scope.cancel)
                tasks.start_soon(run, counter, source, read, answers)
            if not counter.reached:
                break
            assert answers in ([], [WANTED])
            told(source, read)
        assert answers == [WANTED]

    async def test_at_a_timeout(self, way: str, kind: type[Source]) -> None:
        """Whose time is up just there."""
        for number in itertools.count(1):
            source, read, answer = kind(), [], None
            with suppress(TimeoutError), anyio.fail_after(60) as scope:
                counter = Checkpoints(number, lambda scope=scope: setattr(scope, "deadline", anyio.current_time() - 1))
                answer = await counter.drive(WAYS[way](read, source))
            if not counter.reached:
                break
            assert answer in (None, WANTED)
            told(source, read)
        assert answer == WANTED

    @pytest.mark.parametrize("anyio_backend", [("asyncio", {}), ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"])  # fmt: skip
    async def test_a_task_of_asyncio(self, way: str, kind: type[Source], anyio_backend: Any) -> None:
        """Which is told once: nobody may lose that."""
        for number in itertools.count(1):
            source, read = kind(), []

            async def run(counter: Checkpoints, source: Any, read: list[Any]) -> Any:
                return await counter.drive(WAYS[way](read, source))

            counter = Checkpoints(number, lambda: asyncio.current_task().cancel())  # type: ignore[union-attr]
            task = asyncio.ensure_future(run(counter, source, read))
            await asyncio.wait([task])
            if not counter.reached:
                break
            assert task.cancelled()
            told(source, read)
        assert task.result() == WANTED

    async def test_an_error_at_every_slice(self, way: str, kind: type[Source]) -> None:
        """What the source raises is no less than a cancellation."""
        for number in range(1, len(SLICES)):
            source, read = kind(fails=number), []
            with pytest.raises(ConnectionResetError):
                await WAYS[way](read, source)
            told(source, read)


class TestMany:
    """`accumulate_all`: the awaits of all its tasks count, one after another."""

    async def test_at_every_await(self) -> None:
        for number in itertools.count(1):
            sources = [Source() for _ in range(5)]
            results = None

            async def counted(source: Source, counter: Checkpoints) -> AsyncIterator[bytes]:
                items = aiter(source)
                try:
                    while (item := await counter.drive(anext(items, None))) is not None:
                        yield item
                finally:
                    await items.aclose()  # type: ignore[attr-defined]

            with anyio.CancelScope() as scope:
                counter = Checkpoints(number, scope.cancel)
                given = [counted(source, counter) for source in sources]
                results = await counter.drive(accumulate_all(given, limit=2))
            assert not any(source.open for source in sources)
            if not counter.reached:
                break
            assert results is None or [each.to_dict() for each in results] == [WANTED] * 5
        assert [each.to_dict() for each in results] == [WANTED] * 5
        assert number > 5 * len(SLICES)

    async def test_what_it_opened_is_closed(self) -> None:
        """Functions that open, context managers, and awaitables, in whatever state they are."""
        for number in itertools.count(1):
            opened = Opened(number)
            with anyio.CancelScope() as scope:
                opened.counter = Checkpoints(number, scope.cancel)
                await opened.counter.drive(accumulate_all([opened, opened.make, opened, opened.make], limit=3))
            assert opened.left == 0
            if not opened.counter.reached:
                break
        assert number > 10


class Opened:
    """Opens sources, each step with a wait, and counts those that are open."""

    def __init__(self, number: int) -> None:
        self.left = 0
        self.counter = Checkpoints(number, int)

    async def _wait(self) -> None:
        await self.counter.drive(anyio.lowlevel.checkpoint())

    async def __aenter__(self) -> list[bytes]:
        await self._wait()
        self.left += 1
        return SLICES

    async def __aexit__(self, *exc: object) -> None:
        self.left -= 1
        await self._wait()

    async def make(self) -> Any:
        await self._wait()
        self.left += 1
        return self._slices()

    async def _slices(self) -> AsyncIterator[bytes]:
        try:
            for item in SLICES:
                await self._wait()
                yield item
        finally:
            self.left -= 1


START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
SCOPE = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}


class TestMiddleware:
    async def test_at_every_await(self) -> None:
        """Reported once, with all that was sent, by a callback that waits; the cancellation passes."""
        for number in itertools.count(1):
            sent: list[bytes] = []
            reported: list[Completion] = []

            async def app(scope: Any, receive: Any, send: Any) -> None:
                await receive()
                await send({**START})
                for item in SLICES:
                    await anyio.lowlevel.checkpoint()
                    await send({"type": "http.response.body", "body": item, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
                await anyio.lowlevel.checkpoint()

            async def receive() -> Any:
                await anyio.lowlevel.checkpoint()
                return {"type": "http.request", "body": b"{}"}

            async def send(message: Any, sent: list[bytes] = sent) -> None:
                sent.append(message.get("body", b""))
                await anyio.lowlevel.checkpoint()

            async def report(completion: Completion, reported: list[Completion] = reported) -> None:
                await anyio.lowlevel.checkpoint()
                reported.append(completion)
                await anyio.lowlevel.checkpoint()

            with anyio.CancelScope() as scope:
                counter = Checkpoints(number, scope.cancel)
                await counter.drive(CompletionMiddleware(app, report)({**SCOPE}, receive, send))
                await anyio.lowlevel.checkpoint()
            (completion,) = reported
            events = len([item for item in sent if item])
            response = completion.response
            assert (None if response is None else response.to_dict()) == merge_of(events)
            if not counter.reached:
                break
            assert scope.cancelled_caught
            all_is_out = events >= len(SLICES) - 1  # the usage is told
            assert completion.state == ("complete" if all_is_out else "disconnected")
        assert completion.state == "complete"
        assert number > 2 * len(SLICES)


class TestFlood:
    async def test_of_comments(self) -> None:
        """As fast as they can be read, in any slices: the time is up all the same, and the partial is there."""

        async def comments(piece: bytes) -> AsyncIterator[bytes]:
            yield SLICES[0] + SLICES[1]
            while True:
                yield piece

        for piece in (b": keep-alive\n\n", b":", b"\n", b": " + b"x" * 9999, b"event: ping\n\n", b"id: 1\n"):
            for read in (stream(comments(piece), idle_timeout=0.02), tap(comments(piece), idle_timeout=0.02)):
                with anyio.fail_after(10), pytest.raises(IdleTimeoutError) as caught:
                    await accumulate(read)
                assert caught.value.partial.to_dict() == read.snapshot().to_dict() == merge_of(2)  # type: ignore[union-attr]

    def test_of_comments_sync(self) -> None:
        for read in (stream_sync, tap_sync):
            with pytest.raises(IdleTimeoutError) as caught:
                accumulate_sync(read(itertools.chain(SLICES[:2], itertools.repeat(b":\n\n")), idle_timeout=0.02))
            assert caught.value.partial.to_dict() == merge_of(2)  # type: ignore[union-attr]


class Given:
    """Slices by a plain iterator, which needs no closing."""

    def __init__(self) -> None:
        self.left = [*SLICES]

    def __aiter__(self) -> Given:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        return self.left.pop(0)


ITERATORS: dict[str, Callable[[Any], Any]] = {
    "stream": stream,
    "events": lambda source: stream(source).events(),
    "text": lambda source: stream(source).text(),
    "tap": tap,
    "timed": lambda source: stream(source, idle_timeout=60),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", ITERATORS)
class TestAbandoned:
    """Thrown away in the middle, without a `with`: the garbage collector leaves nothing of it."""

    async def test_over_an_iterator(self, kind: str) -> None:
        async with nothing_left():
            source = Given()
            iterator = ITERATORS[kind](source)
            await anext(iterator)
            gone = weakref.ref(source)
            del iterator, source
            gc.collect()
            assert gone() is None

    async def test_over_a_path(self, kind: str, tmp_path: Path) -> None:
        path = tmp_path / "a.sse"
        path.write_bytes(BODY)
        await accumulate(path)  # the worker thread that it is read in stays for a while
        async with nothing_left():
            iterator = ITERATORS[kind](path)
            await anext(iterator)
            del iterator

    @pytest.mark.parametrize("anyio_backend", [("asyncio", {}), ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"])  # fmt: skip
    async def test_over_a_generator(self, kind: str, anyio_backend: Any) -> None:
        """Which the event loop closes; trio does too, but warns of it, as whoever made it should have."""
        async with nothing_left():
            watched = Watched(*SLICES)
            iterator = ITERATORS[kind](watched)
            await anext(iterator)
            assert watched.open == 1
            del iterator
            gc.collect()
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            assert watched.open == 0


@pytest.mark.parametrize("kind", ["stream", "events", "text", "tap"])
def test_abandoned_by_blocking_code(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.sse"
    path.write_bytes(BODY)
    makers: dict[str, Callable[[Any], Any]] = {
        "stream": stream_sync,
        "events": lambda source: stream_sync(source).events(),
        "text": lambda source: stream_sync(source).text(),
        "tap": tap_sync,
    }
    watched = Watched(*SLICES)
    for source in (watched.gen(), path):
        iterator = makers[kind](source)
        next(iterator)
        del source, iterator
        gc.collect()
    assert watched.open == 0
