"""OpenAI chat completions, and every server that is compatible with them: one payload is one chunk.

1. A payload is read strictly where the structs fit, else tolerantly. Both give the same chunk wherever both can read
   it.
2. A repair counts only for a payload that could be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import msgspec

from .._codec.depth import check_depth
from .._codec.errors import TooDeep, Unreadable
from .._codec.lenient import Note, ignore, kind_of, parse, to_struct
from .._codec.objects import plain_data
from .._codec.size import size_of
from .._error_shapes import error_in
from .._errors import LimitError
from .._limits import Limits
from .._types.chunk import ChatCompletionChunk
from .._types.usage import CompletionUsage
from .base import Payload

_decode = msgspec.json.Decoder(ChatCompletionChunk).decode

_STRIKES = 2
"""Strict failures in a row after which a stream is read tolerantly at once: each failure costs a microsecond."""
_PATIENCE = 64
"""Payloads until strict reading is tried again. Half as many would cost a server with fields of its own 1 % more."""


def _decode_either(data: bytes) -> ChatCompletionChunk:
    """Read a chunk strictly or tolerantly. A `ValueError` if it needs a repair, which must be counted each time."""
    try:
        return _decode(data)
    except (ValueError, RecursionError):
        repairs: list[str] = []
        try:
            chunk = to_struct(ChatCompletionChunk, parse(data, repairs.append), repairs.append)
        except (Unreadable, RecursionError) as error:
            raise ValueError("unreadable") from error
        if repairs:
            raise ValueError(repairs) from None
        return chunk


class OpenAIChat:
    """Reads the payloads of one stream. `note` is called with the kind of each repair."""

    __slots__ = ("_limits", "_note", "_skip", "_strikes", "has_surrogates")

    decode: Callable[[bytes], ChatCompletionChunk] = staticmethod(_decode_either)

    def __init__(self, note: Note, limits: Limits) -> None:
        self.has_surrogates: bool = False
        self._note = note
        self._limits = limits
        self._strikes = 0
        self._skip = 0

    def read(self, data: bytes, name: bytes = b"") -> ChatCompletionChunk | Payload:
        # Nearly every stream ends with `[DONE]`. To try to decode it would take the time of two chunks.
        if data == b"[DONE]":
            return Payload.DONE
        if self._skip:
            self._skip -= 1
            return self.read_tolerantly(data)
        try:
            chunk = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._strikes += 1
            if self._strikes >= _STRIKES:
                self._skip = _PATIENCE
            return self.read_tolerantly(data)
        if self._strikes:
            self._strikes = 0
        if chunk.choices is None or chunk.object == "error" or chunk.x_groq is not None:
            self.check_depth(data)
            return self._accepted(chunk, self.parse(data, ignore) if chunk.object == "error" else None)
        return chunk

    def check_depth(self, data: bytes) -> None:
        # Each level takes two bytes as a list and five as an object. Most chunks are too short to nest too deeply, and
        # their brackets need no count.
        most = self._limits.depth
        if (
            len(data) > 2 * most
            and len(data) // 5 + data.count(b"[") > most
            and data.count(b"{") + data.count(b"[") > most
        ):
            self.parse(data, ignore)

    def read_tolerantly(self, data: bytes) -> ChatCompletionChunk | Payload:
        """As `read`, without trying the strict way first."""
        text = data.strip()
        if text == b"[DONE]":
            return Payload.DONE
        if not text:
            self._note("empty_event")
            return Payload.SKIPPED
        notes: list[str] = []
        return self._from_plain(self.parse(data, notes.append), notes)

    def has_ended(self, finish_reasons: Sequence[str | None]) -> bool:
        """Some servers send no `[DONE]`: the stream has ended if every choice has a finish reason."""
        return bool(finish_reasons) and all(finish_reasons)

    def parse(self, data: bytes, note: Note) -> Any:
        try:
            plain = parse(data, note)
            if data.count(b"{") + data.count(b"[") > self._limits.depth:
                check_depth(plain, self._limits.depth)
        except (RecursionError, TooDeep):
            raise LimitError("depth", self._limits.depth) from None
        if b"\\u" in data:
            self._look_for_surrogates(plain)
        return plain

    def read_object(self, value: Any) -> tuple[ChatCompletionChunk | Payload, int]:
        try:
            plain = plain_data(value, self._limits.depth)
        except TooDeep:
            raise LimitError("depth", self._limits.depth) from None
        try:
            weight = len(msgspec.json.encode(plain))
        except UnicodeEncodeError:
            self.has_surrogates, weight = True, size_of(plain)
        if weight > self._limits.event_bytes:
            raise LimitError("event_bytes", self._limits.event_bytes)
        try:
            chunk = msgspec.convert(plain, ChatCompletionChunk)
            if chunk.created is None or isfinite(chunk.created):  # NaN is no number on the wire
                return self._accepted(chunk, plain), weight
            return self._from_plain(plain, []), weight
        # msgspec before 0.22 has only a SystemError for an integer past the largest float.
        except (msgspec.ValidationError, UnicodeEncodeError, RecursionError, SystemError, OverflowError):
            return self._from_plain(plain, []), weight

    def _from_plain(self, plain: Any, notes: list[str]) -> ChatCompletionChunk | Payload:
        if not isinstance(plain, dict):
            raise Unreadable(f"expected an object, got {kind_of(plain)}")
        _place_after_nulls(plain, notes.append)
        try:
            chunk = to_struct(ChatCompletionChunk, plain, notes.append)
        except Unreadable:
            # An error counts even where the fields beside it are unreadable.
            if (error := error_in(plain)) is None:
                raise
            return ChatCompletionChunk(error=error)
        read = self._accepted(chunk, plain)
        for kind in notes:
            self._note(kind)
        return read

    def _accepted(self, chunk: ChatCompletionChunk, plain: dict[str, Any] | None) -> ChatCompletionChunk | Payload:
        """The chunk, unless it is no chunk. `plain`: its payload, if that may be an error as a whole."""
        if chunk.object == "error" and not chunk.error:
            chunk.error = plain
        if not (
            chunk.error
            or chunk.choices is not None
            or chunk.usage is not None
            or chunk.id is not None
            or chunk.object is not None
        ):
            self._note("not_a_chunk")
            return Payload.SKIPPED
        if isinstance(chunk.x_groq, dict) and isinstance(chunk.x_groq.get("usage"), dict):
            notes: list[str] = []
            try:
                to_struct(CompletionUsage, chunk.x_groq["usage"], notes.append)
            except Unreadable as error:
                error.path = f".x_groq.usage{error.path}"
                raise
            for kind in notes:
                self._note(kind)
        return chunk

    def _look_for_surrogates(self, plain: Any) -> None:
        try:
            msgspec.json.encode(plain)
        except UnicodeEncodeError:
            self.has_surrogates = True


def _place_after_nulls(plain: dict[str, Any], note: Note) -> None:
    """Give choices that have no index their position in the list, where nulls would be left out of it."""
    choices = plain.get("choices")
    if isinstance(choices, list) and None in choices:
        for place, choice in enumerate(choices):
            if isinstance(choice, dict) and choice.get("index") is None:
                choice["index"] = place
                note("choice_index_missing")
