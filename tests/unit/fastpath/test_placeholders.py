"""The places of an event whose values change from one event to the next."""

from __future__ import annotations

import pytest

from streamagg._fastpath.placeholders import _indices as indices
from streamagg._fastpath.placeholders import decode_chunk, holes_of


def test_indices_are_one_each() -> None:
    assert indices([b"1", b"22"]) == [1, 22]
    with pytest.raises(ValueError, match="not one integer each"):
        indices([b"1,2"])


def test_what_cannot_be_read_makes_none() -> None:
    with pytest.raises(ValueError, match="unreadable"):
        decode_chunk(b'{"choices": 5}')


def test_a_name_that_stands_at_several_places() -> None:
    """The hole is where another value changes that field alone: not in an object nor a field of that name."""
    data = b'{"id":"c","zz":{"content":"q"},"choices":[{"index":0,"delta":{"content":"a","name":"bob"}}],"name":5}'
    found = holes_of(decode_chunk(data), "content", data, indexed=False)
    assert [data[hole.start : hole.end] for hole in found or ()] == [b"a", b"5"]


def test_usage_with_a_cost_makes_none() -> None:
    data = b'{"id":"c","choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":1,"cost":1}}'
    assert holes_of(decode_chunk(data), "content", data, indexed=False) is None
