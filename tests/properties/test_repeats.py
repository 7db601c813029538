"""A chunk that repeats the one before it merges to the same, whether the merger notices that or not."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamagg import ChatCompletionChunk, Limits, StreamAggError
from streamagg._accumulator.pipeline import Pipeline
from streamagg._merge.choice import _REPEATED
from streamagg._merge.merger import Merger
from tests.support.helpers import chunk, outcome, sse
from tests.support.strategies import CHUNKS, REPEATS


class Forgetful(Merger):
    """A merger to which every chunk is new."""

    __slots__ = ()

    def add(self, chunk: ChatCompletionChunk, payload: bytes, weight: int) -> bool:
        self._head = None
        for state in self.choices.values():
            state._last = None
        return super().add(chunk, payload, weight)


def steps(chunks: list[Any], *, forgets: bool, strict: bool, limits: Limits) -> list[Any]:
    """The response, its size and the repairs after each chunk; at last the error."""
    pipeline = Pipeline(usage="auto", strict=strict, limits=limits)
    pipeline.fast = None
    if forgets:
        check_depth = pipeline.api.check_depth
        pipeline.merger = Forgetful("auto", limits, pipeline._note, check_depth, strict=strict)
    seen: list[Any] = []
    try:
        for item in chunks:
            pipeline.feed(sse(item, done=False))
            response = pipeline.response()
            plain = None if response is None else response.to_json()
            seen.append((plain, pipeline.merger.size, dict(pipeline.repairs)))
    except StreamAggError as error:
        seen.append(str(error))
    return seen


LIMITS = st.sampled_from([Limits(), Limits(tool_calls=2, choices=2, depth=8)])


@given(REPEATS | CHUNKS, st.booleans(), LIMITS)
def test_to_notice_a_repetition_changes_nothing(chunks: list[Any], strict: bool, limits: Limits) -> None:
    noticed = steps(chunks, forgets=False, strict=strict, limits=limits)
    assert noticed == steps(chunks, forgets=True, strict=strict, limits=limits)


def changing(*deltas: Any, **choice: Any) -> list[Any]:
    """Three chunks with the first delta, and one with each of the others. A list in `choice` has a value for each."""
    of_each = [deltas[0]] * 3 + list(deltas[1:])
    return [
        {"id": "c1", "choices": [{"index": 0, "delta": delta, **{name: values[n] for name, values in choice.items()}}]}
        for n, delta in enumerate(of_each)
    ]


TEXT = {"content": "a"}


@pytest.mark.parametrize(
    "chunks",
    [
        changing({"reasoning": "a"}, {"reasoning": "b", "content": ""}, {"reasoning": "c", "content": ""}, TEXT),
        changing(TEXT, {"role": "tool", **TEXT}, {"role": "tool", **TEXT}, {"role": "assistant", **TEXT}),
        changing(TEXT, {"content": [{"type": "text", "text": "p"}]}, TEXT, TEXT),
        changing(TEXT, TEXT, TEXT, token_ids=[[n] for n in range(5)]),
        changing(TEXT, TEXT, TEXT, usage=[{"completion_tokens": 1}] * 5),
        changing(TEXT, TEXT, TEXT, stop_reason=["a", "a", "a", "b", "a"]),
        changing(TEXT, TEXT, TEXT, stop_reason=[1, 1, 1, True, 1.0]),
        changing(TEXT, TEXT, TEXT, vendor=[[1], [1], [1], [True], [1.0]]),
        changing(*({"tool_calls": [{"index": n, "function": {"arguments": "{"}}]} for n in range(4))),
    ],
)
def test_fields_that_change_late_are_merged(chunks: list[Any]) -> None:
    limits = Limits(tool_calls=2)
    noticed = steps(chunks, forgets=False, strict=False, limits=limits)
    assert noticed == steps(chunks, forgets=True, strict=False, limits=limits)


def test_ids_that_change_are_counted_each_time() -> None:
    ids = ["", "a", "a", "b", "b", None, "", "a"]
    pipeline = Pipeline(usage="auto", strict=False, limits=Limits())
    for id_ in ids:
        pipeline.feed(sse({**chunk({"reasoning": "x"}), "id": id_}, done=False))
    response = pipeline.response()
    assert response is not None
    assert response.id == "a"
    assert response.choices[0].message.reasoning == "x" * len(ids)
    assert pipeline.repairs == {"id_changed": 2}


@pytest.mark.parametrize("changed", [1.0, True])
@pytest.mark.parametrize("kind", [lambda number: number, lambda number: [number], lambda number: [{"a": [number]}]])
@pytest.mark.parametrize("times", [1, 3])
def test_a_number_of_another_type_is_another_value(changed: Any, kind: Any, times: int) -> None:
    chunks = [chunk({"content": "x"}, vendor=kind(number)) for number in (*[1] * times, changed)]
    response, _, _ = outcome(chunks, add=True)
    assert response is not None
    assert json.dumps(response["vendor"]) == json.dumps(kind(changed))


@pytest.mark.parametrize("value", range(6))
def test_a_value_that_comes_back_is_the_last_one(value: int) -> None:
    """The fast path may have merged those in between."""
    chunks = [chunk({"content": "x"}, vendor=n) for n in range(30)]
    chunks.append(chunk({"reasoning": "x"}, vendor=value))
    response, _, _ = outcome([sse(item, done=False) for item in chunks])
    assert response is not None
    assert response["vendor"] == value


def test_padding_in_a_list_adds_nothing() -> None:
    pipeline = Pipeline(usage="auto", strict=False, limits=Limits())
    sizes = []
    for n in range(6):
        items = [{"a": 1, "obfuscation": "p" * 100}]
        pipeline.feed(sse(chunk({"content": "x", "images": items}, vendor=n % 2, items=items), done=False))
        sizes.append(pipeline.merger.size)
    grown = [after - before for before, after in pairwise(sizes)]
    assert len(set(grown)) == 1
    assert grown[0] < 20


def test_a_role_of_any_length_is_not_kept() -> None:
    role = "r" * 100_000
    for _ in range(3):
        pipeline = Pipeline(usage="auto", strict=False, limits=Limits())
        for _ in range(4):
            pipeline.feed(sse(chunk({"content": "x", "role": role}), done=False))
    assert {name for name, _ in _REPEATED} == {None, "assistant"}


@pytest.mark.parametrize("name", ["content", "reasoning"])
def test_a_message_counts_only_until_a_text_came(name: str) -> None:
    chunks = [chunk({name: text}) for text in ("", "", "a")]
    chunks.append({**chunks[0], "choices": [{"index": 0, "message": {"role": "assistant", "content": "other"}}]})
    response, _, _ = outcome(chunks, add=True)
    assert response is not None
    assert response["choices"][0]["message"] == {"role": "assistant", name: "a"}
