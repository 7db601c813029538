"""The drivers: `accumulate` and `stream`, async and sync. Short loops; they parse nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal, TypeVar

from ._accumulator import Accumulator
from ._chunk import ChatCompletionChunk
from ._errors import IdleTimeoutError, IncompleteStreamError, StreamAggError
from ._limits import Limits
from ._refusal import Refusal
from ._response import ChatCompletionResponse
from ._sources import AsyncItems, SyncItems
from ._usage import UsageMode

IncompleteMode = Literal["raise", "return"]
Items = TypeVar("Items", AsyncItems, SyncItems)

_DEFAULT_LIMITS = Limits()


class _Session:
    """One stream and the options of the drivers; all but the reading itself."""

    def __init__(
        self,
        usage: UsageMode,
        strict: bool,
        limits: Limits,
        incomplete: IncompleteMode,
        idle_timeout: float | None,
    ) -> None:
        if incomplete not in ("raise", "return"):
            raise ValueError(f"incomplete must be 'raise' or 'return', not {incomplete!r}")
        if idle_timeout is not None and not idle_timeout > 0:
            raise ValueError("idle_timeout must be a positive number of seconds, or None")
        self.accumulator: Accumulator = Accumulator(usage=usage, strict=strict, limits=limits)
        self._returns = incomplete == "return"
        self._idle_timeout: float | None = idle_timeout
        self._events: int = -1
        self._deadline = 0.0

    def open(self, items: Items) -> Items:
        """Get ready for a source's items: those of an answer with an error status are no stream."""
        answer = items.answer
        if answer is not None:
            if answer.status is not None and answer.status >= 400:
                self.accumulator = Refusal(answer)
            self.accumulator.origin = answer.content_type
        return items

    def take(self, item: Any) -> bool:
        """Push one item of the source; returns whether reading should stop."""
        if isinstance(item, (bytes, str, bytearray, memoryview)):
            self.accumulator.feed(item)
        else:
            self.accumulator.add(item)
        return self.accumulator.done

    def result(self) -> ChatCompletionResponse:
        """What the stream came to, at its end."""
        try:
            return self.accumulator.finish()
        except IncompleteStreamError as error:
            if self._returns and error.partial is not None:
                return error.partial
            raise

    def reader(self, items: AsyncItems) -> Callable[[], Awaitable[Any]]:
        """What gives the next item, in time."""
        return items.next if self._idle_timeout is None else partial(self._next_in_time, items)

    async def _next_in_time(self, items: AsyncItems) -> Any:
        """The next item, or `IdleTimeoutError` once no data event came for `idle_timeout` seconds."""
        import anyio

        deadline = self._until(anyio.current_time())
        with anyio.CancelScope(deadline=deadline):
            item = await items.next()
            if anyio.current_time() < deadline:  # a source that never waits cannot be interrupted
                return item
        raise self._idle()

    def reader_sync(self, items: SyncItems) -> Callable[[], Any]:
        """As `reader`; a blocking read cannot be cut short, so the time is looked at once it returns."""
        return items.next if self._idle_timeout is None else partial(self._next_in_time_sync, items)

    def _next_in_time_sync(self, items: SyncItems) -> Any:
        deadline = self._until(time.monotonic())
        item = items.next()
        if time.monotonic() > deadline:
            raise self._idle()
        return item

    def _until(self, now: float) -> float:
        """When the time is up: it runs from the last data event."""
        if self.accumulator.events != self._events:
            self._events, self._deadline = self.accumulator.events, now + (self._idle_timeout or 0)
        return self._deadline

    def _idle(self) -> IdleTimeoutError:
        error = IdleTimeoutError(self._idle_timeout or 0)
        error.partial = self.accumulator.snapshot()
        return error


class _Wrapped:
    """The face that both stream wrappers share."""

    def __init__(self, source: Any, session: _Session) -> None:
        self._source = source
        self._session = session
        self._chunks: deque[ChatCompletionChunk] = deque()
        self._error: StreamAggError | None = None
        self._ended = False
        self._busy = False
        session.accumulator.deliver = self._chunks.append

    @property
    def complete(self) -> bool:
        """Whether the stream, if it ended here, would be complete."""
        return self._session.accumulator.complete

    @property
    def repairs(self) -> Mapping[str, int]:
        """What was odd about the stream so far: how often each kind of `REPAIRS` was needed."""
        return self._session.accumulator.repairs

    def snapshot(self) -> ChatCompletionResponse | None:
        """The response so far, which nothing that follows changes; None before the first chunk.

        Readable at any time, also after an error or a cancellation.
        """
        return self._session.accumulator.snapshot()

    def response(self) -> ChatCompletionResponse:
        """The response, once the stream has ended or was closed; raises as `Accumulator.finish` does.

        A `RuntimeError` while the stream still runs: `snapshot` gives what there is then.
        """
        if not self._ended:
            raise RuntimeError("the stream has not ended yet: snapshot() gives the response so far")
        return self._session.result()

    def _claim(self) -> None:
        """Two tasks that read at once would each lose what the other gets."""
        if self._busy:
            raise RuntimeError("another task is reading this stream: let one task read it, and cancel that to stop it")
        self._busy = True

    def _end(self) -> None:
        """The source has ended: find out whether that is an error. Chunks before one come first."""
        self._ended = True
        if self._error is None:
            try:
                self._session.result()
            except StreamAggError as error:
                self._error = error


