"""Bodies that are no event stream: JSON documents on lines of their own, plain answers, and everything else.

A body announces itself by stray lines: lines that are no field of an event. Each is a JSON document (NDJSON, or a plain
answer), an error, `[DONE]`, or part of a longer body, which is read at its end.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from .._codec.lenient import ignore, parse
from .._errors import LimitError
from .._framing.sse import StrayLine, join_pieces
from .._types.chunk import ChatCompletionChunk

_FIRST_FIELDS = (b"\xef\xbb\xbfdata", b"data", b"event", b"id", b"retry")
"""The names with which an event stream begins."""


class Line(Enum):
    """The kinds of stray line."""

    DONE = "[DONE]"
    DOCUMENT = "a whole JSON object"
    ERROR = "`error: {...}` (GPUStack)"
    KEPT = "part of a body that is read at its end"
    UNREADABLE = "another line among JSON documents"
    IGNORED = "no use"


class Body:
    """The lines of a body that may be no event stream. `most`: the bytes that it may keep."""

    __slots__ = ("_kept", "_most", "_size", "has_documents")

    def __init__(self, most: int) -> None:
        self.has_documents = False
        """Whether chunks stand on lines of their own."""
        self._kept: list[bytes] = []
        self._size = 0
        self._most = most

    def line(self, stray: StrayLine, *, is_cut: bool) -> Line:
        """The kind of a stray line. `is_cut`: it had no end. Raises `LimitError` if the kept lines become too many."""
        line = stray.line.strip()
        if self._kept and stray.first:
            return self._keep(stray.line)
        # A stray line inside an open event is ignored, as WHATWG says. An `error:` line counts: it ends the event
        # (GPUStack).
        if stray.inside and not line.startswith(b"error:"):
            return Line.IGNORED
        if line == b"[DONE]":
            return Line.DONE
        if line.startswith(b"error:") and is_document(line[6:]):
            return Line.ERROR
        if line.startswith(b"{") and is_document(line):
            return Line.DOCUMENT
        if not stray.first or not line or (is_cut and self.has_documents):
            return Line.IGNORED
        return Line.UNREADABLE if self.has_documents else self._keep(stray.line)

    def value(self) -> bytes:
        """The kept lines as one body."""
        return b"\n".join(self._kept)

    def _keep(self, line: bytes) -> Line:
        self._kept.append(line)
        self._size += len(line) + 1
        join_pieces(self._kept, self._size, b"\n")
        if self._size > self._most:
            raise LimitError("event_bytes", self._most)
        return Line.KEPT


def is_answer(chunk: ChatCompletionChunk) -> bool:
    """Whether a chunk is a whole answer: it has messages and no deltas."""
    choices = chunk.choices or ()
    return bool(choices) and all(choice.message is not None and choice.delta is None for choice in choices)


def is_document(data: bytes) -> bool:
    """Whether `data` is one whole JSON object."""
    try:
        return isinstance(parse(data, ignore), dict)
    except msgspec.DecodeError:
        return False
    except RecursionError:  # the API reports that it nests too deeply
        return True


def is_beginning(data: bytes) -> bool:
    """Whether `data` is the beginning of a JSON document, or of an event stream's first field."""
    if not data.lstrip().startswith((b"{", b"[")):
        return any(field.startswith(data) for field in _FIRST_FIELDS)
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return "truncated" in str(error)
    return False


def documents(data: bytes) -> tuple[list[bytes], bool]:
    """The leading lines of an event's data that are each a JSON object, up to `[DONE]`. The second value: whether no
    other line came."""
    lines: list[bytes] = []
    for line in data.split(b"\n"):
        if line.strip() == b"[DONE]":
            return [*lines, line], True
        if line.strip():
            if not is_document(line):
                return lines, False
            lines.append(line)
    return lines, bool(lines)
