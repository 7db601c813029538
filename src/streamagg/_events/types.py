"""The events of `events()`: one small struct for each thing that happens in a stream.

The joined deltas of a choice are its text in the response. After `MessageReplaced` the joining begins anew.
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

    It comes from `reasoning_content`, `reasoning` or the thinking parts of `content`. The first of them that brings
    text counts for the whole choice: servers that fill two repeat the text.
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
    """A tool call is whole. It comes once for each call, and once more where `MessageReplaced` begins the call anew.

    It comes at the choice's `finish_reason` if the arguments are a whole JSON object by then, and otherwise at the end
    of a complete stream (some servers send a `finish_reason` too early). A call that is not ready when the stream is
    cut or fails never is. A server that goes on with a ready call gives more `ToolCallDelta`s.
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

    Only servers that stream whole messages cause it. A message that continues the one before it gives deltas instead.
    """

    choice: int


class UsageReported(Struct, frozen=True):
    """The server reported usage. `usage` merges all reports so far. The event comes only if that has changed."""

    usage: CompletionUsage


class StreamRepaired(Struct, frozen=True):
    """The stream needed a repair. `kind` is a key of `REPAIRS`; `count` is how often it was needed so far."""

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
