"""The merge table: the outcome of every field of every level, a rule for each.

A rule lets a value join the fields of its level, cannot fail, and returns the growth in size.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from .._codec.size import weigh
from .._codec.struct import Extra, WireStruct
from .._types.chunk import ChatCompletionChunk, ChatCompletionChunkChoice, ChatCompletionChunkDelta
from .._types.message import ChatCompletionAudio
from .content import Content
from .indexed_list import Items
from .text import Text
from .values import merge_object, replace, room_of, settled, taken

Fields = dict[str, Any]
Rule = Callable[[Fields, str, Any], int]

# ------------------------------------------------------------------ the outcomes


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
    grown = len(value)
    if not isinstance(text, Text):
        grown += room_of(fields, name, "")
        text = fields[name] = Text()
    text.add(value)
    return grown


def extend(fields: Fields, name: str, value: list[Any]) -> int:
    """Extend, whether the items have an index or not."""
    items = fields.get(name)
    grown = weigh(value) - weigh([])
    if not isinstance(items, list):
        grown += room_of(fields, name, [])
        items = fields[name] = []
    items.extend(taken(value))
    return grown


def by_index(fields: Fields, name: str, value: list[Any]) -> int:
    """By index, where the items have one; extend, where not."""
    items = fields.get(name)
    grown = 0
    if not isinstance(items, Items):
        grown = room_of(fields, name, [])
        items = fields[name] = Items()
    return grown + sum(items.add(item) for item in value)


def content(fields: Fields, name: str, value: str | list[Any]) -> int:
    """Append; a list of parts survives as one."""
    held = fields.get(name)
    if held is None:
        held = fields[name] = Content()
    grown: int = held.add(value)
    return grown


def audio(fields: Fields, name: str, value: ChatCompletionAudio) -> int:
    """Key by key; the base64 data and the transcript appended."""
    into = fields.setdefault(name, {})
    plain = value.to_dict()
    grown = sum(append(into, part, plain.pop(part)) for part in ("data", "transcript") if part in plain)
    return grown + merge_object(into, plain)


def dropped(fields: Fields, name: str, value: Any) -> int:  # pragma: no cover - a mark that `Level` leaves out
    """Dropped."""
    return 0


def padding(fields: Fields, name: str, value: str) -> int:
    """Dropped, where it is Mistral's padding: a prefix of the alphabet and the digits."""
    return 0 if "abcdefghijklmnopqrstuvwxyz0123456789".startswith(value) else replace(fields, name, value)


def error(fields: Fields, name: str, value: Any) -> int:
    """Raised, not merged, where it is one: an object or a string. Anything else is an unknown field."""
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


# ------------------------------------------------------------------ the table

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
    "choices": dropped,  # by index, below
    "usage": dropped,  # to the usage rules
}
CHOICE: dict[str, Rule] = {
    "finish_reason": last,
    "text": append,
    "token_ids": extend,
    "error": error,
    "index": dropped,
    "usage": dropped,
    "delta": dropped,  # below, as are `message` and `logprobs`
    "message": dropped,
    "logprobs": dropped,
}
DELTA: dict[str, Rule] = {
    "role": last,
    "name": last,
    "channel": last,
    "phase": last,
    "recipient": last,
    "content": content,
    "refusal": append,
    "reasoning_content": append,
    "reasoning": append,
    "annotations": extend,
    "images": by_index,
    "reasoning_details": by_index,
    "audio": audio,
    "token_id": replace,
    "tool_calls": dropped,  # to their slots, as `function_call`
    "function_call": dropped,
}


class Level:
    """The rules of one level of a chunk: of the fields its struct knows, and of all others."""

    def __init__(self, struct: type[WireStruct], table: dict[str, Rule], default: Rule) -> None:
        named = {name: table.get(name, default) for name in struct.__struct_fields__ if name != "extra"}
        self.rules = {name: rule for name, rule in named.items() if rule is not dropped}
        self._default = default
        self._values = attrgetter(*self.rules)

    def merge(self, fields: Fields, new: Any) -> int:
        """Let the fields of `new` join `fields`; returns the growth in size."""
        grown = 0
        for (name, rule), value in zip(self.rules.items(), self._values(new), strict=True):
            if value is not None:
                grown += rule(fields, name, value)
        for name, value in new.extra.items():
            grown += self._default(fields, name, value)
        return grown


OF_CHUNK = Level(ChatCompletionChunk, CHUNK, other)
OF_CHOICE = Level(ChatCompletionChunkChoice, CHOICE, other)
OF_DELTA = Level(ChatCompletionChunkDelta, DELTA, other_of_delta)


def split(fields: Fields, cls: type[WireStruct], *, final: bool = False) -> Fields:
    """`fields` as they stand, as arguments of `cls`: those it does not know under `extra`.

    They are copied; but of lists, if `final`, the entries are handed over: nothing will change them then.
    """
    known: Fields = {}
    extra: Fields = {}
    for name, value in fields.items():
        place = known if name in cls.__struct_fields__ and name != "extra" else extra
        place[name] = [*value] if final and isinstance(value, list) else settled(value)
    if extra:
        known["extra"] = Extra(extra)
    return known
