"""The errors that a chunk reports beside its choices. `_error_shapes` says which values are errors."""

from __future__ import annotations

from typing import Any

from .._error_shapes import is_error
from .._types.chunk import ChatCompletionChunk


def errors_in(chunk: ChatCompletionChunk) -> list[Any]:
    """The errors of a chunk and of its choices, in this order (OpenRouter has both)."""
    values = [chunk.error] if chunk.error is not None else []
    values += [choice.error for choice in chunk.choices or () if choice.error is not None]
    return [value for value in values if is_error(value)]
