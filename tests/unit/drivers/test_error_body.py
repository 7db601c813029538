"""The sink for the body of an HTTP status that is an error."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from streamagg import Accumulator, DecodeError, ProviderError, accumulate_sync, tap_sync
from streamagg._drivers.error_body import ErrorBody
from streamagg._sources.http import HTTPBody
from tests.support.helpers import chunk


class Response:
    """A response of status 500 in the shape of urllib3, which gives these items."""

    status = 500

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self.headers: dict[str, str] = {}

    def isclosed(self) -> bool:
        return False

    def read1(self, size: int) -> Any:
        return next(self._items, b"")

    read = read1


def test_it_is_no_accumulator_and_gives_the_same_error_again() -> None:
    body = ErrorBody(HTTPBody(SimpleNamespace(status_code=429, headers={})))
    assert not isinstance(body, Accumulator)
    body.feed(b'{"error": {"message"')
    body.feed(': "slow down"}}')
    assert not body.done
    errors = []
    for _ in range(2):
        with pytest.raises(ProviderError, match="slow down") as caught:
            body.finish()
        errors.append(caught.value)
    assert errors[0] is errors[1]
    assert errors[0].status == 429


def test_a_long_body_is_not_read_to_its_end() -> None:
    given = []

    def slices() -> Iterator[bytes]:
        for _ in range(1000):
            given.append(1)
            yield b"x" * 65536

    with pytest.raises(ProviderError, match="HTTP status 500; the body begins"):
        accumulate_sync(Response(slices()))
    assert len(given) == 17


def test_a_chunk_in_its_place_is_refused() -> None:
    with pytest.raises(TypeError, match="status 500 gave dict, not bytes"):
        accumulate_sync(Response(iter([chunk()])))
    with tap_sync(Response(iter([chunk()]))) as body:
        assert [*body] == [chunk()]
    assert isinstance(body.error, DecodeError)


def test_the_stream_of_such_a_response_stays_empty() -> None:
    with tap_sync(Response(iter([b'data: {"choices": []}\n\n', b"data: [DONE]\n\n"]))) as body:
        assert len([*body]) == 2
    assert (body.snapshot(), body.complete, body.done, dict(body.repairs)) == (None, False, False, {})
    assert isinstance(body.error, ProviderError)
