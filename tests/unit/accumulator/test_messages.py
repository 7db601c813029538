"""What an error says: bounded, with nothing live in it, and never a template."""

from __future__ import annotations

import json

import pytest

from streamagg import (
    Accumulator,
    DecodeError,
    IncompleteStreamError,
    ParseError,
    ProviderError,
)
from streamagg import ChatCompletionMessage as Message
from tests.support.commands import LIVE, live
from tests.support.helpers import chunk, fails, sse

TEMPLATES = "%s %(x)s %n {} {0} {x!r} {0.__class__} $x ${x} \\1"


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
        error = fails(bodies(text)[place])
        assert not live(str(error))
        assert len(str(error)) < 3000
        if isinstance(error, ProviderError) and place in ("message", "string"):
            assert error.message == text


@pytest.mark.parametrize("place", ["message", "string", "no json", "event"])
def test_quotes_what_it_quotes_as_it_is(place: str) -> None:
    """Nothing in it is filled in."""
    error = fails(bodies(TEMPLATES)[place])
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


def test_a_last_line_that_is_refused_is_shown() -> None:
    accumulator = Accumulator()
    accumulator.feed(b'{"choices": 5}')
    with pytest.raises(DecodeError) as caught:
        accumulator.finish()
    assert caught.value.excerpt.startswith('{"choices"')


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ("", IncompleteStreamError, "the source was empty"),
        ("\n\n", IncompleteStreamError, "the source was empty"),
        ("data: [DONE]\n\n", IncompleteStreamError, "the source had no chunk; it begins '[DONE]'"),
        ("hello there\nyou\n", DecodeError, "the body cannot be read: neither an event stream nor JSON; it begins 'hello there\\nyou'"),
        ("recording.sse", DecodeError, "the body cannot be read: neither an event stream nor JSON; a str is a body: pass a pathlib.Path for a file; it begins 'recording.sse'"),
        ("recording.txt", DecodeError, "pass a pathlib.Path for a file"),
        ("recording.jsonl", DecodeError, "pass a pathlib.Path for a file"),
        ("\x1f\x8b\x08", DecodeError, "the body cannot be read: neither an event stream nor JSON; that is gzip: open it with gzip.open()"),
        ('data: {"id":"a"}data: {"id":"b"}\n\n', DecodeError, "; were lines fed without their ends?; it begins"),
        ('  [\n{"id"', IncompleteStreamError, "the source had no chunk; it begins '  [\\n{\"id\"'"),
        ('{"id"', IncompleteStreamError, "the source had no chunk; it begins '{\"id\"'"),
        ('data: {"id":"a","choices":[{"index":5,"delta":{}}]}\n\n', IncompleteStreamError, "the source ended without [DONE] after 1 event, with no finish_reason for choice 5"),
        ('data: {"id":"a","choices":[]}\n\ndata: {"id":"a","choices":[]}\n\n', IncompleteStreamError, "the source ended without [DONE] after 2 events, with no choice"),
        ('data: {"id":"a","choices":[]}\n\nevent: error\ndata: \n\n', ProviderError, "the server reported an error: "),
        ('data: {"id":"a","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: {"id"', IncompleteStreamError, "the source ended inside an event after 1 event, with every choice finished"),
    ],
)  # fmt: skip
def test_says(body: str, error: type, says: str) -> None:
    raised = fails(body.encode("latin-1"))
    assert type(raised) is error
    assert says in str(raised)


def test_what_is_shown_of_an_object() -> None:
    for item, shown in (({"id": "x", "choices": 5}, '{"id":"x","choices":5}'), ({"id": object()}, "dict")):
        with pytest.raises(DecodeError) as caught:
            Accumulator().add(item)
        assert caught.value.excerpt == shown
    for frame in (b"data: nonsense\n\n", b"event: x\ndata: nonsense\n\n"):
        assert fails(frame).excerpt == "nonsense"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "with no finish_reason for choice 0"),
        (5, "with no finish_reason for choice 0, 1, 2, 3, 4"),
        (6, "with no finish_reason for choice 0, 1, 2, 3, 4, ..."),
        (7, "with no finish_reason for choice 0, 1, 2, 3, 4, ..."),
        (0, "with no choice"),
    ],
)
def test_names_the_choices_that_are_open(count: int, words: str) -> None:
    accumulator = Accumulator()
    accumulator.add({"id": "x", "choices": [{"index": n, "delta": {}} for n in range(count)]})
    with pytest.raises(IncompleteStreamError) as caught:
        accumulator.finish()
    assert str(caught.value) == f"the source ended without [DONE] after 1 event, {words}"


def test_a_source_of_blank_events() -> None:
    accumulator = Accumulator()
    accumulator.feed("data:\n\ndata: \n\n")
    with pytest.raises(IncompleteStreamError) as caught:
        accumulator.finish()
    assert str(caught.value) == "the source ended without a chunk"
    assert accumulator.events == 2


def test_what_is_shown_and_counted_of_a_refused_object() -> None:
    accumulator = Accumulator()
    accumulator.add(chunk({"content": "a"}))
    accumulator.add(chunk({"content": "a"}))
    with pytest.raises(DecodeError) as caught:
        accumulator.add({"id": "x", "choices": 5})
    assert (caught.value.event, caught.value.excerpt, accumulator.events) == (3, '{"id":"x","choices":5}', 3)
    with pytest.raises(IncompleteStreamError) as none:
        passed_over = Accumulator()
        passed_over.add({"type": "ping"})
        passed_over.finish()
    assert str(none.value) == "the source ended without a chunk"
