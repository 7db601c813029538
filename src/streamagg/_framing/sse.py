"""Server-sent events from bytes, by the WHATWG rules
(https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).

1. Every cost is linear in the input, whatever its slices: a slice is split into lines once, and a line that spans
   slices stays in pieces that are joined once.
2. CR, LF and CRLF each end a line. They become LF before anything else looks at the bytes.
3. The framing knows no JSON and no API.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from .._errors import LimitError, StreamAggError


class ServerSentEvent(Struct, frozen=True):
    """One dispatched event."""

    data: str
    """The data lines, joined by LF."""
    event: str = "message"
    """The event's type."""
    id: str = ""
    """The last event ID when the event was dispatched. It stays until a server sends another."""
    retry: int | None = None
    """The reconnection time in milliseconds, if this event's block set one."""


class NamedEvent(Struct, frozen=True, gc=False):
    """An event that has a name, an ID or a retry beside its data."""

    data: bytes
    event: bytes
    id: bytes
    retry: int | None


class StrayLine(Struct, frozen=True, gc=False):
    """A line that is no field. The WHATWG rules ignore it; some servers send JSON on it."""

    line: bytes
    inside: bool
    """Whether data of an unfinished event stands before it."""
    first: bool
    """Whether no field and no comment came before it: the body may be no event stream at all."""


class Unfinished(Struct, frozen=True, gc=False):
    """The open rest at the end of input."""

    event: bytes | NamedEvent | None
    """The event whose blank line never came. None without a data line."""
    stray: StrayLine | None
    """The last line, if it had no end and is no field."""
    is_cut: bool
    """Whether an event was cut: one of its fields had come."""


Event = bytes | NamedEvent
"""An event that has only data is its data: most events are, and a struct for each would cost a tenth of a
microsecond."""
Item = bytes | NamedEvent | StrayLine | StreamAggError

LF, CR = b"\n\r"
"""As numbers: `CR in data` takes 20 ns, `b"\\r" in data` 134, as it raises and swallows an exception inside CPython."""
_BOM = b"\xef\xbb\xbf"
_LONGEST_TAKEN = 16384
"""The longest open line that `take_open_line` gives away, in bytes. It is copied for each slice until it ends: at twice
the length a long line in small slices would cost twice as much."""
_MAX_RETRY_DIGITS = 4000
"""CPython refuses to read longer integers."""
_FIELD_SIZE = 5
"""The length of `data:`. Without it, a stream of empty data lines would hold more memory than it counts."""
_MANY_PIECES = 1024
_BYTES_PER_PIECE = 64
"""The size of a short piece as an object, roughly. Pieces are joined when the objects take more than their bytes."""


