"""`stream`, async and sync: the chunks of a source as they come, and the response at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any

from .._errors import StreamAggError
from .._events.types import StreamEvent
from .._limits import Limits
from .._merge.usage import UsageMode
from .._sources.items import AsyncItems, SyncItems
from .._types.chunk import ChatCompletionChunk
from .driver import DEFAULT_LIMITS, IncompleteMode, Session
from .stream_base import AsyncTold, Told, Wrapped


class ChatCompletionStream(Wrapped, AsyncIterator[ChatCompletionChunk]):
    """The chunks of a source as they come, and the response at the end; made by `stream`.

    One task reads it at a time; a `RuntimeError` in another one that tries to.
    """

    _items: AsyncItems | None = None

    async def __aenter__(self) -> ChatCompletionStream:
        self._clock.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None or not self._busy:
            await self.aclose()

    async def aclose(self) -> None:
        """Stop reading, and close what was opened here; the source itself is the caller's to close."""
        self._claim()
        try:
            await self._close()
        finally:
            self._busy = False

    def events(self, *, ready_before_finish: bool = False) -> AsyncIterator[StreamEvent]:
        """Read the stream as events, in the place of chunks; ask before reading, and once.

        An error of the stream is raised once the events before it were given. `ready_before_finish`:
        a tool call is ready as soon as its arguments are a whole JSON object, though the server may go
        on with it, or fail, or be cut, before the choice has its `finish_reason`.
        """
        return AsyncTold(self._fill, self._told(ready_before_finish))

    def text(self) -> AsyncIterator[str]:
        """Read the stream as the text of choice 0, in pieces that are never empty; else as `events`.

        A message that replaces another (see `MessageReplaced`) is more text here.
        """
        return AsyncTold(self._fill, self._texts())

    async def __anext__(self) -> ChatCompletionChunk:
        chunks = self._chunks
        if not chunks:
            await self._fill(chunks)
        return chunks.popleft()

    async def _fill(self, queue: deque[Any]) -> None:
        """Read until there is something in a queue; raise what ended the stream where there is nothing."""
        if self._busy:
            self._claim()
        self._busy = True  # as `_claim`, which would be a call more
        try:
            while not queue:
                if self._ended:
                    await self._close()
                    raise self._error or StopAsyncIteration
                try:
                    if self._items is None:
                        self._clock.start()
                        self._items = self._session.open(AsyncItems(self._source))
                        self._next = self._session.reader(self._items)
                    stop = self._take(await self._next())
                except StopAsyncIteration:
                    stop = True
                except StreamAggError as error:
                    self._error = error
                    stop = True
                except BaseException:  # of the source, cancellation too: it passes once all is closed
                    await self._close()
                    raise
                if stop:
                    self._end()
        finally:
            self._busy = False

    async def _close(self) -> None:
        self._ended = True
        items, self._items = self._items, None
        if items is not None:
            try:
                if self._session.accumulator._done:
                    await items.linger()
            finally:
                await items.aclose()


class SyncChatCompletionStream(Wrapped, Iterator[ChatCompletionChunk]):
    """The chunks of a blocking source as they come, and the response at the end; made by `stream_sync`.

    One thread reads it at a time; a `RuntimeError` in another one that tries to.
    """

    _items: SyncItems | None = None

    def __enter__(self) -> SyncChatCompletionStream:
        self._clock.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None or not self._busy:
            self.close()

    def close(self) -> None:
        """Stop reading, and close what was opened here; the source itself is the caller's to close."""
        self._claim()
        try:
            self._close()
        finally:
            self._busy = False

    def events(self, *, ready_before_finish: bool = False) -> Iterator[StreamEvent]:
        """As `ChatCompletionStream.events`."""
        return Told(self._fill, self._told(ready_before_finish))

    def text(self) -> Iterator[str]:
        """As `ChatCompletionStream.text`."""
        return Told(self._fill, self._texts())

    def __next__(self) -> ChatCompletionChunk:
        chunks = self._chunks
        if not chunks:
            self._fill(chunks)
        return chunks.popleft()

    def _fill(self, queue: deque[Any]) -> None:
        """As `ChatCompletionStream._fill`."""
        if self._busy:
            self._claim()
        self._busy = True  # as `_claim`, which would be a call more
        try:
            while not queue:
                if self._ended:
                    self._close()
                    raise self._error or StopIteration
                try:
                    if self._items is None:
                        self._clock.start()
                        self._items = self._session.open(SyncItems(self._source))
                        self._next = self._session.reader_sync(self._items)
                    stop = self._take(self._next())
                except StopIteration:
                    stop = True
                except StreamAggError as error:
                    self._error = error
                    stop = True
                except BaseException:  # of the source, cancellation too: it passes once all is closed
                    self._close()
                    raise
                if stop:
                    self._end()
        finally:
            self._busy = False

    def _close(self) -> None:
        self._ended = True
        items, self._items = self._items, None
        if items is not None:
            items.close()


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
    return ChatCompletionStream(source, Session(usage, strict, limits, incomplete, idle_timeout))


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
    return SyncChatCompletionStream(source, Session(usage, strict, limits, incomplete, idle_timeout))
