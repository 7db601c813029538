"""Chunks into one response: its size, and strict reading, which foresees each repair."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamagg import (
    Accumulator,
    DecodeError,
    LimitError,
    Limits,
)
from tests.support.helpers import chunk, sse


def test_strict_takes_nothing_of_a_chunk_whose_id_changed() -> None:
    accumulator = Accumulator(strict=True)
    accumulator.add(chunk({"content": "a"}))
    before = accumulator.snapshot()
    with pytest.raises(DecodeError, match="id_changed"):
        accumulator.add({**chunk({"content": "b"}), "id": "another", "model": "another", "vendor": 1})
    assert accumulator.snapshot() == before


def grown(accumulator: Accumulator, item: dict[str, Any]) -> int:
    before = accumulator.view.size
    accumulator.add(item)
    return accumulator.view.size - before


@pytest.mark.parametrize("beside", [{}, {"object": None, "provider": "p"}], ids=["plainly", "any way"])
def test_by_how_much_a_response_grows(beside: dict[str, Any]) -> None:
    """The length of its JSON, without what is in it but once."""
    accumulator = Accumulator()
    accumulator.add({**chunk({"content": "a"}), **beside})
    assert grown(accumulator, {**chunk({"content": "x" * 10}), **beside}) == 10
    assert grown(accumulator, {**chunk({"content": "x"}), **beside, "vendor": "abc"}) == 1 + len(',"vendor":"abc"')
    assert grown(accumulator, {**chunk({"content": "x"}), **beside, "vendor": "abcde"}) == 1 + 2
    report = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    assert grown(accumulator, {**chunk({"content": "x"}, usage=report), **beside}) == 1 + 20
    assert grown(accumulator, {**chunk({"content": "x"}, usage=report), **beside}) == 1
    assert grown(accumulator, {**chunk({"content": "x"}, index=1), **beside}) == 1 + len(',"content":"x"')
    item = {**chunk({"content": "x"}, index=1), **beside}
    item["choices"][0]["logprobs"] = {"content": [{"token": "x", "logprob": -1.5, "bytes": None, "top_logprobs": []}]}
    assert grown(accumulator, item) > 60


@pytest.mark.parametrize("delta", [{"content": "x" * 50}, {"content": "x" * 50, "vendor": ["y"]}])
def test_a_response_may_be_just_as_large(delta: dict[str, Any]) -> None:
    first, second = chunk({"content": "a"}), json.dumps(chunk(delta))
    probe = Accumulator()
    probe.add(first)
    most = probe.view.size + len(second)
    for limit in (most, most - 1):
        accumulator = Accumulator(limits=Limits(response_size=limit))
        accumulator.add(first)
        if limit == most:
            accumulator.add(second)
        else:
            with pytest.raises(LimitError, match=f"response_size.*{limit}"):
                accumulator.add(second)


def test_the_size_of_a_response_begins_at_nothing_and_has_all_of_a_chunk() -> None:
    accumulator = Accumulator()
    assert accumulator.view.size == 0
    entry = {"token": "a", "logprob": -1.5, "bytes": [97], "top_logprobs": []}
    item = chunk({"content": "a" * 100}, usage={"prompt_tokens": 5})
    item["choices"][0]["logprobs"] = {"content": [entry] * 9, "refusal": None}
    accumulator.add(item)
    assert accumulator.view.size > len(json.dumps([entry] * 9, separators=(",", ":"))) + 100


def test_usage_of_a_first_chunk_has_a_size() -> None:
    sizes = []
    for more in ({}, {"usage": {"prompt_tokens": 5}}):
        accumulator = Accumulator()
        accumulator.add(chunk({"content": "a"}, **more))
        sizes.append(accumulator.view.size)
    assert sizes[0] < sizes[1]


def legacy_call(name: str | None, arguments: str = "x") -> dict[str, Any]:
    return {"arguments": arguments, **({"name": name} if name is not None else {})}


@pytest.mark.parametrize(
    ("chunks", "kind"),
    [
        ([chunk({"function_call": legacy_call("f")}), chunk({"function_call": legacy_call("f")})], "tool_name_repeated"),
        ([chunk({"function_call": legacy_call("f")}), chunk({"function_call": legacy_call("g")})], None),
        ([chunk({"function_call": legacy_call("f")}), chunk({"function_call": legacy_call("g")}), chunk({"function_call": legacy_call("fg")})], "tool_name_repeated"),
        ([chunk({"function_call": legacy_call("f")}), chunk({"function_call": legacy_call(None)}), chunk({"function_call": legacy_call("")})], None),
        ([chunk({"content": "a"}), chunk({"function_call": legacy_call("f")}), chunk({"function_call": legacy_call("f")}, index=1)], None),
        ([chunk({"tool_calls": [{"index": 0, "id": "a"}]}), chunk({"tool_calls": [{"index": 0, "id": "a"}]})], "tool_id_repeated"),
        ([chunk({"tool_calls": [{"index": 0, "id": "a"}]}), chunk({"tool_calls": [{"index": 0, "id": "a"}]}, index=1)], None),
        ([chunk({"tool_calls": [{"index": 0, "id": "a"}]}), chunk({"tool_calls": [{"index": 0, "id": "b"}]})], "tool_index_reused"),
        ([chunk({"content": "a"}), chunk({"content": "a"}, id="c2")], "id_changed"),
        ([chunk({"content": "a"}, id=""), chunk({"content": "a"}, id="c2"), chunk({"content": "a"}, id=""), chunk({"content": "b"}, id=None)], None),
        ([chunk({"content": "a"}), chunk({"content": "a"}, index=None)], "choice_index_missing"),
        ([chunk({"content": "a"}), {"id": "c1", "choices": None, "object": "x"}], "choices_missing"),
        ([chunk({"content": "a"}), {"id": "c1", "choices": [{"index": 0}]}], "delta_missing"),
    ],
)  # fmt: skip
def test_strict_foresees_what_merging_would_note(chunks: list[Any], kind: str | None) -> None:
    for choice in chunks[-1]["choices"] or ():
        if "delta" in choice:
            choice["delta"]["content"] = "more"  # a half merge would show
    chunks = [*chunks[:-1], {**chunks[-1], "vendor": "more"}]
    for add in (False, True):
        strict, plain = Accumulator(strict=True), Accumulator()
        for item in chunks[:-1]:
            for each in (strict, plain):
                each.add(item) if add else each.feed(sse(item, done=False))
        before = strict.snapshot()
        plain.add(chunks[-1])
        assert dict(plain.repairs) == ({kind: 1} if kind else {})
        if kind is None:
            strict.add(chunks[-1])
            assert strict.snapshot() == plain.snapshot()
        else:
            with pytest.raises(DecodeError, match=f"strict reading allows no repair: {kind} "):
                strict.add(chunks[-1])
            assert strict.snapshot() == before
            assert not strict.repairs


def test_the_size_of_what_is_added_counts() -> None:
    logprobs = {"content": [{"token": "x" * 50, "logprob": -1.0}]}
    item = chunk({"content": "a"})
    item["choices"][0]["logprobs"] = logprobs
    for add in (False, True):
        accumulator = Accumulator(limits=Limits(response_size=2000))
        with pytest.raises(LimitError, match="response_size=2000") as caught:
            for _ in range(100):
                accumulator.add(item) if add else accumulator.feed(sse(item, done=False))
        assert caught.value.partial is not None
        assert 5 <= len(caught.value.partial.text) <= 20
        logprobs_held = caught.value.partial.choices[0].logprobs
        assert logprobs_held is not None
        assert accumulator.snapshot() == caught.value.partial
        logprobs_held.content[0].token = "changed"  # type: ignore[index]
        assert "changed" not in accumulator.snapshot().to_json()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "grows",
    [
        lambda n: chunk({"annotations": [None] * 50}),
        lambda n: chunk({f"new{n}": ""}),
        lambda n: chunk({f"new{n}": []}),
        lambda n: chunk({"list": [{"index": i + 30 * n} for i in range(30)]}),
        lambda n: chunk({"tool_calls": [{"index": n, "type": "t" * 100}]}),
    ],
)
def test_all_that_grows_has_a_size(grows: Any) -> None:
    accumulator = Accumulator(limits=Limits(response_size=2000, event_bytes=2000))
    with pytest.raises(LimitError, match="response_size"):
        for n in range(1000):
            accumulator.add(grows(n))


def test_size_never_falls_below_what_is_held() -> None:
    accumulator = Accumulator()
    for n in range(20):
        accumulator.add(chunk({"z": [{"index": i} for i in range(30)]}))
        accumulator.add(chunk({"z": n}))
        accumulator.add(chunk({"z": "y" * 500}))
        accumulator.add(chunk({"z": {}}))
        assert 0 < accumulator.view.size < 200
