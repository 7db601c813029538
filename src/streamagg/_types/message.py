"""The structs of a message and its tool calls, and the reading of their JSON into a type."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar, overload

from .._codec.struct import NO_EXTRA, Extra, WireStruct
from .._errors import ParseError, beginning, quoted
from .parse import parse_text
from .partial_json import PartialJSON, parse_partial

T = TypeVar("T")


class ToolCallFunction(WireStruct):
    """The function to call. `arguments` is the JSON text that the model wrote; it is not always valid."""

    name: str | None = None
    arguments: str | None = None
    extra: Extra = NO_EXTRA

    @overload
    def parse(self, into: type[T], /) -> T: ...
    @overload
    def parse(self, into: Any, /) -> Any: ...  # a union
    def parse(self, into: Any, /) -> Any:
        """The arguments as a value of the type `into`: a msgspec Struct, a dataclass, a TypedDict, an attrs class, a
        pydantic model, or a container or union of these.

        Empty or missing arguments are read as `{}`: many servers send them for a function without parameters. Raises
        `ParseError` where the text does not fit the type, and `TypeError` where `into` is not a type that can be read.
        """
        return parse_text(self.arguments or "{}", into, f"the arguments of {quoted(self.name or '')}")

    def parse_partial(self) -> PartialJSON:
        """The arguments that are still being written, by the function `parse_partial`; same errors."""
        return parse_partial(self.arguments or "")


class ToolCallCustom(WireStruct):
    """The custom tool to call. `input` is free text."""

    name: str | None = None
    input: str | None = None
    extra: Extra = NO_EXTRA


class ToolCall(WireStruct):
    """A call of a function (`type` is `function`) or of a custom tool (`type` is `custom`)."""

    dropped: ClassVar[tuple[str, ...]] = ("obfuscation", "index")

    id: str | None = None
    type: str = "function"
    function: ToolCallFunction | None = None
    custom: ToolCallCustom | None = None
    extra_content: Any = None
    extra: Extra = NO_EXTRA


class ChatCompletionAudio(WireStruct):
    """Spoken output. `data` is base64; `expires_at` is a Unix time in seconds."""

    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None
    extra: Extra = NO_EXTRA


class ChatCompletionMessage(WireStruct):
    """The message of the model. `content` is text, or a list of parts where the server sends parts (Mistral)."""

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
        """The text of `content`, with text parts joined; empty where it has none."""
        return text_of(self.content)

    @property
    def reasoning_text(self) -> str:
        """The reasoning: `reasoning_content`, else `reasoning`, else the thinking parts of `content` joined.

        Only the first of the three counts: some servers send the same text in two of them (vLLM, StepFun).
        """
        return self.reasoning_content or self.reasoning or thinking_of(self.content)

    @overload
    def parse(self, into: type[T], /) -> T: ...
    @overload
    def parse(self, into: Any, /) -> Any: ...  # a union
    def parse(self, into: Any, /) -> Any:
        """`text` as a value of the type `into`: a msgspec Struct, a dataclass, a TypedDict, an attrs class, a pydantic
        model, or a container or union of these.

        Raises `ParseError` where the text does not fit the type, or is empty because the model refused or called tools,
        and `TypeError` where `into` is not a type that can be read.
        """
        if not self.text:
            reason = f"the model refused: {quoted(beginning(self.refusal))}" if self.refusal else "there is none"
            raise ParseError(reason, what="the content")
        return parse_text(self.text, into, "the content")

    def parse_partial(self) -> PartialJSON:
        """`text` that is still being written, by the function `parse_partial`; same errors."""
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
