"""Usage of several responses, added up."""

from __future__ import annotations

from streamagg import (
    CompletionUsage,
    IncompleteStreamError,
    accumulate_sync,
    sum_usage,
)
from tests.support.helpers import chunk


class TestSumUsage:
    def test_nothing(self) -> None:
        assert sum_usage([]) == CompletionUsage()
        assert sum_usage([None, ConnectionResetError(), IncompleteStreamError("x")]) == CompletionUsage()
        assert sum_usage([accumulate_sync([chunk({"content": "a"}, finish="stop")])]) == CompletionUsage()

    def test_everything_that_was_reported_counts(self) -> None:
        report = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4, "cost": 0.5}
        details = {**report, "prompt_tokens_details": {"cached_tokens": 2}}
        error = IncompleteStreamError("cut")
        error.partial = accumulate_sync([chunk({"content": "a"}, finish="stop", usage=details)])
        whole = accumulate_sync([chunk({"content": "a"}, finish="stop", usage=report)])
        total = sum_usage(item for item in (whole, None, error, whole))
        assert total.to_dict() == {
            "prompt_tokens": 9,
            "completion_tokens": 3,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 2},
            "cost": 1.5,
        }
        assert whole.usage.total_tokens == 4  # type: ignore[union-attr]


def test_nulls_inside_usage_add_nothing() -> None:
    one, two = (
        accumulate_sync([chunk(usage={"prompt_tokens": 1, "d": {"a": value}}, finish="stop")]).usage
        for value in (1, None)
    )
    two.extra["d"] = {"a": None}  # type: ignore[union-attr]
    assert (one + two).to_dict() == {"prompt_tokens": 2, "d": {"a": 1}}  # type: ignore[operator]
