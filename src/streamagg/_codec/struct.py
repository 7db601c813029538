"""The base of all wire structs: `extra` holds the fields that no type knows, and `to_dict` leads back to plain data.

Strict decoding forbids unknown fields, and `Extra` is a type that no JSON value decodes to, so a
payload that really has a field named `extra` is read by the tolerant reader like any unknown one.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, ClassVar, NoReturn, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import asdict, astuple

T = TypeVar("T")


class Extra(dict[str, Any]):
    """The fields of an object that its struct does not know, by name."""


class _NoExtra(Extra):
    """The one empty `Extra` that structs share: a dict of its own would cost each some 20 ns."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("this empty `extra` is shared: assign a new Extra({...}) instead")

    __setitem__ = __ior__ = update = setdefault = _refuse

    def __reduce__(self) -> str:
        return "NO_EXTRA"


NO_EXTRA: Extra = _NoExtra()

LARGEST_INDEX = 2**60
"""The largest index. Above it CPython's integers may share a hash, and a dict with them as keys is quadratic."""
Index = Annotated[int, Meta(ge=-LARGEST_INDEX, le=LARGEST_INDEX)]
"""The index of a choice or a call, which is a key."""


class WireStruct(
    Struct,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    repr_omit_defaults=True,
    gc=False,  # parsed JSON holds no cycles: with gc, a response of a million entries would cost collections
):
    """Base of every struct that mirrors a JSON object of the chat-completions API."""

    dropped: ClassVar[tuple[str, ...]] = ("obfuscation",)
    """Fields that the tolerant reader leaves out: padding against traffic analysis says nothing."""

    def to_dict(self) -> dict[str, Any]:
        """The wire's shape as plain data: snake_case, unknown fields in their places, no nulls."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    def to_json(self) -> str:
        """`to_dict()` as compact JSON text. NaN and infinities become `null`, as JSON has none."""
        encoded = msgspec.json.encode(_encodable(self))
        # A struct that msgspec encoded has unknown fields: it nests them in `extra`, where `to_dict` has them in place.
        if b'"extra":' in encoded:
            encoded = msgspec.json.encode(self.to_dict())
        return encoded.decode()

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """JSON Schema (2020-12) of the wire's shape: fields that no type knows may be at every level."""
        schema = msgspec.json.schema(cls, schema_hook=lambda extra: {"type": "object"})
        for definition in schema["$defs"].values():
            definition["properties"].pop("extra")
            del definition["additionalProperties"]
        return schema


def shallow_copy(value: T) -> T:
    """A struct with the same values."""
    copy: T = value.__copy__()  # type: ignore[attr-defined]  # msgspec's own, which its types do not name
    return copy


def detach(value: Struct) -> None:
    """Give a struct new lists and objects in the place of those that it shares with another one. Structs in it stay."""
    for name, item in zip(value.__struct_fields__, astuple(value), strict=True):
        if isinstance(item, (dict, list)):
            setattr(value, name, copied(item))


def copied(value: Any) -> Any:
    """`value` with every struct and container new, so that neither sees the other change."""
    if isinstance(value, Struct):
        fields = {name: copied(getattr(value, name)) for name in value.__struct_fields__}
        return type(value)(**fields)
    if isinstance(value, list):
        return [copied(item) for item in value]
    if value is NO_EXTRA:
        return value
    if isinstance(value, dict):
        return type(value)((name, copied(item)) for name, item in value.items())
    return value


def join_surrogates(value: T) -> T:
    """`value` with halves of surrogate pairs joined where they meet, and replaced by U+FFFD where not."""
    fixed: T = _with_pairs_joined(value)
    return fixed


def _with_pairs_joined(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_with_pairs_joined(item) for item in value]
    if value is NO_EXTRA:
        return value
    if isinstance(value, dict):
        return type(value)((_with_pairs_joined(name), _with_pairs_joined(item)) for name, item in value.items())
    if isinstance(value, Struct):
        return type(value)(**{name: _with_pairs_joined(getattr(value, name)) for name in value.__struct_fields__})
    return value


_ATOMS = frozenset({str, int, float, bool})
"""Types that are plain data already. A call of `to_plain` for each of their values would double its time."""


def to_plain(value: Any) -> Any:
    """`value` with its structs turned to dicts and every container new."""
    if isinstance(value, Struct):
        fields = asdict(value)
        extra = fields.pop("extra", NO_EXTRA)
        known = {
            name: item if type(item) in _ATOMS else to_plain(item) for name, item in fields.items() if item is not None
        }
        return {**known, **to_plain(extra)} if extra else known
    if isinstance(value, list):
        return [item if type(item) in _ATOMS else to_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: item if type(item) in _ATOMS else to_plain(item) for name, item in value.items()}
    return value


def _encodable(value: Any) -> Any:
    """`value` for msgspec to encode: structs that it encodes as `to_plain` has them stay, all others are dicts.

    Logprobs and usage stay structs. That gains most for a response of a thousand logprobs entries.
    """
    if isinstance(value, Struct):
        if _encodes_all(type(value)):
            return value
        fields = asdict(value)
        extra = fields.pop("extra", NO_EXTRA)
        known = {
            name: item if type(item) in _ATOMS else _encodable(item)
            for name, item in fields.items()
            if item is not None
        }
        return {**known, **_encodable(extra)} if extra else known
    if isinstance(value, list):
        return [item if type(item) in _ATOMS else _encodable(item) for item in value]
    if isinstance(value, dict):
        return {name: item if type(item) in _ATOMS else _encodable(item) for name, item in value.items()}
    return value


@cache
def _encodes_all(cls: type[Struct]) -> bool:
    """Whether msgspec leaves out only nulls of a struct of this class, `extra` aside.

    It leaves out every default (`omit_defaults`): a default such as `role: "assistant"` belongs to the wire's shape.
    """
    if not issubclass(cls, WireStruct):
        return False
    definitions = cls.json_schema()["$defs"].values()
    return all(field.get("default") is None for each in definitions for field in each["properties"].values())
