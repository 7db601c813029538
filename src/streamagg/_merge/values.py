"""Merging, measuring and copying of plain values whose fields no type knows."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from .._codec.size import OF_A_KEY, weigh
from .._codec.struct import copied
from .text import Growing


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
        return len(name) + OF_A_KEY + weigh(value)
    if type(before) is type(value) and before == value:  # 1 == True, but they are not the same
        return 0
    into[name] = taken(value)
    return weigh(value) - weigh(settled(before))


def room_of(into: dict[str, Any], name: str, empty: Any) -> int:
    """By how much `into` grows where something begins to grow under a name, from `empty` on."""
    before = into.get(name)
    return weigh(empty) + (len(name) + OF_A_KEY if before is None else -weigh(settled(before)))


def taken(value: Any) -> Any:
    """A copy of a value that came, without padding at any level."""
    if isinstance(value, Struct):
        fields = {name: taken(getattr(value, name)) for name in value.__struct_fields__}
        return type(value)(**fields)
    if isinstance(value, dict) and value:
        return type(value)((name, taken(item)) for name, item in value.items() if name != "obfuscation")
    return [taken(item) for item in value] if isinstance(value, list) else copied(value)


def settled(value: Any) -> Any:
    """`value` with all that is growing in it as it stands, and every container new."""
    if isinstance(value, Growing):
        return value.value()
    if isinstance(value, dict):
        return {name: settled(item) for name, item in value.items()}
    if isinstance(value, list):
        return [settled(item) for item in value]
    return copied(value)
