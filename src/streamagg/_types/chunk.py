"""The structs of the input: one `ChatCompletionChunk` for each event of a stream.

1. Every field that a common server sends is here: its chunks decode strictly, in about half a microsecond.
2. A field costs about 4 ns for each chunk. Rare fields are left to the tolerant reader and `extra`.
3. The order of the fields is the order of the keys in `to_dict` and `to_json`. A delta repeats fields of a message, and
   a chunk those of a response: a base class would move the shared fields to the front.
"""

from __future__ import annotations

from typing import Any

from .._codec.struct import NO_EXTRA, Extra, Index, WireStruct
from .completion import ChatCompletionLogProbs
from .message import ChatCompletionAudio, ChatCompletionMessage, text_of
from .usage import CompletionUsage


class ChatCompletionChunkToolCallFunction(WireStruct):
    """A fragment of a function call: `arguments` continues the text of the fragments before."""

    name: str | None = None
    arguments: str | None = None
    extra: Extra = NO_EXTRA


class ChatCompletionChunkToolCallCustom(WireStruct):
    """A fragment of a custom tool call: `input` continues the text of the fragments before."""

    name: str | None = None
    input: str | None = None
    extra: Extra = NO_EXTRA


class ChatCompletionChunkToolCall(WireStruct):
    """A fragment of the tool call at `index`."""

    index: Index | None = None
    id: str | None = None
    type: str | None = None
    function: ChatCompletionChunkToolCallFunction | None = None
    custom: ChatCompletionChunkToolCallCustom | None = None
    extra_content: Any = None
    extra: Extra = NO_EXTRA


class ChatCompletionChunkDelta(WireStruct):
    """The part of a choice's message that one chunk adds."""

    role: str | None = None
    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Any] | None = None
    tool_calls: list[ChatCompletionChunkToolCall] | None = None
    function_call: ChatCompletionChunkToolCallFunction | None = None
    audio: ChatCompletionAudio | None = None
    annotations: list[Any] | None = None
    images: list[Any] | None = None
    name: str | None = None
    channel: str | None = None
    phase: str | None = None
    recipient: str | None = None
    token_id: Any = None
    extra: Extra = NO_EXTRA


class ChatCompletionChunkChoice(WireStruct):
    """The part of the choice at `index` that one chunk adds. `message` comes in responses that were not streamed."""

    index: Index | None = None
    delta: ChatCompletionChunkDelta | None = None
    finish_reason: str | None = None
    logprobs: ChatCompletionLogProbs | None = None
    message: ChatCompletionMessage | None = None
    stop_reason: int | str | None = None
    native_finish_reason: str | None = None
    matched_stop: int | str | None = None
    content_filter_results: Any = None
    text: str | None = None
    token_ids: list[Any] | None = None
    seed: int | None = None
    usage: CompletionUsage | None = None
    error: Any = None
    extra: Extra = NO_EXTRA


class ChatCompletionChunk(WireStruct):
    """One event of a stream. Every field is None where the server did not send it."""

    id: str | None = None
    object: str | None = None
    created: int | float | None = None
    model: str | None = None
    choices: list[ChatCompletionChunkChoice] | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    usage: CompletionUsage | None = None
    obfuscation: str | None = None
    p: str | None = None
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
    error: Any = None
    extra: Extra = NO_EXTRA

    @property
    def text(self) -> str:
        """The text that this chunk adds to choice 0; empty where it adds none.

        A response that was not streamed comes as one chunk: its text is that of the message.
        """
        text = ""
        for place, choice in enumerate(self.choices or ()):
            if (place if choice.index is None else choice.index) == 0:
                if choice.delta is not None:
                    text += text_of(choice.delta.content)
                elif choice.message is not None and self.object == "chat.completion":
                    text += choice.message.text
        return text
