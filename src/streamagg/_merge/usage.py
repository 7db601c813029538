"""Merging usage reports so that each token is counted once.

Servers report once at the end, as a running total, twice the same, in pieces (prompt first, completion last), or as
increments. Each stream has one prompt, and its count tells these cases apart:

1. A report with a prompt count, after one that had it, restates the whole: it replaces the counters that it names.
2. A report without a prompt count, after one that had it, is a piece or an increment: it adds.
3. The first prompt count after reports without one replaces if its completion count is not smaller than the current
   one. Else it adds.
4. While no prompt count has arrived, a larger completion count replaces. A report that equals the report before it,
   on a chunk with empty `choices`, is a repeat. Any other report adds.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from .._codec.lenient import ignore, to_struct
from .._codec.size import size_of
from .._codec.struct import NO_EXTRA, Extra, copied, shallow_copy
from .._types.usage import CompletionTokensDetails, CompletionUsage, PromptTokensDetails, is_count
from .values import merge_object, replace

UsageMode = Literal["auto", "sum", "last"]


class UsageMerge:
    """The usage of one stream. `value()` is None before the first report."""

    __slots__ = ("_before", "_current", "_had_prompt", "_held", "_mode", "_size")

    def __init__(self, mode: UsageMode = "auto") -> None:
        if mode not in ("auto", "sum", "last"):
            raise ValueError(f"usage must be 'auto', 'sum' or 'last', not {mode!r}")
        self._mode = mode
        self._current: dict[str, Any] = {}
        self._before: dict[str, Any] | None = None
        self._had_prompt = False
        # The last report, if it is the only one or restates all before it. Most streams have one report, others a
        # running total on each chunk. To hold it unmerged saves 20 us.
        self._held: CompletionUsage | None = None
        self._size = 0  # of the report that is held

    def add(self, report: CompletionUsage, *, alone: bool) -> int:
        """Merge a report. `alone`: its chunk has no choices. Returns the growth in size.

        The report is taken over: the caller does not change it afterwards.
        """
        held = self._held
        if held is None:
            if not self._current:
                if report == _NO_REPORT:
                    return 0
                self._held, self._size = report, _size_of(report)
                return self._size
        # vLLM's running totals and xAI's name the same three counters on each chunk.
        elif self._mode != "sum" and _is_running_total(report) and _is_running_total(held):
            self._held = report
            return 0
        elif self._mode != "sum" and held.prompt_tokens and report.prompt_tokens and _restates(report, held):
            before, self._size = self._size, _size_of(report)
            self._held = report
            return self._size - before
        self._settle()
        plain = _whole_numbers(report.to_dict())
        if not plain:
            return 0
        if self._mode == "last":
            grown = merge_object(self._current, plain)
        elif self._mode == "sum":
            grown = _add(self._current, plain)
        else:
            grown = self._merge(plain, alone)
        self._note(plain)
        return grown

    def value(self, *, final: bool = False) -> CompletionUsage | None:
        """The usage so far. It shares nothing with what follows; `final`: nothing follows."""
        if self._held is not None:
            if not final or not has_counters_only(self._held):
                return _normalized(self._held)
            return self._held
        if not self._current:
            return None
        try:
            usage = msgspec.convert(self._current, CompletionUsage)
        except msgspec.ValidationError:  # fields of the server's own
            return to_struct(CompletionUsage, copied(self._current), ignore)
        usage.cost, usage.search_context_size = copied(usage.cost), copied(usage.search_context_size)
        return usage

    def _settle(self) -> None:
        """Merge the report that is held."""
        if self._held is not None:
            plain = _whole_numbers(self._held.to_dict())
            self._held = None
            merge_object(self._current, plain)
            self._note(plain)

    def _note(self, plain: dict[str, Any]) -> None:
        self._before = plain
        self._had_prompt = self._had_prompt or bool(_count(plain, "prompt_tokens"))

    def _merge(self, plain: dict[str, Any], alone: bool) -> int:
        current = self._current
        completion, before = _count(plain, "completion_tokens"), _count(current, "completion_tokens")
        if _count(plain, "prompt_tokens"):
            replaces = self._had_prompt or completion >= before
        elif self._had_prompt:
            replaces = False
        else:
            replaces = completion > before
            if not replaces and alone and plain == self._before:
                return 0
        return merge_object(current, plain) if replaces else _add_with_total(current, plain)


_NO_REPORT = CompletionUsage()
_SIZE_OF_COUNTERS = 20
"""The size of a report with the standard counters alone: about its shortest JSON. No report has many counters."""
_COUNTERS = (CompletionUsage, PromptTokensDetails, CompletionTokensDetails)


def has_counters_only(usage: CompletionUsage) -> bool:
    """Whether a report has the standard counters alone, at every level."""
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return (
        not usage.extra
        and usage.cost is None
        and usage.search_context_size is None
        and (prompt is None or not prompt.extra)
        and (completion is None or not completion.extra)
    )


def _size_of(usage: CompletionUsage) -> int:
    """The size of a report that is held."""
    return _SIZE_OF_COUNTERS if has_counters_only(usage) else _SIZE_OF_COUNTERS + size_of(usage)


def _is_running_total(usage: CompletionUsage) -> bool:
    """Whether a report names the three counters, a prompt among them, and no other field."""
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


def _restates(report: Any, before: Any) -> bool:
    """Whether a report has a value for every counter and field of the one before, at every level."""
    if isinstance(before, _COUNTERS):
        if not isinstance(report, type(before)):
            return False
        fields = [(getattr(report, name), getattr(before, name)) for name in before.__struct_fields__]
    elif isinstance(before, dict):
        # A response names the fields in the order in which they first came: Perplexity's last report sorts them anew.
        if not isinstance(report, dict) or list(report)[: len(before)] != list(before):
            return False
        fields = [(report.get(name), value) for name, value in before.items()]
    else:
        return report is not None
    return all(_restates(new, old) for new, old in fields if old is not None)


def _normalized(usage: CompletionUsage) -> CompletionUsage:
    """A copy of a report, without nulls. Floats without a fraction become integers."""
    copy = shallow_copy(usage)
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        if (details := getattr(copy, name)) is not None:
            details = shallow_copy(details)
            details.extra = _normalized_extra(details.extra)
            setattr(copy, name, details)
    copy.cost = _normalized_value(copy.cost)
    copy.search_context_size = _normalized_value(copy.search_context_size)
    copy.extra = _normalized_extra(copy.extra)
    return copy


def _normalized_value(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        fields: dict[str, Any] = {}
        merge_object(fields, {"": _whole_number(value)})
        return fields.get("")
    return _whole_number(value)


def _normalized_extra(extra: Extra) -> Extra:
    if not extra:
        return NO_EXTRA
    fields = Extra()
    merge_object(fields, _whole_numbers(extra))
    return fields


def _count(report: dict[str, Any], name: str) -> int | float:
    value = report.get(name, 0)
    return value if is_count(value) else 0


def _add(current: dict[str, Any], report: dict[str, Any]) -> int:
    """Add a report number by number, at every level. Other values are last non-null. Returns the growth in size."""
    grown = 0
    for name, value in report.items():
        before = current.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            grown += _add(before, value)
        elif is_count(value) and is_count(before):
            grown += replace(current, name, before + value)
        else:
            grown += merge_object(current, {name: value})
    return grown


def _add_with_total(current: dict[str, Any], report: dict[str, Any]) -> int:
    """Add a report. The total is then the largest of the two totals and the sum of prompt and completion."""
    before = _count(current, "total_tokens")
    grown = _add(current, report)
    parts = _count(current, "prompt_tokens") + _count(current, "completion_tokens")
    largest = max(before, _count(report, "total_tokens"), parts)
    if largest or "total_tokens" in current:
        grown += replace(current, "total_tokens", largest)
    return grown


def _whole_numbers(report: dict[str, Any]) -> dict[str, Any]:
    """A report without nulls. Floats without a fraction become integers: `10.0` is `10`."""
    return {name: _whole_number(value) for name, value in report.items() if value is not None}


def _whole_number(value: Any) -> Any:
    if isinstance(value, dict):
        return _whole_numbers(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value
