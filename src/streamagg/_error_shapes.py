"""The shapes in which servers report an error inside a payload: one table for streams, plain answers and error
statuses.

| shape | servers |
|---|---|
| `error`: an object or a string that is not empty | OpenAI and nearly every compatible server |
| `object: "error"`, the error's fields beside it | vLLM and FastChat |
| `choices[].error`: an object or a string that is not empty | OpenRouter |

`error: null`, `{}` and `""` are no errors: some servers send them on every chunk.
"""

from __future__ import annotations

from typing import Any


def is_error(value: Any) -> bool:
    """Whether the value of a field named `error` is an error: an object or a string that is not empty."""
    return isinstance(value, (dict, str)) and bool(value)


def error_in(payload: Any) -> Any:
    """The error that a payload of plain data reports as a whole; None if it reports none.

    An error inside a choice is not looked for: the other choices still count.
    """
    if not isinstance(payload, dict):
        return None
    error = payload.get("error")
    if is_error(error):
        return error
    return payload if payload.get("object") == "error" else None
