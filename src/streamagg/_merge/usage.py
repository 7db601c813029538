"""Merging usage reports, so that each token is counted once.

Servers report once at the end, as a running total, twice the same, in pieces (prompt first,
completion last), or as increments. The prompt is counted once, so it tells them apart:

- a report with a prompt count, after one that had it, restates the whole and replaces what it names;
- a report without one, after one that had it, is a piece or an increment, and adds;
- the first prompt count after reports without one replaces if its completion count is no smaller
  than what stands, else it adds;
- while no prompt count has come at all, a larger completion count replaces; a report equal to the
  one before it on a chunk with empty `choices` is a repeat; any other adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from .._codec.lenient import ignore, to_struct
from .._codec.struct import copied
from .._types.usage import CompletionUsage, is_count
from .values import merge_object, replace

UsageMode = Literal["auto", "sum", "last"]


_NOTHING: dict[str, Any] = {}


class UsageMerge:
    """Takes reports in order; `value()` is the usage so far, None before the first report."""

    __slots__ = ("_before", "_had_prompt", "_mode", "_running", "_stands")

    def __init__(self, mode: UsageMode = "auto") -> None:
        if mode not in ("auto", "sum", "last"):
            raise ValueError(f"usage must be 'auto', 'sum' or 'last', not {mode!r}")
        self._mode = mode
        self._stands: dict[str, Any] = {}
        self._before = _NOTHING
        self._had_prompt = False
        self._running: CompletionUsage | None = None  # a running total's last report, not yet in `_stands`

    def add(self, usage: CompletionUsage, *, alone: bool) -> int:
        """Take a report; `alone` says that its chunk has no choices. Returns the growth in size.

        Of a running total on every chunk only the last report counts, and the others cost nothing.
        """
        running = usage if self._mode != "sum" and _is_whole(usage) else None
        if running is not None and self._running is not None:
            self._running = running
            return 0
        self._settle()
        report = _numbered(usage.to_dict())
        if not report:
            return 0
        if self._had_prompt or not self._stands:  # it restates, as will all that follow it of its kind
            self._running = running
        if not self._stands or self._mode == "last":
            grown = merge_object(self._stands, report)
        elif self._mode == "sum":
            grown = _add(self._stands, report)
        else:
            grown = self._merge(report, alone)
        self._before = report
        self._had_prompt = self._had_prompt or bool(_count(report, "prompt_tokens"))
        return grown

    @property
    def runs(self) -> bool:
        """Whether of reports that name the three counters and nothing else only the last one counts."""
        return self._running is not None

    def add_all(self, reports: Sequence[CompletionUsage]) -> int:
        """Take the reports of chunks with choices, in order. Returns the growth in size."""
        if self._running is not None and all(map(_is_whole, reports)):
            self._running = reports[-1]
            return 0
        return sum(self.add(report, alone=False) for report in reports)

    def value(self) -> CompletionUsage | None:
        self._settle()
        return to_struct(CompletionUsage, copied(self._stands), ignore) if self._stands else None

    def _settle(self) -> None:
        if self._running is not None:
            self._before = _numbered(self._running.to_dict())
            merge_object(self._stands, self._before)
            self._running = None

    def _merge(self, report: dict[str, Any], alone: bool) -> int:
        stands = self._stands
        completion, before = _count(report, "completion_tokens"), _count(stands, "completion_tokens")
        if _count(report, "prompt_tokens"):
            replaces = self._had_prompt or completion >= before
        elif self._had_prompt:
            replaces = False
        else:
            replaces = completion > before
            if not replaces and alone and report == self._before:
                return 0
        return merge_object(stands, report) if replaces else _sum(stands, report)


def _is_whole(usage: CompletionUsage) -> bool:
    """Whether a report names the three counters, a prompt among them, and nothing else."""
    return (
        bool(usage.prompt_tokens)
        and usage.completion_tokens is not None
        and usage.total_tokens is not None
        and usage.prompt_tokens_details is None
        and usage.completion_tokens_details is None
        and usage.cost is None
        and usage.search_context_size is None
        and not usage.extra
    )


def _count(report: dict[str, Any], name: str) -> int | float:
    value = report.get(name, 0)
    return value if is_count(value) else 0


def _add(stands: dict[str, Any], report: dict[str, Any]) -> int:
    """Add `report` to `stands`, number by number, at every level; what is no number is last non-null. Returns
    the growth in size."""
    grown = 0
    for name, value in report.items():
        before = stands.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            grown += _add(before, value)
        elif is_count(value) and is_count(before):
            grown += replace(stands, name, before + value)
        else:
            grown += merge_object(stands, {name: value})
    return grown


def _sum(stands: dict[str, Any], report: dict[str, Any]) -> int:
    before = _count(stands, "total_tokens")
    grown = _add(stands, report)
    parts = _count(stands, "prompt_tokens") + _count(stands, "completion_tokens")
    largest = max(before, _count(report, "total_tokens"), parts)
    if largest or "total_tokens" in stands:
        grown += replace(stands, "total_tokens", largest)
    return grown


def _numbered(report: dict[str, Any]) -> dict[str, Any]:
    """A report without nulls, its whole floats as integers (`10.0` is `10`)."""
    return {name: _number(value) for name, value in report.items() if value is not None}


def _number(value: Any) -> Any:
    if isinstance(value, dict):
        return _numbered(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value
