"""What is told of a stream is what its response is, in every slicing."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamagg import (
    MessageReplaced,
    StreamAggError,
    StreamRepaired,
    stream_sync,
)
from tests.support import shared
from tests.support.events import check, run, told
from tests.support.helpers import cut, slicings, sse
from tests.support.strategies import CHUNKS, SEED


@pytest.mark.sampled(20)
@shared.needs_shared
@pytest.mark.parametrize("row", shared.MANIFEST, ids=shared.ids(shared.MANIFEST))
def test_every_recording(row: dict[str, Any]) -> None:
    body = shared.body(row["name"])
    events, response, error = run(body)
    check(events, response, error)
    assert (error is None) == row["complete"]
    assert not any(isinstance(event, MessageReplaced) for event in events)
    for slices in slicings(body, random_ones=2):
        assert told(slices) == (events, error)


@pytest.mark.sampled(5)
@shared.needs_shared
@pytest.mark.parametrize("vector", shared.MERGE_VECTORS, ids=shared.ids(shared.MERGE_VECTORS))
def test_every_vector(vector: dict[str, Any]) -> None:
    body = sse(*vector["chunks"], done=False)
    events, response, error = run(body)
    check(events, response, error)
    assert (error is None) == vector["complete"]
    assert told(vector["chunks"]) == (events, error)
    for slices in slicings(body, random_ones=2):
        assert told(slices) == (events, error)


@given(CHUNKS, st.booleans(), st.booleans(), SEED)
def test_every_stream(chunks: list[Any], done: bool, early: bool, seed: int) -> None:
    body = sse(*chunks, done=done)
    events, response, error = run(body, early=early)
    check(events, response, error, sane=False)
    assert told(cut(body, random.Random(seed)), early=early) == (events, error)
    assert told([*chunks, *["[DONE]"] * done], early=early) == (events, error)
    with stream_sync(body) as untold:
        try:
            for _ in untold:
                pass
        except StreamAggError as caught:
            assert (caught.partial, type(caught)) == (response, error)
        else:
            assert untold.response() == response
        repairs = {event.kind: event.count for event in events if isinstance(event, StreamRepaired)}
        assert repairs == untold.repairs
