"""The drivers: `accumulate` and `stream`, async and sync. Short loops; they parse nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from ._chunk import ChatCompletionChunk
from ._errors import StreamAggError
from ._events import StreamEvent, TextDelta
from ._limits import Limits
from ._response import ChatCompletionResponse
from ._session import DEFAULT_LIMITS, IncompleteMode, Session
from ._sources import AsyncItems, SyncItems
from ._tap import ChatCompletionTap, SyncChatCompletionTap
from ._telling import AsyncTold, Teller, Told
from ._timing import StreamClock, Timing
from ._usage import UsageMode


class _Wrapped:
    """The face that both stream wrappers share."""

    def __init__(self, source: Any, session: Session) -> None:
        self._source = source
        self._session = session
        self._chunks: deque[ChatCompletionChunk] = deque()
        self._error: StreamAggError | None = None
        self._ended = False
        self._clock = StreamClock()
        self._teller: Teller | None = None
        session.accumulator.deliver = self._chunks.append

    @property
    def complete(self) -> bool:
        """Whether the stream, if it ended here, would be complete."""
        return self._session.accumulator.complete

    @property
    def repairs(self) -> Mapping[str, int]:
        """What was odd about the stream so far: how often each kind of `REPAIRS` was needed."""
        return self._session.accumulator.repairs

    @property
    def timing(self) -> Timing:
        """When what has come so far arrived, in seconds since the stream was entered or first read."""
        return self._clock.timing

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

    def _take(self, item: Any) -> bool:
        try:
            return self._session.take(item)
        finally:
            self._clock.read(self._session.accumulator)

    def _end(self) -> None:
        """The source has ended: find out whether that is an error. Chunks before one come first."""
        self._ended = True
        if self._error is None:
            try:
                self._session.result()
            except StreamAggError as error:
                self._error = error
            self._clock.read(self._session.accumulator)
        if self._teller is not None:
            self._teller.end(well=self._error is None and self.complete)

    def _told(self, ready_before_finish: bool) -> deque[StreamEvent]:
        """Where the events will come, in the place of chunks."""
        events: deque[StreamEvent] = deque()
        self._tell(events.append, ready_before_finish)
        return events

    def _texts(self) -> deque[str]:
        """Where the text of choice 0 will come, in the place of chunks."""
        texts: deque[str] = deque()

        def tell(event: StreamEvent) -> None:
            if isinstance(event, TextDelta) and event.choice == 0:
                texts.append(event.text)

        self._tell(tell, ready_before_finish=False)
        return texts

    def _tell(self, tell: Callable[[StreamEvent], None], ready_before_finish: bool) -> None:
        accumulator = self._session.accumulator
        if accumulator.events or self._teller is not None:
            raise RuntimeError("the stream is being read already: ask for events() or text() first, and once")
        accumulator.deliver = None
        self._teller = Teller(accumulator, tell, early=ready_before_finish)


class ChatCompletionStream(_Wrapped, AsyncIterator[ChatCompletionChunk]):
    """The chunks of a source as they come, and the response at the end; made by `stream`."""

    _items: AsyncItems | None = None

    async def __aenter__(self) -> ChatCompletionStream:
        self._clock.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop reading, and close what was opened here; the source itself is the caller's to close."""
        self._ended = True
        if self._items is not None:
            await self._items.aclose()

    def events(self, *, ready_before_finish: bool = False) -> AsyncIterator[StreamEvent]:
        """Read the stream as events, in the place of chunks; ask before reading, and once.

        An error of the stream is raised once the events before it were given. `ready_before_finish`:
        a tool call is ready as soon as its arguments are a whole JSON object, though the server may go
        on with it, or fail, or be cut, before the choice has its `finish_reason`.
        """
        return AsyncTold(self._read, self._told(ready_before_finish))

    def text(self) -> AsyncIterator[str]:
        """Read the stream as the text of choice 0, in pieces that are never empty; else as `events`.

        A message that replaces another (see `MessageReplaced`) is more text here.
        """
        return AsyncTold(self._read, self._texts())

    async def __anext__(self) -> ChatCompletionChunk:
        while not self._chunks:
            await self._read()
        return self._chunks.popleft()

    async def _read(self) -> None:
        """Read one item of the source, or its end; past the end raise what the stream ended with."""
        if self._error is not None:
            raise self._error
        if self._ended:
            raise StopAsyncIteration
        try:
            if self._items is None:
                self._clock.start()
                self._items = AsyncItems(self._source)
            stop = self._take(await self._session.next_of(self._items))
        except StopAsyncIteration:
            stop = True
        except StreamAggError as error:
            self._error = error
            stop = True
        except BaseException:
            await self.aclose()
            raise
        if stop:
            self._end()
            await self.aclose()


