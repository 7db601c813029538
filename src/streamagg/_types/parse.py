"""JSON text that a model wrote, decoded into the caller's type.

1. msgspec reads Structs, dataclasses, TypedDicts, attrs classes, and containers and unions of them.
2. pydantic's own validators read pydantic's models and dataclasses: msgspec would skip their checks. They are
   recognised by their shape, without an import of pydantic.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from .._errors import ParseError, json_path

_PATH = re.compile(r" - at (`key` in )?`(\$.*)`$")
"""The end of msgspec's message about a value inside another one."""


def parse_text(text: str, into: Any, what: str) -> Any:
    """`text` as a value of the type `into`.

    Raises `ParseError`, whose message names `what`, where the text does not fit the type, and `TypeError` for a type
    that msgspec does not know.
    """
    validate = _validator_of(into)
    try:
        return msgspec.json.decode(text, type=into) if validate is None else validate(text)
    except (ValueError, RecursionError) as error:
        reason, path = _explained(error)
        raise ParseError(reason, path=path, text=text, what=what) from error


def _validator_of(into: Any) -> Callable[[str], Any] | None:
    """The function with which a pydantic model or dataclass reads JSON; None for any other type."""
    validate: Callable[[str], Any] | None = getattr(into, "model_validate_json", None)
    return validate or getattr(getattr(into, "__pydantic_validator__", None), "validate_json", None)


def _explained(error: Exception) -> tuple[str, str]:
    """The reason of an error, and the JSON path of the value that it is about."""
    if callable(errors := getattr(error, "errors", None)):  # pydantic lists all faults
        first, *others = errors()
        return first["msg"] + (f" (and {len(others)} more)" if others else ""), json_path(first["loc"])
    message = str(error)
    if (match := _PATH.search(message)) is None:
        return message, "$"
    return message[: match.start()] + (" as a key" if match[1] else ""), match[2]
