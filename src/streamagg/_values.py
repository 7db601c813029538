"""Merging, measuring and copying of plain values whose fields no type knows."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ._errors import LimitError
from ._struct import WireStruct, copied
from ._text import Growing


def merge_object(into: dict[str, Any], new: dict[str, Any]) -> int:
    """Merge `new` into `into` key by key, recursively: scalars and lists last non-null.

    Returns by how much `into` grew, as `weigh` measures. Nothing of `new` is shared with `into`.
    """
    grown = 0
    for name, value in new.items():
        if value is None or name == "obfuscation":
            continue
        if isinstance(value, dict):
            inner = into.get(name)
            if not isinstance(inner, dict):
                grown += room_of(into, name, {})
                inner = into[name] = {}
            grown += merge_object(inner, value)
        else:
            grown += replace(into, name, value)
    return grown


def replace(into: dict[str, Any], name: str, value: Any) -> int:
    """Let `value` stand at `name`; returns by how much `into` grew."""
    before = into.get(name)
    if type(value) is str and type(before) is str:
        into[name] = value
        return len(value) - len(before)
    if before is None:
        into[name] = taken(value)
        return len(name) + _OF_A_KEY + weigh(value)
    if type(before) is type(value) and before == value:  # 1 == True, but they are not the same
        return 0
    into[name] = taken(value)
    return weigh(value) - weigh(before)


def room_of(into: dict[str, Any], name: str, empty: Any) -> int:
    """By how much `into` grows where something begins to grow under a name, from `empty` on."""
    before = into.get(name)
    return weigh(empty) + (len(name) + _OF_A_KEY if before is None else -weigh(before))


def taken(value: Any) -> Any:
    """A copy of a value that came, without padding at any level."""
    if isinstance(value, Struct):
        fields = {name: taken(getattr(value, name)) for name in value.__struct_fields__}
        return type(value)(**fields)
    if isinstance(value, dict) and value:
        return type(value)((name, taken(item)) for name, item in value.items() if name != "obfuscation")
    return [taken(item) for item in value] if isinstance(value, list) else copied(value)


_OF_A_KEY = 4
"""The quotes, the colon and the comma of a key."""


def weigh(value: Any) -> int:
    """The size of a value: the length of its JSON without escapes, more or less.

    Never more than the bytes of the JSON text that it came from, and never less than a fiftieth of what
    it takes in memory: were an empty list or string worth nothing, a stream of them would never end.
    """
    if isinstance(value, str):
        return len(value) + 2
    if isinstance(value, dict):
        return sum(len(name) + _OF_A_KEY + weigh(item) for name, item in value.items()) + 1
    if isinstance(value, list):
        return sum(map(weigh, value)) + len(value) + 1
    if isinstance(value, WireStruct):
        fields = (getattr(value, name) for name in value.__struct_fields__)
        return sum(weigh(item) for item in fields if item is not None)
    if isinstance(value, Growing):
        return weigh(value.value())
    return 1 + (value.bit_length() >> 4) if isinstance(value, int) else 1


def check_depth(value: Any, limit: int) -> None:
    """Raise `LimitError` where dicts and lists nest deeper than `limit` in `value`."""
    level = [value]
    for _ in range(limit + 1):
        level = [
            item
            for container in level
            if isinstance(container, (dict, list))
            for item in (container.values() if isinstance(container, dict) else container)
        ]
        if not level:
            return
    raise LimitError("depth", limit)


def settled(value: Any) -> Any:
    """`value` with all that is growing in it as it stands, and every container new."""
    if isinstance(value, Growing):
        return value.value()
    if isinstance(value, dict):
        return {name: settled(item) for name, item in value.items()}
    if isinstance(value, list):
        return [settled(item) for item in value]
    return copied(value)
