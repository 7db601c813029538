"""Repairs: each kind is counted, and is an error where reading is strict."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamagg import (
    REPAIRS,
    Accumulator,
    DecodeError,
    IncompleteStreamError,
    LimitError,
    Limits,
)
from tests.support.helpers import (
    HELLO,
    chunk,
    merged,
    outcome,
    sse,
)

ODD: dict[str, tuple[list[Any], str]] = {
    "adjacent_data_lines": ([sse(*HELLO).replace(b"\n\n", b"\n") + b"\n"], "feed"),
    "bare_json_line": ([json.dumps(HELLO[2]) + "\n"], "feed"),
    "choice_index_missing": ([{"id": "c1", "choices": [{"delta": {}}]}], "add"),
    "choices_missing": ([{"id": "c1", "choices": None}], "add"),
    "delta_missing": ([{"id": "c1", "choices": [{"index": 0, "delta": None}]}], "add"),
    "empty_event": (["data: \n\n"], "feed"),
    "id_changed": ([{"id": "a", "choices": []}, {"id": "", "choices": []}, {"id": "b", "choices": []}], "add"),
    "invalid_utf8": ([b'data: {"id": "\xff", "choices": []}\n\n'], "feed"),
    "list_for_object": ([{"id": "x", "choices": [{"index": 0, "delta": []}]}], "add"),
    "nonstandard_json": ([b'data: {"id": "x", "choices": [], "x": NaN}\n\n'], "feed"),
    "not_a_chunk": ([{"type": "ping"}], "add"),
    "null_item": ([{"id": "x", "choices": [None]}], "add"),
    "number_in_string": ([{"id": "x", "created": "5", "choices": []}], "add"),
    "tool_call_split": ([chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}] * 2})], "add"),
    "tool_id_null": ([chunk({"tool_calls": [{"index": 0, "id": "null"}]})], "add"),
    "tool_id_repeated": ([chunk({"tool_calls": [{"index": 0, "id": "a"}] * 2})], "add"),
    "tool_index_missing": ([chunk({"tool_calls": [{"id": "a"}]})], "add"),
    "tool_index_reused": ([chunk({"tool_calls": [{"index": 0, "id": "a"}, {"index": 0, "id": "b"}]})], "add"),
    "tool_name_repeated": ([chunk({"function_call": {"name": "f"}})] * 2, "add"),
    "unterminated_event": ([sse(*HELLO, done=False)[:-1]], "feed"),
    "value_for_string": ([{"id": 5, "choices": []}], "add"),
}  # fmt: skip


class TestRepairs:
    def push(self, kind: str, **options: Any) -> Accumulator:
        items, way = ODD[kind]
        accumulator = Accumulator(**options)
        try:
            for item in items:
                (accumulator.add if way == "add" else accumulator.feed)(item)
            accumulator.finish()
        except IncompleteStreamError:
            pass
        return accumulator

    def test_every_kind_is_here(self) -> None:
        assert set(ODD) == set(REPAIRS)

    @pytest.mark.parametrize("kind", ODD)
    def test_is_counted(self, kind: str) -> None:
        assert self.push(kind).repairs == {kind: 1}

    @pytest.mark.parametrize("kind", ODD)
    def test_when_strict_is_an_error_that_merges_nothing(self, kind: str) -> None:
        accumulator = Accumulator(strict=True)
        accumulator.add(chunk({"content": "before"}, id="a" if kind == "id_changed" else "c1"))
        if kind == "tool_name_repeated":
            accumulator.add(ODD[kind][0][0])
        before = accumulator.snapshot()
        items, way = ODD[kind]
        with pytest.raises(DecodeError, match=kind) as caught:
            for item in items[kind == "tool_name_repeated" :]:
                (accumulator.add if way == "add" else accumulator.feed)(item)
                before = accumulator.snapshot()
            accumulator.finish()
        assert caught.value.partial == before
        assert accumulator.repairs == {}

    def test_a_clean_stream_needs_none(self) -> None:
        assert outcome([sse(*HELLO)], strict=True) == (merged(*HELLO), None, True)
        accumulator = Accumulator()
        accumulator.feed(sse(*HELLO))
        assert accumulator.repairs == {}
        with pytest.raises(TypeError):
            accumulator.repairs["x"] = 1  # type: ignore[index]

    def test_a_refused_chunk_counts_none(self) -> None:
        accumulator = Accumulator()
        with pytest.raises(DecodeError):
            accumulator.add({"id": 5, "choices": [{"index": "1", "delta": "x"}]})
        assert accumulator.repairs == {}
        accumulator = Accumulator(limits=Limits(choices=2))
        with pytest.raises(LimitError):
            accumulator.add({"id": 5, "choices": [{"delta": []}] * 3})
        assert accumulator.repairs == {}


def test_repairs_add_up() -> None:
    accumulator = Accumulator()
    for _ in range(3):
        accumulator.add({"id": "x", "choices": [{"delta": {}}]})
        accumulator.feed(b'data: {"id":"x","choices":[{"delta":{}},{"delta":{"content":5}}]}\n\n')
    assert dict(accumulator.repairs) == {"choice_index_missing": 9, "value_for_string": 3}


def test_repairs_are_counts_of_few_kinds() -> None:
    accumulator = Accumulator()
    for n in range(3000):
        accumulator.add({"id": f"x{n}", "choices": [{"delta": {"content": 5, "tool_calls": [None, {"id": "null"}]}}]})
    assert set(accumulator.repairs) <= set(REPAIRS)
    assert accumulator.repairs["choice_index_missing"] == 3000
