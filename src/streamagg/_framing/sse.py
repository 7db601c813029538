"""Server-sent events from bytes, by the WHATWG rules
(https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).

Everything here is linear in its input, whatever its shape: a feed is split into lines once, a line
that spans feeds is kept in pieces and joined once, and a CR ends its line at once (an LF that comes
next, even in the next feed, belongs to it). Knows no JSON.
"""

from __future__ import annotations

from msgspec import Struct

from .._errors import LimitError, StreamAggError


class ServerSentEvent(Struct, frozen=True):
    """One dispatched event."""

    data: str
    """The data lines, joined by LF."""
    event: str = "message"
    """The event's type."""
    id: str = ""
    """The last event ID when the event was dispatched; it stays until a server sends another."""
    retry: int | None = None
    """The reconnection time in milliseconds, where this event's block set one."""


class Frame(Struct, frozen=True, gc=False):
    """An event that is more than its data: it has a type, an ID, or a retry."""

    data: bytes
    event: bytes
    id: bytes
    retry: int | None


class StrayLine(Struct, frozen=True, gc=False):
    """A line that is no field of the WHATWG's, which an event stream ignores."""

    line: bytes
    inside: bool
    """Whether data of an event stands open before it."""
    first: bool
    """Whether no field and no comment came before it: the body may be no event stream at all."""


class Unfinished(Struct, frozen=True, gc=False):
    """What stood open at the end of input."""

    event: bytes | Frame | None
    """The event whose blank line never came, as it would have been; None without a data line."""
    stray: StrayLine | None
    """The last line, where it had no end and was no field."""
    lost: bool
    """Whether an event was cut: a field of one had come. Part of a stray line may be one too."""


Item = bytes | Frame | StrayLine | StreamAggError

LF, CR = b"\n\r"
"""As numbers: to look for one so takes a tenth of the time."""
_BOM = b"\xef\xbb\xbf"
LONG = 16384
"""An open line that is longer is kept in pieces: it would be copied at each slice."""
_MAX_RETRY_DIGITS = 4000  # CPython refuses longer ones, and no one waits that long


_NAME = 5
"""The length of `data:`: without it a stream of empty data lines would hold more than it counts."""


