"""Merging and copying of plain values whose fields no type knows.

Each function that changes `fields` returns by how much they grew, in the measure of `_codec.size`.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from .._codec.size import OF_A_KEY, size_of
from .._codec.struct import copied
from .text import Growing

_SCALARS = frozenset({str, int, float, bool})
PADDING = "obfuscation"
"""OpenAI pads events with it against traffic analysis, at any level. No response has it."""


def merge_object(fields: dict[str, Any], new: dict[str, Any]) -> int:
    """Merge `new` into `fields` key by key, recursively: scalars and lists are last non-null.

    The merged values share nothing with `new`.
    """
    grown = 0
    for name, value in new.items():
        if value is None or name == PADDING:
            continue
        if isinstance(value, dict):
            inner = fields.get(name)
            if not isinstance(inner, dict):
                grown += growth_to_empty(fields, name, {})
                inner = fields[name] = {}
            grown += merge_object(inner, value)
        else:
            grown += replace(fields, name, value)
    return grown


def replace(fields: dict[str, Any], name: str, value: Any) -> int:
    """Set a field to a value."""
    before = fields.get(name)
    kind = type(value)
    # A new string, as nearly all fields of a first chunk are: its size is known without a call of `size_of`.
    if before is None and kind is str:
        fields[name] = value
        return len(name) + OF_A_KEY + 2 + len(value)
    # A string that changes with each chunk, such as Atoma's signature, is replaced without a comparison.
    if kind is str and type(before) is str:
        fields[name] = value
        return len(value) - len(before)
    # Equal numbers may be different values, in a list too: 1, 1.0 and True, or 0.0 and -0.0.
    if type(before) is kind and before == value and (kind is int or repr(before) == repr(value)):
        return 0
    fields[name] = new = value if kind in _SCALARS else without_padding(value)
    if before is None:
        return len(name) + OF_A_KEY + size_of(new)
    return size_of(new) - size_of(before if type(before) in _SCALARS else current(before))


def growth_to_empty(fields: dict[str, Any], name: str, empty: Any) -> int:
    """By how much `fields` grow when a field becomes `empty`, the value from which it will grow."""
    before = fields.get(name)
    if before is None:
        return size_of(empty) + len(name) + OF_A_KEY
    return size_of(empty) - size_of(current(before))


def without_padding(value: Any) -> Any:
    """A copy of a value that arrived, without padding at any level."""
    if isinstance(value, Struct):
        fields = {name: without_padding(getattr(value, name)) for name in value.__struct_fields__}
        return type(value)(**fields)
    if isinstance(value, dict) and value:
        return type(value)((name, without_padding(item)) for name, item in value.items() if name != PADDING)
    return [without_padding(item) for item in value] if isinstance(value, list) else copied(value)


def current(value: Any) -> Any:
    """`value` with everything that grows in it as it stands, and every container new."""
    if isinstance(value, Growing):
        return value.value()
    if isinstance(value, dict):
        return {name: current(item) for name, item in value.items()}
    if isinstance(value, list):
        return [current(item) for item in value]
    return copied(value)
