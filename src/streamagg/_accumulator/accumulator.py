"""The accumulator: bytes or chunks in, one response out. It awaits nothing, reads no clock and does no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import msgspec

from .._errors import StreamAggError
from .._framing.sse import NamedEvent
from .._limits import Limits
from .._merge.usage import UsageMode
from .._types.chunk import ChatCompletionChunk
from .._types.completion import ChatCompletionResponse
from .pipeline import Observer, Pipeline
from .view import StreamView

_DEFAULT_LIMITS = Limits()


class Accumulator:
    """Merges one stream, pushed in any way, into one `ChatCompletionResponse`.

    `usage`: how reports merge. `"auto"` tells running totals from pieces and increments, `"sum"` adds every report,
    `"last"` keeps the last value of each counter. `strict`: the first repair raises `DecodeError`. `limits`: bounds on
    the memory that the stream may take.

    When `feed` or `add` returns, all input received is merged. After an error the accumulator stays failed: `feed`,
    `add` and `finish` raise that error again.

    Accumulators share nothing: each thread may have its own. One accumulator takes one call at a time. `feed`, `add`,
    `finish` or `snapshot` during another of them, in another thread or in `deliver`, is a `RuntimeError` and changes
    nothing. Calls that do not overlap may come from any thread.
    """

    __slots__ = ("_error", "_feed", "_is_busy", "_is_finished", "_is_open", "_pipeline", "_response")

    def __init__(self, *, usage: UsageMode = "auto", strict: bool = False, limits: Limits = _DEFAULT_LIMITS) -> None:
        self._pipeline = Pipeline(usage=usage, strict=strict, limits=limits)
        self._feed = self._pipeline.feed
        self._is_busy = False
        self._is_open = True  # no error and no `finish` yet
        self._is_finished = False
        self._error: StreamAggError | None = None
        self._response: ChatCompletionResponse | None = None

    def feed(self, data: bytes | bytearray | memoryview | str) -> None:
        """Read the next slice of the body, of any length, cut anywhere. Returns nothing.

        Raises `DecodeError`, `ProviderError` or `LimitError` when the slice completes the event that causes it. Input
        after `[DONE]` is ignored. Input after `finish` is a `RuntimeError`.
        """
        if type(data) is not bytes:
            data = _to_bytes(data)
        # `_begin`, without its call: each event of a stream comes here.
        if self._is_busy:
            raise _overlapping()
        self._is_busy = True
        try:
            if self._is_open:
                self._feed(data)
            else:
                self._check_open()
        except StreamAggError as error:
            self._fail(error)
        finally:
            self._is_busy = False

    def add(self, chunk: Any) -> None:
        """Read one chunk: a `ChatCompletionChunk`, a dict, a client's chunk object, an event with `.data`, or the
        payload itself as bytes or str. Returns nothing.

        The chunk may be changed afterwards. Calls may be mixed with `feed`; errors and the end are as there.
        """
        self._begin()
        try:
            if self._is_open:
                self._pipeline.add(_payload_of(chunk))
            else:
                self._check_open()
        except StreamAggError as error:
            self._fail(error)
        finally:
            self._is_busy = False

    def finish(self) -> ChatCompletionResponse:
        """End of input: the response. A second call gives the same response.

        Reads a last event without its blank line if it is whole. Raises `IncompleteStreamError`, with the response so
        far as its `.partial`, if the stream was cut or had no chunk.
        """
        self._begin()
        try:
            if self._error is not None:
                raise self._error
            if not self._is_finished:
                self._is_finished = True
                self._is_open = False
                if not self._pipeline.is_done:
                    self._pipeline.end()
                if not self._pipeline.is_complete:
                    raise self._pipeline.why_incomplete()
                self._response = self._pipeline.response(final=True)
            assert self._response is not None  # what is complete has a chunk
            return self._response
        except StreamAggError as error:
            self._fail(error)
        finally:
            self._is_busy = False

    def snapshot(self) -> ChatCompletionResponse | None:
        """The response so far, which later input does not change; None before the first chunk."""
        self._begin()
        try:
            return self._pipeline.response()
        finally:
            self._is_busy = False

    @property
    def view(self) -> StreamView:
        """The counts and lengths of the stream as it stands, now and later."""
        return StreamView(self._pipeline)

    @property
    def done(self) -> bool:
        """Whether `[DONE]` came: further input is ignored."""
        return self._pipeline.is_done

    @property
    def events(self) -> int:
        """The number of payloads read: data events, bare JSON lines, added chunks."""
        return self._pipeline.events

    @property
    def complete(self) -> bool:
        """Whether the stream is complete if it ends after the last event: `[DONE]` came, or every choice has a finish
        reason, or the body is a plain JSON answer."""
        return self._error is None and self._pipeline.is_complete

    @property
    def repairs(self) -> Mapping[str, int]:
        """The count of each kind of `REPAIRS`."""
        return self.view.repairs

    @property
    def deliver(self) -> Callable[[ChatCompletionChunk], None] | None:
        """Called with each chunk after it is merged; the chunk is the caller's own. Set it before any input."""
        return self._pipeline.deliver

    @deliver.setter
    def deliver(self, deliver: Callable[[ChatCompletionChunk], None] | None) -> None:
        self._pipeline.hand_out(deliver)

    @property
    def origin(self) -> Callable[[], str]:
        """Gives the end of the message about input without a chunk: what is known of its source."""
        return self._pipeline.origin

    @origin.setter
    def origin(self, origin: Callable[[], str]) -> None:
        self._pipeline.origin = origin

    def observe(self, observer: Observer | None) -> None:
        """Tell an observer of each chunk and fragment after it is merged. Call it before any input."""
        self._pipeline.observe(observer)

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error
        if self._is_finished and not self._pipeline.is_done:
            raise RuntimeError("input after finish(): use a new Accumulator for another stream")

    def _begin(self) -> None:
        # Between this look and the store there is no call and no loop: CPython lets no other thread in.
        if self._is_busy:
            raise _overlapping()
        self._is_busy = True

    def _fail(self, error: StreamAggError) -> NoReturn:
        if error is not self._error:
            self._error = error
            self._is_open = False
            error.partial = self._pipeline.response()
        raise error


def _to_bytes(data: Any) -> bytes:
    if not isinstance(data, (bytes, bytearray, memoryview, str)):
        raise TypeError(f"feed takes bytes, not {type(data).__name__}: add() takes chunks")
    return data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)


def _payload_of(chunk: Any) -> Any:
    """An object as the pipeline reads it: a payload as a named event, or else the chunk."""
    name = b""
    if not isinstance(chunk, (bytes, str, dict, ChatCompletionChunk)):
        # The openai client's stream helper gives events that hold a chunk.
        if hasattr(chunk, "chunk"):
            chunk = chunk.chunk
        # httpx-sse and others give parsed server-sent events.
        elif hasattr(chunk, "data") and not hasattr(chunk, "choices"):
            name = str(getattr(chunk, "event", None) or "").encode("utf-8", "replace")
            chunk = chunk.data if chunk.data is not None else b""
    if isinstance(chunk, str):
        chunk = chunk.encode("utf-8", "surrogatepass")
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return NamedEvent(bytes(chunk), name, b"", None)
    # httpx2 and niquests decode the data of an event themselves.
    if name == b"error" and isinstance(chunk, dict):
        return NamedEvent(msgspec.json.encode(chunk), name, b"", None)
    return chunk


def _overlapping() -> RuntimeError:
    return RuntimeError("two calls at once: an accumulator is for one thread at a time, each stream needs its own")
