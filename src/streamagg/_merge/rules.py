"""The merge table: the outcome of every field of every level. A rule stands for each outcome.

A `Rule` is called with the fields of its level as merged so far, the name of a field, and the value that arrived, which
is not None. It merges the value, never fails, and returns by how much the fields grew in the measure of `_codec.size`.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import cache
from typing import Any

from msgspec.structs import astuple

from .._codec.size import size_of
from .._codec.struct import Extra, WireStruct
from .._types.chunk import ChatCompletionChunk, ChatCompletionChunkChoice, ChatCompletionChunkDelta
from .._types.message import ChatCompletionAudio
from .content import Content
from .indexed_list import IndexedList
from .text import TextBuffer
from .values import current, growth_to_empty, merge_object, replace, without_padding

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
"""Mistral pads chunks by a prefix of it."""
is_padding = ALPHABET.startswith

Fields = dict[str, Any]
Rule = Callable[[Fields, str, Any], int]


def first(fields: Fields, name: str, value: Any) -> int:
    """First non-empty, else the first that came."""
    before = fields.get(name)
    return replace(fields, name, value) if before is None or (not before and value) else 0


def last(fields: Fields, name: str, value: Any) -> int:
    """Last non-empty."""
    return replace(fields, name, value) if value else 0


def last_even_empty(fields: Fields, name: str, value: Any) -> int:
    """Last non-empty; `""` where nothing else came."""
    return replace(fields, name, value) if value or name not in fields else 0


def append(fields: Fields, name: str, value: str) -> int:
    """Append."""
    text = fields.get(name)
    if type(text) is TextBuffer:
        text.append(value)
        return len(value)
    grown = growth_to_empty(fields, name, "")
    text = fields[name] = TextBuffer()
    text.append(value)
    return grown + len(value)


def extend(fields: Fields, name: str, value: list[Any]) -> int:
    """Extend, whether the items have an index or not."""
    items = fields.get(name)
    new = without_padding(value)
    grown = size_of(new) - size_of([])
    if not isinstance(items, list):
        grown += growth_to_empty(fields, name, [])
        items = fields[name] = []
    items.extend(new)
    return grown


def by_index(fields: Fields, name: str, value: list[Any]) -> int:
    """By index, where the items have one; extend, where not."""
    items = fields.get(name)
    grown = 0
    if not isinstance(items, IndexedList):
        grown = growth_to_empty(fields, name, [])
        items = fields[name] = IndexedList()
    return grown + sum(items.add(item) for item in value)


def append_content(fields: Fields, name: str, value: str | list[Any]) -> int:
    """Append; a list of parts stays a list."""
    before = fields.get(name)
    if type(value) is str:
        if type(before) is TextBuffer:
            before.append(value)
            return len(value)
        if before is None:
            return append(fields, name, value)
    grown = 0
    if not isinstance(before, Content):
        grown = growth_to_empty(fields, name, "") if before is None else 0
        before = fields[name] = Content(before)
    return grown + before.add(value)


def audio(fields: Fields, name: str, value: ChatCompletionAudio) -> int:
    """Key by key; the base64 data and the transcript appended."""
    grown = growth_to_empty(fields, name, {}) if name not in fields else 0
    merged = fields.setdefault(name, {})
    plain = value.to_dict()
    grown += sum(append(merged, part, plain.pop(part)) for part in ("data", "transcript") if part in plain)
    return grown + merge_object(merged, plain)


def dropped(fields: Fields, name: str, value: Any) -> int:  # pragma: no cover - a mark that `Level` leaves out
    """Dropped."""
    return 0


def apart(fields: Fields, name: str, value: Any) -> int:  # pragma: no cover - a mark that `Level` leaves out
    """Merged apart from the table: choices and tool calls by index, usage and logprobs by rules of their own."""
    return 0


def padding(fields: Fields, name: str, value: str) -> int:
    """Dropped, where it is Mistral's padding."""
    return 0 if is_padding(value) else replace(fields, name, value)


def error(fields: Fields, name: str, value: Any) -> int:
    """An object or a string is raised, unless it is empty, and never merged. Anything else is an unknown field."""
    return 0 if isinstance(value, (dict, str)) else other(fields, name, value)


def other(fields: Fields, name: str, value: Any) -> int:
    """An unknown field of chunk or choice: objects key by key, the rest last non-null."""
    return merge_object(fields, {name: value}) if isinstance(value, dict) else replace(fields, name, value)


def other_of_delta(fields: Fields, name: str, value: Any) -> int:
    """An unknown field of a delta: strings append, lists extend or go by index, objects key by key."""
    if isinstance(value, str):
        return append(fields, name, value)
    if isinstance(value, list):
        return by_index(fields, name, value)
    return other(fields, name, value)


CHUNK: dict[str, Rule] = {
    "id": first,
    "created": first,
    "model": first,
    "service_tier": last_even_empty,
    "system_fingerprint": last_even_empty,
    "p": padding,
    "object": dropped,
    "obfuscation": dropped,
    "error": error,
    "choices": apart,
    "usage": apart,
}
CHOICE: dict[str, Rule] = {
    "finish_reason": last,
    "text": append,
    "token_ids": extend,
    "error": error,
    "index": dropped,
    "usage": apart,
    "delta": apart,
    "message": apart,
    "logprobs": apart,
}
DELTA: dict[str, Rule] = {
    "role": last,
    "name": last,
    "channel": last,
    "phase": last,
    "recipient": last,
    "content": append_content,
    "refusal": append,
    "reasoning_content": append,
    "reasoning": append,
    "annotations": extend,
    "images": by_index,
    "reasoning_details": by_index,
    "audio": audio,
    "token_id": replace,
    "tool_calls": apart,
    "function_call": apart,
}
LAST_VALUES = tuple(name for name in ChatCompletionChunk.__struct_fields__ if name not in {*CHUNK, "extra"})
"""The fields of a chunk of which the last value counts: the table does not name them."""
_IDEMPOTENT = frozenset({first, last, last_even_empty, replace, other, dropped, padding})
"""The rules by which a value that arrives twice has the outcome of arriving once."""
_NOT_LAST = frozenset({first, dropped, apart})
BY_INDEX = tuple(name for name, rule in DELTA.items() if rule is by_index)
"""The fields of a delta that hold items with an index."""