def join_pieces(pieces: list[bytes], size: int, glue: bytes) -> None:
    """Join pieces of `size` bytes in all, in place, if they are so many that their objects take more than the bytes.

    Between two joins a fixed part of the size is added. The cost stays linear.
    """
    if len(pieces) > max(_MANY_PIECES, size // _BYTES_PER_PIECE):
        pieces[:] = [glue.join(pieces)]


_NO_LINES: Iterator[bytes] = iter(())


class Framer:
    """Turns bytes, sliced anywhere, into events and stray lines.

    A caller makes a slice's line ends uniform by `line_feeds`, then iterates over `read` to its end, or to an event
    after which `take_back` gives the unread bytes. `max_event_bytes` bounds an unfinished event or line; None is no
    bound. After the `LimitError`, which `read` yields as its last item, every later `read` yields the same error.
    """

    __slots__ = (
        *("_block_is_open", "_data", "_data_size", "_empty", "_error", "_event", "_fields_seen"),
        *("_first_line", "_id", "_is_cut_here", "_limit", "_open", "_open_size", "_retry", "_unread"),
        *("after_cr", "committed_id", "prefix", "retry"),
    )

    def __init__(self, *, last_event_id: bytes = b"", max_event_bytes: int | None = None) -> None:
        self.retry: int | None = None
        """The reconnection time in milliseconds that the server last asked for."""
        self.committed_id: bytes = last_event_id
        """The ID to resume from, as of the last blank line."""
        self._id = last_event_id
        self._limit = max_event_bytes
        self._error: StreamAggError | None = None
        self._unread = _NO_LINES
        self._reset()

    def _reset(self) -> None:
        self.prefix: bytes = b"data: "
        """The bytes before the data on its line. Some servers leave out the space."""
        self._open: list[bytes] = []  # the line that has not ended, in pieces
        self._open_size = 0
        self._data: list[bytes] = []  # the block's data lines
        self._data_size = 0
        self._empty = 0  # how many of them, from the first, are known to be empty
        self._event = b""
        self._retry: int | None = None
        self._block_is_open = False  # the block has a field other than `data`
        self._is_cut_here = False  # an end of input here would cut an event
        self.after_cr: bool = False
        """Whether the last slice ended in a CR: an LF that comes next belongs to it."""
        self._fields_seen = False
        self._first_line = True

    def line_feeds(self, data: bytes) -> bytes:
        """`data` with LF for every line end. A CRLF may be cut between two slices."""
        if self.after_cr and data:
            self.after_cr = False
            if data[0] == LF:
                data = data[1:]
        if CR in data:
            self.after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def read(self, data: bytes) -> Iterator[Item]:
        """Yield, in the order of the bytes, the events and stray lines that a slice completes."""
        # One loop for every kind of line, though that is long: each call would cost every event 0.05 us.
        if self._error is not None:
            yield self._error
            return
        limit = self._limit
        # Only near the limit must each line be measured.
        is_tight = limit is not None and self._open_size + self._data_size + len(data) > limit
        lines = data.split(b"\n")
        self._unread = unread = iter(self._completed(lines))
        block = self._data
        measured = len(block)
        for line in unread:
            if is_tight and limit is not None and len(line) + self._data_size > limit:
                yield self._passed(limit)
                return
            if line[:6] == b"data: ":
                block.append(line[6:])
            elif not line:
                if not block:
                    if self._block_is_open:
                        self._end_block()
                    continue
                if len(block) == 1 and not self._block_is_open and not self._id:
                    event: Event = block.pop()
                else:
                    event = self._dispatched()
                    self._end_block()
                measured = self._data_size = self._empty = 0
                self._fields_seen = True
                yield event
            elif line[:5] == b"data:":
                self.prefix = b"data:"
                block.append(line[5:])
            elif line[:1] == b":":
                self._fields_seen = True
            elif (stray := self._read_field(line)) is not None:
                yield stray
            if is_tight:
                measured = self._measure(measured)
        self._unread = _NO_LINES
        if limit is not None and block:
            self._measure(measured)
        if is_tight and limit is not None and self._open_size + self._data_size > limit:
            yield self._passed(limit)

    def take_back(self) -> bytes:
        """The bytes of the slice after the last item that `read` gave, which the framer forgets."""
        self._open.insert(0, b"\n".join([*self._unread, b""]))
        self._unread = _NO_LINES
        self._open_size = 0
        data = b"".join(self._open)
        self._open.clear()
        return data

    def take_open_line(self) -> bytes | None:
        """The line that has not ended, which the framer forgets. None where the next lines need the framer.

        It is needed in an open block, after a long open line, for each event once an ID is set, and for a possible BOM.
        """
        if self._data or self._block_is_open or self._first_line or self._id or self._open_size > _LONGEST_TAKEN:
            return None
        line = b"".join(self._open)
        self._open.clear()
        self._open_size = 0
        return line

    def end(self) -> Unfinished:
        """End of input: the open rest. The framer is then ready for a new connection; `committed_id` and `retry`
        stay."""
        retry, line = self.retry, b"".join(self._open)
        self._open.clear()
        stray = None
        if line:
            self._limit, limit = None, self._limit
            items = list(self.read(line + b"\n"))
            self._limit = limit
            if items and isinstance(items[0], StrayLine) and line.strip():
                stray = items[0]
        event = self._dispatched() if self._data else None
        is_cut = bool(self._data or self._is_cut_here)
        self.retry, self._id = retry, self.committed_id  # an open line and an open block change neither
        self._reset()
        return Unfinished(event, stray, is_cut)

    def _completed(self, lines: list[bytes]) -> list[bytes]:
        """The lines that ended, after those of the slices before; the last one is kept open."""
        rest = lines.pop()
        if lines:
            if self._open:
                self._open.append(lines[0])
                lines[0] = b"".join(self._open)
                self._open.clear()
                self._open_size = 0
            if self._first_line:
                self._first_line = False
                lines[0] = lines[0].removeprefix(_BOM)
        if rest:
            self._open.append(rest)
            self._open_size += len(rest)
            join_pieces(self._open, self._open_size, b"")
        return lines

    def _measure(self, measured: int) -> int:
        """Add the size of the block's lines after the first `measured`. Returns how many are measured now."""
        new = self._data[measured:]
        self._data_size = (self._data_size if measured else 0) + sum(map(len, new)) + _FIELD_SIZE * len(new)
        if self._has_data():
            join_pieces(self._data, self._data_size, b"\n")
        return len(self._data)

    def _passed(self, limit: int) -> StreamAggError:
        error = LimitError("event_bytes", limit)
        self._reset()
        self._error = error
        return error

    def _has_data(self) -> bool:
        """Whether the block has data that is not empty. Looks at each line once."""
        while self._empty < len(self._data) and not self._data[self._empty]:
            self._empty += 1
        return self._empty < len(self._data)

    def _read_field(self, line: bytes) -> StrayLine | None:
        """Take a field other than `data:`. Returns the line if it is no field."""
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(b"")
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = value
        elif name == b"retry":
            # The rules want ASCII digits alone.
            if value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
                self.retry = self._retry = int(value)
        else:
            return StrayLine(line, inside=self._has_data(), first=not (self._fields_seen or self._data))
        self._fields_seen = self._block_is_open = True
        self._is_cut_here = self._is_cut_here or name != b"retry"
        return None

    def _dispatched(self) -> Event:
        """The block's event."""
        data = self._data
        value = data[0] if len(data) == 1 else b"\n".join(data)
        if not self._block_is_open and not self._id:
            return value
        return NamedEvent(value, self._event or b"message", self._id, self._retry)

    def _end_block(self) -> None:
        self.committed_id = self._id
        self._data.clear()
        self._data_size = self._empty = 0
        self._event = b""
        self._retry = None
        self._block_is_open = self._is_cut_here = False


class SSEDecoder:
    """Turns bytes, sliced anywhere, into events. It does no I/O.

    `last_event_id`: the ID of a connection that is resumed. `flush`: `finish` returns the last event even if its blank
    line never came (the WHATWG rules drop it). `max_event_bytes` bounds an event or a line that has not ended; past it
    `feed` raises `LimitError`, and again on every later call. None is no bound.
    """

    __slots__ = ("_error", "_flush", "_framer", "_last_id")

    def __init__(self, *, last_event_id: str = "", flush: bool = False, max_event_bytes: int | None = None) -> None:
        self._framer = Framer(last_event_id=last_event_id.encode("utf-8", "replace"), max_event_bytes=max_event_bytes)
        self._flush = flush
        self._error: StreamAggError | None = None
        self._last_id = b"", ""

    @property
    def retry(self) -> int | None:
        """The reconnection time in milliseconds that the server last asked for."""
        return self._framer.retry

    @property
    def last_event_id(self) -> str:
        """The ID to resume from: as of the last blank line, not of an event that is still open."""
        return self._framer.committed_id.decode("utf-8", "replace")

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the next slice, of any length. Returns the events that it completed.

        Raises `LimitError` if an event passes `max_event_bytes`. The events that the same slice completed before it are
        returned first: the error comes with the next call.
        """
        if self._error is not None:
            raise self._error
        events = []
        for item in self._framer.read(self._framer.line_feeds(data)):
            if isinstance(item, (bytes, NamedEvent)):
                events.append(self._public(item))
            elif isinstance(item, StreamAggError):
                self._error = item
        if self._error is not None and not events:
            raise self._error
        return events

    def finish(self) -> list[ServerSentEvent]:
        """End of input. Returns the unfinished last event if `flush` is set, else no event.

        The decoder is then ready for a new connection; `last_event_id` and `retry` stay. Raises the `LimitError` of an
        earlier `feed` again.
        """
        if self._error is not None:
            raise self._error
        unfinished = self._framer.end()
        return [self._public(unfinished.event)] if self._flush and unfinished.event is not None else []

    def _public(self, event: Event) -> ServerSentEvent:
        if isinstance(event, bytes):
            return ServerSentEvent(event.decode("utf-8", "replace"))
        # Every later event has the last ID: it is decoded once.
        if event.id is not self._last_id[0]:
            self._last_id = event.id, event.id.decode("utf-8", "replace")
        return ServerSentEvent(
            event.data.decode("utf-8", "replace"),
            event.event.decode("utf-8", "replace"),
            self._last_id[1],
            event.retry,
        )
