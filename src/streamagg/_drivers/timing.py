"""When the parts of a stream arrived. The clock is read here and in the drivers, in no lower package.

A driver calls `clock.start()` when reading begins, `clock.read(view)` once after each item, and `clock.end(view)` once
at the end; `clock.timing` may be asked for at any time. A read looks once at the clock and once at the view.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from msgspec import Struct

from .._accumulator.view import StreamView


class Timing(Struct, frozen=True, kw_only=True):
    """When the parts of a stream arrived, in seconds since its reading began; None for a part that never came.

    A part has the time at which the slice or chunk that brought it was read. Text and reasoning are
    those of the choice that came first.
    """

    first_byte: float | None = None
    """The first slice or chunk, with or without content."""
    first_chunk: float | None = None
    first_reasoning: float | None = None
    first_text: float | None = None
    last_text: float | None = None
    last_chunk: float | None = None
    """The last chunk, or the error that ended the stream; `[DONE]` and pings are none."""
    text_rate: float | None = None
    """Characters of text a second from `first_text` to `last_text`, without those that came with the first."""


class StreamClock:
    """Takes the times of one stream. `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._began: float | None = None
        self._first_byte: float | None = None
        self._first_chunk: float | None = None
        self._first_reasoning: float | None = None
        self._first_text: float | None = None
        self._last_text: float | None = None
        self._last_chunk: float | None = None
        self._first_length = self._length = 0  # characters of text: with the first of it, and so far
        self._chunks = 0

    def start(self) -> None:
        """Reading begins: all times count from the first call. Without one they count from the first item."""
        if self._began is None:
            self._began = self._clock()

    def read(self, view: StreamView) -> None:
        """An item was taken, or refused: note the parts that it brought."""
        now = self._clock()
        if self._first_byte is None:
            self._first_byte = now
            self._began = now if self._began is None else self._began
        chunks, length, has_reasoning = view.progress()
        if chunks == self._chunks:
            return
        self._chunks = chunks
        self._last_chunk = now
        if self._first_chunk is None:
            self._first_chunk = now
        if has_reasoning and self._first_reasoning is None:
            self._first_reasoning = now
        if length != self._length:
            self._length = length
            self._last_text = now
            if self._first_text is None:
                self._first_text = now
                self._first_length = length

    def end(self, view: StreamView) -> None:
        """The source has ended, which may have completed a last chunk."""
        if self._first_byte is not None:
            self.read(view)

    @property
    def timing(self) -> Timing:
        """The times so far."""
        rate = None
        if self._first_text is not None and self._last_text is not None and self._last_text > self._first_text:
            rate = max(self._length - self._first_length, 0) / (self._last_text - self._first_text)
        return Timing(
            first_byte=self._since(self._first_byte),
            first_chunk=self._since(self._first_chunk),
            first_reasoning=self._since(self._first_reasoning),
            first_text=self._since(self._first_text),
            last_text=self._since(self._last_text),
            last_chunk=self._since(self._last_chunk),
            text_rate=rate,
        )

    def _since(self, time: float | None) -> float | None:
        return None if time is None or self._began is None else time - self._began
