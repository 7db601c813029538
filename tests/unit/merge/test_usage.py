"""Usage reports: each token is counted once, in whatever way a server reports."""

from __future__ import annotations

import itertools
import random
import sys
from typing import Any

import pytest

import streamagg._merge.usage as module
from streamagg import (
    Accumulator,
    CompletionUsage,
)
from streamagg._codec.struct import Extra, copied
from streamagg._merge.usage import UsageMerge
from tests.support.helpers import chunk, merged
from tests.support.steps import steps_of


def report(prompt: Any = None, completion: Any = None, total: Any = None, **more: Any) -> dict[str, Any]:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more}
    return {name: value for name, value in counts.items() if value is not None}


def usage(*reports: Any, alone: bool = False, **options: Any) -> Any:
    chunks = [chunk(usage=item) for item in reports]
    if alone:
        chunks = [{**item, "choices": []} for item in chunks]
    return merged(*chunks, **options).get("usage")


WAYS: dict[str, tuple[list[Any], Any]] = {
    "once": ([None, report(10, 3, 13)], report(10, 3, 13)),
    "a running total": ([report(10, n, 10 + n) for n in (0, 1, 2, 3, 3)], report(10, 3, 13)),
    "the same twice": ([report(10, 3, 13)] * 2, report(10, 3, 13)),
    "a total that corrects itself (Gemini)": ([report(4, 0, 4), report(4, 0, 4), report(3, 11, 14)], report(3, 11, 14)),
    "in pieces": ([report(10, 0, 10), report(0, 3, 3)], report(10, 3, 13)),
    "in pieces, the last with the grand total": ([report(10, 0, 10), report(None, 3, 13)], report(10, 3, 13)),
    "in pieces without totals": ([report(10), report(None, 3)], report(10, 3, 13)),
    "increments (GigaChat)": ([report(10, 1, 11), report(0, 1, 1), report(0, 1, 1)], report(10, 3, 13)),
    "the prompt comes last, with all": ([report(0, 1), report(0, 3), report(10, 3, 13)], report(10, 3, 13)),
    "the prompt comes last, alone": ([report(None, 3, 3), report(10, 0, 10)], report(10, 3, 13)),
    "no prompt: a larger count replaces": ([report(None, 1), report(None, 2), report(None, 5)], report(None, 5)),
    "no prompt: anything else adds": ([report(None, 2), report(None, 1)], report(None, 3, 3)),
    "null and {} are none": ([report(10, 3, 13), None, {}, {"prompt_tokens": None}], report(10, 3, 13)),
    "10.0 is 10, numbers may be strings": ([report(10.0, "3", 13)], report(10, 3, 13)),
    "details and vendor fields go with it": (
        [
            report(10, 1, 11, cost=0.5, prompt_tokens_details={"cached_tokens": 4, "x": 1}, tier="a"),
            report(0, 1, 1, cost=0.25, prompt_tokens_details={"cached_tokens": 0, "x": 2}, tier="b"),
        ],
        report(10, 2, 12, cost=0.75, prompt_tokens_details={"cached_tokens": 4, "x": 3}, tier="b"),
    ),
    "a restatement replaces only what it names": (
        [report(10, 1, 11, cost=1, completion_tokens_details={"reasoning_tokens": 1}), report(10, 2, 12)],
        report(10, 2, 12, cost=1, completion_tokens_details={"reasoning_tokens": 1}),
    ),
    "booleans are no numbers": ([report(10, 1, is_byok=True), report(0, 1, is_byok=True)], report(10, 2, 12, is_byok=True)),
    "never estimated": ([None], None),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_auto(way: str) -> None:
    reports, wanted = WAYS[way]
    assert usage(*reports) == wanted


def test_no_prompt_and_empty_choices_is_a_repeat() -> None:
    assert usage(report(None, 3), report(None, 3), alone=True) == report(None, 3)
    assert usage(report(None, 3), report(None, 3)) == report(None, 6, 6)


def test_sum_and_last() -> None:
    reports = [report(10, 1, 11, cost=1), report(10, 2, 12)]
    assert usage(*reports, usage="sum") == report(20, 3, 23, cost=1)
    assert usage(*reports, usage="last") == report(10, 2, 12, cost=1)
    assert usage(report(10, 0, 10), report(0, 3, 3), usage="last") == report(0, 3, 3)


def test_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="usage must be"):
        usage(report(1), usage="max")


def test_usage_of_a_choice_counts_and_moves() -> None:
    """Moonshot reports inside the choice."""
    item = chunk(finish="stop")
    item["choices"][0]["usage"] = report(10, 3, 13)
    response = merged(item)
    assert response["usage"] == report(10, 3, 13)
    assert "usage" not in response["choices"][0]


def test_groq_reports_beside_or_instead() -> None:
    own, groqs = report(10, 3, 13), report(10, 4, 14)
    for none in (None, {}, {"prompt_tokens": None}):
        assert merged(chunk(x_groq={"usage": groqs}, usage=none))["usage"] == groqs
    assert merged(chunk(x_groq={"usage": groqs}, usage=own))["usage"] == own


