"""The schema of the output, and one row of it for each stream.

1. `SCHEMA` never depends on the data.
2. Every value fits its column: an integer past 64 bits is null, and half a surrogate pair is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

try:
    import pyarrow as pa
except ImportError as _error:
    raise ImportError("streamagg.arrow needs pyarrow: pip install 'streamagg[arrow]'") from _error

import streamagg

_TEXT = pa.large_string()  # its offsets have 64 bits: 2 GiB of text in one batch would overflow those of `string`
_COUNT = pa.int64()

SCHEMA = pa.schema(
    [
        ("id", _TEXT),
        ("model", _TEXT),
        ("created", _COUNT),
        ("choice_count", _COUNT),
        ("text", _TEXT),
        ("finish_reasons", pa.list_(_TEXT)),
        (
            "tool_calls",
            pa.list_(
                pa.struct(
                    [("choice", _COUNT), ("id", _TEXT), ("type", _TEXT), ("name", _TEXT), ("arguments", _TEXT)],
                )
            ),
        ),
        ("reasoning", _TEXT),
        ("refusal", _TEXT),
        ("prompt_tokens", _COUNT),
        ("completion_tokens", _COUNT),
        ("total_tokens", _COUNT),
        ("cached_tokens", _COUNT),
        ("reasoning_tokens", _COUNT),
        ("prompt_audio_tokens", _COUNT),
        ("completion_audio_tokens", _COUNT),
        ("complete", pa.bool_()),
        ("error", _TEXT),
        ("error_message", _TEXT),
        ("repairs", pa.list_(pa.struct([("kind", _TEXT), ("count", _COUNT)]))),
        ("response", _TEXT),
    ]
)
"""The columns that `aggregate` adds: one row for each stream, in the order of the input."""

Row = tuple[Any, ...]

_NO_RESPONSE: Row = (None,) * SCHEMA.get_field_index("complete")
_NO_CHOICE = streamagg.ChatCompletionChoice()
_NO_USAGE = streamagg.CompletionUsage()
_NO_PROMPT_DETAILS = streamagg.PromptTokensDetails()
_NO_COMPLETION_DETAILS = streamagg.CompletionTokensDetails()


def row_of(
    response: streamagg.ChatCompletionResponse | None,
    error: streamagg.StreamAggError | None,
    repairs: Mapping[str, int],
) -> Row:
    """The row of a stream: of its response, or of its error, whose partial is `response`."""
    return (
        *(_NO_RESPONSE if response is None else _values(response)),
        error is None,
        None if error is None else type(error).__name__,
        None if error is None else str(error),
        list(repairs.items()),
        None if response is None else response.to_json(),
    )


def arrays_of(rows: list[Row]) -> list[pa.Array]:
    """The rows as arrays, one for each column of `SCHEMA`."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(SCHEMA)
    return [_array(list(values), field.type) for field, values in zip(SCHEMA, columns, strict=True)]


def _values(response: streamagg.ChatCompletionResponse) -> Row:
    """The values of the columns before `complete`."""
    choices = response.choices
    first = choices[0] if choices else _NO_CHOICE
    message = first.message
    usage = response.usage or _NO_USAGE
    prompt = usage.prompt_tokens_details or _NO_PROMPT_DETAILS
    completion = usage.completion_tokens_details or _NO_COMPLETION_DETAILS
    return (
        response.id,
        response.model,
        response.created,
        len(choices),
        first.text if message.content is None else message.text,
        [choice.finish_reason for choice in choices],
        [call for choice in choices if choice.message.tool_calls for call in _calls(choice)],
        message.reasoning_text or None,
        message.refusal,
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        _undetailed(usage, "cached_tokens") if prompt.cached_tokens is None else prompt.cached_tokens,
        _undetailed(usage, "reasoning_tokens") if completion.reasoning_tokens is None else completion.reasoning_tokens,
        prompt.audio_tokens,
        completion.audio_tokens,
    )


def _calls(choice: streamagg.ChatCompletionChoice) -> Iterator[Row]:
    for call in choice.message.tool_calls or ():
        if call.custom is not None:
            yield choice.index, call.id, call.type, call.custom.name, call.custom.input
        elif call.function is not None:
            yield choice.index, call.id, call.type, call.function.name, call.function.arguments
        else:
            yield choice.index, call.id, call.type, None, None


def _undetailed(usage: streamagg.CompletionUsage, name: str) -> int | None:
    """A counter that some servers send beside the totals, not in the details (Moonshot, xAI)."""
    count = usage.extra.get(name)
    return count if type(count) is int else None


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return pa.array([_fitting(value) for value in values], kind)


def _fitting(value: Any) -> Any:
    """A value that fits its column. A server may send integers past 64 bits and halves of surrogate pairs."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, (int, float)):
        return int(value) if -(2**63) <= value < 2**63 else None
    return value
