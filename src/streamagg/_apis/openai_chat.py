"""One payload to one chunk: strictly where the structs fit, tolerantly where not. Merges nothing.

Both ways give the same chunk wherever both can read it; a test says so.
"""

from __future__ import annotations

from enum import Enum
from math import isfinite
from typing import Any

import msgspec

from .._codec.depth import check_depth
from .._codec.errors import TooDeep, Unreadable
from .._codec.lenient import Note, ignore, kind_of, parse, to_struct
from .._codec.objects import plain_data
from .._codec.size import weigh
from .._errors import LimitError
from .._limits import Limits
from .._types.chunk import ChatCompletionChunk
from .._types.usage import CompletionUsage

Refusal = (Unreadable, msgspec.DecodeError)
"""What reading a payload may raise, beside `LimitError`."""

_decode = msgspec.json.Decoder(ChatCompletionChunk).decode

_STRIKES = 2
"""After so many strict failures in a row a stream is read tolerantly at once: failing costs a microsecond."""
_PATIENCE = 64
"""For so many payloads, then strict reading is tried again."""


class Sentinel(Enum):
    """What a payload may be instead of a chunk."""

    DONE = "[DONE]"
    """The end that servers announce."""
    PASSED_OVER = ""
    """Blank, or an object that is no chunk."""


class Reader:
    """Reads the payloads of one stream. `note` is told each repair of a payload that could be read."""

    __slots__ = (
        "_limits", "_note", "_skip", "_strikes", "has_surrogates",
    )  # fmt: skip

    def __init__(self, note: Note, limits: Limits) -> None:
        self.has_surrogates = False
        """Whether a payload held half of a surrogate pair: another may bring the other half."""
        self._note = note
        self._limits = limits
        self._strikes = 0
        self._skip = 0

    def read(self, data: bytes) -> ChatCompletionChunk | Sentinel:
        """Read an event's data. Raises one of `Refusal`, or `LimitError`."""
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
        self._strikes = 0
        if data.count(b"{") + data.count(b"[") > self._limits.depth:
            self.parse(data, ignore)
        if chunk.choices is None or chunk.object == "error" or chunk.x_groq is not None:
            return self._accepted(chunk, self.parse(data, ignore) if chunk.object == "error" else None)
        return chunk

    def read_tolerantly(self, data: bytes) -> ChatCompletionChunk | Sentinel:
        """As `read`, without trying the strict way first."""
        text = data.strip()
        if text == b"[DONE]":
            return Sentinel.DONE
        if not text:
            self._note("empty_event")
            return Sentinel.PASSED_OVER
        notes: list[str] = []
        return self._from_plain(self.parse(data, notes.append), notes)

    def parse(self, data: bytes, note: Note) -> Any:
        """The payload's JSON as plain data, within the limits."""
        try:
            plain = parse(data, note)
            if data.count(b"{") + data.count(b"[") > self._limits.depth:
                check_depth(plain, self._limits.depth)
        except (RecursionError, TooDeep):
            raise LimitError("depth", self._limits.depth) from None
        if b"\\u" in data:
            self._look_for_surrogates(plain)
        return plain

    def read_object(self, value: Any) -> tuple[ChatCompletionChunk | Sentinel, int]:
        """Read a chunk given as a struct, a dict or a client's object, which shares nothing with it;
        and its weight, which is at most the length of its JSON."""
        try:
            plain = plain_data(value, self._limits.depth)
        except TooDeep:
            raise LimitError("depth", self._limits.depth) from None
        try:
            weight = len(msgspec.json.encode(plain))
        except UnicodeEncodeError:
            self.has_surrogates, weight = True, weigh(plain)
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

    def _from_plain(self, plain: Any, notes: list[str]) -> ChatCompletionChunk | Sentinel:
        if not isinstance(plain, dict):
            raise Unreadable(f"expected an object, got {kind_of(plain)}")
        _place_after_nulls(plain, notes.append)
        try:
            chunk = to_struct(ChatCompletionChunk, plain, notes.append)
        except Unreadable:
            error = plain.get("error") or (plain if plain.get("object") == "error" else None)
            if not isinstance(error, (dict, str)):
                raise
            return ChatCompletionChunk(error=error)  # what it says beside its error is of no use, the error is
        read = self._accepted(chunk, plain)
        for kind in notes:
            self._note(kind)
        return read

    def _accepted(self, chunk: ChatCompletionChunk, plain: dict[str, Any] | None) -> ChatCompletionChunk | Sentinel:
        """The last look at what was read: is it a chunk at all, is it an error as a whole?"""
        if chunk.object == "error" and not chunk.error:  # vLLM's older way
            chunk.error = plain
        if not (
            chunk.error
            or chunk.choices is not None
            or chunk.usage is not None
            or chunk.id is not None
            or chunk.object is not None
        ):
            self._note("not_a_chunk")
            return Sentinel.PASSED_OVER
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
