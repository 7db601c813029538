"""Typed answers: JSON text that a model wrote, decoded into the type that the caller names.

msgspec reads Structs, dataclasses, TypedDicts, attrs classes and all that is made of them; pydantic's
own validators, recognised by their shape, read what pydantic made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from .._errors import ParseError, json_path

_PATH = re.compile(r" - at (`key` in )?`(\$.*)`$")
"""How msgspec ends a message about a value that is not the outermost one."""


def parse_text(text: str, into: Any, what: str) -> Any:
    """`text` as a value of the type `into`; a `ParseError` about `what` where it is none.

    A `TypeError` for a type that msgspec does not know.
    """
    validate = _validator_of(into)
    try:
        return msgspec.json.decode(text, type=into) if validate is None else validate(text)
    except (ValueError, RecursionError) as error:
        reason, path = _explained(error)
        raise ParseError(reason, path=path, text=text, what=what) from error


def _validator_of(into: Any) -> Callable[[str], Any] | None:
    """A pydantic model's way to read JSON, or that of a pydantic dataclass: msgspec would skip its checks."""
    validate: Callable[[str], Any] | None = getattr(into, "model_validate_json", None)
    return validate or getattr(getattr(into, "__pydantic_validator__", None), "validate_json", None)


def _explained(error: Exception) -> tuple[str, str]:
    """What an error says, and the JSON path of which it says so."""
    if callable(errors := getattr(error, "errors", None)):  # pydantic tells all that is wrong
        first, *others = errors()
        return first["msg"] + (f" (and {len(others)} more)" if others else ""), json_path(first["loc"])
    message = str(error)
    if (match := _PATH.search(message)) is None:
        return message, "$"
    return message[: match.start()] + (" as a key" if match[1] else ""), match[2]
