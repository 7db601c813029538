"""One stream and the options of its driver: all that `accumulate`, `stream` and `tap` share but the loop."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, TypeVar

from .._accumulator.accumulator import Accumulator
from .._errors import IdleTimeoutError, IncompleteStreamError
from .._limits import Limits
from .._merge.usage import UsageMode
from .._sources.items import AsyncItems, SyncItems
from .._types.completion import ChatCompletionResponse
from .error_body import Refusal

IncompleteMode = Literal["raise", "return"]
Items = TypeVar("Items", AsyncItems, SyncItems)

DEFAULT_LIMITS = Limits()


class Session:
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
        self._came = -1
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
        if type(item) is bytes or isinstance(item, (bytes, str, bytearray, memoryview)):
            self.accumulator.feed(item)
        else:
            self.accumulator.add(item)
        return self.accumulator._done

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

        now = anyio.current_time()
        deadline = self._until(now)
        if now < deadline:  # a source that never waits cannot be interrupted
            with anyio.CancelScope(deadline=deadline):
                return await items.next()
        raise self._idle()

    def reader_sync(self, items: SyncItems) -> Callable[[], Any]:
        """As `reader`; a blocking read cannot be cut short, so the time is looked at before the next one."""
        return items.next if self._idle_timeout is None else partial(self._next_in_time_sync, items)

    def _next_in_time_sync(self, items: SyncItems) -> Any:
        now = time.monotonic()
        if now >= self._until(now):
            raise self._idle()
        return items.next()

    def sign_of_life(self) -> None:
        """Where nothing is read any more, whatever comes restarts the idle time."""
        self._came = -1

    def _until(self, now: float) -> float:
        """When the time is up: it runs from the last data event."""
        accumulator = self.accumulator
        came = accumulator._count + accumulator._envelopes.unread  # what waits has events: no need to count them
        if came != self._came:
            self._came, self._deadline = came, now + (self._idle_timeout or 0)
        return self._deadline

    def _idle(self) -> IdleTimeoutError:
        error = IdleTimeoutError(self._idle_timeout or 0)
        error.partial = self.accumulator.snapshot()
        return error
