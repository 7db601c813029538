"""The tolerant way to read: any JSON that a server may mean as a chunk, into the strict structs.

`parse` takes text that is nearly JSON; `to_struct` takes plain data that nearly fits a struct.
`note` is told of each repair, by its kind in `REPAIRS`. A value that cannot be read raises
`Unreadable`, which gathers the JSON path on its way out. A few events of a stream come here,
or every event of a server that has fields of its own. Each costs about three strict decodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from math import isfinite
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from .errors import Unreadable
from .struct import LARGEST_INDEX, Extra, Index, WireStruct

Note = Callable[[str], None]
Convert = Callable[[Any, Note], Any]
S = TypeVar("S", bound=WireStruct)

_decode = msgspec.json.Decoder().decode
_LONGEST_NUMBER = 400
"""Characters of a number in a string. The largest float has 309 digits: a longer text is no number of use."""


def ignore(kind: str) -> None:
    """The `note` of a caller that only looks: the repairs count where the value is merged."""


def parse(data: bytes, note: Note) -> Any:
    """`data` as plain values, or a `msgspec.DecodeError` that says what is wrong with it.

    Beyond JSON it takes what Python's own encoder lets servers send: NaN, infinities, halves of
    surrogate pairs, raw control characters; bytes that are no UTF-8 (WHATWG: replaced by U+FFFD);
    and a trailing NUL (FastChat's workers end their JSON with one).
    """
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        import json  # a cost that only broken streams pay

        text = data.decode("utf-8", "replace")
        try:
            value = json.loads(text.strip("\0 \t\r\n"), strict=False)
        except ValueError:
            raise (error if isinstance(error, msgspec.DecodeError) else msgspec.DecodeError(str(error))) from None
        note("invalid_utf8" if isinstance(error, UnicodeDecodeError) else "nonstandard_json")
        return value


def to_struct(cls: type[S], value: Any, note: Note) -> S:
    """`value`, an object of plain data, as a `cls`. Fields that `cls` does not know go to `extra`."""
    if type(value) is not dict:
        # PHP's encoder writes an empty object as a list.
        if value == []:
            note("list_for_object")
            value = {}
        elif not isinstance(value, Mapping):
            raise Unreadable(f"expected an object, got {kind_of(value)}")
    fields = _converters(cls)
    known: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for name, item in value.items():
        if item is None:
            continue
        kind, convert = fields.get(name, _UNKNOWN)
        if type(item) is kind or convert is _anything:
            known[name] = item
        elif convert is None:
            if kind is None:
                unknown[name] = item
        else:
            try:
                known[name] = convert(item, note)
            except Unreadable as error:
                error.path = f".{name}{error.path}"
                raise
    if unknown:
        known["extra"] = Extra(unknown)
    return cls(**known)


def kind_of(value: Any) -> str:
    """The JSON name of a value's kind, for a message."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", NoneType: "null"}
    return names.get(type(value), "a number" if isinstance(value, (int, float)) else type(value).__name__)


_UNKNOWN: tuple[type | None, Convert | None] = (None, None)
_DROPPED: tuple[type | None, Convert | None] = (NoneType, None)


@cache
def _converters(cls: type[WireStruct]) -> dict[str, tuple[type | None, Convert | None]]:
    """The way to read each field of `cls`, by name: the type that needs no reading, and the reader of others."""
    hints = get_type_hints(cls, include_extras=True)
    table = dict.fromkeys(cls.dropped, _DROPPED)
    for name in cls.__struct_fields__:
        if name != "extra":
            convert = _converter(hints[name])
            table[name] = (_EXACT.get(convert), convert)
    return table


def _converter(hint: Any) -> Convert:
    """The tolerant reader for a field of this type (`X`, `X | None`, `str | list[Any] | None`...)."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    options = tuple(option for option in options if option is not NoneType)
    first = options[0]
    if first is Index:
        return _index
    if str in options:
        return _text if len(options) == 1 else _text_or_list if int not in options else _anything
    if int in options:
        return _finite if float in options else _number
    if get_origin(first) is list:
        return partial(_list, convert=_converter(get_args(first)[0]))
    if isinstance(first, type) and issubclass(first, WireStruct):
        return partial(to_struct, first)
    return _float if first is float else _anything


def _anything(value: Any, note: Note) -> Any:
    return value


def _text(value: Any, note: Note) -> str:
    if isinstance(value, str):
        return value
    note("value_for_string")
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # half a surrogate pair in it
        import json

        return json.dumps(value, separators=(",", ":"))


def _text_or_list(value: Any, note: Note) -> str | list[Any]:
    return value if isinstance(value, list) else _text(value, note)


def _number(value: Any, note: Note) -> int | float:
    """A count or an index: whole numbers as int, whatever way they were written."""
    number = _finite(value, note)
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _index(value: Any, note: Note) -> int | float:
    number = _number(value, note)
    if not -LARGEST_INDEX <= number <= LARGEST_INDEX:
        raise Unreadable("expected an index, got a number past all bounds")
    return number


def _finite(value: Any, note: Note) -> int | float:
    number = _real(value, note)
    if isinstance(number, float) and not isfinite(number):
        raise Unreadable("expected a number, got one that is not finite")
    return number


def _float(value: Any, note: Note) -> float:
    try:
        return float(_real(value, note))
    except OverflowError:
        raise Unreadable("expected a number, got one out of range") from None


def _real(value: Any, note: Note) -> int | float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) < _LONGEST_NUMBER:
        try:
            number = _decode(value)
        except (ValueError, RecursionError):
            number = None
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            note("number_in_string")
            return number
    raise Unreadable(f"expected a number, got {kind_of(value)}")


def _list(value: Any, note: Note, *, convert: Convert) -> list[Any]:
    if not isinstance(value, list):
        raise Unreadable(f"expected a list, got {kind_of(value)}")
    items = []
    for place, item in enumerate(value):
        if item is None and convert is not _anything:
            note("null_item")
            continue
        try:
            items.append(convert(item, note))
        except Unreadable as error:
            error.path = f"[{place}]{error.path}"
            raise
    return items


_EXACT: dict[Convert, type] = {_text: str, _text_or_list: str, _number: int, _finite: int, _float: float}
