"""What an error says: bounded, with nothing live in it, and never a template."""

from __future__ import annotations

import json

import pytest

from streamagg import Accumulator, DecodeError, IncompleteStreamError, ParseError, ProviderError, StreamAggError
from streamagg import ChatCompletionMessage as Message
from tests.support.helpers import chunk, sse
from tests.unit.cli.test_main import LIVE, live

TEMPLATES = "%s %(x)s %n {} {0} {x!r} {0.__class__} $x ${x} \\1"


def error_of(body: bytes) -> StreamAggError:
    accumulator = Accumulator()
    with pytest.raises(StreamAggError) as caught:
        accumulator.feed(body)
        accumulator.finish()
    return caught.value


def bodies(text: str) -> dict[str, bytes]:
    said = json.dumps(text)
    return {
        "message": f'data: {{"error":{{"message":{said},"code":{said},"type":{said}}}}}\n\n'.encode(),
        "string": f'data: {{"error":{said}}}\n\n'.encode(),
        "object": f'data: {{"error":{{"k":{said}}}}}\n\n'.encode(),
        "event": b"event: error\ndata: " + "".join(text.splitlines()).encode() + b"\n\n",
        "no json": b"data: " + "".join(text.splitlines()).encode() + b"\n\n",
        "value": f'data: {{"id":"x","choices":{said}}}\n\n'.encode(),
        "body": "".join(text.splitlines()).encode() + b"\n",
        "reason": sse(chunk({"content": text}), done=False),
    }


@pytest.mark.parametrize("place", bodies(""))
def test_is_bounded_and_harmless(place: str) -> None:
    for text in (LIVE, TEMPLATES, LIVE + TEMPLATES * 50_000, "9" * 4000):
        error = error_of(bodies(text)[place])
        assert not live(str(error))
        assert len(str(error)) < 3000
        if isinstance(error, ProviderError) and place in ("message", "string"):
            assert error.message == text


@pytest.mark.parametrize("place", ["message", "string", "no json", "event"])
def test_quotes_what_it_quotes_as_it_is(place: str) -> None:
    """Nothing in it is filled in."""
    error = error_of(bodies(TEMPLATES)[place])
    assert TEMPLATES in str(error).replace("\\\\1", "\\1")


def test_a_path_of_a_dict() -> None:
    with pytest.raises(DecodeError) as caught:
        Accumulator().add({"id": "x", LIVE + "k" * 10**6: object()})
    assert not live(str(caught.value))
    assert len(str(caught.value)) < 3000


def test_what_a_model_wrote() -> None:
    with pytest.raises(ParseError) as caught:
        Message(content=json.dumps({LIVE + "k" * 10**5: "x"})).parse(dict[str, int])
    assert not live(str(caught.value))
    assert len(str(caught.value)) < 3000


def test_many_open_choices_are_not_all_named() -> None:
    accumulator = Accumulator()
    accumulator.add({"id": "x", "choices": [{"index": n, "delta": {}} for n in range(4000)]})
    with pytest.raises(IncompleteStreamError) as caught:
        accumulator.finish()
    assert len(str(caught.value)) < 200
