"""The state of one stream, and everything that changes it: framing, API and merger, with the fast path beside them.

1. When a call returns, every event that it completed is merged. The call that completes an event raises its error.
2. A chunk is merged whole or not at all. An event of several JSON documents is merged up to the first that fails.
3. Every chunk that the general path reads goes through `_merge_chunk`.
4. After an error the state stays as it is: the caller feeds nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NoReturn, Protocol

import msgspec

from .._apis.base import REFUSED, Chunks, Payload
from .._apis.errors import errors_in
from .._apis.openai_chat import OpenAIChat
from .._codec.errors import Unreadable
from .._codec.struct import copied, join_surrogates
from .._error_shapes import error_in, is_error
from .._errors import IncompleteStreamError, LimitError, ProviderError, StreamAggError
from .._fastpath.fastpath import FastPath
from .._framing.sse import CR, Framer, Item, NamedEvent, StrayLine
from .._limits import Limits
from .._merge.merger import FragmentObserver, Merger
from .._merge.usage import UsageMode
from .._repairs import REPAIRS
from .._types.chunk import ChatCompletionChunk
from .._types.completion import ChatCompletionResponse
from .bodies import Body, Line, documents, is_answer, is_beginning, is_document
from .messages import bytes_of, decode_error, encoded, no_chunk, too_early

FAST_PATH: type[FastPath] | None = FastPath
"""The fast path of new accumulators. None: all events take the general path, with the same outcome."""

SLICE = 16384
"""Bytes of a feed that are read at a time, so that their lines are not all held at once. At half of it the fast path
takes 5 % longer; at four times, an event that it leaves costs the copy of as many bytes."""

Deliver = Callable[[ChatCompletionChunk], None]


class Observer(FragmentObserver, Protocol):
    """Hears of each part of a stream while it is merged."""

    def chunk_merged(self, chunk: ChatCompletionChunk) -> None:
        """A chunk was merged. It must be neither changed nor kept."""


class Pipeline:
    """One stream as far as it was read. The arguments are those of `Accumulator`."""

    __slots__ = (
        *("_body", "_first_skipped", "_is_answer", "_is_flowing", "_limits", "_reading_repairs", "_strict"),
        *("api", "deliver", "fast", "framer", "is_cut", "is_done", "merger", "observer", "origin", "own_events"),
        *("repairs", "skipped"),
    )

    def __init__(self, *, usage: UsageMode, strict: bool, limits: Limits) -> None:
        self.deliver: Deliver | None = None
        """Called with each merged chunk, which shares nothing with the response."""
        self.observer: Observer | None = None
        self.origin: Callable[[], str] = str
        """The end of the message about input without a chunk: what is known of its source."""
        self.repairs: dict[str, int] = {}
        self.is_done: bool = False
        """Whether `[DONE]` came."""
        self.is_cut: bool = False
        """Whether the input ended inside an event."""
        self.skipped: int = 0
        """Events that were no chunks."""
        self.own_events: int = 0
        """Payloads that the general path read."""
        self._limits = limits
        self._strict = strict
        self._reading_repairs: list[str] = []  # of the payload in hand: they count once it is merged
        self.framer: Framer = Framer(max_event_bytes=limits.event_bytes)
        self.api: OpenAIChat = OpenAIChat(self._note_reading, limits)
        self.merger: Merger = Merger(usage, limits, self._note, self.api.check_depth, strict=strict)
        # An event of a slice, and the line that was open before it, must stay below the limit.
        has_room = limits.event_bytes >= 4 * SLICE and limits.response_size >= 4 * SLICE
        most = limits.response_size - 4 * SLICE
        self.fast: FastPath | None = (
            FAST_PATH(self.merger, self.api.decode, most) if FAST_PATH is not None and has_room else None
        )
        # Whether the fast path took the last slice whole: the input then stands between two events.
        self._is_flowing = False
        self._body: Body | None = None
        self._is_answer = False  # the last payload was a plain answer
        self._first_skipped = b""

    @property
    def events(self) -> int:
        """Payloads that were read."""
        return self.own_events if self.fast is None else self.own_events + self.fast.taken

    @property
    def is_complete(self) -> bool:
        """Whether the stream is complete if the input ends here."""
        if not self.merger.has_begun:
            return False
        is_whole_answer = self._is_answer and self.events == 1
        return self.is_done or (
            not self.is_cut and (is_whole_answer or self.api.has_ended(self.merger.finish_reasons()))
        )

    def response(self, *, final: bool = False) -> ChatCompletionResponse | None:
        """The response so far; None before the first chunk. `final`: nothing follows."""
        response = self.merger.response(final=final)
        return join_surrogates(response) if self.api.has_surrogates else response

    def why_incomplete(self) -> IncompleteStreamError:
        """The error of input that ended before the stream was complete."""
        if not self.merger.has_begun:
            return IncompleteStreamError(no_chunk(self._first_skipped, self.events, self.origin()))
        return IncompleteStreamError(too_early(self.is_cut, self.events, self.merger.missing()))

    def hand_out(self, deliver: Deliver | None) -> None:
        """Call a function with each chunk from now on. Call it before any input."""
        self.deliver = deliver
        self.merger.is_shared = deliver is not None

    def observe(self, observer: Observer | None) -> None:
        """Tell an observer of what is merged from now on. Call it before any input."""
        self.observer = self.merger.observer = observer
        self.merger.continued = None if observer is None else []

    def _note(self, kind: str) -> None:
        if self._strict:
            raise Unreadable(f"strict reading allows no repair: {kind} ({REPAIRS[kind]})")
        self.repairs[kind] = self.repairs.get(kind, 0) + 1

    def _note_reading(self, kind: str) -> None:
        if self._strict:
            self._note(kind)
        self._reading_repairs.append(kind)

    def feed(self, data: bytes) -> None:
        """Read a slice of any length, up to `[DONE]`."""
        # Most slices of a long stream follow one that the fast path took whole. Each further test here would add a
        # tenth to an event's time.
        if self._is_flowing and self.fast is not None:
            taken = self.fast.take(data, self.deliver) if len(data) <= SLICE and CR not in data else 0
            if taken == len(data):
                return
            data = data[taken:]
            self._is_flowing = False
        if len(data) <= SLICE:
            if not self.is_done:
                self._feed(data)
            return
        for start in range(0, len(data), SLICE):
            if self.is_done:
                return
            self._feed(data[start : start + SLICE])

    def _feed(self, data: bytes) -> None:
        framer, fast = self.framer, self.fast
        if CR in data or framer.after_cr:
            data = framer.line_feeds(data)
        while True:
            if fast is not None and fast.template is not None:
                line = framer.take_open_line()
                if line is not None:
                    data = line + data if line else data
                    taken = fast.take(data, self.deliver)
                    if taken == len(data):
                        self._is_flowing = True
                        return
                    data = data[taken:]
            if not self._take_items(framer.read(data), fast):
                return
            data = framer.take_back()

    def _take_items(self, items: Iterable[Item], fast: FastPath | None = None) -> bool:
        """Read and merge what the framing found, in order, up to `[DONE]` or the first error.

        Returns True, with the rest unread, once the fast path may take the events that follow.
        """
        item: Item = b""
        read, merge, learn = self.api.read, self._merge_chunk, None if fast is None else fast.learn
        try:
            for item in items:
                if type(item) is bytes:
                    self.own_events += 1
                    try:
                        chunks = read(item, b"")
                    except REFUSED as error:
                        self._take_documents(item, error)
                    else:
                        if type(chunks) is ChatCompletionChunk:
                            merge(chunks, item, len(item))
                            if learn is not None and learn(chunks, self.framer.prefix, item):
                                return True
                        else:
                            self._merge_chunks(chunks, item, len(item))
                elif isinstance(item, NamedEvent):
                    self._take_named(item)
                elif isinstance(item, StrayLine):
                    self._take_stray(item)
                elif isinstance(item, StreamAggError):  # pragma: no branch - there is no other kind
                    raise item
                if self.is_done:
                    return False
        except REFUSED as error:
            raise decode_error(error, bytes_of(item), self.events) from error
        return False

    def _take_documents(self, data: bytes, error: Exception) -> None:
        """Read an event whose data is several JSON documents, a line each. Otherwise raise the error of its reading."""
        # Some servers end each document with a single line feed: one event then holds several.
        lines, is_whole = documents(data)
        if not is_whole or len(lines) < 2:
            raise error
        self._forget()
        self._note_reading("adjacent_data_lines")
        self.own_events -= 1
        self._take_items(lines)

    def _merge_chunks(self, chunks: Chunks, data: bytes, weight: int) -> None:
        if isinstance(chunks, Payload):
            self.is_done = chunks is Payload.DONE
            self.skipped += 1
            self._first_skipped = self._first_skipped or data
            self._count_reading_repairs()
            return
        for chunk in chunks if isinstance(chunks, list) else [chunks]:
            self._merge_chunk(chunk, data, weight)

    def _merge_chunk(self, chunk: ChatCompletionChunk, data: bytes, weight: int) -> None:
        """Merge one chunk, tell of it, and raise the error that it reports."""
        if chunk.choices is None and is_error(chunk.error):
            raise ProviderError(chunk.error)
        may_have_error = self.merger.add(chunk, data, weight)
        if self._reading_repairs:
            self._count_reading_repairs()
        if self.observer is not None:
            self.observer.chunk_merged(chunk)
        errors: list[Any] = []
        if may_have_error:
            self._is_answer = chunk.object == "chat.completion" and is_answer(chunk)
            errors = copied(errors_in(chunk))  # before the receiver of the chunk may change them
        if self.deliver is not None:
            self.deliver(self._independent(chunk, data))
        if errors:
            raise ProviderError(errors[0])

    def _independent(self, chunk: ChatCompletionChunk, data: bytes) -> ChatCompletionChunk:
        """The chunk to hand out, which shares nothing with the response. The merger took over its usage and
        logprobs."""
        if self.api.has_surrogates:
            return join_surrogates(chunk)
        if chunk.usage is None and all(c.logprobs is None and c.usage is None for c in chunk.choices or ()):
            return chunk
        # Decoding again costs a tenth of copying struct by struct.
        again = self.api.read(data, b"") if data else copied(chunk)
        self._reading_repairs.clear()
        return again if isinstance(again, ChatCompletionChunk) else chunk

    def _count_reading_repairs(self) -> None:
        """Count the repairs of a payload's reading, now that the payload is merged."""
        for kind in self._reading_repairs:
            self._note(kind)
        self._reading_repairs.clear()

    def _forget(self) -> None:
        """An event of another form came: the fast path begins anew."""
        if self.fast is not None:
            self.fast.forget()

    def _take_named(self, event: NamedEvent) -> None:
        self._forget()
        self.own_events += 1
        if event.event == b"error" and event.data.strip() != b"[DONE]":
            self._raise_error(event.data)
        try:
            chunks = self.api.read(event.data, event.event)
        except REFUSED as error:
            self._take_documents(event.data, error)
        else:
            self._merge_chunks(chunks, event.data, len(event.data))

    def _raise_error(self, data: bytes) -> NoReturn:
        """Raise the error of an event named `error` (Groq), or of a line `error: {...}` (GPUStack)."""
        try:
            plain = self.api.parse(data, self._note_reading)
        except msgspec.DecodeError:
            raise ProviderError(data.decode("utf-8", "replace")) from None
        if isinstance(plain, dict) and plain.get("choices") is not None:
            # The choices beside an error count. If they are unreadable, the error alone counts.
            with suppress(Unreadable):
                self._merge_chunks(self.api.read(data, b"error"), data, len(data))
        raise ProviderError(error_in(plain) or plain)

    def add(self, payload: Any) -> None:
        """Read one chunk: an object, or a payload as a named event. After `[DONE]` it is ignored."""
        if self.is_done:
            return
        self._is_flowing = False
        self._forget()
        if isinstance(payload, NamedEvent):
            if len(payload.data) > self._limits.event_bytes:
                raise LimitError("event_bytes", self._limits.event_bytes)
            self._take_items([payload])
            return
        self.own_events += 1
        try:
            chunks, weight = self.api.read_object(payload)
            self._merge_chunks(chunks, b"", weight)
        except REFUSED as error:
            raise decode_error(error, encoded(payload), self.events) from error

    def _take_stray(self, stray: StrayLine, *, is_cut: bool = False) -> bool:
        """Read a line that is no field; `is_cut`: it had no end. Returns whether it was of use."""
        if self._body is None:
            self._body = Body(self._limits.event_bytes)
        kind = self._body.line(stray, is_cut=is_cut)
        line = stray.line.strip()
        if kind is Line.DONE:
            self.is_done = True
        elif kind is Line.ERROR:
            self._forget()
            self.own_events += 1
            self._raise_error(line[6:])
        elif kind is Line.DOCUMENT:
            self._take_document(line, self._body)
        elif kind is Line.UNREADABLE:
            self.own_events += 1
            raise Unreadable("expected an object, as on the lines before")
        return kind is not Line.IGNORED

    def _take_document(self, data: bytes, body: Body) -> None:
        """Read a JSON document of its own: a plain answer, an error, or one chunk of many (NDJSON)."""
        self.own_events += 1
        self._forget()
        chunks = self.api.read(data, b"")
        chunk = chunks if isinstance(chunks, ChatCompletionChunk) else None
        if chunk is not None and not is_answer(chunk) and not is_error(chunk.error):
            self._note_reading("bare_json_line")
            body.has_documents = True
        self._merge_chunks(chunks, data, len(data))
        self._is_answer = chunk is not None and is_answer(chunk)

    def end(self) -> None:
        """End of input: read what it left open."""
        unfinished = self.framer.end()
        self.is_cut = unfinished.is_cut
        data = b""
        try:
            if unfinished.event is not None:
                event = unfinished.event
                data = bytes_of(event)
                self.is_cut = not self._take_unterminated(event)
            if unfinished.stray is not None and not self.is_done:
                data = unfinished.stray.line
                self.is_cut = not self._take_stray(unfinished.stray, is_cut=True) or self.is_cut
            if self._body is not None and not self.events and (data := self._body.value()):
                self._take_body(data, self._body)
        except REFUSED as error:
            raise decode_error(error, data, self.events) from error

    def _take_unterminated(self, event: bytes | NamedEvent) -> bool:
        """Read a last event whose blank line never came. Returns whether all of it could be read."""
        data = bytes_of(event)
        name = event.event if isinstance(event, NamedEvent) else b""
        lines, is_whole = ([data], True) if is_document(data) else documents(data)
        if lines:
            self._note_reading("unterminated_event")
        if len(lines) > 1:
            self._note_reading("adjacent_data_lines")
        self._take_items([NamedEvent(line, name, b"", None) for line in lines])
        if not is_whole:
            self._first_skipped = self._first_skipped or data
        return is_whole

    def _take_body(self, data: bytes, body: Body) -> None:
        """Read a body that was no event stream: JSON on many lines, or something else."""
        if is_document(data):
            self._take_document(data, body)
        elif is_beginning(data):
            self._first_skipped = data
        else:
            raise Unreadable(f"neither an event stream nor JSON{self.origin()}")