class ChatCompletionStream(_Wrapped, AsyncIterator[ChatCompletionChunk]):
    """The chunks of a source as they come, and the response at the end; made by `stream`.

    One task reads it at a time; a `RuntimeError` in another one that tries to.
    """

    _items: AsyncItems | None = None

    async def __aenter__(self) -> ChatCompletionStream:
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

    async def __anext__(self) -> ChatCompletionChunk:
        if not self._chunks:
            self._claim()
            try:
                await self._fill()
            finally:
                self._busy = False
        return self._chunks.popleft()

    async def _fill(self) -> None:
        """Read until there is a chunk to hand out; raise what ended the stream where there is none."""
        while not self._chunks:
            if self._ended:
                await self._close()
                raise self._error or StopAsyncIteration
            await self._read()

    async def _read(self) -> None:
        """Read one item of the source, or its end."""
        try:
            if self._items is None:
                self._items = self._session.open(AsyncItems(self._source))
                self._next = self._session.reader(self._items)
            stop = self._session.take(await self._next())
        except StopAsyncIteration:
            stop = True
        except StreamAggError as error:
            self._error = error
            stop = True
        except BaseException:
            await self._close()
            raise
        if stop:
            self._end()

    async def _close(self) -> None:
        self._ended = True
        items, self._items = self._items, None
        if items is not None:
            try:
                if self._session.accumulator.done:
                    await items.linger()
            finally:
                await items.aclose()


class SyncChatCompletionStream(_Wrapped, Iterator[ChatCompletionChunk]):
    """The chunks of a blocking source as they come, and the response at the end; made by `stream_sync`.

    One thread reads it at a time; a `RuntimeError` in another one that tries to.
    """

    _items: SyncItems | None = None

    def __enter__(self) -> SyncChatCompletionStream:
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

    def __next__(self) -> ChatCompletionChunk:
        if not self._chunks:
            self._claim()
            try:
                self._fill()
            finally:
                self._busy = False
        return self._chunks.popleft()

    def _fill(self) -> None:
        """Read until there is a chunk to hand out; raise what ended the stream where there is none."""
        while not self._chunks:
            if self._ended:
                self._close()
                raise self._error or StopIteration
            self._read()

    def _read(self) -> None:
        """Read one item of the source, or its end."""
        try:
            if self._items is None:
                self._items = self._session.open(SyncItems(self._source))
                self._next = self._session.reader_sync(self._items)
            stop = self._session.take(self._next())
        except StopIteration:
            stop = True
        except StreamAggError as error:
            self._error = error
            stop = True
        except BaseException:
            self._close()
            raise
        if stop:
            self._end()

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
    limits: Limits = _DEFAULT_LIMITS,
    incomplete: IncompleteMode = "raise",
    idle_timeout: float | None = None,
) -> ChatCompletionStream:
    """Wrap any source: `async with stream(source) as chunks`, then iterate; options as `accumulate`.

    An error of the stream is raised once the chunks before it were handed out.
    """
    return ChatCompletionStream(source, _Session(usage, strict, limits, incomplete, idle_timeout))


def stream_sync(
    source: Any,
    *,
    usage: UsageMode = "auto",
    strict: bool = False,
    limits: Limits = _DEFAULT_LIMITS,
    incomplete: IncompleteMode = "raise",
    idle_timeout: float | None = None,
) -> SyncChatCompletionStream:
    """`stream` for blocking sources: `with stream_sync(source) as chunks`, then iterate."""
    return SyncChatCompletionStream(source, _Session(usage, strict, limits, incomplete, idle_timeout))


async def accumulate(
    source: Any,
    *,
    usage: UsageMode = "auto",
    strict: bool = False,
    limits: Limits = _DEFAULT_LIMITS,
    incomplete: IncompleteMode = "raise",
    idle_timeout: float | None = None,
) -> ChatCompletionResponse:
    """Read a source to its end, or to `[DONE]`, and return the one response that it streamed.

    `source`: a response of an HTTP client, a client's stream of chunks, what `stream` made, a whole
    body as bytes or str, a path, a binary file, or an iterable, async or not, of slices, chunks or
    events. `usage`, `strict`, `limits`: see `Accumulator`. `incomplete="return"` gives what there is of
    a stream that was cut, where there is any, instead of raising `IncompleteStreamError`.
    `idle_timeout`: seconds without a data event before `IdleTimeoutError`; comments do not count.

    Raises a `StreamAggError` (of a response with an error status `ProviderError`), a `TypeError` for what
    cannot be read, a `RuntimeError` for a response read or closed before, and whatever the source raises.
    """
    if isinstance(source, ChatCompletionStream):  # it has its own options
        async for _ in source:
            pass
        return source.response()
    if isinstance(source, SyncChatCompletionStream):
        return accumulate_sync(source)
    session = _Session(usage, strict, limits, incomplete, idle_timeout)
    items = session.open(AsyncItems(source))
    next_item = session.reader(items)
    try:
        while not session.take(await next_item()):
            pass
        await items.linger()
    except StopAsyncIteration:
        pass
    finally:
        await items.aclose()
    return session.result()


def accumulate_sync(
    source: Any,
    *,
    usage: UsageMode = "auto",
    strict: bool = False,
    limits: Limits = _DEFAULT_LIMITS,
    incomplete: IncompleteMode = "raise",
    idle_timeout: float | None = None,
) -> ChatCompletionResponse:
    """`accumulate` for blocking sources. `idle_timeout` is looked at whenever a read returns."""
    if isinstance(source, SyncChatCompletionStream):
        for _ in source:
            pass
        return source.response()
    session = _Session(usage, strict, limits, incomplete, idle_timeout)
    items = session.open(SyncItems(source))
    next_item = session.reader_sync(items)
    try:
        while not session.take(next_item()):
            pass
    except StopIteration:
        pass
    finally:
        items.close()
    return session.result()
