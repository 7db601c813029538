"""JSON text that is still being written: what is there of it, and which of its values are finished.

JSON is written depth first, so what can still change lies on one path: the outermost value, and in
each the one that is being written. Everything beside that path is finished.

Linear in the length of the text, and no deeper on the stack for text that nests deeper.
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
"""A string up to its closing quote, or up to an escape that is not there in full: half a pair is none."""
_CUT_PAIR = rf"[dD][89abAB]{_HEX}{{2}}(?:\\(?:u(?:[dD](?:[c-fC-F]{_HEX}?)?)?)?)?"
_CUT_ESCAPE = re.compile(rf"(?:\\(?:u(?:{_HEX}{{0,3}}|{_CUT_PAIR}))?)?")
_WORD = re.compile(r"[A-Za-z0-9+.-]+")
_WORDS = ("true", "false", "null")
_CUT_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:(?<=[0-9])[eE][+-]?[0-9]*)?)?")

_decode = msgspec.json.Decoder().decode

_Step = Callable[[], Any]
"""Reads the next token; returns the step for what may follow it, None where the text ends inside the token."""


class PartialJSON(Struct, frozen=True):
    """What is there of a JSON text that may still grow.

    `value` holds what is finished, objects and lists as far as they are written, and of a string the text
    so far, without an escape that is cut; a number, `true`, `false` or `null` only once it is whole (a
    number is by what follows it: `12` may become `123`). It is None before anything is there.
    """

    value: Any
    complete: bool
    """Whether the text is one whole JSON value."""
    growing: tuple[str | int, ...] = ()
    """The keys and positions that lead to the value being written, or due next; it and those around it
    are unfinished, all others are finished. Empty for the outermost value, and where `complete`."""

    def finished(self, *path: str | int) -> bool:
        """Whether the value at these keys and positions is there, and nothing that follows can change it."""
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
    """Read a JSON text as far as it is there; see `PartialJSON`. Of a key that comes twice the later counts.

    A `ParseError` as soon as the text cannot be the beginning of JSON, or nests deeper than the default
    of `Limits`.
    """
    reading = _Reading(text)
    step: _Step | None = reading.value
    while step is not None and reading.skip_space():
        step = step()
    complete = step == reading.end
    return PartialJSON(reading.held[0] if reading.held else None, complete, tuple(reading.path[1:]))


class _Reading:
    """Where reading a text stands. The methods up to `end` are steps: what the grammar allows next."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.held: list[Any] = []
        """The outermost value, once it has begun."""
        self.open: list[Any] = [self.held]
        """The containers that are not closed."""
        self.path: list[str | int] = [0]
        """Where in each of them the value belongs that is being written, or due."""

    def skip_space(self) -> bool:
        """Go to the next token; returns whether there is one."""
        space = _SPACE.match(self.text, self.at)
        assert space is not None  # it matches nothing, too
        self.at = space.end()
        return self.at < len(self.text)

    def value(self) -> _Step | None:
        mark = self.text[self.at]
        if mark == "{":
            return self._opened({}, self.first_key)
        if mark == "[":
            return self._opened([], self.first_item)
        if mark == '"':
            string, whole = self._string()
            self._put(string)
            return self._over() if whole else None
        return self._scalar()

    def first_item(self) -> _Step | None:
        if self.text[self.at] == "]":
            return self._closed()
        self.path.append(0)
        return self.value()

    def first_key(self) -> _Step | None:
        return self._closed() if self.text[self.at] == "}" else self.key()

    def key(self) -> _Step | None:
        if self.text[self.at] != '"':
            self._refuse("expected a key in quotes")
        name, whole = self._string()
        if not whole:
            return None
        self.open[-1].pop(name, None)
        self.path.append(name)
        return self.colon

    def colon(self) -> _Step:
        if self.text[self.at] != ":":
            self._refuse("expected a colon")
        self.at += 1
        return self.value

    def next(self) -> _Step:
        """After a value in a container."""
        container, mark = self.open[-1], self.text[self.at]
        if mark == ("]" if isinstance(container, list) else "}"):
            return self._closed()
        if mark != ",":
            self._refuse("expected a comma or the end of the list or object")
        self.at += 1
        if isinstance(container, dict):
            return self.key
        self.path.append(len(container))
        return self.value

    def end(self) -> NoReturn:
        self._refuse("expected nothing more")

    def _opened(self, container: Any, step: _Step) -> _Step:
        if len(self.open) > _DEPTH:
            self._refuse(f"it nests deeper than {_DEPTH}")
        self._put(container)
        self.open.append(container)
        self.at += 1
        return step

    def _closed(self) -> _Step:
        self.open.pop()
        self.at += 1
        return self._over()

    def _over(self) -> _Step:
        """A value is whole."""
        self.path.pop()
        return self.next if len(self.open) > 1 else self.end

    def _put(self, value: Any) -> None:
        container = self.open[-1]
        if isinstance(container, list):
            container.append(value)
        else:
            container[self.path[-1]] = value

    def _string(self) -> tuple[str, bool]:
        """The string here, as far as it is there; and whether that is all of it."""
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
        if self.at + len(word) == len(self.text) and word not in _WORDS:
            if not any(known.startswith(word) for known in _WORDS) and _CUT_NUMBER.fullmatch(word) is None:
                self._refuse("expected a value")
            return None
        value = self._decoded(word, "expected a value")
        self.at += len(word)
        self._put(value)
        return self._over()

    def _decoded(self, token: str, reason: str) -> Any:
        try:
            return _decode(token)
        except ValueError:
            self._refuse(reason)

    def _refuse(self, reason: str) -> NoReturn:
        raise ParseError(f"{reason} (character {self.at})", path=json_path(self.path[1:]), text=self.text)
