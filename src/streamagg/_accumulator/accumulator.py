"""Bytes or chunks in, one response out. Awaits nothing, reads no clock, does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from .._errors import IncompleteStreamError, LimitError, StreamAggError
from .._fastpath.fastpath import SLICE
from .._framing.sse import Frame
from .._types.chunk import ChatCompletionChunk
from .._types.completion import ChatCompletionResponse
from .payloads import is_event
from .pipeline import Reading
from .view import StreamView


class Accumulator(Reading):
    """Merges one stream, pushed in any way, into one `ChatCompletionResponse`.

    `usage`: how reports merge: `"auto"` tells running totals from pieces and increments, `"sum"` adds
    every report, `"last"` keeps the last. `strict`: the first repair raises `DecodeError`. `limits`:
    bounds on what the stream may make this process hold.

    After an error the accumulator stays failed: `feed`, `add` and `finish` raise that error again.

    Accumulators share nothing, so each thread may have its own. One is for one call at a time: `feed`, `add`,
    `finish` or `snapshot` while another of them is under way, or the state is looked at, in another thread or in
    `deliver`, is a `RuntimeError` and does nothing. Calls that do not overlap may come from any thread.
    """

    # ------------------------------------------------------------------ in

    def feed(self, data: bytes | bytearray | memoryview | str) -> None:
        """Take the next slice of the body: of any length, cut anywhere. Returns nothing.

        After `[DONE]` further input is ignored; after `finish` it is a `RuntimeError`. Raises
        `DecodeError`, `ProviderError` or `LimitError` once the event that causes it is whole: with the very slice that
        it ends, unless it begins and ends as those before it did. Such events, and slices that end with one, may wait
        to be read together, 64 of them and 16 KiB at most, or until the end or anybody looks: what is wrong inside
        shows then, under its own number and with the same partial.
        """
        if type(data) is not bytes:
            if not isinstance(data, (bytes, bytearray, memoryview, str)):
                raise TypeError(f"feed takes bytes, not {type(data).__name__}: add() takes chunks")
            data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
        if not self._busy:  # as `_begin`, which would be a call more
            self._busy = True
        else:
            raise _overlapping()
        try:
            if self._flows:
                envelopes = self._envelopes
                if not self._waiting:
                    if data == envelopes.noise:
                        return
                    envelope = envelopes.envelope
                    if (
                        envelope is not None
                        and data.startswith(envelope.head)
                        and data.endswith(envelope.end)
                        and envelope.shortest <= len(data) < 2 * envelope.shortest
                        and len(envelopes.held) < envelopes.most
                        and self.deliver is None
                    ):  # as `take_one` of most events, which would be a call more, a tenth of the whole
                        envelopes.held.append(data[envelope.start : envelope.stop])
                        return
                    if envelopes.take_one(data, self.deliver):
                        return
                if self.deliver is None and envelopes.may_wait(data):
                    self._waiting.append(data)
                    return
            elif (self._done or self._finished or self._error is not None) and not self._open():
                return
            try:
                if len(data) <= SLICE:
                    self._take_slice(data)
                else:
                    for start in range(0, len(data), SLICE):
                        if not self._done:
                            self._take_slice(data[start : start + SLICE])
            except StreamAggError as error:
                self._fail(error)
        finally:
            self._busy = False

    def add(self, chunk: Any) -> None:
        """Take one chunk: a `ChatCompletionChunk`, a dict, a client's chunk object, an event with
        `.data`, or the payload itself as bytes or str. Returns nothing.

        What is added may be changed afterwards. May be mixed with `feed`; ends and errors as there.
        """
        self._begin()
        try:
            self._add(chunk)
        finally:
            self._busy = False

    def _add(self, chunk: Any) -> None:
        self._settle()
        if not self._open():
            return
        name = b""
        if not isinstance(chunk, (bytes, str, dict, ChatCompletionChunk)):
            if hasattr(chunk, "chunk"):  # an event of the openai client's stream helper
                chunk = chunk.chunk
            elif is_event(chunk):
                name = str(getattr(chunk, "event", None) or "").encode("utf-8", "replace")
                chunk = chunk.data if chunk.data is not None else b""
        if isinstance(chunk, str):
            chunk = chunk.encode("utf-8", "surrogatepass")
        try:
            if isinstance(chunk, (bytes, bytearray, memoryview)):
                if len(chunk) > self._limits.event_bytes:
                    raise LimitError("event_bytes", self._limits.event_bytes)
                self._take_all([Frame(bytes(chunk), name, b"", None)])
            elif name == b"error" and isinstance(chunk, dict):
                self._take_all([Frame(msgspec.json.encode(chunk), name, b"", None)])
            else:
                self._take_object(chunk)
        except StreamAggError as error:
            self._fail(error)

    def finish(self) -> ChatCompletionResponse:
        """End of input: the response. A second call gives the same answer.

        Reads a last event without its blank line if it is whole. Raises `IncompleteStreamError`, with
        what there is as its `.partial`, where the stream was cut or had no chunk at all.
        """
        self._begin()
        try:
            return self._finish()
        finally:
            self._busy = False

    def _finish(self) -> ChatCompletionResponse:
        self._settle()
        if self._error is not None:
            raise self._error
        try:
            if not self._finished:
                self._finished = True
                self._flows = False
                if not self._done:
                    self._end()
            if not self.complete:
                raise IncompleteStreamError(self._why())
            if self._response is None:
                self._response = self._built(final=True)
            assert self._response is not None  # what is complete has begun
            return self._response
        except StreamAggError as error:
            self._fail(error)

    # ------------------------------------------------------------------ out

    def snapshot(self) -> ChatCompletionResponse | None:
        """The response so far, which nothing that follows changes; None before the first chunk."""
        self._begin()
        try:
            self._settle()
            return self._built(final=False)
        finally:
            self._busy = False

    @property
    def view(self) -> StreamView:
        """The counts and lengths of the stream as it stands."""
        return StreamView(self)

    def at_once(self) -> None:
        """From now on every event is merged as soon as it is whole: for who looks at the state after each read."""
        self._envelopes.hurry()
        self._look()

    @property
    def done(self) -> bool:
        """Whether `[DONE]` came: further input is ignored."""
        self._look()
        return self._done

    @property
    def passed(self) -> int:
        """How many events were no chunks: blank, passed over, `[DONE]`."""
        self._look()
        return self._passed

    @property
    def events(self) -> int:
        """How many payloads were read: data events, bare JSON lines, added chunks."""
        self._look()
        return self._count

    @property
    def complete(self) -> bool:
        """Whether the stream would be complete if it ended after the last event: `[DONE]` came, or every
        choice has a finish reason, or the body was a plain JSON answer."""
        self._look()
        if self._error is not None or not self._merger.began:
            return False
        return self._done or (not self._lost and (self._whole or self._merger.finished()))

    @property
    def repairs(self) -> Mapping[str, int]:
        """What was odd about the stream: how often each kind of `REPAIRS` was needed."""
        self._look()
        return MappingProxyType(self._repairs)

    # ------------------------------------------------------------------ one call at a time

    def _begin(self) -> None:
        """A call begins, which must end before another does. Between the look and the store there is no call and
        no loop, and so no place where CPython lets another thread in."""
        if not self._busy:
            self._busy = True
        else:
            raise _overlapping()

    def _look(self) -> None:
        """Somebody looks at the state from outside: it is that of all that came, but in the middle of a call."""
        if not self._busy:
            self._busy = True
            try:
                self._settle()
            finally:
                self._busy = False


def _overlapping() -> RuntimeError:
    return RuntimeError("two calls at once: an accumulator is for one thread at a time, each stream needs its own")
