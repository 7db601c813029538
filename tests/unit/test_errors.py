"""The exceptions: what they carry, and that they survive pickling."""

from __future__ import annotations

import pickle

import pytest

import streamagg
from streamagg import (
    ProviderError,
)
from tests.support.helpers import chunk, sse


def test_every_error_pickles() -> None:
    bodies = [
        b"",
        b"data: x\n\n",
        b'data: {"error": {"message": "m", "code": 1}}\n\n',
        sse(chunk({"content": "x" * 99})),
    ]
    for body in bodies:
        with pytest.raises(streamagg.StreamAggError) as caught:
            streamagg.accumulate_sync(body, limits=streamagg.Limits(event_bytes=100))
        again = pickle.loads(pickle.dumps(caught.value))
        assert type(again) is type(caught.value)
        assert str(again) == str(caught.value)
        assert vars(again) == vars(caught.value)
    error = streamagg.IdleTimeoutError(1.5)
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "no data event for 1.5 seconds"


def test_an_error_that_is_a_list_is_shown() -> None:
    assert ProviderError(["no"]).message == "['no']"
