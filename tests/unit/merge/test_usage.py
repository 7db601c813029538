"""Usage reports: each token is counted once, in whatever way a server reports."""

from __future__ import annotations

from typing import Any

import pytest

from streamagg import CompletionUsage
from streamagg._merge.usage import UsageMerge
from tests.support.helpers import chunk, merged


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
    assert usage.add_all(reports[2:]) == 0
    assert usage.value() == reports[-1]
