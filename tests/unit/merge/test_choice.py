"""The choices of a response."""

from __future__ import annotations

from typing import Any

from msgspec.structs import fields

import streamagg._merge.choice as module
from streamagg._codec.size import size_of
from streamagg._codec.struct import Extra
from streamagg._merge.choice import ChoiceState, _extend
from streamagg._merge.rules import USUAL
from streamagg._types.chunk import ChatCompletionChunkChoice, ChatCompletionChunkDelta
from streamagg._types.completion import ChatCompletionLogProbs
from tests.support.helpers import chunk, merged


def test_unknown_fields_of_choices_on_the_plain_way() -> None:
    items = [chunk({"content": "a"}), chunk({"content": "b"}), chunk({"content": "c"})]
    items[1]["choices"][0]["vendor"] = {"k": 1}
    items[2]["choices"][0]["vendor"] = {"l": 2}
    assert merged(*items)["choices"][0]["vendor"] == {"k": 1, "l": 2}


def test_logprobs_with_half_of_a_surrogate_pair_have_a_size() -> None:
    logprobs = ChatCompletionLogProbs(extra=Extra({"token": "\ud800", "none": None}))
    assert ChoiceState().add_logprobs(logprobs) == size_of(logprobs)


def test_a_null_among_the_fields_of_logprobs_is_none() -> None:
    merged_fields: dict[str, Any] = {}
    _extend(merged_fields, "none", None)
    assert merged_fields == {}


def test_every_field_that_may_hold_lists_and_objects_is_detached() -> None:
    """A field that is missing there would be shared with the receiver of a chunk, in silence."""
    hints = {field.name: str(field.type) for field in fields(ChatCompletionChunkChoice)}
    open_ones = {name for name, hint in hints.items() if "Any" in hint or "Extra" in hint}
    assert open_ones == set(module._CONTAINERS.__reduce__()[1])


def test_a_usual_delta_has_no_more_than_the_fields_that_are_named_so() -> None:
    for name in ChatCompletionChunkDelta.__struct_fields__:
        value = Extra({"x": 1}) if name == "extra" else "x"
        assert module.is_usual(ChatCompletionChunkDelta(**{name: value})) == (name in USUAL), name
