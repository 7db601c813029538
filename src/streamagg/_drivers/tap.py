"""`tap`, async and sync: a source's items pass through untouched, and are read on the way.

1. Each item is read before it is handed out. It is handed out even where reading fails.
2. No error of reading is raised where the items pass: it is kept for `.error`, and ends the reading alone.
3. Each exception of the source passes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from .._errors import DecodeError, IdleTimeoutError, StreamAggError
from .._limits import Limits
from .._merge.usage import UsageMode
from .._sources.items import AsyncItems, SyncItems
from .._types.completion import ChatCompletionResponse
from .._types.usage import CompletionUsage
from .driver import DEFAULT_LIMITS, Driver, IncompleteMode
from .stream_base import StreamBase


class _Tap(StreamBase):
    """A tap without its loop."""

    @property
    def error(self) -> StreamAggError | None:
        """The error of the reading so far, or after the end of a stream that is not whole. `response` raises it."""
        return self._error

    @property
    def complete(self) -> bool:
        """Whether the stream, if it ended here, would be complete."""
        return self._error is None and self._driver.accumulator.complete

    @property
    def done(self) -> bool:
        """Whether `[DONE]` came: the items after it pass, but are not read."""
        return self._driver.accumulator.done

    @property
    def usage(self) -> CompletionUsage | None:
        """The usage so far, None before the first report. Taken from a snapshot."""
        snapshot = self.snapshot()
        return None if snapshot is None else snapshot.usage

    def response(self) -> ChatCompletionResponse:
        """The response, once the tap has ended or was closed; raises `error` where there is one.

        A `RuntimeError` while it still runs: `snapshot` gives what there is then.
        """
        if not self._ended:
            raise RuntimeError("the tap has not ended yet: close it, or take its snapshot()")
        if self._error is not None:
            raise self._error
        return self._driver.result()

    def _stop(self, error: Exception | None = None) -> None:
        """Reading has ended, by `[DONE]` or by an error: the items that follow pass unread."""
        self._take = self._driver.pass_unread
        if error is None or isinstance(error, StreamAggError):
            self._error = error
            return
        # A property of an object that a client made has raised.
        self._error = DecodeError(f"reading it raised {type(error).__name__}", event=self._driver.accumulator.events)
        self._error.__cause__ = error
        self._error.partial = self.snapshot()

    def _end(self, why: BaseException | None = None) -> None:
        """No more items come: find out whether the stream is whole."""
        if not self._ended:
            self._ended = True
            try:
                if self._error is None:
                    self._driver.result()
            except StreamAggError as error:
                # The timeout is the cause of the missing end. After a whole stream a silence is no error of the stream.
                self._error = why if isinstance(why, IdleTimeoutError) else error
            self._clock.end(self._driver.accumulator.view)


class ChatCompletionTap(_Tap, AsyncIterator[Any]):
    """Passes the items of a source unchanged, and merges them into a response. `tap` makes it."""

    async def __aenter__(self) -> ChatCompletionTap:
        self._clock.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop passing and close the iterator that was made here. The caller closes the source."""
        self._end()
        if self._items is not None:
            await self._items.aclose()

    async def __anext__(self) -> Any:
        if self._ended:
            raise StopAsyncIteration
        try:
            item = await (self._next or self._begin(AsyncItems(self._source)))()
        # The end of the source, its error, or a cancellation: it passes once all is closed.
        except BaseException as error:
            self._end(error)
            await self.aclose()
            raise
        try:
            if self._take(item):
                self._stop()
        except Exception as error:  # kept for `.error`
            self._stop(error)
        return item


class SyncChatCompletionTap(_Tap, Iterator[Any]):
    """Passes the items of a blocking source unchanged, and merges them into a response. `tap_sync` makes it."""

    def __enter__(self) -> SyncChatCompletionTap:
        self._clock.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop passing and close the iterator that was made here. The caller closes the source."""
        self._end()
        if self._items is not None:
            self._items.close()

    def __next__(self) -> Any:
        if self._ended:
            raise StopIteration
        try:
            item = (self._next or self._begin(SyncItems(self._source)))()
        # As in `__anext__`.
        except BaseException as error:
            self._end(error)
            self.close()
            raise
        try:
            if self._take(item):
                self._stop()
        except Exception as error:  # kept for `.error`
            self._stop(error)
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

    The source's own slices or chunks come out as the same objects, up to the source's end, also after `[DONE]`. Each is
    read before it is handed out. An error of the reading stands in `.error` and stops only the reading. `.snapshot()`,
    `.usage`, `.timing` and `.complete` work at any time, `.response()` after the end or a close.

    Options as `accumulate`. Raises each exception of the source, `TypeError` for an unreadable source, and
    `IdleTimeoutError`: `idle_timeout` counts from the last data event, and after the reading from the last slice.
    """
    return ChatCompletionTap(source, Driver(usage, strict, limits, incomplete, idle_timeout))


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
    return SyncChatCompletionTap(source, Driver(usage, strict, limits, incomplete, idle_timeout))
