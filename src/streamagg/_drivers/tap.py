"""`tap`, async and sync: a source's items pass through untouched, and are read on the way.

Nothing that reading runs into is raised where the items pass: it is kept for `.error`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from .._errors import DecodeError, IdleTimeoutError, StreamAggError
from .._limits import Limits
from .._merge.usage import UsageMode
from .._sources.items import AsyncItems, SyncItems
from .._types.completion import ChatCompletionResponse
from .._types.usage import CompletionUsage
from .driver import DEFAULT_LIMITS, IncompleteMode, Session
from .timing import StreamClock, Timing


class _Tapped:
    """The face that both taps share."""

    def __init__(self, source: Any, session: Session) -> None:
        self._source = source
        self._session = session
        session.accumulator.at_once()
        self._clock = StreamClock()
        self._error: StreamAggError | None = None
        self._ended = False

    @property
    def error(self) -> StreamAggError | None:
        """What reading ran into so far; after the end also what is missing: what `response` raises."""
        return self._error

    @property
    def complete(self) -> bool:
        """Whether the stream, if it ended here, would be complete."""
        return self._error is None and self._session.accumulator.complete

    @property
    def done(self) -> bool:
        """Whether `[DONE]` came: what follows it passes, but is not read."""
        return self._session.accumulator._done

    @property
    def repairs(self) -> Mapping[str, int]:
        """What was odd about the stream so far: how often each kind of `REPAIRS` was needed."""
        return self._session.accumulator.repairs

    @property
    def timing(self) -> Timing:
        """When what has come so far arrived, in seconds since the tap was entered or first read."""
        return self._clock.timing

    @property
    def usage(self) -> CompletionUsage | None:
        """The usage so far, None before the first report. Taken from a snapshot."""
        snapshot = self.snapshot()
        return None if snapshot is None else snapshot.usage

    def snapshot(self) -> ChatCompletionResponse | None:
        """The response so far, which nothing that follows changes; None before the first chunk."""
        return self._session.accumulator.snapshot()

    def response(self) -> ChatCompletionResponse:
        """The response, once the tap has ended or was closed; raises `error` where there is one.

        A `RuntimeError` while it still runs: `snapshot` gives what there is then.
        """
        if not self._ended:
            raise RuntimeError("the tap has not ended yet: close it, or take its snapshot()")
        if self._error is not None:
            raise self._error
        return self._session.result()

    def _take(self, item: Any) -> None:
        """Read one item. It goes out whatever comes of that."""
        if self._error is not None or self.done:
            self._session.sign_of_life()
            return
        try:
            self._session.take(item)
        except StreamAggError as error:
            self._error = error
        except Exception as error:  # of an object's own attributes
            events = self._session.accumulator.events
            self._error = DecodeError(f"reading it raised {type(error).__name__}", event=events)
            self._error.__cause__ = error
            self._error.partial = self.snapshot()
        self._clock.read(self._session.accumulator)

    def _end(self, why: BaseException | None = None) -> None:
        """Nothing more comes: find out what there is, and what is missing."""
        if not self._ended:
            self._ended = True
            try:
                if self._error is None:
                    self._session.result()
            except StreamAggError as error:
                self._error = why if isinstance(why, IdleTimeoutError) else error
            if self._clock.timing.first_byte is not None:  # the end may have brought a last chunk
                self._clock.read(self._session.accumulator)


class ChatCompletionTap(_Tapped, AsyncIterator[Any]):
    """The items of a source, as they are, and the response that they came to; made by `tap`."""

    _items: AsyncItems | None = None

    async def __aenter__(self) -> ChatCompletionTap:
        self._clock.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop passing, and close what was opened here; the source itself is the caller's to close."""
        self._end()
        if self._items is not None:
            await self._items.aclose()

    async def __anext__(self) -> Any:
        if self._ended:
            raise StopAsyncIteration
        try:
            if self._items is None:
                self._clock.start()
                self._items = self._session.open(AsyncItems(self._source))
                self._next = self._session.reader(self._items)
            item = await self._next()
        except BaseException as error:  # whatever ends the source, cancellation too: it passes on below
            self._end(error)
            await self.aclose()
            raise
        self._take(item)
        return item


class SyncChatCompletionTap(_Tapped, Iterator[Any]):
    """The items of a blocking source, as they are, and the response; made by `tap_sync`."""

    _items: SyncItems | None = None

    def __enter__(self) -> SyncChatCompletionTap:
        self._clock.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop passing, and close what was opened here; the source itself is the caller's to close."""
        self._end()
        if self._items is not None:
            self._items.close()

    def __next__(self) -> Any:
        if self._ended:
            raise StopIteration
        try:
            if self._items is None:
                self._clock.start()
                self._items = self._session.open(SyncItems(self._source))
                self._next = self._session.reader_sync(self._items)
            item = self._next()
        except BaseException as error:  # whatever ends the source, cancellation too: it passes on below
            self._end(error)
            self.close()
            raise
        self._take(item)
        return item


def tap(
    source: Any,
    *,
    usage: UsageMode = "auto",
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    incomplete: IncompleteMode = "raise",
    idle_timeout: float | None = None,
) -> ChatCompletionTap:
    """Let a source pass: `async with tap(source) as body`, then `async for data in body`.

    Whatever the source yields, slices or chunks, comes out as the same objects, up to the source's own
    end, `[DONE]` or not. Each is read before it is handed out, which costs some microseconds; what that
    runs into is on `.error`, and stops the reading alone. `.response()`, `.snapshot()`, `.usage`, `.timing`
    and `.complete` are there afterwards, on every way out. Options as `accumulate`. Raises what the source
    raises, a `TypeError` for what cannot be read, and `IdleTimeoutError`: `idle_timeout` counts from the
    last data event, and once the reading is over from the last slice.
    """
    return ChatCompletionTap(source, Session(usage, strict, limits, incomplete, idle_timeout))


def tap_sync(
    source: Any,
    *,
    usage: UsageMode = "auto",
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    incomplete: IncompleteMode = "raise",
    idle_timeout: float | None = None,
) -> SyncChatCompletionTap:
    """`tap` for blocking sources: `with tap_sync(source) as body`, then `for data in body`."""
    return SyncChatCompletionTap(source, Session(usage, strict, limits, incomplete, idle_timeout))
