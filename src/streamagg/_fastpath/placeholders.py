"""The kinds of placeholder: places in an event where a stream's events differ from each other.

1. A placeholder reads raw bytes from its place. `read` takes those of several events, without the quotes of strings;
   `read_one` takes those of one, with them. Each raises `ValueError` unless every raw value is one JSON value of its
   kind and no more.
2. `merge` gives values to the writer, in the order of their events. `find` says where the value stands in an event.
3. A place is tested, never assumed: the event with a probe in that place must decode to the same chunk with the probe
   as the value of the field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, ClassVar, Protocol

import msgspec

from .._merge.rules import is_padding
from .._types.chunk import ChatCompletionChunk, ChatCompletionChunkChoice
from .._types.usage import CompletionUsage

Decode = Callable[[bytes], ChatCompletionChunk]

_MOST_TRIES = 4
"""Places that are tried for one value. Text that quotes an event holds others before the right one, rarely more."""
_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_SCALAR = _STRING + rb"|-?[0-9][0-9.eE+-]*|true|false"
_OBJECT = rb"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}"
_INTEGER = rb"[0-9]+"

decode_string: Callable[[bytes], str] = msgspec.json.Decoder(str).decode
_decode_strings: Callable[[bytes], list[str]] = msgspec.json.Decoder(list[str]).decode
_decode_integer: Callable[[bytes], int] = msgspec.json.Decoder(int).decode
_decode_any: Callable[[bytes], Any] = msgspec.json.Decoder().decode
_decode_usage: Callable[[bytes], CompletionUsage] = msgspec.json.Decoder(CompletionUsage).decode


class Writer(Protocol):
    """The few operations of the merger that the fast path may call."""

    size: int
    observer: Any

    def repeats(self, chunk: ChatCompletionChunk, field: str) -> bool:
        """Whether merging the chunk again needs no repair and changes no more than a text and the usage."""

    def text_target(self, choice: int, field: str, call_index: int | None) -> Callable[[str], None] | None:
        """Appends to a text of a choice, or to the arguments of its newest call at an index; None without such a
        text."""

    def set_field(self, name: str, value: Any) -> None:
        """Merge a field of a chunk that the merge table does not name."""

    def add_usage(self, report: CompletionUsage) -> None:
        """Merge a report of usage."""


class Placeholder:
    """One place. `start` and `end`: where its value stands in the payload, without the quotes of a string."""

    __slots__ = ("end", "name", "start")

    is_string: ClassVar[bool] = True
    pattern: ClassVar[bytes] = _STRING
    probe: ClassVar[Any] = '"\\,:{}[]\x00é😀'
    """A value that no event has. This one holds every kind of character that JSON escapes or that ends a value."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.start = self.end = 0

    def owner(self, chunk: ChatCompletionChunk) -> Any:
        """The part of a chunk that has the field."""
        return chunk

    def set(self, chunk: ChatCompletionChunk, value: Any) -> None:
        """Give the field of a chunk another value."""
        setattr(self.owner(chunk), self.name, value)

    def read(self, raw: Sequence[bytes]) -> list[Any]:
        return _strings(raw)

    def read_one(self, raw: bytes) -> Any:
        """Read the value of one event, a string with its quotes."""
        return decode_string(raw)

    def find(self, payload: bytes, decode: Decode) -> bool:
        """Find the place of the value in an event. Returns whether there is one."""
        raw = msgspec.json.encode(self.probe)
        pattern = rb'"%b"\s*:\s*(%b)' % (re.escape(self.name.encode("utf-8", "replace")), self.pattern)
        for match in islice(re.finditer(pattern, payload), _MOST_TRIES):
            start, end = match.span(1)
            wanted = decode(payload)
            self.set(wanted, self.probe)
            try:
                is_place = decode(payload[:start] + raw + payload[end:]) == wanted
            except ValueError:
                continue
            if is_place:
                self.start, self.end = start + self.is_string, end - self.is_string
                return True
        return False


