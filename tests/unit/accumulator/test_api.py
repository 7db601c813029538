"""The pipeline asks the API for chunks and for the end of a stream: here one of another kind than chat completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from streamagg import Accumulator, ChatCompletionChunk, IncompleteStreamError
from streamagg._accumulator import pipeline
from streamagg._apis.base import Payload
from streamagg._apis.openai_chat import OpenAIChat
from tests.support.helpers import chunk


class Letters(OpenAIChat):
    """An API whose event is a word. Each letter of it is a chunk. The event `end` is its end, the event `ping` no chunk."""

    decode = None  # type: ignore[assignment]  # an event is not one chunk
    names: list[bytes] = []

    def read(self, data: bytes, name: bytes = b"") -> Any:
        self.names.append(name)
        if name == b"ping":
            return Payload.SKIPPED
        if name == b"end":
            return Payload.DONE
        return [self.read_object(chunk({"content": letter}))[0] for letter in data.decode()]

    def check_depth(self, data: bytes) -> None:
        """A word does not nest."""

    def has_ended(self, finish_reasons: Sequence[str | None]) -> bool:
        return finish_reasons == [None]


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "OpenAIChat", Letters)
    Letters.names = []


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_one_event_may_give_several_chunks(size: int) -> None:
    body = b"data: hello\n\nevent: ping\ndata: x\n\nevent: word\ndata: , you\n\nevent: end\ndata: x\n\ndata: more\n\n"
    accumulator, given = Accumulator(), list[ChatCompletionChunk]()
    accumulator.deliver = given.append
    for place in range(0, len(body), size):
        accumulator.feed(body[place : place + size])
    assert accumulator.finish().text == "hello, you"
    assert [each.text for each in given] == list("hello, you")
    assert accumulator.events == 4
    assert Letters.names == [b"", b"ping", b"word", b"end"]


def test_the_fast_path_is_for_events_of_one_chunk() -> None:
    accumulator = Accumulator()
    for _ in range(100):
        accumulator.feed(b"data: ab\n\n")
    snapshot = accumulator.snapshot()
    assert snapshot is not None
    assert snapshot.text == "ab" * 100


def test_the_api_says_when_a_stream_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    accumulator = Accumulator()
    accumulator.feed(b"data: a\n\n")
    assert accumulator.complete
    assert accumulator.finish().text == "a"
    monkeypatch.setattr(Letters, "has_ended", OpenAIChat.has_ended)
    accumulator = Accumulator()
    accumulator.feed(b"data: a\n\n")
    assert not accumulator.complete
    with pytest.raises(IncompleteStreamError):
        accumulator.finish()
