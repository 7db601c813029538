"""The checks before a merge."""

from __future__ import annotations

from streamagg import ChatCompletionChunk
from streamagg._codec.struct import Extra
from streamagg._merge.checks import _items_in, _lists_in
from streamagg._types.chunk import ChatCompletionChunkChoice, ChatCompletionChunkDelta


def test_lists_that_no_type_knows_are_counted() -> None:
    delta = ChatCompletionChunkDelta(extra=Extra({"steps": [{"index": 0}], "name": "x"}))
    assert _lists_in(delta) == [("steps", [{"index": 0}])]
    choices = [ChatCompletionChunkChoice(index=0, delta=delta), ChatCompletionChunkChoice(index=1)]
    assert _items_in(ChatCompletionChunk(choices=choices)) == {(0, "steps"): [{"index": 0}]}
