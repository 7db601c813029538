"""Any client's chunk object as plain JSON data, recognised by its shape: nothing is imported for it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from .errors import TooDeep, Unreadable
from .lenient import kind_of
from .struct import WireStruct, to_plain

_PAST = 10**4300  # CPython neither reads nor writes integers of more digits


def plain_data(value: Any, depth: int) -> Any:
    """`value` as new dicts, lists, strings and numbers.

    Takes mappings, sequences, enums, msgspec structs, pydantic models of both versions (`model_dump`,
    `dict`), and objects with attributes. Raises `Unreadable` for what has none of these shapes and
    `TooDeep` past `depth`.
    """
    return _plain(value, depth)


def _plain(value: Any, left: int) -> Any:
    if left < 0:
        raise TooDeep
    if value is None or type(value) in (str, bool, float):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, left)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        if not -_PAST < value < _PAST:
            raise Unreadable("expected a number, got one out of range")
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, (list, tuple)):
        return [_item(item, place, left - 1) for place, item in enumerate(value)]
    fields = value if isinstance(value, Mapping) else _fields_of(value)
    plain = {}
    for name, item in fields.items():
        if not isinstance(name, str):
            raise Unreadable(f"expected names for keys, got {kind_of(name)}")
        try:
            plain[str.__str__(name)] = _plain(item, left - 1)
        except Unreadable as error:
            error.path = f".{name}{error.path}"
            raise
    return plain


def _item(item: Any, place: int, left: int) -> Any:
    try:
        return _plain(item, left)
    except Unreadable as error:
        error.path = f"[{place}]{error.path}"
        raise


def _fields_of(value: Any) -> Mapping[Any, Any]:
    """An object's fields by name."""
    fields: Mapping[Any, Any]
    if isinstance(value, WireStruct):
        fields = to_plain(value)
    elif isinstance(value, msgspec.Struct):
        fields = msgspec.structs.asdict(value)
    elif callable(dump := getattr(value, "model_dump", None)):
        fields = dump(exclude_unset=True, warnings=False)
    elif callable(dump := getattr(value, "dict", None)):
        fields = dump(exclude_unset=True)
    else:
        names = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
        attributes = {name: getattr(value, name) for name in names if hasattr(value, name)}
        fields = {**attributes, **getattr(value, "__dict__", {})}
        fields = {name: item for name, item in fields.items() if not name.startswith("_") and not callable(item)}
    if isinstance(value, (type, bytes, bytearray)) or type(value) is object or not isinstance(fields, Mapping):
        raise Unreadable(f"expected plain data, got {kind_of(value)}")
    return fields
