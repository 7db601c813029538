"""The structs of what goes out: one `ChatCompletionResponse`, as the server would have sent it whole.

Names and fields are those of OpenAI's API and of Atoma's, then what other servers add. A field that
never came is None; nothing is invented but what the type itself implies (role, type, object).
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from msgspec import field

from ._errors import DecodeError, ProviderError
from ._lenient import Unreadable, ignore, parse, to_struct
from ._limits import Limits
from ._struct import NO_EXTRA, Extra, WireStruct, mended
from ._values import check_depth


class PromptTokensDetails(WireStruct):
    """What the prompt's tokens were, in tokens."""

    audio_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None
    video_tokens: int | None = None
    extra: Extra = NO_EXTRA


class CompletionTokensDetails(WireStruct):
    """What the completion's tokens were, in tokens."""

    accepted_prediction_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None
    extra: Extra = NO_EXTRA


class CompletionUsage(WireStruct):
    """Tokens used, and whatever else the server counts (`extra`: costs, times, cache hits).

    `a + b` adds every counter, so the usage of many responses sums; what is no number is b's.
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
    """`left` and `right`, number by number, at every level; what is no number is the right one's."""
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
    """Whether a value is a number that can be added up: what needs more than 64 bits counts nothing."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -(2**63) < value < 2**63


class ChatCompletionTokenTopLogProb(WireStruct):
    """One alternative at a token's place."""

    token: str | None = None
    logprob: float | None = None
    bytes: list[int] | None = None
    extra: Extra = NO_EXTRA


class ChatCompletionTokenLogProb(WireStruct):
    """A sampled token and its alternatives."""

    token: str | None = None
    logprob: float | None = None
    bytes: list[int] | None = None
    top_logprobs: list[ChatCompletionTokenTopLogProb] | None = None
    extra: Extra = NO_EXTRA


class ChatCompletionLogProbs(WireStruct):
    """Log probabilities, a list entry for each token."""

    content: list[ChatCompletionTokenLogProb] | None = None
    refusal: list[ChatCompletionTokenLogProb] | None = None
    reasoning_content: list[ChatCompletionTokenLogProb] | None = None
    extra: Extra = NO_EXTRA


class ToolCallFunction(WireStruct):
    """The function to call; `arguments` is JSON text as the model wrote it, not always valid."""

    name: str | None = None
    arguments: str | None = None
    extra: Extra = NO_EXTRA


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


class ChatCompletionChoice(WireStruct):
    """One of the answers."""

    index: int | None = None
    message: ChatCompletionMessage = field(default_factory=ChatCompletionMessage)
    finish_reason: str | None = None
    logprobs: ChatCompletionLogProbs | None = None
    stop_reason: int | str | None = None
    native_finish_reason: str | None = None
    matched_stop: int | str | None = None
    content_filter_results: Any = None
    text: str | None = None
    token_ids: list[Any] | None = None
    seed: int | None = None
    extra: Extra = NO_EXTRA


class ChatCompletionResponse(WireStruct):
    """A whole chat completion. Fields that no type here knows are in `extra` at each level."""

    id: str | None = None
    object: str = "chat.completion"
    created: int | float | None = None
    model: str | None = None
    choices: list[ChatCompletionChoice] = field(default_factory=list)
    service_tier: str | None = None
    system_fingerprint: str | None = None
    usage: CompletionUsage | None = None
    provider: Any = None
    citations: Any = None
    search_results: Any = None
    x_groq: Any = None
    prompt_filter_results: Any = None
    timings: Any = None
    prompt_token_ids: Any = None
    signature: Any = None
    response_hash: Any = None
    model_id: Any = None
    model_version: Any = None
    created_at: Any = None
    extra: Extra = NO_EXTRA

    @classmethod
    def from_json(cls, data: bytes | str) -> ChatCompletionResponse:
        """Read a server's plain (not streamed) answer, tolerantly.

        Raises `ProviderError` where the answer is an error, `DecodeError` where it is no completion, and
        `LimitError` where it nests deeper than the default of `Limits`.
        """
        raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        try:
            response = _decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            response = _read(raw)
        if not response.choices or raw.count(b"{") + raw.count(b"[") > Limits().depth:
            response = _read(raw)
        for place, choice in enumerate(response.choices):
            if choice.index is None:
                choice.index = place
        return response

    @property
    def text(self) -> str:
        """The text of the first choice; empty where there is none."""
        return self.choices[0].message.text if self.choices else ""


_decode = msgspec.json.Decoder(ChatCompletionResponse).decode


def _read(raw: bytes) -> ChatCompletionResponse:
    try:
        plain = parse(raw, ignore)
        if isinstance(plain, dict):
            error = plain.get("error")
            if (error and isinstance(error, (dict, str))) or plain.get("object") == "error":
                raise ProviderError(error or plain)
        if not isinstance(plain, dict) or "choices" not in plain:
            raise Unreadable("expected an object with choices")
        check_depth(plain, Limits().depth)
        return mended(to_struct(ChatCompletionResponse, plain, ignore))
    except (msgspec.DecodeError, RecursionError) as error:
        raise DecodeError(str(error), data=raw) from error
    except Unreadable as error:
        raise DecodeError(str(error), path=f"${error.path}", data=raw) from error
