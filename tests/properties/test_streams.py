"""What holds for every stream: delivery and way never change the answer, and nothing else than a
`StreamAggError` ever leaves."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from streamagg import (
    Accumulator,
    ChatCompletionResponse,
    Limits,
    ProviderError,
    SSEDecoder,
    StreamAggError,
    accumulate_sync,
)
from tests.support import reference
from tests.support.forms import structs_of
from tests.support.helpers import cut, outcome, sse, strip_nulls
from tests.support.strategies import ANYTHING, CHUNKS, PLAIN, REPEATS, SEED

FRAMES = st.sampled_from(["\n\n", "\r\n\r\n", "\r\r", "\n\n: keep-alive\n\n", "\n"])


def body_of(chunks: list[Any], end: str, done: bool) -> bytes:
    events = [json.dumps(chunk, ensure_ascii=False) for chunk in chunks] + ["[DONE]"] * done
    return "".join(f"data: {event}{end}" for event in events).encode("utf-8", "surrogatepass")


@given(CHUNKS, FRAMES, st.booleans(), SEED)
def test_slicing_never_matters(chunks: list[Any], end: str, done: bool, seed: int) -> None:
    body = body_of(chunks, end, done)
    whole = outcome([body])
    event(f"{whole[1]}")
    assert outcome([body[place : place + 1] for place in range(len(body))]) == whole
    assert outcome(cut(body, random.Random(seed))) == whole


@given(CHUNKS)
def test_bytes_dicts_structs_and_texts_agree(chunks: list[Any]) -> None:
    wanted = outcome([sse(*chunks, done=False)])
    assert outcome(chunks, add=True) == wanted
    assert outcome(structs_of(chunks), add=True) == wanted
    assert outcome([json.dumps(chunk) for chunk in chunks], add=True) == wanted
    assert outcome([as_object(chunk) for chunk in chunks], add=True) == wanted


def as_object(value: Any) -> Any:
    """Dicts as objects with attributes, at every level, as clients have them."""
    if isinstance(value, dict) and all(name.isidentifier() and not name.startswith("_") for name in value):
        return SimpleNamespace(**{name: as_object(item) for name, item in value.items()})
    if isinstance(value, dict):
        return {name: as_object(item) for name, item in value.items()}
    return [as_object(item) for item in value] if isinstance(value, list) else value


@given(CHUNKS | REPEATS)
def test_reference_agrees(chunks: list[Any]) -> None:
    """The rules, read again slowly and literally by someone else."""
    response, error, complete = outcome(chunks, add=True)
    literal, failed = reference.merge(json.loads(json.dumps(chunks)))
    assert reference.strip_nulls(literal) == response
    assert not failed
    assert complete == reference.finished(literal)
    event(f"{error}")


@given(CHUNKS)
def test_the_strict_option_changes_no_answer(chunks: list[Any]) -> None:
    """It refuses, or it gives the same."""
    strict, error, _ = outcome(chunks, add=True, strict=True)
    if error is None:
        assert (strict, error) == outcome(chunks, add=True)[:2]


@given(CHUNKS)
def test_a_snapshot_is_the_response_of_its_prefix(chunks: list[Any]) -> None:
    running = Accumulator()
    for count, chunk in enumerate(chunks, 1):
        running.add(chunk)
        prefix = Accumulator()
        for earlier in chunks[:count]:
            prefix.add(earlier)
        assert running.snapshot() == prefix.snapshot()


@given(CHUNKS)
def test_the_response_survives_json(chunks: list[Any]) -> None:
    accumulator = Accumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    response = accumulator.snapshot()
    if response is not None and response.choices:
        again = ChatCompletionResponse.from_json(response.to_json())
        assert strip_nulls(again.to_dict()) == strip_nulls(response.to_dict())


TINY = Limits(event_bytes=300, response_size=400, choices=2, tool_calls=2, depth=4)


@given(ANYTHING, SEED, st.booleans(), st.sampled_from([Limits(), TINY]))
def test_any_payloads(payloads: list[Any], seed: int, strict: bool, limits: Limits) -> None:
    """A response or a StreamAggError, the same in every slicing, and no event half merged."""
    body = body_of(payloads, "\n\n", True)
    whole = outcome([body], strict=strict, limits=limits)
    assert outcome(cut(body, random.Random(seed)), strict=strict, limits=limits) == whole


@given(ANYTHING, st.booleans())
def test_a_refused_chunk_changes_nothing(payloads: list[Any], strict: bool) -> None:
    accumulator = Accumulator(strict=strict, limits=TINY)
    for payload in payloads:
        before = accumulator.snapshot()
        repairs = dict(accumulator.repairs)
        try:
            accumulator.add(payload)
        except StreamAggError as error:
            event(type(error).__name__)
            if not isinstance(error, ProviderError):
                assert accumulator.snapshot() == before == error.partial
                assert accumulator.repairs == repairs
            return


FRAGMENTS = st.lists(
    st.sampled_from(
        [b"data: ", b"data:", b"event: error\n", b"error: ", b"[DONE]", b"\n", b"\n\n", b"\r", b"\r\n\r\n", b": x\n\n", b"\xef\xbb\xbf",
         b'{"id":"x","choices":[{"index":0,"delta":{"content":"', b'"},"finish_reason":"stop"}]}', b'{"error":{}}', b'{"error":"x"}',
         b'{"choices":[{"message":{"content":"hi"}}]}', b"\\ud83d", b"\\ude00", b"\xff", b"\x00", b"NaN", b"[", b"{", b"null", b" ", b"<html>"]
    )
    | st.binary(max_size=6),
    max_size=14,
)  # fmt: skip


@given(FRAGMENTS, SEED, st.booleans())
def test_any_bytes(fragments: list[bytes], seed: int, strict: bool) -> None:
    body = b"".join(fragments)
    whole = outcome([body], strict=strict)
    event(f"{whole[1]}")
    assert outcome([body[place : place + 1] for place in range(len(body))], strict=strict) == whole
    assert outcome(cut(body, random.Random(seed)), strict=strict) == whole
    try:
        assert strip_nulls(accumulate_sync(body, strict=strict).to_dict()) == whole[0]
    except StreamAggError as error:
        assert type(error) is whole[1]


@given(FRAGMENTS, SEED)
def test_framing_agrees_with_a_literal_reading(fragments: list[bytes], seed: int) -> None:
    body = b"".join(fragments)
    decoder = SSEDecoder(flush=True)
    read = [event.data for piece in cut(body, random.Random(seed)) for event in decoder.feed(piece)]
    assert [*read, *(event.data for event in decoder.finish())] == reference.payloads(body)


@given(PLAIN)
def test_any_plain_data_as_a_chunk(value: Any) -> None:
    for item in (value, {"id": "x", "vendor": value}, {"id": "x", "choices": [{"delta": value}]}):
        outcome([item], add=True)
