"""`stream`, async and sync: the chunks of a source as they come, and the response at the end.

Chunks, events and pieces of text wait in a queue: one item of the source may bring many of them, or none. The two
classes hold the loop that reads until the queue has an entry; `_ChunkStream` holds all the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from .._errors import StreamAggError
from .._events.emitter import Emitter
from .._events.types import StreamEvent, TextDelta
from .._limits import Limits
from .._merge.usage import UsageMode
from .._sources.items import AsyncItems, SyncItems
from .._types.chunk import ChatCompletionChunk
from .._types.completion import ChatCompletionResponse
from .driver import DEFAULT_LIMITS, Driver, IncompleteMode
from .stream_base import StreamBase

T = TypeVar("T")


class _ChunkStream(StreamBase):
    """A stream whose chunks are handed out."""

    def __init__(self, source: Any, driver: Driver) -> None:
        super().__init__(source, driver)
        self._chunks: deque[ChatCompletionChunk] = deque()
        self._busy = False
        self._emitter: Emitter | None = None
        driver.accumulator.deliver = self._chunks.append

    @property
    def complete(self) -> bool:
        """Whether the stream, if it ended here, would be complete."""
        return self._driver.accumulator.complete

    def response(self) -> ChatCompletionResponse:
        """The response, once the stream has ended or was closed. It returns and raises as `accumulate` does.

        Raises `RuntimeError` while the stream runs: `snapshot` gives the response so far.
        """
        if not self._ended:
            raise RuntimeError("the stream has not ended yet: snapshot() gives the response so far")
        return self._driver.result()

    def _claim(self) -> None:
        """Begin to read or to close, which one task does at a time: of two, each would lose the other's chunks."""
        if self._busy:
            raise RuntimeError("another task is reading this stream: let one task read it, and cancel that to stop it")
        self._busy = True

    def _end(self, error: StreamAggError | None = None) -> None:
        """Reading has ended: keep the error of it. Chunks that came before are handed out first."""
        self._ended = True
        self._error = error
        if error is None:
            try:
                self._driver.result()
            except StreamAggError as incomplete:
                self._error = incomplete
            self._clock.end(self._driver.accumulator.view)
        if self._emitter is not None:
            self._emitter.end(is_complete=self._error is None and self.complete)

    def _queue_events(self, ready_before_finish: bool) -> deque[StreamEvent]:
        """The queue of events, filled in the place of chunks."""
        events: deque[StreamEvent] = deque()
        self._emit(events.append, ready_before_finish)
        return events

    def _queue_text(self) -> deque[str]:
        """The queue of the text of choice 0, filled in the place of chunks."""
        texts: deque[str] = deque()

        def put(event: StreamEvent) -> None:
            if isinstance(event, TextDelta) and event.choice == 0:
                texts.append(event.text)

        self._emit(put, ready_before_finish=False)
        return texts

    def _emit(self, put: Callable[[StreamEvent], None], ready_before_finish: bool) -> None:
        accumulator = self._driver.accumulator
        if accumulator.events or self._emitter is not None:
            raise RuntimeError("the stream is being read already: ask for events() or text() first, and once")
        accumulator.deliver = None
        self._emitter = Emitter(accumulator.view, put, early=ready_before_finish)
        accumulator.observe(self._emitter)


class ChatCompletionStream(_ChunkStream, AsyncIterator[ChatCompletionChunk]):
    """The chunks of a source as they come, and the response at the end; made by `stream`.

    One task reads it at a time. A second task that reads gets a `RuntimeError`.
    """

    async def __aenter__(self) -> ChatCompletionStream:
        self._clock.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        # While another task reads, a refusal to close would hide the error with which this task leaves.
        if kind is None or not self._busy:
            await self.aclose()

    async def aclose(self) -> None:
        """Stop reading and close the iterator that was made here. The caller closes the source."""
        self._claim()
        try:
            await self._close()
        finally:
            self._busy = False

    def events(self, *, ready_before_finish: bool = False) -> AsyncIterator[StreamEvent]:
        """Read the stream as events instead of chunks. Call it once, before reading.

        An error of the stream is raised once the events before it were given. `ready_before_finish`:
        a tool call is ready as soon as its arguments are a whole JSON object, though the server may go
        on with it, or fail, or be cut, before the choice has its `finish_reason`.
        """
        return _AsyncQueueReader(self._queue_events(ready_before_finish), self._read)

    def text(self) -> AsyncIterator[str]:
        """Read the stream as the text of choice 0, in pieces that are never empty; else as `events`.

        A message that replaces another (see `MessageReplaced`) is more text here.
        """
        return _AsyncQueueReader(self._queue_text(), self._read)

    def __anext__(self) -> Coroutine[Any, Any, ChatCompletionChunk]:
        # The coroutine of `_read` itself: one more around it would cost 0.1 µs for each chunk.
        return self._read(self._chunks)

    async def _read(self, queue: deque[T]) -> T:
        """Read until a queue has an entry, and take that; raise the end of the stream where it has none."""
        # As `_claim`, whose call would cost 0.05 µs for each chunk.
        if self._busy:
            self._claim()
        self._busy = True
        try:
            while not queue:
                if self._ended:
                    await self._close()
                    raise self._error or StopAsyncIteration
                try:
                    item = await (self._next or self._begin(AsyncItems(self._source)))()
                    if self._take(item):
                        self._end()
                except StopAsyncIteration:
                    self._end()
                except StreamAggError as error:
                    self._end(error)
                # An error of the source, or a cancellation: it passes once all is closed.
                except BaseException:
                    await self._close()
                    raise
            return queue.popleft()
        finally:
            self._busy = False

    async def _close(self) -> None:
        self._ended = True
        items, self._items = self._items, None
        if items is not None:
            try:
                if self._driver.accumulator.done:
                    await items.linger()
            finally:
                await items.aclose()