def test_numbers_past_all_bounds_count_nothing() -> None:
    """They break no sum: the largest counter that anything can hold is of 64 bits."""
    huge = 10**400
    for mode in ("auto", "sum", "last"):
        response = merged(*(chunk(usage=report(1, 2, cost=cost)) for cost in (1.5, huge, 2.5)), usage=mode)
        assert response["usage"]["cost"] == 2.5
    assert (CompletionUsage(cost=0.5) + CompletionUsage(cost=huge)).cost == huge
    assert (CompletionUsage(total_tokens=2**63) + CompletionUsage(total_tokens=1)).total_tokens == 1


def test_sum_of_responses() -> None:
    first = CompletionUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    second = CompletionUsage(prompt_tokens=10, cost={"usd": 0.5})
    total = first + second + second
    assert total == CompletionUsage(prompt_tokens=21, completion_tokens=2, total_tokens=3, cost={"usd": 1.0})
    assert sum([first, second], CompletionUsage()).prompt_tokens == 11
    assert first == CompletionUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    with pytest.raises(TypeError):
        first + 1  # type: ignore[operator]


@pytest.mark.parametrize(
    "more",
    [
        {"prompt_tokens_details": {"cached_tokens": 1}},
        {"completion_tokens_details": {"reasoning_tokens": 1}},
        {"cost": 0.5},
        {"search_context_size": "low"},
        {"vendor": 1},
    ],
)
def test_what_only_one_of_many_running_totals_says_stays(more: dict[str, Any]) -> None:
    totals = [{"prompt_tokens": 5, "completion_tokens": n, "total_tokens": 5 + n} for n in range(1, 5)]
    totals[2] |= more
    assert usage(*totals) == {**totals[3], **more}


@pytest.mark.parametrize("name", ["prompt_tokens_details", "completion_tokens_details"])
def test_details_of_running_totals_merge_key_by_key(name: str) -> None:
    totals: list[dict[str, Any]] = [
        {"prompt_tokens": 5, "completion_tokens": n, "total_tokens": 5 + n} for n in range(1, 5)
    ]
    for total, details in zip(totals, ({"a": 1}, {"b": 2}, {"a": 3}, {"a": 4}), strict=True):
        total[name] = details
    assert usage(*totals) == {**totals[3], name: {"a": 4, "b": 2}}


def test_of_a_running_total_the_last_counts_and_adds_no_size() -> None:
    reports = [CompletionUsage(prompt_tokens=5, completion_tokens=n, total_tokens=5 + n) for n in range(1, 6)]
    usage = UsageMerge()
    for report in reports[:2]:
        usage.add(report, alone=False)
    assert [usage.add(report, alone=False) for report in reports[2:]] == [0, 0, 0]
    assert usage.value() == reports[-1]


def test_the_growth_of_a_sum_is_counted() -> None:
    usage = UsageMerge("sum")
    assert usage.add(CompletionUsage(prompt_tokens=9, cost="a"), alone=True) > 0
    assert usage.add(CompletionUsage(prompt_tokens=10**15, cost="a" * 9), alone=True) > 8


def test_usage_added_in_equal_pieces_adds_up() -> None:
    accumulator = Accumulator()
    for _ in range(5):
        accumulator.add(chunk({"content": "a"}, usage={"completion_tokens": 3}))
    snapshot = accumulator.snapshot()
    assert snapshot is not None
    assert snapshot.usage == CompletionUsage(completion_tokens=15, total_tokens=15)


COUNTS = [None, 0, 1, 5, 2.0]
PIECES: list[dict[str, Any]] = [
    {"prompt_tokens": p, "completion_tokens": c, "total_tokens": t, **more}
    for p, c, t in itertools.product(COUNTS, [None, 0, 3, 4], [None, 0, 9])
    for more in ({}, {"cost": 1.5}, {"k": {"n": 1, "s": "x"}}, {"k": {"m": 5, "long": "text"}}, {"k": 7})
]


def reports(dice: random.Random) -> list[CompletionUsage]:
    plain = [
        {name: value for name, value in dice.choice(PIECES).items() if value is not None}
        for _ in range(dice.randint(1, 7))
    ]
    return [module.to_struct(CompletionUsage, each, module.ignore) for each in plain]


