"""The `function` or `custom` part of a tool call: a name, and arguments that grow.

Some servers make the merger ask at each fragment whether the arguments are whole. To read them from the start each
time would be quadratic: the scan of brackets resumes where it stopped.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from .._codec.lenient import Note
from .._codec.struct import Extra
from .._types.message import ToolCallFunction
from .text import TextBuffer
from .values import current, merge_object


class FunctionState:
    """The function or custom tool that a call names. `text`: its arguments or input, None before any came."""

    __slots__ = (
        "_closed", "_depth", "_in_string", "_name", "_name_size", "_origin", "_origin_scanned", "_scanned",
        "extra", "text",
    )  # fmt: skip

    def __init__(self) -> None:
        self._name: TextBuffer | None = None
        self._name_size = 0
        self.text: TextBuffer | None = None
        self.extra: dict[str, Any] = {}
        self._scanned = self._depth = 0
        self._in_string = False
        # The position where the brackets first closed; None while open; _NEVER if the text is no object.
        self._closed: int | None = None
        # The state that this one is a trial of. Its text comes before this one's.
        self._origin: FunctionState | None = None
        self._origin_scanned: int | None = None

    @property
    def name(self) -> str | None:
        own = self._name.value() if self._name is not None else None
        before = self._origin.name if self._origin is not None else None
        return (before or "") + (own or "") if before is not None else own

    def has_name(self) -> bool:
        return self._name_size > 0

    def is_named(self, name: str) -> bool:
        """Whether this is the whole name so far; joins its pieces only where the length is the same."""
        return len(name) == self._name_size and name == self.name

    def add(self, name: str | None, text: str | None, extra: dict[str, Any], note: Note) -> int:
        """Take a fragment; returns the size by which the call grew. A repeated equal name is kept once."""
        grown = 0
        if name is not None and self._name is None:
            self._name = TextBuffer()
        if name and self._name is not None:
            # A name comes in pieces, or whole on each fragment.
            if not self.is_named(name):
                self._name.append(name)
                self._name_size += len(name)
                grown += len(name)
            else:
                note("tool_name_repeated")
        if text is not None:
            if self.text is None:
                self.text = TextBuffer()
            self.text.append(text)
            grown += len(text)
        return grown + merge_object(self.extra, extra) if extra else grown

    def text_so_far(self) -> str | None:
        """The text so far; None where none came."""
        return self.text.value() if self.text is not None else None

    def has_begun(self) -> bool:
        """Whether any text came."""
        return bool(self.text_so_far()) or (self._origin is not None and self._origin.has_begun())

    def is_whole(self) -> bool:
        """Whether the text is one whole JSON object: it ends where its brackets first close.

        All calls together read the text once: each resumes where the last one stopped.
        """
        before = self._read_origin() if self._origin is not None else ""
        text = self.text_so_far() or ""
        if self._closed is None:
            self._scan(text)
            if self._closed is not None and not _is_object(before[: self._origin_scanned] + text[: self._closed]):
                self._closed = _NEVER
        if self._closed is None or self._closed == _NEVER:
            return False
        self._closed = _NEVER if text[self._closed :].strip(" \t\r\n") else len(text)
        return self._closed != _NEVER

    def _read_origin(self) -> str:
        """The text that a trial continues. The first call takes over how far the origin has scanned it."""
        origin = self._origin
        assert origin is not None
        text = origin.text_so_far() or ""
        if self._origin_scanned is None:
            origin.is_whole()
            self._origin_scanned = origin._scanned
            self._depth, self._in_string = origin._depth, origin._in_string
            if origin._closed is not None:
                self._closed = min(origin._closed, 0)
            elif rest := text[origin._scanned :]:
                own, self.text = self.text_so_far() or "", TextBuffer()
                self.text.append(rest + own)
        return text

    def _scan(self, text: str) -> None:
        end = len(text)
        while end > self._scanned and text[end - 1] == "\\":
            end -= 1
        end = len(text) - (len(text) - end) % 2  # a last backslash escapes what is still to come
        for token in _TOKENS.finditer(text, self._scanned, end):
            mark = token[0]
            if mark == '"':
                self._in_string = not self._in_string
            elif not self._in_string and len(mark) == 1:
                self._depth += 1 if mark in "{[" else -1
                if self._depth <= 0:
                    self._closed = token.end()
                    return
        self._scanned = end

    def trial(self) -> FunctionState:
        """One to try fragments on, which stands where this one does and changes nothing of it."""
        other = FunctionState()
        other._origin = self
        other._name_size = self._name_size
        return other


_NEVER = -1
"""In `_closed`: no later fragment can make the text whole."""
_TOKENS = re.compile(r'["{}\[\]]|\\.', re.DOTALL)
"""Quotes, brackets, and escapes, which may hide a quote."""


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return False


def function_of(callee: FunctionState) -> ToolCallFunction:
    return ToolCallFunction(name=callee.name, arguments=callee.text_so_far(), **extra_of(callee.extra))


def extra_of(fields: dict[str, Any]) -> dict[str, Any]:
    return {"extra": Extra(current(fields))} if fields else {}
