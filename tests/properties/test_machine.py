"""The accumulator as a machine: bytes and chunks, snapshots and ends, in any order, against the literal merge."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from streamagg import Accumulator, ChatCompletionChunk, IncompleteStreamError, ProviderError
from tests.support import reference
from tests.support.helpers import chunk, so_far
from tests.support.strategies import CHUNK, TEXT

PLAIN_CHUNK = TEXT.map(lambda text: chunk({"content": text}))
"""Chunks of the shape that the fast path takes."""


class Machine(RuleBasedStateMachine):
    """What was pushed whole so far is `chunks`; `rest` is what of an event's bytes has not been fed yet."""

    @initialize(usage=st.just("auto"), handed_out=st.booleans())
    def begin(self, usage: Any, handed_out: bool) -> None:
        self.accumulator = Accumulator(usage=usage)
        self.chunks: list[Any] = []
        self.rest = b""
        self.ended = False
        self.delivered: list[ChatCompletionChunk] | None = [] if handed_out else None
        if self.delivered is not None:
            self.accumulator.deliver = self.delivered.append

    @precondition(lambda self: not self.rest and not self.ended)
    @rule(item=CHUNK | PLAIN_CHUNK, end=st.sampled_from([b"\n\n", b"\r\n\r\n", b"\n\n: c\n\n"]))
    def feed(self, item: Any, end: bytes) -> None:
        self.accumulator.feed(b"data: " + json.dumps(item).encode() + end)
        self.chunks.append(item)

    @precondition(lambda self: not self.rest and not self.ended)
    @rule(items=st.lists(PLAIN_CHUNK, max_size=6))
    def feed_many(self, items: list[Any]) -> None:
        self.accumulator.feed("".join(f"data: {json.dumps(item)}\n\n" for item in items))
        self.chunks += items

    @precondition(lambda self: not self.rest and not self.ended)
    @rule(item=CHUNK | PLAIN_CHUNK, place=st.integers(1, 400))
    def feed_a_part(self, item: Any, place: int) -> None:
        data = b"data: " + json.dumps(item).encode() + b"\n\n"
        place = min(place, len(data) - 1)
        self.accumulator.feed(data[:place])
        self.rest = data[place:]
        self.open = item

    @precondition(lambda self: self.rest)
    @rule(place=st.integers(1, 400))
    def feed_more(self, place: int) -> None:
        self.accumulator.feed(self.rest[:place])
        self.rest = self.rest[place:]
        if not self.rest:
            self.chunks.append(self.open)

    @precondition(lambda self: not self.ended)
    @rule(item=CHUNK, way=st.sampled_from([json.dumps, lambda item: item, lambda item: json.dumps(item).encode()]))
    def add(self, item: Any, way: Any) -> None:
        self.accumulator.add(way(item))
        self.chunks.append(item)

    @rule()
    def snapshot(self) -> None:
        first, second = self.accumulator.snapshot(), self.accumulator.snapshot()
        assert first == second
        if first is not None:
            assert first is not second
            first.choices.clear()
            first.id = "changed"

    @precondition(lambda self: not self.rest)
    @rule()
    def finish(self) -> None:
        self.ended = True
        literal, _ = reference.merge(json.loads(json.dumps(self.chunks)))
        event(f"finished: {reference.finished(literal)}")
        if reference.finished(literal):
            response = self.accumulator.finish()
            assert reference.strip_nulls(response.to_dict()) == reference.strip_nulls(literal)
            assert self.accumulator.finish() is response
        else:
            with pytest.raises(IncompleteStreamError) as caught:
                self.accumulator.finish()
            assert caught.value.partial == self.accumulator.snapshot()

    @precondition(lambda self: self.ended)
    @rule(item=CHUNK)
    def push_after_the_end(self, item: Any) -> None:
        for call in (self.accumulator.add, lambda item: self.accumulator.feed(json.dumps(item))):
            with pytest.raises((RuntimeError, IncompleteStreamError)):
                call(item)

    @invariant()
    def stands_where_the_literal_merge_stands(self) -> None:
        snapshot = self.accumulator.snapshot()
        literal, failed = reference.merge(json.loads(json.dumps(self.chunks)))
        assert not failed
        said = reference.strip_nulls(snapshot.to_dict()) if snapshot is not None else None
        assert said == reference.strip_nulls(literal)
        if self.delivered is not None:
            assert len(self.delivered) == len(
                [
                    item
                    for item in self.chunks
                    if set(item) & {"choices", "usage", "id", "object"}
                    and any(item.get(name) is not None for name in ("choices", "usage", "id", "object"))
                ]
            )


def test_machine() -> None:
    run_state_machine_as_test(Machine)


def test_an_error_ends_it_for_good() -> None:
    accumulator = Accumulator()
    accumulator.add(chunk({"content": "a"}))
    for call in (
        lambda: accumulator.add({"error": "x"}),
        lambda: accumulator.add(chunk({"content": "b"})),
        accumulator.finish,
    ):
        with pytest.raises(ProviderError):
            call()
    assert so_far(accumulator) == "a"
