"""A template: the bytes around the placeholders of a stream's events.

It is made of one event that the general path has just merged. Why it is exact:

1. Bytes that are the template's pieces in order, with other bytes between them, are that event with other bytes in its
   placeholders.
2. Each placeholder's bytes decode as one JSON value of its kind and no more. The line is then the same JSON with other
   values in these places. Bytes that a stray quote or backslash cuts short or runs on are no such value.
3. Everything outside the placeholders was merged with the event of which the template is made. Merging it again changes
   nothing: `Writer.repeats` says that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._merge.rules import LAST_VALUES
from .._types.chunk import ChatCompletionChunk, ChatCompletionChunkDelta, ChatCompletionChunkToolCall
from .._types.chunk import ChatCompletionChunkToolCallFunction as Function
from .factory import Factory, factory_of
from .placeholders import (
    Alphabet,
    ChoiceIndex,
    Decode,
    LastValue,
    Padding,
    Placeholder,
    Text,
    Usage,
    Writer,
    decode_string,
)

_LONGEST = 16384
"""Bytes of the longest event of which a template is made. The search for placeholders costs several times its
length."""
_MOST_PLACEHOLDERS = 6
"""With more placeholders, decoding the whole event is as quick."""
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
_END = b"\n\n"


class Template:
    """`head` and `end`: the first and the last piece of an event's bytes, with its prefix and its blank line."""

    __slots__ = (
        *("_call_index", "_choice", "_decode", "_factory", "_gaps", "_has_bare", "_index", "_is_taken_over"),
        *("_merges", "_placeholders", "_prefix", "_steps", "_targets", "_text", "_writer"),
        *("append", "before_padding", "end", "head", "is_text_only", "shortest", "start", "stop"),
    )

    def __init__(
        self,
        line: bytes,
        placeholders: list[Placeholder],
        prefix: int,
        choice: int,
        call_index: int | None,
        decode: Decode,
        writer: Writer,
    ) -> None:
        self._choice = choice
        self._call_index = call_index
        self._prefix = prefix
        self._decode = decode
        self._writer = writer
        self._factory: Factory | None = None
        self._placeholders = tuple(sorted(placeholders, key=lambda each: each.start))
        edges = [edge + prefix for each in self._placeholders for edge in (each.start, each.end)]
        edges = [0, *edges, len(line)]
        pieces = [line[edges[n] : edges[n + 1]] for n in range(0, len(edges), 2)]
        self.head: bytes = pieces[0]
        self.end: bytes = pieces[-1] + _END
        self._gaps = tuple(pieces[1:-1])
        self.start: int = len(self.head)
        self.stop: int = -len(self.end)
        self.shortest: int = self.start + len(self.end)
        kinds = [type(each) for each in self._placeholders]
        self._text = kinds.index(Text)
        self._is_taken_over = Usage in kinds
        self._index = kinds.index(ChoiceIndex) if ChoiceIndex in kinds else None
        self.is_text_only: bool = len(kinds) == 1
        self.before_padding: bytes | None = self._gaps[0] if kinds == [Text, Padding] else None
        """The piece between the text and the padding that follows, if these two are all that changes."""
        self._has_bare = not all(each.is_string for each in self._placeholders)
        self._merges = tuple(
            (n, each.merge) for n, each in enumerate(self._placeholders) if isinstance(each, (LastValue, Usage))
        )
        # Text alone is read without a search. 10,000 open streams hold no more than they need.
        self._steps = (
            ()
            if self.is_text_only
            else tuple(
                (piece, len(piece), each.read_one, int(each.is_string))
                for piece, each in zip([*self._gaps, self.end], self._placeholders, strict=True)
            )
        )
        self.append: Callable[[str], None] | None = None
        """Appends to the text, if only one choice has it; else None."""
        self._targets: dict[int, Callable[[str], None]] | None = None if self._index is None else {}

    def fits(self, event: bytes) -> bool:
        """Whether an event is of this template. The general path has just merged it: the text of its choice may be
        appended to from now on."""
        if not (event.startswith(self.head) and event.endswith(self.end)):
            return False
        try:
            values = self.read_one(event)
        except (ValueError, RecursionError):
            return False
        name = self._placeholders[self._text].name
        if self._targets is None:
            self.append = self.append or self._writer.text_target(self._choice, name, self._call_index)
            return self.append is not None
        index = values[self._index]  # type: ignore[index]  # there are targets where there is an index
        if index not in self._targets:
            target = self._writer.text_target(index, name, self._call_index)
            if target is None:
                return False
            self._targets[index] = target
        return True

    def read_one(self, event: bytes) -> list[Any]:
        """The values of one event that has the outer pieces. A `ValueError` if another piece or a value does not
        fit."""
        if self.is_text_only:
            return [decode_string(event[self.start - 1 : self.stop + 1])]
        # JSON takes a line feed beside a number for white space. Here it ends a line.
        if self._has_bare and event.find(b"\n", self.start, self.stop) >= 0:
            raise ValueError("more than a line")
        values = []
        place = self.start
        for piece, size, read, quotes in self._steps:
            end = event.index(piece, place)
            values.append(read(event[place - quotes : end + quotes]))
            place = end + size
        if place != len(event):
            raise ValueError("another event")
        return values

    def read(self, middles: list[bytes]) -> list[list[Any]]:
        """The values of several events, from the bytes between their outer pieces: a list for each placeholder."""
        columns: list[Any] = [middles]
        for gap in self._gaps:
            columns[-1:] = zip(*[middle.split(gap) for middle in columns[-1]], strict=True)
        return [each.read(column) for each, column in zip(self._placeholders, columns, strict=True)]

    def merge_one(self, values: list[Any]) -> bool:
        """Merge one event with these values. Returns False, with nothing changed, if the text of its choice is
        unknown."""
        # There are targets where there is an index.
        append = self.append if self._targets is None else self._targets.get(values[self._index])  # type: ignore[index]
        if append is None:
            return False
        text = values[self._text]
        append(text)
        writer = self._writer
        writer.size += len(text)
        for place, merge in self._merges:
            merge(values[place], writer)
        return True

    def merge(self, columns: list[list[Any]]) -> bool:
        """As `merge_one`, of several events. It merges all of them or none."""
        texts = columns[self._text]
        writer = self._writer
        if self._targets is None:
            if self.append is None:
                return False
            self.append(joined := "".join(texts))
            grown = len(joined)
        else:
            indices = columns[self._index]  # type: ignore[index]  # there are targets where there is an index
            if not self._targets.keys() >= set(indices):
                return False
            for index, text in zip(indices, texts, strict=True):
                self._targets[index](text)
            grown = sum(map(len, texts))
        writer.size += grown
        for place, merge in self._merges:
            for value in columns[place]:
                merge(value, writer)
        return True

    def chunk(self, event: bytes, values: Sequence[Any]) -> ChatCompletionChunk | None:
        """The chunk of the event with these values, which shares nothing with the response. None if there is no quick
        way."""
        if self._factory is None:
            self._factory = factory_of(self._decode(event[self._prefix : -len(_END)]), self._placeholders)
        if self._factory is None:
            return None
        # The merger takes over the usage.
        return self._factory(self.read_one(event) if self._is_taken_over else values)