class SyncChatCompletionStream(_Wrapped, Iterator[ChatCompletionChunk]):
    """The chunks of a blocking source as they come, and the response at the end; made by `stream_sync`."""

    _items: SyncItems | None = None

    def __enter__(self) -> SyncChatCompletionStream:
        self._clock.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading, and close what was opened here; the source itself is the caller's to close."""
        self._ended = True
        if self._items is not None:
            self._items.close()

    def events(self, *, ready_before_finish: bool = False) -> Iterator[StreamEvent]:
        """As `ChatCompletionStream.events`."""
        return Told(self._read, self._told(ready_before_finish))

    def text(self) -> Iterator[str]:
        """As `ChatCompletionStream.text`."""
        return Told(self._read, self._texts())

    def __next__(self) -> ChatCompletionChunk:
        while not self._chunks:
            self._read()
        return self._chunks.popleft()

    def _read(self) -> None:
        """Read one item of the source, or its end; past the end raise what the stream ended with."""
        if self._error is not None:
            raise self._error
        if self._ended:
            raise StopIteration
        try:
            if self._items is None:
                self._clock.start()
                self._items = SyncItems(self._source)
            stop = self._take(self._session.next_of_sync(self._items))
        except StopIteration:
            stop = True
        except StreamAggError as error:
            self._error = error
            stop = True
        except BaseException:
            self.close()
            raise
        if stop:
            self._end()
            self.close()


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


async def accumulate(
    source: Any,
    *,
    usage: UsageMode = "auto",
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    incomplete: IncompleteMode = "raise",
    idle_timeout: float | None = None,
) -> ChatCompletionResponse:
    """Read a source to its end, or to `[DONE]`, and return the one response that it streamed.

    `source`: a response of an HTTP client, a client's stream of chunks, what `stream` or `tap` made, a whole
    body as bytes or str, a path, a binary file, or an iterable, async or not, of slices, chunks or
    events. `usage`, `strict`, `limits`: see `Accumulator`. `incomplete="return"` gives what there is of
    a stream that was cut, where there is any, instead of raising `IncompleteStreamError`.
    `idle_timeout`: seconds without a data event before `IdleTimeoutError`; comments do not count.

    Raises a `StreamAggError`, a `TypeError` for what cannot be read, and whatever the source raises.
    """
    if isinstance(source, (ChatCompletionStream, ChatCompletionTap)):  # it has its own options
        async for _ in source:
            pass
        return source.response()
    if isinstance(source, (SyncChatCompletionStream, SyncChatCompletionTap)):
        return accumulate_sync(source)
    session = Session(usage, strict, limits, incomplete, idle_timeout)
    items = AsyncItems(source)
    try:
        while not session.take(await session.next_of(items)):
            pass
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
    limits: Limits = DEFAULT_LIMITS,
    incomplete: IncompleteMode = "raise",
    idle_timeout: float | None = None,
) -> ChatCompletionResponse:
    """`accumulate` for blocking sources. `idle_timeout` is looked at whenever a read returns."""
    if isinstance(source, (SyncChatCompletionStream, SyncChatCompletionTap)):
        for _ in source:
            pass
        return source.response()
    session = Session(usage, strict, limits, incomplete, idle_timeout)
    items = SyncItems(source)
    try:
        while not session.take(session.next_of_sync(items)):
            pass
    except StopIteration:
        pass
    finally:
        items.close()
    return session.result()
