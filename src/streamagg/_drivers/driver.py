"""One stream and the options of its driver: everything that `accumulate`, `stream` and `tap` share but the loop.

1. A driver has one accumulator. Its owner may read the state at any time.
2. `begin` picks the sink once, when reading begins: the accumulator, or an `ErrorBody` where the HTTP status is an
   error. The accumulator of such a body stays empty.
3. `begin` returns the function that takes an item. It returns whether reading should stop, and raises a
   `StreamAggError`, or the exception of an object's own attributes.
4. `reader` returns the function that gives the next item. It raises as `next` of the items does, and
   `IdleTimeoutError`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, Protocol

from .._accumulator.accumulator import Accumulator
from .._errors import IdleTimeoutError, IncompleteStreamError
from .._limits import Limits
from .._merge.usage import UsageMode
from .._sources.http import HTTPBody
from .._sources.items import AsyncItems, SyncItems
from .._types.completion import ChatCompletionResponse
from .error_body import ErrorBody
from .timing import StreamClock

IncompleteMode = Literal["raise", "return"]

DEFAULT_LIMITS = Limits()

_SLICES = (bytes, str, bytearray, memoryview)
"""The types of slices of a body. Any other item is a chunk."""


class Sink(Protocol):
    """Takes a stream: an `Accumulator`, or an `ErrorBody`."""

    @property
    def done(self) -> bool:
        """Whether reading should stop. More input does no harm."""

    def feed(self, data: bytes | bytearray | memoryview | str, /) -> None:
        """Take a slice of the body."""

    def add(self, chunk: Any, /) -> None:
        """Take one chunk."""

    def finish(self) -> ChatCompletionResponse:
        """End of input: the response, or a `StreamAggError`. A second call gives the same answer."""


class Driver:
    """One stream and its options, which are those of `accumulate`."""

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
        self._sink: Sink | None = None
        self._returns_partial = incomplete == "return"
        self._idle_timeout = idle_timeout
        self._events = -1  # at the last look; -1 is less than any count
        self._deadline = 0.0

    def begin(self, body: HTTPBody | None, clock: StreamClock | None = None) -> Callable[[Any], bool]:
        """Reading begins: pick the sink for a source, and return the function that takes an item.

        `clock` is read after each item. It starts now, unless it was started before.
        """
        sink = self._sink = self._pick_sink(body)
        feed, add = sink.feed, sink.add
        if clock is None:

            def take(item: Any) -> bool:
                feed(item) if type(item) is bytes or isinstance(item, _SLICES) else add(item)
                return sink.done

            return take
        clock.start()
        read_clock, view = clock.read, self.accumulator.view

        def take_timed(item: Any) -> bool:
            try:
                feed(item) if type(item) is bytes or isinstance(item, _SLICES) else add(item)
            finally:
                read_clock(view)
            return sink.done

        return take_timed

    def _pick_sink(self, body: HTTPBody | None) -> Sink:
        if body is None:
            return self.accumulator
        self.accumulator.origin = body.content_type
        # The body of an error status explains the error. It is no stream, even where it looks like one.
        return ErrorBody(body) if body.status is not None and body.status >= 400 else self.accumulator

    def result(self) -> ChatCompletionResponse:
        """End of input: the response. `incomplete` decides about a stream that was cut."""
        try:
            return (self._sink or self.accumulator).finish()
        except IncompleteStreamError as error:
            if self._returns_partial and error.partial is not None:
                return error.partial
            raise

    def reader(self, items: AsyncItems | SyncItems) -> Callable[[], Any]:
        """The function that gives the next item, in time; for `AsyncItems` it must be awaited."""
        if self._idle_timeout is None:
            return items.next
        if isinstance(items, AsyncItems):
            return partial(self._next_in_time, items)
        return partial(self._next_in_time_sync, items)

    async def _next_in_time(self, items: AsyncItems) -> Any:
        """The next item, or `IdleTimeoutError` once no data event came for `idle_timeout` seconds."""
        import anyio

        now = anyio.current_time()
        deadline = self._deadline_at(now)
        # A source that never waits (a flood of comments) reaches no point where a scope could interrupt it.
        if now < deadline:
            with anyio.CancelScope(deadline=deadline):
                return await items.next()
        raise self._idle_error()

    def _next_in_time_sync(self, items: SyncItems) -> Any:
        """The same. A blocking read cannot be cut short: the time is checked before each one."""
        now = time.monotonic()
        if now >= self._deadline_at(now):
            raise self._idle_error()
        return items.next()

    def pass_unread(self, item: Any) -> bool:
        """Takes an item in the place of the function that `begin` returned, once reading has ended.

        Any item restarts the idle time then: no event is counted any more.
        """
        self._events = -1
        return False

    def _deadline_at(self, now: float) -> float:
        """The end of the idle time, which begins anew with each data event."""
        events = self.accumulator.events
        if events != self._events:
            self._events, self._deadline = events, now + (self._idle_timeout or 0)
        return self._deadline

    def _idle_error(self) -> IdleTimeoutError:
        error = IdleTimeoutError(self._idle_timeout or 0)
        error.partial = self.accumulator.snapshot()
        return error
