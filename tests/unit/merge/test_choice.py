"""The choices of a response."""

from __future__ import annotations

from typing import Any

from streamagg._codec.size import size_of
from streamagg._codec.struct import Extra
from streamagg._merge.choice import ChoiceState, _extend
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
    fields: dict[str, Any] = {}
    _extend(fields, "none", None)
    assert fields == {}
