"""The state of one stream and everything that changes it: framing, reading and merging each do their part
without knowing of the others. The `Accumulator` is what is public of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NoReturn

import msgspec

from .._apis.openai_chat import Reader, Refusal, Sentinel
from .._codec.errors import Unreadable
from .._codec.struct import copied, mended
from .._errors import DecodeError, LimitError, ProviderError, StreamAggError, beginning, quoted
from .._fastpath.fastpath import SLICE, Envelopes
from .._framing.sse import CR, LF, LONG, Frame, Item, SSEDecoder, StrayLine, fold
from .._limits import Limits
from .._merge.merger import Merger
from .._merge.usage import UsageMode
from .._repairs import REPAIRS
from .._types.chunk import ChatCompletionChunk
from .._types.completion import ChatCompletionResponse
from .payloads import bytes_of, documents, hint, is_answer, is_cut, is_document, is_error, shown

_WASTE = 4 * SLICE  # so many bytes are tried in vain, then the rest of a slice is read without an envelope
_FEW = 8  # so many events make a try worth its cost
_PART = 2048  # so many bytes are read without it where no envelope is expected
_DEFAULT_LIMITS = Limits()


class Reading:
    """One stream as far as it was read; the arguments are those of `Accumulator`."""

    def __init__(self, *, usage: UsageMode = "auto", strict: bool = False, limits: Limits = _DEFAULT_LIMITS) -> None:
        self.deliver: Callable[[ChatCompletionChunk], None] | None = None
        """Called with each chunk once it is merged; None where nobody wants them. Set before any input."""
        self.watch: Callable[[ChatCompletionChunk], None] | None = None
        """As `deliver`, but called with the very chunk that was merged, which it must neither change nor keep."""
        self.origin: Callable[[], str] = str
        """Gives the end of the message about input without a chunk: what is known of where it came from."""
        self._busy = False  # a call is under way
        self._done = False  # `[DONE]` came
        self._passed = 0  # events that were no chunks
        self._events = 0  # those that the general path read
        self._limits = limits
        self._strict = strict
        self._repairs: dict[str, int] = {}
        self._heard: list[str] = []  # repairs of the payload in hand: they count once it is merged
        self._sse = SSEDecoder(max_event_bytes=limits.event_bytes)
        self._reader = Reader(self._hear, limits)
        self._merger = Merger(usage, limits, self._note, strict=strict)
        self._envelopes = Envelopes(self._merger, limits)
        self._error: StreamAggError | None = None
        self._response: ChatCompletionResponse | None = None  # what `finish` gave
        self._finished = False  # `finish` was called
        self._flows = False  # input stands between two events, but for what waits
        self._waiting: list[bytes] = []  # the line that stands open, and reads of which none was looked into
        self._lost: bool = False  # input ended inside an event
        self._whole: bool = False  # a plain JSON body, not a stream
        self._bare = False  # chunks stand on lines of their own, without `data:`
        self._head: list[bytes] | None = None  # the beginning of a body that is no event stream
        self._head_size = 0
        self._oddity = b""  # the first payload that was passed over

    @property
    def _count(self) -> int:
        """How many payloads were read, but for those in what waits."""
        envelopes = self._envelopes
        return self._events + envelopes.merged + len(envelopes.held)

    # ------------------------------------------------------------------ event streams

    def _settle(self) -> None:
        """Read what waits, and merge what the envelope holds back. An error in it is what the next call raises."""
        try:
            if self._waiting:
                self._take_slice(b"")
            while not self._envelopes.settle(self.deliver):
                self._take_slice(b"")
        except StreamAggError as error:
            self._failed(error)

    def _built(self, *, final: bool) -> ChatCompletionResponse | None:
        response = self._merger.response(final=final)
        return mended(response) if self._reader.has_surrogates else response

    def _open(self) -> bool:
        """Whether input is still taken; raises where it must not come."""
        if self._error is not None:
            raise self._error
        if self._finished and not self._done:
            raise RuntimeError("input after finish(): use a new Accumulator for another stream")
        return not self._done

    def _note(self, kind: str) -> None:
        if self._strict:
            raise Unreadable(f"strict reading allows no repair: {kind} ({REPAIRS[kind]})")
        self._repairs[kind] = self._repairs.get(kind, 0) + 1

    def _hear(self, kind: str) -> None:
        if self._strict:
            self._note(kind)
        self._heard.append(kind)

    def _take_slice(self, data: bytes) -> None:
        """Read a slice: by the envelope as far as that fits, and an event or a few at a time the general way."""
        sse, envelopes, left = self._sse, self._envelopes, data
        if self._waiting:
            left = b"".join((*self._waiting, data))
            self._waiting.clear()
            envelopes.unread = 0
        fresh = True  # the envelope was not tried yet
        if self._flows:
            left = envelopes.take(left, self.deliver)
            if LF not in left and CR not in left and len(left) <= LONG:
                if left:
                    self._waiting.append(left)
                return
            self._flows = fresh = False
            envelopes.most_unread = 0  # until more events have fitted
        if not envelopes.settle(self.deliver):
            left = envelopes.spilled() + left
            fresh = False
        wasted = 0
        while left and not self._done:
            if fresh and envelopes.envelope is not None and wasted < _WASTE:
                line = sse.open_line()
                if line is not None:
                    before = self._count
                    left = envelopes.take(line + left, self.deliver)
                    wasted += len(left) if self._count < before + _FEW else 0
                    if left and not envelopes.settle(self.deliver):
                        left = envelopes.spilled() + left
            fresh = True
            part = left[: self._end_of_part(left)]
            blank = None if self.watch is not None else b"\r" if part.endswith(b"\r\n") else b""
            self._take_all(sse.read(part), blank)
            left = left[len(part) :]
        if envelopes.envelope is not None and not self._done and (line := sse.open_line()) is not None:
            self._flows = True
            if line:
                self._waiting.append(line)

    def _end_of_part(self, data: bytes) -> int:
        """Where to stop reading the general way, to try an envelope again: after one event, or some."""
        start = 0 if self._envelopes.envelope is not None or self._envelopes.eager else _PART
        if len(data) <= start:
            return len(data)
        line_end = data.find(b"\n", start)
        boundary = b"\r\n\r\n" if data[line_end - 1 : line_end] == b"\r" else b"\n\n"
        end = data.find(boundary, max(line_end - 1, start))
        return end + len(boundary) if end >= 0 else len(data)

    def _take_all(self, items: Iterable[Item], blank: bytes | None = None) -> None:
        """Read and merge what the framing found, in order, up to `[DONE]` or the first error. `blank`:
        a blank line without its LF, where an envelope may be made of what comes."""
        item: Item = b""
        try:
            for item in items:
                if type(item) is bytes:
                    self._take(item, blank)
                elif isinstance(item, Frame):
                    self._take_frame(item)
                elif isinstance(item, StrayLine):
                    self._take_stray(item)
                elif isinstance(item, StreamAggError):  # pragma: no branch - there is no other kind
                    raise item
                if self._done:
                    return
        except Refusal as error:
            raise self._refused(error, bytes_of(item)) from error

    def _take(self, data: bytes, blank: bytes | None = None) -> None:
        """Read and merge one event's data."""
        self._events += 1
        try:
            chunk = self._reader.read(data)
        except Refusal:
            lines, whole = documents(data)
            if not whole or len(lines) < 2:
                raise
            self._hear("adjacent_data_lines")
            self._events -= 1
            self._take_all(lines)
        else:
            self._merge(chunk, data)
            if blank is None:
                if self._envelopes.envelope is not None:
                    self._envelopes.end()
            elif isinstance(chunk, ChatCompletionChunk):
                self._envelopes.learn(chunk, data, self._sse.lead, blank, handed_out=self.deliver is not None)

    def _take_frame(self, frame: Frame) -> None:
        if frame.event != b"error" or frame.data.strip() == b"[DONE]":
            self._take(frame.data)
        else:
            self._take_error(frame.data)

    def _take_error(self, data: bytes) -> None:
        """An event named `error` (Groq), or a line `error: {...}` (GPUStack)."""
        self._events += 1
        self._envelopes.end()
        try:
            plain = self._reader.parse(data, self._hear)
        except msgspec.DecodeError:
            raise ProviderError(data.decode("utf-8", "replace")) from None
        if isinstance(plain, dict) and plain.get("choices") is not None:
            with suppress(Unreadable):  # where what stands beside the error is no chunk, the error is all
                self._merge(self._reader.read_tolerantly(data), data)
        raise ProviderError((isinstance(plain, dict) and plain.get("error")) or plain)

    def _take_object(self, value: Any) -> None:
        self._events += 1
        self._envelopes.end()
        try:
            chunk, weight = self._reader.read_object(value)
            self._merge(chunk, b"", weight)
        except Refusal as error:
            raise self._refused(error, shown(value)) from error

    def _merge(self, chunk: ChatCompletionChunk | Sentinel, data: bytes, weight: int = 0) -> None:
        if type(chunk) is not ChatCompletionChunk:
            self._done = chunk is Sentinel.DONE
            self._passed += 1
            self._oddity = self._oddity or data
            self._count_heard()
            return
        if chunk.choices is None and is_error(chunk.error):
            raise ProviderError(chunk.error)
        plain = self._merger.add(chunk, weight or len(data))
        self._whole = self._count == 1 and chunk.object == "chat.completion" and is_answer(chunk)
        if self._heard:
            self._count_heard()
        if self.watch is not None:
            self.watch(chunk)
        if self.deliver is not None:
            self.deliver(mended(chunk) if self._reader.has_surrogates else self._apart(chunk, data))
        if chunk.error is not None and is_error(chunk.error):
            raise ProviderError(chunk.error)
        if not plain:
            for choice in chunk.choices or ():
                if is_error(choice.error):
                    raise ProviderError(choice.error)

    def _apart(self, chunk: ChatCompletionChunk, data: bytes) -> ChatCompletionChunk:
        """The chunk to hand out, which shares nothing with the response: logprobs and usage were taken
        over as they are, and to read them again costs a tenth of copying them."""
        if chunk.usage is None and all(c.logprobs is None and c.usage is None for c in chunk.choices or ()):
            return chunk
        again = self._reader.read(data) if data else copied(chunk)
        self._heard.clear()
        return again if isinstance(again, ChatCompletionChunk) else chunk

    def _count_heard(self) -> None:
        """What was in hand is merged: the repairs that reading it needed count now."""
        for kind in self._heard:
            self._note(kind)
        self._heard.clear()

    # ------------------------------------------------------------------ bodies that are no event stream

    def _take_stray(self, stray: StrayLine, *, cut: bool = False) -> bool:
        """Take a line that is no field: a chunk without `data:`, an error, or part of a JSON or HTML
        body. `cut` says that the line had no end. Returns whether it was of use."""
        line = stray.line.strip()
        if self._head and stray.first:
            self._keep(stray.line)
        elif stray.inside and not line.startswith(b"error:"):
            return False  # the event that stands open comes first
        elif line == b"[DONE]":
            self._done = True
        elif line.startswith(b"error:") and is_document(line[6:]):
            self._take_error(line[6:])
        elif line.startswith(b"{") and is_document(line):
            self._take_bare(line)
        elif not stray.first or not line or (cut and self._bare):
            return False
        elif self._bare:
            self._events += 1
            raise Unreadable("expected an object, as on the lines before")
        else:
            self._keep(stray.line)
        return True

    def _keep(self, line: bytes) -> None:
        if self._head is None:
            self._head = []
        self._head.append(line)
        self._head_size += len(line) + 1
        fold(self._head, self._head_size, b"\n")
        if self._head_size > self._limits.event_bytes:
            raise LimitError("event_bytes", self._limits.event_bytes)

    def _take_bare(self, data: bytes) -> None:
        """A JSON document of its own: a plain answer, an error, or one chunk of many (NDJSON)."""
        self._events += 1
        self._envelopes.end()
        chunk = self._reader.read(data)
        whole = isinstance(chunk, ChatCompletionChunk) and is_answer(chunk)
        if isinstance(chunk, ChatCompletionChunk) and not whole and not is_error(chunk.error):
            self._hear("bare_json_line")
            self._bare = True
        self._merge(chunk, data)
        self._whole = whole and self._count == 1

    # ------------------------------------------------------------------ the end

    def _end(self) -> None:
        """Read what the end of input left open."""
        left = self._sse.end(b"".join(self._waiting))
        self._waiting.clear()
        self._lost = left.lost
        data = b""
        try:
            if left.event is not None:
                frame = left.event if isinstance(left.event, Frame) else Frame(left.event, b"", b"", None)
                data = frame.data
                self._lost = not self._take_unterminated(frame)
            if left.stray is not None and not self._done:
                data = left.stray.line
                self._lost = not self._take_stray(left.stray, cut=True) or self._lost
            if self._head and not self._count:
                data = b"\n".join(self._head)
                self._take_body(data)
        except Refusal as error:
            raise self._refused(error, data) from error

    def _take_unterminated(self, frame: Frame) -> bool:
        """Read a last event whose blank line never came; returns whether all of it could be read."""
        lines, whole = ([frame.data], True) if is_document(frame.data) else documents(frame.data)
        if lines:
            self._hear("unterminated_event")
        if len(lines) > 1:
            self._hear("adjacent_data_lines")
        self._take_all(Frame(line, frame.event, b"", None) for line in lines)
        if not whole:
            self._oddity = self._oddity or frame.data
        return whole

    def _take_body(self, body: bytes) -> None:
        """Read a body that was no event stream: JSON on many lines, or something else altogether."""
        if is_document(body):
            self._take_bare(body)
        elif is_cut(body):
            self._oddity = body
        else:
            raise Unreadable(f"neither an event stream nor JSON{self.origin()}")

    def _refused(self, error: Exception, data: bytes) -> DecodeError:
        reason = str(error) + hint(data)
        path = error.path if isinstance(error, Unreadable) else ""
        return DecodeError(reason, event=self._count, path=f"${path}", data=data)

    def _fail(self, error: StreamAggError) -> NoReturn:
        self._failed(error)
        raise error

    def _failed(self, error: StreamAggError) -> None:
        self._error = error
        self._flows = False
        self._waiting.clear()
        error.partial = self._built(final=False)

    def _why(self) -> str:
        """What is missing, for the message of an `IncompleteStreamError`."""
        if not self._merger.began:
            if self._oddity:
                shown = f"{quoted(beginning(self._oddity))}{hint(self._oddity)}"
                return f"the source had no chunk; it begins {shown}{self.origin()}"
            return f"the source {'ended without a chunk' if self._count else 'was empty'}{self.origin()}"
        where = "inside an event" if self._lost else "without [DONE]"
        return f"the source ended {where} after {self._count} event{'s' * (self._count != 1)}, {self._merger.missing()}"
