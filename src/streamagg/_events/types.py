"""The events of `events()`: one small struct for each thing that happens in a stream.

The texts of a choice's deltas, joined, are the response's; only `MessageReplaced` begins them anew.
"""

from __future__ import annotations

from msgspec import Struct

from .._types.message import ToolCall
from .._types.usage import CompletionUsage


class TextDelta(Struct, frozen=True):
    """More of a choice's text; never empty."""

    text: str
    choice: int


class ReasoningDelta(Struct, frozen=True):
    """More of a choice's reasoning; never empty.

    From `reasoning_content`, `reasoning` or the thinking parts of `content`: the one that brings some
    first, as servers that fill two send the same text in both.
    """

    text: str
    choice: int


class RefusalDelta(Struct, frozen=True):
    """More of a choice's refusal; never empty."""

    text: str
    choice: int


class ToolCallStarted(Struct, frozen=True):
    """A tool call began. `id` and `name` are what is known of them; they may come, or grow, later."""

    call: int
    """The call's place in the order in which the choice's calls began, from 0; the same in all its
    events. The legacy `function_call` is -1."""
    id: str | None
    name: str | None
    choice: int


class ToolCallDelta(Struct, frozen=True):
    """More of a tool call: of its arguments (a custom tool's input), or of its id or name alone."""

    arguments: str
    """The piece that came. By itself it is often not JSON. It is empty if only the id or the name is new."""
    call: int
    id: str | None
    name: str | None
    choice: int


class ToolCallReady(Struct, frozen=True):
    """A tool call is whole and can grow no more; told once for each call.

    At the choice's `finish_reason` where its arguments are a whole JSON object by then, else at the end
    of the stream (some servers send a `finish_reason` too early). Never for a stream that was cut.
    """

    tool_call: ToolCall
    """The call as in the response, and independent of it."""
    call: int
    choice: int


class ChoiceFinished(Struct, frozen=True):
    """A choice has a `finish_reason`; told again only where the server changes it."""

    finish_reason: str
    choice: int


class MessageReplaced(Struct, frozen=True):
    """The earlier events of a choice no longer stand: its text, reasoning, refusal and tool calls begin anew.

    Only of servers that stream whole messages, and rarely there: one that continues the last is deltas.
    """

    choice: int


class UsageReported(Struct, frozen=True):
    """The server reported usage: what all its reports so far come to, where that is new."""

    usage: CompletionUsage


class StreamRepaired(Struct, frozen=True):
    """A repair was needed: its kind in `REPAIRS`, and how often it was so far."""

    kind: str
    count: int


StreamEvent = (
    TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ToolCallStarted
    | ToolCallDelta
    | ToolCallReady
    | ChoiceFinished
    | MessageReplaced
    | UsageReported
    | StreamRepaired
)
