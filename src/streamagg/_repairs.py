"""The kinds of repair. A repair lets a faulty stream pass and is counted; strict reading refuses it."""

from __future__ import annotations

REPAIRS = {
    "adjacent_data_lines": "one event held several JSON documents, a line each",
    "bare_json_line": "a JSON object stood on a line of its own, without `data:`",
    "choice_index_missing": "a choice had no `index`; its position in the list became its index",
    "choices_missing": "a chunk had no `choices`, or `null`",
    "delta_missing": "a choice had neither `delta` nor `message`",
    "empty_event": "an event's data was blank",
    "id_changed": "a chunk's `id` differed from the first one's",
    "invalid_utf8": "bytes that are no UTF-8 were replaced by U+FFFD",
    "list_for_object": "an empty list came where an object belongs",
    "nonstandard_json": "NaN, Infinity, a lone surrogate, a raw control character or a trailing NUL was read",
    "not_a_chunk": "an object with none of `choices`, `usage`, `id`, `object`, `error` was passed over",
    "null_item": "a `null` in a list was passed over",
    "number_in_string": "a number came as a string",
    "tool_call_split": "a finished call's index was used again without an `id`; another call was begun",
    "tool_id_null": "a tool call's `id` was the word `null`",
    "tool_id_repeated": "a continuation repeated its call's `id`",
    "tool_index_missing": "a tool call's fragment had no `index`",
    "tool_index_reused": "another call's `id` came at an index already taken",
    "tool_name_repeated": "a continuation repeated its call's `name`",
    "unterminated_event": "the last event had no blank line after it",
    "value_for_string": "a number, boolean, object or list came where a string belongs",
}
"""The kinds of repair that `Accumulator.repairs` counts, each with its description."""
