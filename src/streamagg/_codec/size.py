"""The size of a plain value or a struct, as `Limits.response_size` counts it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import astuple

from .struct import WireStruct

OF_A_KEY = 4
"""The quotes, the colon and the comma of a key."""


def size_of(value: Any) -> int:
    """The size of a value: the length of its JSON without escapes, more or less.

    It is never more than the bytes of the JSON that the value came from, and never less than a fiftieth of its memory.
    If an empty list or string counted nothing, a stream of them would pass no limit.
    """
    kind = type(value)
    if kind is str:
        return len(value) + 2
    if kind is int:
        return 1 + (int(value).bit_length() >> 4)
    if isinstance(value, dict):
        return sum([len(name) + OF_A_KEY + size_of(item) for name, item in value.items()]) + 1
    if kind is list:
        return sum(map(size_of, value)) + len(value) + 1
    if isinstance(value, WireStruct):
        return sum([size_of(item) for item in astuple(value) if item is not None])
    return 1