class Numbers:
    """The numbers of some fields. To Python 1, 1.0 and True are equal; as JSON they differ.

    Two structs that are equal are the same JSON only if they have the same numbers.
    """

    __slots__ = ("_names", "_text")

    def __init__(self, names: list[str], struct: WireStruct) -> None:
        self._names = names
        self._text = repr([getattr(struct, name) for name in names])

    def are_in(self, struct: WireStruct) -> bool:
        """Whether a struct has the same numbers in these fields."""
        return not self._names or repr([getattr(struct, name) for name in self._names]) == self._text


NO_NUMBERS = Numbers([], ChatCompletionChunk())


def _holds_number(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_number, value.values()))
    if isinstance(value, list):
        return any(map(_holds_number, value))
    return isinstance(value, (int, float))


def _compiled(rules: dict[str, Rule], default: Rule) -> Callable[[Fields, WireStruct], int]:
    """A function that merges the fields of a struct by these rules, and its other fields by `default`.

    Its source names each field, as that of a dataclass does: looking at 17 fields takes 0.2 us, and 1.0 in a loop.
    """
    lines = ["def merge(fields, new):", "    grown = 0"]
    for name in rules:
        lines += [f"    value = new.{name}", "    if value is not None:"]
        lines += [f"        grown += rules[{name!r}](fields, {name!r}, value)"]
    lines += ["    for name, value in new.extra.items():", "        grown += default(fields, name, value)"]
    lines += ["    return grown"]
    namespace: dict[str, Any] = {"rules": rules, "default": default}
    exec("\n".join(lines), namespace)
    merge: Callable[[Fields, WireStruct], int] = namespace["merge"]
    return merge


class Level:
    """The rules of one level of a chunk: for the fields that its struct knows, and for all others.

    `merge(fields, new)` merges the fields of a struct, and returns the growth in size.
    """

    def __init__(
        self, struct: type[WireStruct], table: dict[str, Rule], default: Rule, *, but: Container[str] = ()
    ) -> None:
        names = struct.__struct_fields__
        assert names[-1] == "extra"  # `is_idempotent` pairs the names with a struct's values
        self._rules = [(name, table.get(name, default)) for name in names[:-1]]
        self._default = default
        merged = {name: rule for name, rule in self._rules if rule not in (dropped, apart) and name not in but}
        self.merge: Callable[[Fields, WireStruct], int] = _compiled(merged, default)

    def numbers_in(self, new: WireStruct) -> Numbers:
        """The fields of `new` that hold numbers, of which the last value counts."""
        names: list[str] = []
        *values, extra = astuple(new)
        for (name, rule), value in zip(self._rules, values, strict=True):
            if value is not None and type(value) is not str and rule not in _NOT_LAST and _holds_number(value):
                names.append(name)
        if extra and _holds_number(extra):
            names.append("extra")
        return Numbers(names, new) if names else NO_NUMBERS

    def is_idempotent(self, new: WireStruct, *, but: Container[str]) -> bool:
        """Whether merging `new` again changes nothing, apart from the fields named in `but`."""
        *values, extra = astuple(new)
        for (name, rule), value in zip(self._rules, values, strict=True):
            if value and name not in but and rule not in _IDEMPOTENT:
                return False
        # A delta's unknown strings append and its lists extend: only objects and numbers may come again.
        if self._default not in _IDEMPOTENT:
            return not any(isinstance(value, (str, list)) for value in extra.values())
        return True


OF_CHUNK = Level(ChatCompletionChunk, CHUNK, other)
OF_CHOICE = Level(ChatCompletionChunkChoice, CHOICE, other)
OF_DELTA = Level(ChatCompletionChunkDelta, DELTA, other_of_delta)
USUAL = ("role", "content", "reasoning_content", "reasoning", "refusal", "tool_calls")
"""The fields that a choice merges without a walk through the table: nineteen of twenty deltas have no other."""
BESIDE_USUAL = Level(ChatCompletionChunkDelta, DELTA, other_of_delta, but=USUAL)


def to_arguments(fields: Fields, cls: type[WireStruct], *, final: bool = False) -> Fields:
    """`fields` as they stand, as arguments of `cls`. Those that it does not know are its `extra`.

    The values are copies. `final`: no input follows, and the entries of lists are handed over instead.
    """
    names = _names_of(cls)
    known: Fields = {}
    extra: Fields = {}
    for name, value in fields.items():
        place = known if name in names else extra
        if type(value) is str or value is None:
            place[name] = value
        else:
            place[name] = [*value] if final and isinstance(value, list) else current(value)
    if extra:
        known["extra"] = Extra(extra)
    return known


@cache
def _names_of(cls: type[WireStruct]) -> frozenset[str]:
    return frozenset(cls.__struct_fields__) - {"extra"}