def fold(pieces: list[bytes], size: int, glue: bytes) -> None:
    """Join pieces that come to `size` bytes, where they are so many that as objects they cost more than that.

    Each time a fixed part of the size has been added since, so all of it is linear.
    """
    if len(pieces) > max(_MANY, size // _PER_PIECE):
        pieces[:] = [glue.join(pieces)]


_MANY = 1024
_PER_PIECE = 64
"""What a short piece costs as an object, in bytes, more or less."""


class SSEDecoder:
    """Turns bytes, in any slices, into events; sans-I/O.

    `last_event_id` seeds the ID for a resumed connection. `flush` makes `finish` return the last
    event even if its blank line never came (the WHATWG rules drop it). `max_event_bytes` bounds one
    event, and one line, that has not ended; past it `feed` raises `LimitError` for good. None is no bound.
    """

    __slots__ = (
        "_after_cr", "_blank", "_block_open", "_block_retry", "_committed_id", "_cut_matters", "_data", "_data_size",
        "_error", "_event", "_fields_seen", "_first_line", "_flush", "_id", "_limit", "_shown", "_tail",
        "_tail_size", "lead", "retry", "tight",
    )  # fmt: skip

    def __init__(self, *, last_event_id: str = "", flush: bool = False, max_event_bytes: int | None = None) -> None:
        self.retry: int | None = None
        """The reconnection time in milliseconds that the server last asked for."""
        self._flush = flush
        self._limit = max_event_bytes
        self._id = last_event_id.encode("utf-8", "replace")
        self._committed_id = self._id
        self._error: StreamAggError | None = None
        self._shown = b"", ""
        self._reset()

    def _reset(self) -> None:
        self._tail: list[bytes] = []  # the line that has not ended, in the pieces it came in
        self._tail_size = 0
        self._data: list[bytes] = []  # the block's data lines
        self._data_size = 0
        self._blank = 0  # so many of them, from the first on, are known to be empty
        self._event = b""
        self._block_retry: int | None = None
        self._block_open = False  # a field other than `data:` stood in the block
        self._cut_matters = False  # and it was one of an event's: a cut here may have cut an event
        self._after_cr = False
        self._fields_seen = False
        self.tight: bool = False
        """Whether the lines of the last slice may pass the limit, so that each must be looked at."""
        self.lead: bytes = b"data: "
        """What stands before the data on its line: some servers leave out the space."""
        self._first_line = True

    @property
    def last_event_id(self) -> str:
        """The ID to resume from: as of the last blank line, not of an event that is still open."""
        return self._committed_id.decode("utf-8", "replace")

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the next slice, of any length; returns the events that it completed.

        Raises `LimitError` where an event passes `max_event_bytes`, and again on every later call;
        events that the same slice completed before it are returned first.
        """
        items = self.read(data)
        events = [self._public(item) for item in items if isinstance(item, (bytes, Frame))]
        if self._error is not None and not events:
            raise self._error
        return events

    def finish(self) -> list[ServerSentEvent]:
        """End of input: returns the unfinished last event if `flush` is on, else nothing.

        After it the decoder is ready for a new connection; `last_event_id` and `retry` stay.
        """
        if self._error is not None:
            raise self._error
        left = self.end()
        return [self._public(left.event)] if self._flush and left.event is not None else []

    # ------------------------------------------------------------------ for the accumulator

    def read(self, data: bytes) -> list[Item]:
        """As `feed`, in the order of the bytes: plain events as their data alone, lines that are no
        field, and last, where a limit was passed, the error to raise once all before it is read."""
        return self.read_lines(self.lines(data))

    def lines(self, data: bytes) -> list[bytes]:
        """The lines that a slice completes, for `read_lines`, which must see them in order."""
        if self._after_cr and data:
            self._after_cr = False
            if data[0] == LF:
                data = data[1:]
        self.tight = self._limit is not None and self._tail_size + self._data_size + len(data) > self._limit
        if CR in data:
            lines = data.splitlines()
            self._after_cr = data.endswith(b"\r")
            rest = b"" if data.endswith((b"\r", b"\n")) else lines.pop()
        else:
            lines = data.split(b"\n")
            rest = lines.pop()
        if lines and self._tail:
            self._tail.append(lines[0])
            lines[0] = b"".join(self._tail)
            self._tail.clear()
            self._tail_size = 0
        if rest:
            self._tail.append(rest)
            self._tail_size += len(rest)
            fold(self._tail, self._tail_size, b"")
        return lines

    def read_lines(self, lines: list[bytes]) -> list[Item]:
        """The events of some lines, as `read`."""
        if self._error is not None:
            return [self._error]
        if self.tight and self._limit is not None:
            return self._read_bounded(lines, self._limit)
        return self._read_lines(lines)

    def open_line(self) -> bytes | None:
        """The line that has not ended, which the decoder forgets: for one who reads it more quickly, and gives back
        what is not his. None where more than a line stands open, or a long one does."""
        if self._data or self._block_open or self._after_cr or self._first_line or self._id:
            return None
        if self._tail_size > LONG:
            return None
        line = b"".join(self._tail)
        self._tail.clear()
        self._tail_size = 0
        return line

    def end(self, line: bytes = b"") -> Unfinished:
        """End of input, after what `open_line` had: what stood open. The decoder is then ready for a new connection."""
        retry, line = self.retry, b"".join((*self._tail, line))
        found = self._read_lines([line]) if line else []
        stray = found[0] if found and isinstance(found[0], StrayLine) and line.strip() else None
        event = self._dispatched() if self._data else None
        lost = bool(self._data or self._cut_matters)
        self.retry, self._id = retry, self._committed_id  # neither an open line nor an open block counts
        self._reset()
        return Unfinished(event, stray, lost)

    def _read_lines(self, lines: list[bytes]) -> list[Item]:
        found: list[Item] = []
        data = self._data
        before = len(data)
        if lines and self._first_line:
            self._first_line = False
            lines[0] = lines[0].removeprefix(_BOM)
        for line in lines:
            if line.startswith(b"data:"):
                if line.startswith(b" ", 5):
                    data.append(line[6:])
                else:
                    data.append(line[5:])
                    self.lead = b"data:"
            elif line:
                if line.startswith(b":"):
                    self._fields_seen = True
                elif (stray := self._read_field(line)) is not None:
                    found.append(stray)
            elif data:
                if len(data) == 1 and not self._block_open and not self._id:  # as nearly all are
                    found.append(data.pop())
                else:
                    found.append(self._dispatched())
                    self._committed_id = self._id
                    self._end_block()
                self._fields_seen = True
                before = self._data_size = self._blank = 0
            elif self._block_open:
                self._committed_id = self._id
                self._end_block()
        if data and self._limit is not None:
            lengths = sum(map(len, data[before:])) + _NAME * (len(data) - before)
            self._data_size = (self._data_size if before else 0) + lengths
            if self._inside():
                fold(data, self._data_size, b"\n")
        return found

    def _inside(self) -> bool:
        """Whether data of an event stands open; looks at each line once."""
        while self._blank < len(self._data) and not self._data[self._blank]:
            self._blank += 1
        return self._blank < len(self._data)

    def _read_field(self, line: bytes) -> StrayLine | None:
        """Take a field other than `data:`; returns the line where it is none."""
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
            if value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:  # ASCII digits only, and at least one
                self.retry = self._block_retry = int(value)
        else:
            return StrayLine(line, inside=self._inside(), first=not (self._fields_seen or self._data))
        self._fields_seen = self._block_open = True
        self._cut_matters = self._cut_matters or name != b"retry"
        return None

    def _dispatched(self) -> bytes | Frame:
        """The block's event: its data alone where it has no type, ID or retry of its own."""
        data = self._data
        value = data[0] if len(data) == 1 else b"\n".join(data)
        if not self._block_open and not self._id:
            return value
        return Frame(value, self._event or b"message", self._id, self._block_retry)

    def _end_block(self) -> None:
        self._data.clear()
        self._data_size = self._blank = 0
        self._event = b""
        self._block_retry = None
        self._block_open = self._cut_matters = False

    def _read_bounded(self, lines: list[bytes], limit: int) -> list[Item]:
        """As `_read_lines`, with an eye on the size of each line and block."""
        found: list[Item] = []
        for line in lines:
            if len(line) + self._data_size > limit:
                break
            found += self._read_lines([line])
        else:
            if self._tail_size + self._data_size <= limit:
                return found
        self._error = LimitError("event_bytes", limit)
        self._reset()
        return [*found, self._error]

    def _public(self, item: bytes | Frame) -> ServerSentEvent:
        if isinstance(item, bytes):
            return ServerSentEvent(item.decode("utf-8", "replace"))
        if item.id is not self._shown[0]:  # every event has the last ID: it is decoded once
            self._shown = item.id, item.id.decode("utf-8", "replace")
        return ServerSentEvent(
            item.data.decode("utf-8", "replace"), item.event.decode("utf-8", "replace"), self._shown[1], item.retry
        )
