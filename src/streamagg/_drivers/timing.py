"""When the parts of a stream arrived. The clock is read here and in the drivers, nowhere below.

A driver calls `clock.start()` when reading begins, and `clock.read(accumulator)` once after every
item that it pushed and once after `finish`; `clock.timing` is there at any time. A read costs one
look at the clock and one at what is new of the text: nothing is joined or kept for it.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from msgspec import Struct

from .._accumulator.accumulator import Accumulator
from .._merge.choice import ChoiceState
from .._merge.content import Content
from .._merge.text import Text
from .._merge.values import settled
from .._types.message import ChatCompletionMessage, thinking_of


class Timing(Struct, frozen=True, kw_only=True):
    """When the parts of a stream arrived, in seconds since its reading began; None for what never came.

    A part has the time at which the slice or chunk that brought it was read. Text and reasoning are
    those of the choice that came first.
    """

    first_byte: float | None = None
    """The first slice or chunk, whatever was in it."""
    first_chunk: float | None = None
    first_reasoning: float | None = None
    first_text: float | None = None
    last_text: float | None = None
    last_chunk: float | None = None
    """The last chunk, or the error that ended the stream; `[DONE]` and pings are none."""
    text_rate: float | None = None
    """Characters of text a second from `first_text` to `last_text`, without those that came with the first."""


class StreamClock:
    """Takes the times of one stream. `clock`: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._began: float | None = None
        self._first_byte: float | None = None
        self._first_chunk: float | None = None
        self._first_reasoning: float | None = None
        self._first_text: float | None = None
        self._last_text: float | None = None
        self._last_chunk: float | None = None
        self._characters = self._first_characters = 0  # of the text, and of that which came first
        self._payloads = 0
        self._state: ChoiceState | None = None  # the choice that came first
        self._fields = 0  # how many fields its deltas have brought
        self._open = True  # there may be news without another field
        self._message: ChatCompletionMessage | None = None
        self._content: Content | None = None
        self._place = 0  # of the part of the content that was read last; 0 where it has none
        self._before = 0  # characters of the parts before it
        self._size = 0  # its own, of which the head had so many, and the rest came in so many fragments
        self._head = self._count = 0

    def start(self) -> None:
        """Reading begins: all times count from the first call. Without one they count from the first item."""
        if self._began is None:
            self._began = self._clock()

    def read(self, accumulator: Accumulator) -> None:
        """An item was pushed, or refused: see what it brought."""
        now = self._clock()
        if self._first_byte is None:
            self._first_byte = now
            self._began = now if self._began is None else self._began
        payloads = accumulator._events + accumulator._envelopes.merged - accumulator._passed  # here nothing waits
        if payloads == self._payloads:
            return
        state = self._state
        if state is None:
            if not accumulator._merger.began:
                return
            if self._first_chunk is None:
                self._first_chunk = now
            state = self._state = next(iter(accumulator._merger.choices.values()), None)
        self._payloads = payloads
        self._last_chunk = now
        if state is None:
            return
        if self._open or len(state.delta) != self._fields:
            self._look(state, now)
        content = self._content
        if content is None:
            return
        if content.parts is None:
            text = content.text
            tail = text.tail
            if len(tail) == self._count + 1 and len(text.head) == self._head:  # as nearly always
                self._count += 1
                self._size += len(tail[-1])
            else:
                self._measure(text)
        else:
            self._measure_parts(content.parts, now)
        if self._before + self._size != self._characters:
            self._text_came(self._before + self._size, now)

    @property
    def timing(self) -> Timing:
        """The times so far."""
        rate = None
        if self._first_text is not None and self._last_text is not None and self._last_text > self._first_text:
            rate = max(self._characters - self._first_characters, 0) / (self._last_text - self._first_text)
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

    def _look(self, state: ChoiceState, now: float) -> None:
        """See which fields the choice has by now, and what its message says as long as that counts."""
        self._fields = len(state.delta)
        texts = [text for name in ("reasoning_content", "reasoning") if (text := state.delta.get(name)) is not None]
        if any(text.head or any(text.tail) for text in texts):
            self._reasoning_came(now)
        self._open = not state.spoke or (self._first_reasoning is None and bool(texts))
        message = state.message
        if message is None:
            self._content = state.delta.get("content")
        elif message is not self._message:
            self._message, self._content = message, None
            if message.reasoning_text:
                self._reasoning_came(now)
            if len(message.text) != self._characters:
                self._text_came(len(message.text), now)

    def _reasoning_came(self, now: float) -> None:
        if self._first_reasoning is None:
            self._first_reasoning = now

    def _text_came(self, characters: int, now: float) -> None:
        self._characters = characters
        self._last_text = now
        if self._first_text is None:
            self._first_text = now
            self._first_characters = characters

    def _measure(self, text: Text) -> None:
        """Take the length of a growing text; what was read of it is not read again."""
        tail = text.tail
        head, new = len(text.head), len(tail) - self._count
        if head != self._head or new < 0:
            self._size = head + sum(map(len, tail))
            self._head = head
        elif new:
            self._size += sum(map(len, tail[-new:]))
        self._count += new

    def _measure_parts(self, parts: list[Any], now: float) -> None:
        """The same of content in parts, of which only the last one grows."""
        for place in range(self._place, len(parts)):
            if place > self._place:
                self._before += self._size
                self._place, self._size, self._head, self._count = place, 0, 0, 0
            part = parts[place] if isinstance(parts[place], dict) else {}
            text = part.get("text")
            if part.get("type") == "thinking":
                if self._first_reasoning is None and thinking_of(settled([part])):
                    self._first_reasoning = now
            elif isinstance(text, Content):
                self._measure(text.text)
            elif isinstance(text, str):
                self._size = len(text)
