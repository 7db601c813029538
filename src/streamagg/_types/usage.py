"""Usage: the counters of a response, and their sum over many responses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .._codec.lenient import ignore, to_struct
from .._codec.struct import NO_EXTRA, Extra, WireStruct

if TYPE_CHECKING:
    from .completion import ChatCompletionResponse


class PromptTokensDetails(WireStruct):
    """The kinds of the prompt's tokens. The unit is tokens."""

    audio_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None
    video_tokens: int | None = None
    extra: Extra = NO_EXTRA


class CompletionTokensDetails(WireStruct):
    """The kinds of the completion's tokens. The unit is tokens."""

    accepted_prediction_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None
    extra: Extra = NO_EXTRA


class CompletionUsage(WireStruct):
    """The tokens of a response, and the other counters of its server (`extra`: costs, times, cache hits).

    `a + b` adds every number, at every level. A value that is not a number comes from `b`, unless `b` has none.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None
    cost: Any = None
    search_context_size: Any = None
    extra: Extra = NO_EXTRA

    def __add__(self, other: CompletionUsage) -> CompletionUsage:
        if not isinstance(other, CompletionUsage):
            return NotImplemented
        return to_struct(CompletionUsage, added(self.to_dict(), other.to_dict()), ignore)


def added(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """The sum of two reports, number by number, at every level. Another value comes from `right`, unless it is None."""
    total = dict(left)
    for name, value in right.items():
        before = total.get(name)
        if isinstance(value, dict):
            total[name] = added(before if isinstance(before, dict) else {}, value)
        elif is_count(value) and is_count(before):
            total[name] = before + value
        elif value is not None:
            total[name] = value
    return total


def is_count(value: Any) -> bool:
    """Whether a value is a number to add. A number past 64 bits is not taken for a count."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -(2**63) < value < 2**63


def sum_usage(responses: Iterable[ChatCompletionResponse | BaseException | None]) -> CompletionUsage:
    """The sum of the usage of many responses. A counter that no response reported is None.

    It takes the list that `accumulate_all` returns. The `.partial` of an error counts too: its tokens are paid for. An
    error without a partial, a response without usage and None add nothing.
    """
    total = CompletionUsage()
    for item in responses:
        response = getattr(item, "partial", None) if isinstance(item, BaseException) else item
        if response is not None and response.usage is not None:
            total = total + response.usage
    return total
