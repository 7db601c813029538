"""One stream and the options of its driver: all that `accumulate`, `stream` and `tap` share but the loop."""

from __future__ import annotations

import time
from typing import Any, Literal

from ._accumulator import Accumulator
from ._errors import IdleTimeoutError, IncompleteStreamError
from ._limits import Limits
from ._response import ChatCompletionResponse
from ._sources import AsyncItems, SyncItems
from ._usage import UsageMode

IncompleteMode = Literal["raise", "return"]

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
        self._events: int = -1
        self._deadline = 0.0

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

    async def next_of(self, items: AsyncItems) -> Any:
        """The next item, or `IdleTimeoutError` once no data event came for `idle_timeout` seconds."""
        if self._idle_timeout is None:
            return await items.next()
        import anyio

        with anyio.CancelScope(deadline=self._until(anyio.current_time())) as scope:
            return await items.next()
        assert scope.cancelled_caught
        raise self._idle()

    def next_of_sync(self, items: SyncItems) -> Any:
        """As `next_of`; a blocking read cannot be cut short, so the time is looked at once it returns."""
        if self._idle_timeout is None:
            return items.next()
        deadline = self._until(time.monotonic())
        item = items.next()
        if time.monotonic() > deadline:
            raise self._idle()
        return item

    def sign_of_life(self) -> None:
        """Where nothing is read any more, whatever comes restarts the idle time."""
        self._events = -1

    def _until(self, now: float) -> float:
        """When the time is up: it runs from the last data event."""
        if self.accumulator.events != self._events:
            self._events, self._deadline = self.accumulator.events, now + (self._idle_timeout or 0)
        return self._deadline

    def _idle(self) -> IdleTimeoutError:
        error = IdleTimeoutError(self._idle_timeout or 0)
        error.partial = self.accumulator.snapshot()
        return error