class Text(Placeholder):
    """A text of the delta, or the arguments of a tool call. The template merges it."""

    __slots__ = ()

    def owner(self, chunk: ChatCompletionChunk) -> Any:
        delta = _choice_of(chunk).delta
        assert delta is not None  # the template is made of a chunk with a delta
        return delta.tool_calls[0].function if delta.tool_calls else delta


class Padding(Placeholder):
    """`obfuscation`: dropped."""

    __slots__ = ()

    def read(self, raw: Sequence[bytes]) -> list[Any]:
        # Letters and digits are a string, whatever they say: OpenAI's padding needs no decoding.
        return list(raw) if b"".join(raw).isalnum() else _strings(raw)


class Alphabet(Placeholder):
    """Mistral's `p`: padding only as long as it is a prefix of the alphabet and the digits."""

    __slots__ = ()

    probe = "abc"

    def read(self, raw: Sequence[bytes]) -> list[Any]:
        return [self.read_one(b'"%b"' % each) for each in raw]

    def read_one(self, raw: bytes) -> Any:
        value = decode_string(raw)
        if not is_padding(value):
            raise ValueError("not padding")
        return value


class LastValue(Placeholder):
    """A field of a chunk that no type knows, or that the merge table does not name: the last value counts."""

    __slots__ = ()

    is_string = False
    pattern = _SCALAR
    probe = 987654321

    def set(self, chunk: ChatCompletionChunk, value: Any) -> None:
        if self.name in chunk.extra:
            chunk.extra = type(chunk.extra)({**chunk.extra, self.name: value})
        else:
            setattr(chunk, self.name, value)

    def read(self, raw: Sequence[bytes]) -> list[Any]:
        return [self.read_one(each) for each in raw]

    def read_one(self, raw: bytes) -> Any:
        value = _decode_any(raw)
        if type(value) not in (str, int, float, bool):
            raise ValueError("not a scalar")
        return value

    def merge(self, value: Any, writer: Writer) -> None:
        writer.set_field(self.name, value)


class Usage(Placeholder):
    """A report of usage on every chunk (vLLM's `continuous_usage_stats`, xAI)."""

    __slots__ = ()

    is_string = False
    pattern = _OBJECT
    probe = CompletionUsage(prompt_tokens=987654321, total_tokens=1)

    def read(self, raw: Sequence[bytes]) -> list[Any]:
        return [self.read_one(each) for each in raw]

    def read_one(self, raw: bytes) -> Any:
        usage = _decode_usage(raw)
        # These may hold objects of any depth, which the limits must see.
        if usage.cost is not None or usage.search_context_size is not None:
            raise ValueError("not counters alone")
        return usage

    def merge(self, value: Any, writer: Writer) -> None:
        writer.add_usage(value)


class ChoiceIndex(Placeholder):
    """The index of the choice, where several choices take turns. The template finds their texts."""

    __slots__ = ()

    is_string = False
    pattern = _INTEGER
    probe = 987654321

    def owner(self, chunk: ChatCompletionChunk) -> Any:
        return _choice_of(chunk)

    def read(self, raw: Sequence[bytes]) -> list[Any]:
        return [_decode_integer(each) for each in raw]

    def read_one(self, raw: bytes) -> Any:
        return _decode_integer(raw)


def _choice_of(chunk: ChatCompletionChunk) -> ChatCompletionChunkChoice:
    assert chunk.choices  # a template is made of a chunk with one choice
    return chunk.choices[0]


def _strings(raw: Sequence[bytes]) -> list[str]:
    """Strings without their quotes, decoded as one JSON array at a third of the cost of one by one.

    No string can span the raw line feeds between them, and none can nest: if the count is right, each was one string.
    """
    values = _decode_strings(b'["%b"]' % b'",\n"'.join(raw))
    if len(values) != len(raw):
        raise ValueError("not one string each")
    return values
