"""Lists whose items have an `index`."""

from __future__ import annotations

import pytest

from streamagg import (
    Accumulator,
    LimitError,
    Limits,
)
from tests.support.helpers import chunk, details_chunk, merged


@pytest.mark.parametrize("name", ["images", "reasoning_details", "tool_calls"])
def test_the_limit_of_items_is_that_of_tool_calls(name: str) -> None:
    accumulator = Accumulator(limits=Limits(tool_calls=2))
    with pytest.raises(LimitError, match="tool_calls") as caught:
        accumulator.add(chunk({name: [{"index": 0, "id": str(n), "type": "x"} for n in range(3)]}))
    assert str(caught.value) == str(LimitError("tool_calls", 2))


def test_images_of_many_chunks_are_counted_together() -> None:
    accumulator = Accumulator(limits=Limits(tool_calls=3))
    images = [{"index": 0, "id": str(n), "type": "x"} for n in range(4)]
    accumulator.add(chunk({"images": images[:2]}))
    with pytest.raises(LimitError):
        accumulator.add(chunk({"images": images[2:]}))


def test_indices_that_share_a_hash_are_none() -> None:
    """Multiples of 2**61 - 1 all hash to 0: as keys of a dict they would cost their square."""
    step = 2**61 - 1
    listed = merged(details_chunk(*({"index": n * step, "text": "a"} for n in (1, 2, 1))))["choices"][0]["message"]
    assert listed["reasoning_details"] == [{"index": n * step, "text": "a"} for n in (1, 2, 1)]
    assert hash(2**60) != hash(2**60 - 1 - step)


def test_items_are_counted_over_all_entries_of_a_choice() -> None:
    delta = {"reasoning_details": [{"index": 0, "id": str(n)} for n in range(3)]}
    more = {"reasoning_details": [{"index": 0, "id": str(n)} for n in range(3, 6)]}
    entries = {"id": "x", "choices": [{"index": 0, "delta": delta}, {"index": 0, "delta": more}]}
    assert merged(entries, limits=Limits(tool_calls=6))
    with pytest.raises(LimitError, match="tool_calls=5"):
        Accumulator(limits=Limits(tool_calls=5)).add(entries)


def test_many_fragments_of_one_item_are_one_item() -> None:
    many = details_chunk(*[{"index": 0, "type": "t", "text": "a"}] * 5000)
    assert merged(many)["choices"][0]["message"]["reasoning_details"] == [{"index": 0, "type": "t", "text": "a" * 5000}]
    lost = details_chunk(
        {"index": 0, "type": "t"}, {"index": 0, "type": 5}, {"index": 0, "type": "u"}
    )  # it has no type by then
    assert len(merged(lost, limits=Limits(tool_calls=1))["choices"][0]["message"]["reasoning_details"]) == 1


def test_items_without_an_index_are_no_others() -> None:
    mixed = details_chunk({"text": "a"}, {"index": 0, "text": "b"}, {"text": "c"}, {"index": 0, "text": "d"})
    assert len(merged(mixed, mixed, limits=Limits(tool_calls=1))["choices"][0]["message"]["reasoning_details"]) == 5
