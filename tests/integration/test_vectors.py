"""The shared merge vectors, by every way in and at many slicings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from streamagg import IncompleteStreamError, ProviderError, StreamAggError, accumulate
from tests.support import reference, shared
from tests.support.forms import structs_of
from tests.support.helpers import Outcome, outcome, slicings, sse, strip_nulls

pytestmark = [shared.needs_shared, pytest.mark.sampled(5)]

every_vector = pytest.mark.parametrize("vector", shared.MERGE_VECTORS, ids=shared.ids(shared.MERGE_VECTORS))


def wanted(vector: dict[str, Any]) -> Outcome:
    error = ProviderError if vector["error"] else None if vector["complete"] else IncompleteStreamError
    return vector["response"], error, vector["complete"]


@every_vector
def test_bytes_in_every_slicing(vector: dict[str, Any]) -> None:
    body = sse(*vector["chunks"], done=False)
    for slices in slicings(body, random_ones=10):
        assert outcome(slices) == wanted(vector)


@pytest.mark.anyio
async def test_every_vector_through_the_async_driver() -> None:
    async def each(items: list[Any]) -> AsyncIterator[Any]:
        for item in items:
            yield item

    for vector in shared.MERGE_VECTORS:
        for items in (vector["chunks"], [sse(chunk, done=False) for chunk in vector["chunks"]]):
            try:
                response, error = await accumulate(each(items)), None
            except StreamAggError as caught:
                response, error = caught.partial, type(caught)
            assert (response and strip_nulls(response.to_dict()), error) == wanted(vector)[:2], vector["name"]


@every_vector
@pytest.mark.parametrize("way", ["dicts", "structs", "ndjson"])
def test_other_ways_in(vector: dict[str, Any], way: str) -> None:
    if way == "dicts":
        assert outcome(vector["chunks"], add=True) == wanted(vector)
    elif way == "structs":
        assert outcome(structs_of(vector["chunks"]), add=True) == wanted(vector)
    else:
        body = sse(*vector["chunks"], done=False).replace(b"data: ", b"").replace(b"\n\n", b"\n")
        assert outcome([body]) == wanted(vector)


@every_vector
def test_reference_agrees(vector: dict[str, Any]) -> None:
    response, failed = reference.merge(vector["chunks"])
    assert (reference.strip_nulls(response), failed) == (vector["response"], vector["error"] is not None)