@pytest.mark.parametrize("mode", ["auto", "sum", "last"])
def test_a_report_that_is_held_changes_nothing(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Holding the only report, or one that restates all before it, is quick and has the outcome of merging each."""
    for seed in range(300):
        row = reports(random.Random(seed))
        quick, looked_at = UsageMerge(mode), UsageMerge(mode)
        for report in row:
            quick.add(copied(report), alone=False)
            looked_at.add(copied(report), alone=False)
            looked_at.value()
        with monkeypatch.context() as patch:
            patch.setattr(module, "_restates", lambda report, before: False)
            slow = UsageMerge(mode)
            for report in row:
                slow.add(copied(report), alone=False)
                slow._settle()
        assert quick.value() == looked_at.value() == slow.value()
        assert quick.value(final=True) == slow.value(final=True)


def test_a_restatement_in_another_order_keeps_the_first_order() -> None:
    """Perplexity's last report names the parts of its cost in another order than those before it."""
    first = CompletionUsage(prompt_tokens=10, cost={"total": 1, "input": 2}, extra=Extra({"tier": "a", "place": "b"}))
    last = CompletionUsage(prompt_tokens=10, cost={"input": 2, "total": 3}, extra=Extra({"place": "b", "tier": "a"}))
    merge = UsageMerge()
    for one in (first, last):
        merge.add(one, alone=False)
    for value in (merge.value(), merge.value(final=True)):
        assert value is not None
        assert list(value.cost) == ["total", "input"]
        assert list(value.extra) == ["tier", "place"]
        assert value.cost["total"] == 3


def test_a_held_report_is_not_shared() -> None:
    merge = UsageMerge()
    merge.add(CompletionUsage(prompt_tokens=1, extra=Extra({"a": {"b": [1.0, None], "c": None}, "d": 2.0})), alone=True)
    first, second = merge.value(), merge.value()
    assert first is not None
    assert second is not None
    assert first == second == CompletionUsage(prompt_tokens=1, extra=Extra({"a": {"b": [1.0, None]}, "d": 2}))
    first.prompt_tokens = 5
    first.extra["a"]["b"].append(2)
    assert merge.value() == second


def test_the_size_of_reports_is_that_of_their_own_fields() -> None:
    """The standard counters count once, as there are few. Each other field counts, and again where it grows."""
    merge = UsageMerge()
    assert merge.add(CompletionUsage(prompt_tokens=1, completion_tokens=1, total_tokens=2), alone=False) == 20
    grown = merge.add(
        CompletionUsage(prompt_tokens=1, completion_tokens=2, extra=Extra({"note": "x" * 50})), alone=False
    )
    assert grown >= 50
    assert merge.add(CompletionUsage(prompt_tokens=1, extra=Extra({"note": "x" * 80})), alone=False) >= 30


@pytest.mark.parametrize(
    ("row", "total"),
    [
        ([{"prompt_tokens": 10, "total_tokens": 100}, {"completion_tokens": 3}], 100),
        ([{"prompt_tokens": 10, "total_tokens": 11}, {"completion_tokens": 3, "total_tokens": 50}], 61),
        ([{"prompt_tokens": 10, "total_tokens": 11}, {"completion_tokens": 3}], 13),
        ([{"prompt_tokens": 10}, {"completion_tokens": 3}], 13),
        ([{"cost": 1}, {"cost": 1}], None),
        ([{"cost": 1, "total_tokens": 0}, {"cost": 1}], 0),
    ],
)
def test_the_total_after_an_addition(row: list[dict[str, Any]], total: int | None) -> None:
    said = usage(*row)
    expected = max(row[0].get("total_tokens", 0), row[1].get("total_tokens", 0)) if total == 61 else total
    assert said.get("total_tokens") == expected


def test_a_repeat_alone_counts_once_and_grows_by_nothing() -> None:
    merge = UsageMerge()
    report = CompletionUsage(completion_tokens=3, cost=1)
    assert merge.add(report, alone=True) > 0
    assert merge.add(report, alone=True) == 0
    assert merge.value() == CompletionUsage(completion_tokens=3, cost=1)
    assert merge.add(CompletionUsage(), alone=True) == 0


def test_counts_that_are_none() -> None:
    """What is no number, or past 64 bits, counts nothing; whole floats of a vendor are integers."""
    assert usage({"prompt_tokens": 5, "x": 10.0}) == {"prompt_tokens": 5, "x": 10}
    assert type(usage({"x": 10.0})["x"]) is int
    huge = 2**70
    assert usage({"prompt_tokens": huge, "completion_tokens": 1}, {"completion_tokens": 2})["completion_tokens"] in (
        2,
        3,
    )
    assert usage({"x": True}, {"x": True}, usage="sum") == {"x": True}
    assert merged({"id": "x", "choices": [], "usage": {"k": {"n": 2.0}}})["usage"] == {"k": {"n": 2}}


def whole(n: int, **more: Any) -> CompletionUsage:
    return CompletionUsage(**{"prompt_tokens": 5, "completion_tokens": n, "total_tokens": n + 5, **more})


@pytest.mark.skipif(sys.gettrace() is not None, reason="counts steps with the hook that a tracer has taken")
@pytest.mark.parametrize("mode", ["auto", "last"])
def test_a_running_total_costs_nothing(mode: Any) -> None:
    merge = UsageMerge(mode)
    merge.add(whole(1), alone=False)
    merge.add(whole(2), alone=False)
    assert steps_of(lambda: merge.add(whole(3), alone=False)) < 40
    assert merge.add(whole(50), alone=False) == 0
    assert merge.value() == whole(50)


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
