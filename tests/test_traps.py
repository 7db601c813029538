"""Inputs that cost their square in any reader that looks back: counted in steps, and in what is joined or copied."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from streamagg import Accumulator, CompletionUsage, LimitError, Limits, SSEDecoder
from streamagg._codec.size import weigh
from streamagg._codec.struct import Extra
from streamagg._merge.text import Text
from streamagg._merge.tool_calls import Slots
from streamagg._merge.usage import UsageMerge
from streamagg._repairs import REPAIRS
from tests.support.helpers import chunk, merged, sse
from tests.support.steps import steps_of


def calls(*fragments: dict[str, Any]) -> Any:
    return chunk({"tool_calls": list(fragments)})


def call(index: Any, name: str | None = None, **more: Any) -> dict[str, Any]:
    return {"index": index, **more, "function": {"arguments": "[", **({"name": name} if name else {})}}


def items(*listed: dict[str, Any]) -> Any:
    return chunk({"reasoning_details": list(listed)})


ROOM = Limits(tool_calls=10**6)
TRAPS: dict[str, tuple[Callable[[int], list[Any]], dict[str, Any]]] = {
    "items of one index with other ids": (lambda n: [items({"index": 0, "id": str(i)}) for i in range(n)], {"limits": ROOM}),
    "items of one index that continue the first": (
        lambda n: [items({"index": 0, "id": str(i)}) for i in range(n)] + [items({"index": 0, "id": "0"})] * n,
        {"limits": ROOM},
    ),
    "items at the limit": (lambda n: [items(*({"index": i} for i in range(40)))] * n, {"limits": Limits(tool_calls=1)}),
    "a vendor's counter more at each report": (
        lambda n: [chunk({"content": "a"}, usage={"prompt_tokens": 1, f"k{i}": i}) for i in range(n)], {},
    ),
    "a vendor's counter more at each increment": (
        lambda n: [chunk({"content": "a"}, usage={"prompt_tokens": 9})] + [chunk({"content": "a"}, usage={f"k{i}": {"n": i}}) for i in range(n)], {},
    ),
    "a vendor's counter more, summed": (lambda n: [chunk({"content": "a"}, usage={f"k{i}": i}) for i in range(n)], {"usage": "sum"}),
    "two fragments a chunk when strict": (
        lambda n: [calls(call(i, id=f"i{i}")) for i in range(n)] + [calls(call(0), call(1))] * n, {"strict": True, "limits": ROOM},
    ),
    "two fragments a chunk at the limit": (
        lambda n: [calls(call(i)) for i in range(300)] + [calls(call(0, "f"), call(1))] * n, {"limits": Limits(tool_calls=301)},
    ),
    "two named fragments a chunk when strict": (
        lambda n: [calls(*({"index": k, "function": {"name": f"{k}{i}"}} for k in (0, 1))) for i in range(n)], {"strict": True},
    ),
    "one chunk of many fragments": (lambda n: [calls(*[call(0, "f")] * n)], {"limits": Limits(tool_calls=1)}),
    "fields of a call": (lambda n: [calls({"index": 0, f"k{i}": 1}, {"index": 1}) for i in range(n)], {"strict": True}),
}  # fmt: skip


@pytest.mark.skipif(sys.gettrace() is not None, reason="counts steps with the hook that a tracer has taken")
@pytest.mark.parametrize("way", ["feed", "add"])
@pytest.mark.parametrize("trap", TRAPS)
def test_steps_grow_linearly(trap: str, way: str) -> None:
    make, options = TRAPS[trap]

    def run(count: int) -> int:
        chunks = make(count)
        accumulator = Accumulator(**options)

        def push() -> None:
            for each in chunks:
                if way == "add":
                    accumulator.add(each)
                else:
                    accumulator.feed(sse(each, done=False))
            accumulator.snapshot()

        return steps_of(push)

    run(1)
    least = run(0)  # what comes before the part that grows
    steps = [run(count) - least for count in (150, 300, 600)]
    assert all(more <= 2.2 * less for less, more in pairwise(steps)), steps


def test_a_name_in_pieces_is_joined_as_rarely_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = 0
    value = Text.value

    def counting(self: Text) -> str:
        nonlocal joined
        joined += len(self.head) if self.tail else 0
        return value(self)

    monkeypatch.setattr(Text, "value", counting)
    for options in ({}, {"strict": True}):
        joined = 0
        accumulator = Accumulator(**options)  # type: ignore[arg-type]
        for n in range(3000):
            accumulator.add(calls({"index": 0, "function": {"name": f"name{n}"}}))
        assert joined < 40 * 3000 * len("name1000")
        assert accumulator.snapshot().choices[0].message.tool_calls[0].function.name == "".join(
            f"name{n}" for n in range(3000)
        )  # type: ignore[union-attr,index]


def test_the_last_id_of_many_events_is_decoded_once() -> None:
    decoder = SSEDecoder()
    events = decoder.feed(b"id: " + b"x" * 10**6 + b"\n\n" + b"data: a\n\n" * 1000)
    assert len(events) == 1000
    assert len({id(event.id) for event in events}) == 1
    assert [event.id for event in decoder.feed(b"id: y\ndata: b\n\nid\ndata: c\n\n")] == ["y", ""]


def test_indices_that_share_a_hash_are_none() -> None:
    """Multiples of 2**61 - 1 all hash to 0: as keys of a dict they would cost their square."""
    step = 2**61 - 1
    listed = merged(items(*({"index": n * step, "text": "a"} for n in (1, 2, 1))))["choices"][0]["message"]
    assert listed["reasoning_details"] == [{"index": n * step, "text": "a"} for n in (1, 2, 1)]
    assert hash(2**60) != hash(2**60 - 1 - step)


def whole(n: int, **more: Any) -> CompletionUsage:
    return CompletionUsage(**{"prompt_tokens": 5, "completion_tokens": n, "total_tokens": n + 5, **more})


@pytest.mark.skipif(sys.gettrace() is not None, reason="counts steps with the hook that a tracer has taken")
@pytest.mark.parametrize("mode", ["auto", "last"])
def test_a_running_total_costs_nothing(mode: Any) -> None:
    merge = UsageMerge(mode)
    merge.add(whole(1), alone=False)
    merge.add(whole(2), alone=False)
    assert steps_of(lambda: merge.add(whole(3), alone=False)) < 30
    assert steps_of(lambda: merge.add_all([whole(n) for n in range(3, 40)])) < 37 * 25
    assert merge.add(whole(50), alone=False) == merge.add_all([whole(60)]) == 0
    assert merge.value() == whole(60)


@pytest.mark.parametrize(
    "odd",
    [
        {"completion_tokens": None},
        {"total_tokens": None},
        {"cost": 1},
        {"search_context_size": "x"},
        {"extra": Extra({"k": 1})},
    ],
)
def test_a_running_total_with_more_in_it_is_merged(odd: dict[str, Any]) -> None:
    merge = UsageMerge()
    for report in (whole(1), whole(2, **odd), whole(3)):
        merge.add(report, alone=False)
    said = merge.value()
    assert said is not None
    assert said == whole(3, **{name: value for name, value in odd.items() if value is not None})


# ------------------------------------------------------------------ limits that were passed by, or too early


def test_items_are_counted_over_all_entries_of_a_choice() -> None:
    delta = {"reasoning_details": [{"index": 0, "id": str(n)} for n in range(3)]}
    more = {"reasoning_details": [{"index": 0, "id": str(n)} for n in range(3, 6)]}
    entries = {"id": "x", "choices": [{"index": 0, "delta": delta}, {"index": 0, "delta": more}]}
    assert merged(entries, limits=Limits(tool_calls=6))
    with pytest.raises(LimitError, match="tool_calls=5"):
        Accumulator(limits=Limits(tool_calls=5)).add(entries)


def test_many_fragments_of_one_item_are_one_item() -> None:
    many = items(*[{"index": 0, "type": "t", "text": "a"}] * 5000)
    assert merged(many)["choices"][0]["message"]["reasoning_details"] == [{"index": 0, "type": "t", "text": "a" * 5000}]
    lost = items(
        {"index": 0, "type": "t"}, {"index": 0, "type": 5}, {"index": 0, "type": "u"}
    )  # it has no type by then
    assert len(merged(lost, limits=Limits(tool_calls=1))["choices"][0]["message"]["reasoning_details"]) == 1


def test_items_without_an_index_are_no_others() -> None:
    mixed = items({"text": "a"}, {"index": 0, "text": "b"}, {"text": "c"}, {"index": 0, "text": "d"})
    assert len(merged(mixed, mixed, limits=Limits(tool_calls=1))["choices"][0]["message"]["reasoning_details"]) == 5


def test_fragments_at_the_limit() -> None:
    at_limit = [calls(*(call(n) for n in range(4)))]
    assert (
        len(
            merged(*at_limit, calls(call(0), call(3), call(3)), limits=Limits(tool_calls=4))["choices"][0]["message"][
                "tool_calls"
            ]
        )
        == 4
    )
    with pytest.raises(LimitError):
        merged(*at_limit, calls(call(0), call(4)), limits=Limits(tool_calls=4))


def test_strict_sees_a_name_repeated_within_a_chunk() -> None:
    """It merged the first half and was then refused."""
    entry = {"index": 0, "delta": {"function_call": {"name": "f", "arguments": "x"}}}
    accumulator = Accumulator(strict=True)
    with pytest.raises(ValueError, match="tool_name_repeated"):
        accumulator.add({"id": "x", "choices": [entry, entry]})
    assert accumulator.snapshot() is None
    assert not accumulator.repairs


FRAGMENTS: list[dict[str, Any]] = [
    {"index": index, "id": name, "function": {"name": callee, "arguments": text}}
    for index in (0, 1, None) for name in (None, "a", "b") for callee in (None, "f", "g") for text in ("", "{", "{}", "}", " ", '"\\')
]  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_a_trial_foretells(seed: int) -> None:
    """What trying fragments says, repairs and count, is what taking them then does; and it changes nothing."""
    import random

    import msgspec

    from streamagg._types.chunk import ChatCompletionChunkToolCall as Fragment

    dice = random.Random(seed)
    slots = Slots()
    for _ in range(30):
        fragments = [msgspec.convert(dice.choice(FRAGMENTS), Fragment) for _ in range(dice.randint(1, 4))]
        foretold: list[str] = []
        noted: list[str] = []
        before = slots.value()
        trial = slots.trial(fragments)
        for fragment in fragments:
            trial.add(fragment, foretold.append)
        assert slots.value() == before
        for fragment in fragments:
            slots.add(fragment, noted.append)
        assert (foretold, trial.count) == (noted, len(slots.slots))


# ------------------------------------------------------------------ what a unit of the size may cost


@pytest.mark.parametrize(
    "value",
    [[[]] * 500, [{}] * 500, [""] * 500, [[[[[]]]]] * 100, [{"": {"": {}}}] * 100, [0.5] * 500, [10**4000] * 5, list("中" * 500), {f"{n}": 0 for n in range(500)}],
    ids=lambda value: json.dumps(value)[:12],
)  # fmt: skip
def test_a_unit_of_size_is_at_most_fifty_bytes(value: Any) -> None:
    held: list[int] = []

    def measure(inner: Any) -> None:
        held.append(sys.getsizeof(inner))
        for item in inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else []:
            measure(item)

    accumulator = Accumulator()
    before = accumulator._merger.size
    accumulator.add(chunk({"vendor": value}))
    grown = accumulator._merger.size - before
    measure(accumulator.snapshot().choices[0].message.extra["vendor"])  # type: ignore[union-attr]
    assert sum(held) <= 50 * grown
    assert weigh(value) <= len(json.dumps(value, separators=(",", ":"), ensure_ascii=False))


@pytest.mark.parametrize("empty", ["", [], {}, None, 0])
def test_a_stream_of_nothings_ends(empty: Any) -> None:
    accumulator = Accumulator(limits=Limits(response_size=10_000))
    with pytest.raises(LimitError, match="response_size"):
        for _ in range(10_000):
            accumulator.add(chunk({"annotations": [empty] * 20, "content": "x"}))


def test_repairs_are_counts_of_few_kinds() -> None:
    accumulator = Accumulator()
    for n in range(3000):
        accumulator.add({"id": f"x{n}", "choices": [{"delta": {"content": 5, "tool_calls": [None, {"id": "null"}]}}]})
    assert set(accumulator.repairs) <= set(REPAIRS)
    assert accumulator.repairs["choice_index_missing"] == 3000
