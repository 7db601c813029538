"""JSON text that is still being written: the values so far, and which of them are finished.

1. JSON is written depth first. Only the values on one path can still change: the outermost value, and in each container
   its last value. Every value beside that path is finished.
2. The time is linear in the length of the text.
3. Nested text takes no stack: the text of a model cannot overflow it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec
from msgspec import Struct

from .._errors import ParseError, json_path
from .._limits import Limits

_DEPTH = Limits().depth

_SPACE = re.compile(r"[ \t\n\r]*")
_HEX = "[0-9a-fA-F]"
_PAIR = rf"u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}"
_STRING = re.compile(rf'"[^"\\]*(?:\\(?:[^u]|u(?![dD][89abAB]){_HEX}{{4}}|{_PAIR})[^"\\]*)*', re.DOTALL)
"""A string up to its closing quote, or up to an escape that is cut. Half a surrogate pair is a cut escape."""
_CUT_PAIR = rf"[dD][89abAB]{_HEX}{{2}}(?:\\(?:u(?:[dD](?:[c-fC-F]{_HEX}?)?)?)?)?"
_CUT_ESCAPE = re.compile(rf"(?:\\(?:u(?:{_HEX}{{0,3}}|{_CUT_PAIR}))?)?")
_WORD = re.compile(r"[A-Za-z0-9+.-]+")
_WORDS = ("true", "false", "null")
_CUT_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:(?<=[0-9])[eE][+-]?[0-9]*)?)?")

_decode = msgspec.json.Decoder().decode

_Step = Callable[[], Any]
"""Reads the next token. Returns the step for the token after it, or None where the text ends inside this one. Raises
`ParseError` where the grammar does not allow the token."""


class PartialJSON(Struct, frozen=True):
    """The value of a JSON text that may still grow.

    `value` holds objects and lists as far as they are written, and the text so far of a string, without an escape that
    is cut. A number, `true`, `false` or `null` appears once it is whole; the character after a number shows that (`12`
    may become `123`). `value` is None before the first value.
    """

    value: Any
    complete: bool
    """Whether the text is one whole JSON value."""
    growing: tuple[str | int, ...] = ()
    """The keys and positions that lead to the value that is being written or comes next. It and the values around it
    are unfinished, all others are finished. Empty for the outermost value, and where `complete`."""

    def finished(self, *path: str | int) -> bool:
        """Whether the value at these keys and positions exists and later text cannot change it."""
        if not self.complete and path == self.growing[: len(path)]:
            return False
        value = self.value
        for place in path:
            places = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
            if place not in places:
                return False
            value = value[place]
        return True


def parse_partial(text: str) -> PartialJSON:
    """Read a JSON text that may still grow; see `PartialJSON`. The later value of a repeated key counts.

    Raises `ParseError` where the text cannot be the beginning of JSON, or nests deeper than the default of `Limits`.
    """
    reader = _Reader(text)
    step: _Step | None = reader.value
    while step is not None and reader.skip_space():
        step = step()
    complete = step == reader.end
    return PartialJSON(reader.root[0] if reader.root else None, complete, tuple(reader.path[1:]))


class _Reader:
    """The position in a text, and the containers that are open there. `value` to `end` are steps (see `_Step`)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.root: list[Any] = []
        """The outermost value, once it has begun; a list, as the value of any other container."""
        self.open: list[Any] = [self.root]
        """The containers that are not closed yet."""
        self.path: list[str | int] = [0]
        """The key or position, in each open container, of the value that is being written or comes next."""

    def skip_space(self) -> bool:
        """Go to the next token. Returns whether the text has one."""
        space = _SPACE.match(self.text, self.at)
        assert space is not None  # the pattern matches an empty text too
        self.at = space.end()
        return self.at < len(self.text)

    def value(self) -> _Step | None:
        mark = self.text[self.at]
        if mark == "{":
            return self._open({}, self.first_key)
        if mark == "[":
            return self._open([], self.first_item)
        if mark == '"':
            string, whole = self._string()
            self._put(string)
            return self._end_value() if whole else None
        return self._scalar()

    def first_item(self) -> _Step | None:
        if self.text[self.at] == "]":
            return self._close()
        self.path.append(0)
        return self.value()

    def first_key(self) -> _Step | None:
        return self._close() if self.text[self.at] == "}" else self.key()

    def key(self) -> _Step | None:
        if self.text[self.at] != '"':
            self._refuse("expected a key in quotes")
        name, whole = self._string()
        if not whole:
            return None
        # A repeated key: its earlier value must not show while the later one is being written.
        self.open[-1].pop(name, None)
        self.path.append(name)
        return self.colon

    def colon(self) -> _Step:
        if self.text[self.at] != ":":
            self._refuse("expected a colon")
        self.at += 1
        return self.value

    def next(self) -> _Step:
        """The token after a value in a container."""
        container, mark = self.open[-1], self.text[self.at]
        if mark == ("]" if isinstance(container, list) else "}"):
            return self._close()
        if mark != ",":
            self._refuse("expected a comma or the end of the list or object")
        self.at += 1
        if isinstance(container, dict):
            return self.key
        self.path.append(len(container))
        return self.value

    def end(self) -> NoReturn:
        self._refuse("expected nothing more")

    def _open(self, container: Any, step: _Step) -> _Step:
        if len(self.open) > _DEPTH:
            self._refuse(f"it nests deeper than {_DEPTH}")
        self._put(container)
        self.open.append(container)
        self.at += 1
        return step

    def _close(self) -> _Step:
        self.open.pop()
        self.at += 1
        return self._end_value()

    def _end_value(self) -> _Step:
        """End a value. Returns the step for the token after it."""
        self.path.pop()
        return self.next if len(self.open) > 1 else self.end

    def _put(self, value: Any) -> None:
        container = self.open[-1]
        if isinstance(container, list):
            container.append(value)
        else:
            container[self.path[-1]] = value

    def _string(self) -> tuple[str, bool]:
        """The string at this position as far as it is written, and whether it is whole."""
        string = _STRING.match(self.text, self.at)
        assert string is not None  # it begins with the quote that led here
        end = string.end()
        whole = self.text.startswith('"', end)
        if not whole and _CUT_ESCAPE.fullmatch(self.text, end) is None:
            self._refuse("an escape that JSON does not know")
        value: str = self._decoded(string[0] + '"', "a string that is no JSON")
        self.at = end + 1
        return value, whole

    def _scalar(self) -> _Step | None:
        match = _WORD.match(self.text, self.at)
        word = match[0] if match is not None else ""
        # A word at the end of the text may go on: `12` may become `123`, and `tru` is not yet `true`.
        if self.at + len(word) == len(self.text) and word not in _WORDS:
            if not any(known.startswith(word) for known in _WORDS) and _CUT_NUMBER.fullmatch(word) is None:
                self._refuse("expected a value")
            return None
        value = self._decoded(word, "expected a value")
        self.at += len(word)
        self._put(value)
        return self._end_value()

    def _decoded(self, token: str, reason: str) -> Any:
        try:
            return _decode(token)
        except ValueError:
            self._refuse(reason)

    def _refuse(self, reason: str) -> NoReturn:
        raise ParseError(f"{reason} (character {self.at})", path=json_path(self.path[1:]), text=self.text)