class SyncChatCompletionStream(_ChunkStream, Iterator[ChatCompletionChunk]):
    """The chunks of a blocking source as they come, and the response at the end; made by `stream_sync`.

    One thread reads it at a time. A second thread that reads gets a `RuntimeError`.
    """

    def __enter__(self) -> SyncChatCompletionStream:
        self._clock.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        # As in `__aexit__`.
        if kind is None or not self._busy:
            self.close()

    def close(self) -> None:
        """Stop reading and close the iterator that was made here. The caller closes the source."""
        self._claim()
        try:
            self._close()
        finally:
            self._busy = False

    def events(self, *, ready_before_finish: bool = False) -> Iterator[StreamEvent]:
        """As `ChatCompletionStream.events`."""
        return _QueueReader(self._queue_events(ready_before_finish), self._read)

    def text(self) -> Iterator[str]:
        """As `ChatCompletionStream.text`."""
        return _QueueReader(self._queue_text(), self._read)

    def __next__(self) -> ChatCompletionChunk:
        chunks = self._chunks
        return chunks.popleft() if chunks else self._read(chunks)

    def _read(self, queue: deque[T]) -> T:
        """As `ChatCompletionStream._read`."""
        if self._busy:
            self._claim()
        self._busy = True
        try:
            while not queue:
                if self._ended:
                    self._close()
                    raise self._error or StopIteration
                try:
                    item = (self._next or self._begin(SyncItems(self._source)))()
                    if self._take(item):
                        self._end()
                except StopIteration:
                    self._end()
                except StreamAggError as error:
                    self._end(error)
                # An error of the source: it passes once all is closed.
                except BaseException:
                    self._close()
                    raise
            return queue.popleft()
        finally:
            self._busy = False

    def _close(self) -> None:
        self._ended = True
        items, self._items = self._items, None
        if items is not None:
            items.close()


class _AsyncQueueReader(AsyncIterator[T]):
    """Iterates over a queue. `read` fills it until it has an entry, and takes that."""

    def __init__(self, queue: deque[T], read: Callable[[deque[T]], Coroutine[Any, Any, T]]) -> None:
        self._queue = queue
        self._read = read

    def __anext__(self) -> Coroutine[Any, Any, T]:
        return self._read(self._queue)


class _QueueReader(Iterator[T]):
    """As `_AsyncQueueReader`, for blocking code."""

    def __init__(self, queue: deque[T], read: Callable[[deque[T]], T]) -> None:
        self._queue = queue
        self._read = read

    def __next__(self) -> T:
        return self._queue.popleft() if self._queue else self._read(self._queue)


def stream(
    source: Any,
    *,
    usage: UsageMode = "auto",
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    incomplete: IncompleteMode = "raise",
    idle_timeout: float | None = None,
) -> ChatCompletionStream:
    """Wrap any source: `async with stream(source) as chunks`, then iterate; options as `accumulate`.

    An error of the stream is raised once the chunks before it were handed out.
    """
    return ChatCompletionStream(source, Driver(usage, strict, limits, incomplete, idle_timeout))


def stream_sync(
    source: Any,
    *,
    usage: UsageMode = "auto",
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    incomplete: IncompleteMode = "raise",
    idle_timeout: float | None = None,
) -> SyncChatCompletionStream:
    """`stream` for blocking sources: `with stream_sync(source) as chunks`, then iterate."""
    return SyncChatCompletionStream(source, Driver(usage, strict, limits, incomplete, idle_timeout))
