"""What the two stream wrappers share: all but the reading itself."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeVar

from .._errors import StreamAggError
from .._events.emitter import Teller
from .._events.types import StreamEvent, TextDelta
from .._types.chunk import ChatCompletionChunk
from .._types.completion import ChatCompletionResponse
from .driver import Session
from .timing import StreamClock, Timing

T = TypeVar("T")


class Wrapped:
    """The face that both stream wrappers share."""

    def __init__(self, source: Any, session: Session) -> None:
        self._source = source
        self._session = session
        self._chunks: deque[ChatCompletionChunk] = deque()
        self._error: StreamAggError | None = None
        self._ended = False
        self._busy = False
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
            if self._clock.timing.first_byte is not None:  # the end may have brought a last chunk
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


class AsyncTold(AsyncIterator[T]):
    """What is told of a stream while it is read; `fill` reads until there is something, and raises at the end."""

    def __init__(self, fill: Callable[[deque[T]], Awaitable[None]], told: deque[T]) -> None:
        self._fill = fill
        self._told = told

    async def __anext__(self) -> T:
        if not self._told:
            await self._fill(self._told)
        return self._told.popleft()


class Told(Iterator[T]):
    """As `AsyncTold`, of a blocking source."""

    def __init__(self, fill: Callable[[deque[T]], None], told: deque[T]) -> None:
        self._fill = fill
        self._told = told

    def __next__(self) -> T:
        if not self._told:
            self._fill(self._told)
        return self._told.popleft()
