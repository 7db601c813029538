"""The base of `stream` and `tap`: a source, its driver, the state of its stream, and the times of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._errors import StreamAggError
from .._sources.items import AsyncItems, SyncItems
from .._types.completion import ChatCompletionResponse
from .driver import Driver
from .timing import StreamClock, Timing


class StreamBase:
    """One source that is read item by item, and the state of its stream."""

    _take: Callable[[Any], bool]
    """Takes an item, see `Driver.begin`. Set once reading begins."""

    def __init__(self, source: Any, driver: Driver) -> None:
        self._source = source
        self._driver = driver
        self._clock = StreamClock()
        self._error: StreamAggError | None = None
        self._ended = False
        self._items: Any = None
        """The source's `AsyncItems` or `SyncItems`, while they are open."""
        self._next: Callable[[], Any] | None = None
        """Gives the next item, see `Driver.reader`. Set once reading begins."""

    @property
    def repairs(self) -> Mapping[str, int]:
        """The count of each kind of `REPAIRS` so far."""
        return self._driver.accumulator.repairs

    @property
    def timing(self) -> Timing:
        """The times at which the parts so far arrived, in seconds since this was entered or first read."""
        return self._clock.timing

    def snapshot(self) -> ChatCompletionResponse | None:
        """The response so far, which nothing that follows changes; None before the first chunk.

        Readable at any time, also after an error or a cancellation.
        """
        return self._driver.accumulator.snapshot()

    def _begin(self, items: AsyncItems | SyncItems) -> Callable[[], Any]:
        """Reading begins. Returns `_next`."""
        self._items = items
        self._take = self._driver.begin(items.body, self._clock)
        self._next = self._driver.reader(items)
        return self._next