def template_of(
    chunk: ChatCompletionChunk, prefix: bytes, payload: bytes, before: bytes, decode: Decode, writer: Writer
) -> Template | None:
    """The template of an event that the general path has just merged; `before`: the payload of the event before it.

    None if merging it again would change more than its placeholders, or a placeholder cannot be found.
    """
    choice = chunk.choices[0] if chunk.choices and len(chunk.choices) == 1 else None
    if choice is None or choice.delta is None or choice.index is None or len(payload) > _LONGEST or b"\n" in payload:
        return None
    name = _text_name(choice.delta)
    if name is None or not writer.repeats(chunk, name):
        return None
    try:
        own, last = decode(payload), decode(before)
        if own != chunk:
            return None
        wanted = _wanted(own, last, name)
        if len(wanted) > _MOST_PLACEHOLDERS or not all(each.find(payload, decode) for each in wanted):
            return None
    except ValueError:  # an event that needs a repair, which must be counted each time
        return None
    calls = choice.delta.tool_calls
    call_index = calls[0].index if calls else None
    template = Template(prefix + payload, wanted, len(prefix), choice.index, call_index, decode, writer)
    return template if template.fits(prefix + payload + _END) else None


def _wanted(chunk: ChatCompletionChunk, last: ChatCompletionChunk, name: str) -> list[Placeholder]:
    """The placeholders for what differs between the events of a stream, as far as two of them show it."""
    wanted: list[Placeholder] = [Text(name)]
    if chunk.obfuscation is not None:
        wanted.append(Padding("obfuscation"))
    if chunk.p is not None:
        wanted.append(Alphabet("p"))
    if chunk.usage is not None:
        wanted.append(Usage("usage"))
    if last.choices and chunk.choices and last.choices[0].index != chunk.choices[0].index:
        wanted.append(ChoiceIndex("index"))
    fields = [(field, getattr(chunk, field), getattr(last, field)) for field in LAST_VALUES]
    fields += [(field, value, last.extra.get(field)) for field, value in chunk.extra.items()]
    wanted += [
        LastValue(field) for field, value, other in fields if value != other and type(value) in (str, int, float, bool)
    ]
    return wanted


def _text_name(delta: ChatCompletionChunkDelta) -> str | None:
    """The one text that a delta brings; None if it brings none or several."""
    if isinstance(delta.content, list):
        return None
    names = [name for name in _TEXTS if getattr(delta, name)]
    if delta.tool_calls:
        return "arguments" if not names and _is_continuation(delta.tool_calls) else None
    return names[0] if len(names) == 1 else None


def _is_continuation(calls: list[ChatCompletionChunkToolCall]) -> bool:
    """Whether a delta's calls are one fragment of arguments for the call at its index, and no more."""
    call = calls[0]
    function = call.function
    if len(calls) > 1 or call.index is None or function is None or not function.arguments or function.name:
        return False
    alone = Function(name=function.name, arguments=function.arguments)
    # An empty id is none.
    return not call.id and call == ChatCompletionChunkToolCall(
        index=call.index, id=call.id, type=call.type, function=alone
    )
