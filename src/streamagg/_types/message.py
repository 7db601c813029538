"""The structs of what the model said: a message, its tool calls, and the typed reading of both."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar, overload

from .._codec.struct import NO_EXTRA, Extra, WireStruct
from .._errors import ParseError, beginning, quoted
from .parse import parse_text
from .partial_json import PartialJSON, parse_partial

T = TypeVar("T")


class ToolCallFunction(WireStruct):
    """The function to call; `arguments` is JSON text as the model wrote it, not always valid."""

    name: str | None = None
    arguments: str | None = None
    extra: Extra = NO_EXTRA

    @overload
    def parse(self, into: type[T], /) -> T: ...
    @overload
    def parse(self, into: Any, /) -> Any: ...  # a union
    def parse(self, into: Any, /) -> Any:
        """The arguments as a value of the type `into`: a msgspec Struct, a dataclass, TypedDict or attrs
        class, a pydantic model, or what is made of such.

        Empty or absent arguments count as `{}`: so many servers call a function that takes none. Raises
        `ParseError`, and `TypeError` for a type that cannot be read.
        """
        return parse_text(self.arguments or "{}", into, f"the arguments of {quoted(self.name or '')}")

    def parse_partial(self) -> PartialJSON:
        """The arguments as far as they are there; raises as the function `parse_partial` does."""
        return parse_partial(self.arguments or "")


class ToolCallCustom(WireStruct):
    """The custom tool to call, with free text as its input."""

    name: str | None = None
    input: str | None = None
    extra: Extra = NO_EXTRA


class ToolCall(WireStruct):
    """A call of a function (`type` is `function`) or of a custom tool (`custom`)."""

    dropped: ClassVar[tuple[str, ...]] = ("obfuscation", "index")

    id: str | None = None
    type: str = "function"
    function: ToolCallFunction | None = None
    custom: ToolCallCustom | None = None
    extra_content: Any = None
    extra: Extra = NO_EXTRA


class ChatCompletionAudio(WireStruct):
    """Spoken output: `data` is base64, `expires_at` a Unix time in seconds."""

    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None
    extra: Extra = NO_EXTRA


class ChatCompletionMessage(WireStruct):
    """What the model said: text, or a list of parts where the server sends parts (Mistral)."""

    role: str = "assistant"
    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Any] | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: ToolCallFunction | None = None
    audio: ChatCompletionAudio | None = None
    annotations: list[Any] | None = None
    images: list[Any] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    channel: str | None = None
    phase: str | None = None
    recipient: str | None = None
    token_id: Any = None
    extra: Extra = NO_EXTRA

    @property
    def text(self) -> str:
        """The text of `content`: itself, or its text parts joined; empty where there is none."""
        return text_of(self.content)

    @property
    def reasoning_text(self) -> str:
        """The reasoning: `reasoning_content`, else `reasoning`, else the thinking parts of `content` joined.

        One of them alone: some servers send the same text in two (vLLM, StepFun).
        """
        return self.reasoning_content or self.reasoning or thinking_of(self.content)

    @overload
    def parse(self, into: type[T], /) -> T: ...
    @overload
    def parse(self, into: Any, /) -> Any: ...  # a union
    def parse(self, into: Any, /) -> Any:
        """`text` as a value of the type `into`: a msgspec Struct, a dataclass, TypedDict or attrs class, a
        pydantic model, or what is made of such.

        Raises `ParseError`, also where there is no text because the model refused or called tools, and
        `TypeError` for a type that cannot be read.
        """
        if not self.text:
            reason = f"the model refused: {quoted(beginning(self.refusal))}" if self.refusal else "there is none"
            raise ParseError(reason, what="the content")
        return parse_text(self.text, into, "the content")

    def parse_partial(self) -> PartialJSON:
        """`text` as far as it is there, read as JSON; raises as the function `parse_partial` does."""
        return parse_partial(self.text)


def text_of(content: Any) -> str:
    """The text of a message's or a delta's `content`."""
    if isinstance(content, list):
        return "".join(
            part if isinstance(part, str) else text_of(part.get("text"))
            for part in content
            if isinstance(part, str) or (isinstance(part, dict) and part.get("type") != "thinking")
        )
    return content if isinstance(content, str) else ""


def thinking_of(content: Any) -> str:
    """The text of the thinking parts in a message's or a delta's `content` (Mistral)."""
    if not isinstance(content, list):
        return ""
    thoughts = (part.get("thinking") for part in content if isinstance(part, dict) and part.get("type") == "thinking")
    return "".join(map(text_of, thoughts))
