"""A chunk adds the same to the response and to its size, whichever way it came."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streamagg import Accumulator, ChatCompletionResponse
from tests.support.forms import structs_of, texts_of
from tests.support.helpers import chunk, sse
from tests.support.strategies import CHUNKS, TEXT

FIELDS = st.sampled_from(["content", "reasoning_content", "reasoning", "refusal"])
USAGE = st.none() | st.just({"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16})
ALIKE = st.builds(
    lambda field, texts, usage, more: [chunk({field: text}, usage=usage, **more) for text in texts],
    FIELDS, st.lists(TEXT, min_size=18, max_size=40), USAGE, st.sampled_from([{}, {"vendor": "v"}, {"service_tier": "t"}]),
)  # fmt: skip
"""Streams that the fast path takes."""

Sizes = list[tuple[ChatCompletionResponse | None, int]]


def added(items: list[Any]) -> Sizes:
    """The response and its size after each item that is added."""
    accumulator, sizes = Accumulator(), Sizes()
    for item in items:
        accumulator.add(item)
        sizes.append((accumulator.snapshot(), accumulator.view.size))
    return sizes


def fed(slices: list[bytes]) -> Sizes:
    accumulator, sizes = Accumulator(), Sizes()
    for piece in slices:
        accumulator.feed(piece)
        sizes.append((accumulator.snapshot(), accumulator.view.size))
    return sizes


@given(CHUNKS | ALIKE | st.builds(lambda one, other: one + other, ALIKE, CHUNKS))
def test_a_chunk_adds_the_same_whichever_way_it_came(chunks: list[Any]) -> None:
    wanted = added(json.loads(json.dumps(chunks)))
    assert added(structs_of(chunks)) == wanted
    assert added(texts_of(chunks)) == wanted
    events = [sse(item, done=False) for item in chunks]
    assert fed(events) == wanted
    assert fed([b"".join(events)])[-1] == (wanted or fed([b""]))[-1]
