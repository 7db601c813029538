"""`Limits`: each one holds, to the last byte, call or choice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamagg import (
    Accumulator,
    LimitError,
    Limits,
    SSEDecoder,
)
from tests.support.helpers import HELLO, chunk, fails, merged, outcome, sse, text_of
from tests.support.steps import steps_of


class TestLimits:
    def test_are_checked(self) -> None:
        for wrong in ({"depth": -1}, {"choices": 1.5}, {"event_bytes": "5"}):
            with pytest.raises(ValueError, match="must be a whole number"):
                Limits(**wrong)  # type: ignore[arg-type]

    def test_when_strict_tool_calls_cost_the_same(self) -> None:
        """No copy of the calls so far for each fragment."""

        def run(calls: int) -> int:
            accumulator = Accumulator(strict=True)
            for n in range(calls):
                accumulator.add(
                    chunk(
                        {
                            "tool_calls": [
                                {
                                    "index": n,
                                    "id": str(n),
                                    "type": "function",
                                    "function": {"name": "f", "arguments": "{}"},
                                }
                            ]
                        }
                    )
                )
            return steps_of(
                lambda: accumulator.add(chunk({"tool_calls": [{"index": 3, "function": {"arguments": "{"}}]}))
            )

        assert run(400) <= 1.1 * run(40)

    def test_choices(self) -> None:
        two = {"id": "x", "choices": [{"index": 5, "delta": {"content": "a"}}, {"index": 6, "delta": {"content": "b"}}]}
        three = {"id": "x", "choices": [*two["choices"], {"index": 7, "delta": {"content": "c"}}]}
        assert len(merged(two, two, limits=Limits(choices=2))["choices"]) == 2
        for limited, items in ((2, [three]), (2, [two, three]), (1, [two])):
            error = limit_error(items, choices=limited)
            assert (error.limit, error.bound) == ("choices", limited)
            assert (error.partial.to_dict() if error.partial else None) == (merged(two) if len(items) == 2 else None)

    def test_items_of_one_index(self) -> None:
        items = [chunk({"reasoning_details": [{"index": 0, "id": str(n), "data": "x"}]}) for n in range(4)]
        assert limit_error(items, tool_calls=3).limit == "tool_calls"
        plain = [chunk({"reasoning_details": [{"index": 0, "text": "x"}]})] * 9
        assert merged(*plain, limits=Limits(tool_calls=1))["choices"][0]["message"]["reasoning_details"] == [
            {"index": 0, "text": "x" * 9}
        ]

    @pytest.mark.parametrize(
        "grows",
        [
            {"content": "x" * 30},
            {"reasoning": "x" * 30},
            {"refusal": "x" * 30},
            {"unknown": "x" * 30},
            {"unknown": ["x" * 30]},
            {"audio": {"data": "x" * 30}},
            {"annotations": [{"k": "x" * 30}]},
            {"reasoning_details": [{"index": 0, "text": "x" * 30}]},
            {"content": [{"type": "text", "text": "x" * 30}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "x" * 30}}]},
            {"function_call": {"arguments": "x" * 30}},
        ],
    )
    def test_size_of_the_response(self, grows: dict[str, Any]) -> None:
        error = limit_error([chunk(grows)] * 100, response_size=1000, event_bytes=500)
        assert error.limit == "response_size"
        assert error.partial is not None
        assert 300 < len(error.partial.to_json()) < 3000

    def test_size_of_what_is_replaced_counts_once(self) -> None:
        same = [chunk(citations=["x" * 50], unknown={"k": "y" * 50})] * 500
        assert merged(*same, limits=Limits(response_size=1000, event_bytes=500))["citations"] == ["x" * 50]
        growing = [chunk(**{f"field{n}": "x" * 50}) for n in range(100)]
        assert limit_error(growing, response_size=1000, event_bytes=500).limit == "response_size"

    @pytest.mark.parametrize("place", ["chunk", "choice", "delta", "part", "call"])
    @pytest.mark.parametrize("way", ["feed", "add"])
    def test_depth(self, place: str, way: str) -> None:
        for depth, passes in ((20, True), (60, False), (100_000, False)):
            text = '{"a":' * depth + "1" + "}" * depth
            body = {
                "chunk": f'{{"id":"x","choices":[],"x_groq":{text}}}',
                "choice": f'{{"id":"x","choices":[{{"index":0,"delta":{{}},"content_filter_results":{text}}}]}}',
                "delta": f'{{"id":"x","choices":[{{"index":0,"delta":{{"unknown":{text}}}}}]}}',
                "part": f'{{"id":"x","choices":[{{"index":0,"delta":{{"content":[{text}]}}}}]}}',
                "call": f'{{"id":"x","choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":0,"extra_content":{text}}}]}}}}]}}',
            }[place]
            if way == "add" and depth == 100_000:
                continue
            items = [json.loads(body)] if way == "add" else [f"data: {body}\n\n"]
            response, error, _ = outcome([*items], add=way == "add", limits=Limits(depth=40))
            assert (error is LimitError) is not passes
            assert (response is None) is not passes

    def test_an_event(self) -> None:
        error = fails(sse(*HELLO[:2], chunk({"content": "x" * 1000}), HELLO[2]), limits=Limits(event_bytes=500))
        assert isinstance(error, LimitError)
        assert (error.limit, text_of(error)) == ("event_bytes", "Hel")
        assert isinstance(limit_error([chunk({"content": "x" * 1000})], event_bytes=500), LimitError)


def limit_error(chunks: list[Any], **limits: int) -> LimitError:
    accumulator = Accumulator(limits=Limits(**limits))
    with pytest.raises(LimitError) as caught:
        for item in chunks:
            accumulator.add(item)
    assert caught.value.partial == accumulator.snapshot()
    return caught.value


def test_an_added_payload_may_be_as_long_as_an_event() -> None:
    payload = json.dumps(chunk({"content": "a"}))
    accumulator = Accumulator(limits=Limits(event_bytes=len(payload)))
    accumulator.add(payload)
    with pytest.raises(LimitError, match=f"event_bytes.*{len(payload)}") as caught:
        accumulator.add(payload + " ")
    assert caught.value.limit == "event_bytes"


def test_limits_stay_within_the_stack() -> None:
    with pytest.raises(ValueError, match="depth must be 256 at most"):
        Limits(depth=300)


def test_empty_data_lines_count() -> None:
    with pytest.raises(LimitError):
        Accumulator(limits=Limits(event_bytes=1000)).feed(b"data:\n" * 10_000)
    with pytest.raises(LimitError):
        SSEDecoder(max_event_bytes=1000).feed(b"data:\n" * 10_000)
