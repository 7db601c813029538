"""OpenTelemetry's names for what a response says, by its semantic conventions for GenAI clients.

The conventions are in development (repository semantic-conventions-genai, with those of OpenAI): a
name that changes there changes here.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from .._types.completion import ChatCompletionResponse
from .._types.usage import CompletionUsage

_OF_RESPONSE = {
    "gen_ai.response.id": "id",
    "gen_ai.response.model": "model",
    "openai.response.service_tier": "service_tier",
    "openai.response.system_fingerprint": "system_fingerprint",
}
_OF_USAGE = {
    "gen_ai.usage.input_tokens": "prompt_tokens",
    "gen_ai.usage.output_tokens": "completion_tokens",
}
_OF_PROMPT = {
    "gen_ai.usage.cache_read.input_tokens": "cached_tokens",
    "gen_ai.usage.cache_write.input_tokens": "cache_write_tokens",
    "gen_ai.usage.text.input_tokens": "text_tokens",
    "gen_ai.usage.audio.input_tokens": "audio_tokens",
    "gen_ai.usage.image.input_tokens": "image_tokens",
}
_OF_COMPLETION = {
    "gen_ai.usage.reasoning.output_tokens": "reasoning_tokens",
    "gen_ai.usage.text.output_tokens": "text_tokens",
    "gen_ai.usage.audio.output_tokens": "audio_tokens",
    "gen_ai.usage.image.output_tokens": "image_tokens",
}


def otel_attributes(response: ChatCompletionResponse, timing: Any = None) -> dict[str, Any]:
    """The attributes of a span for this response: strings, numbers and one list of strings; no content.

    `timing`: what a stream has as its `timing`, for the time to the first chunk, in seconds since its reading
    began. A choice without a finish reason has `error` for one, as the conventions say. What only the
    request knows is the caller's to add: `gen_ai.provider.name`, `gen_ai.request.model`...
    """
    usage = response.usage or CompletionUsage()
    attributes: dict[str, Any] = {"gen_ai.operation.name": "chat", "openai.api.type": "chat_completions"}
    for said, names in (
        (response, _OF_RESPONSE),
        (usage, _OF_USAGE),
        (usage.prompt_tokens_details, _OF_PROMPT),
        (usage.completion_tokens_details, _OF_COMPLETION),
    ):
        if said is not None:
            attributes |= zip(names, attrgetter(*names.values())(said), strict=True)
    if response.choices:
        reasons = [choice.finish_reason or "error" for choice in response.choices]
        attributes["gen_ai.response.finish_reasons"] = reasons
    if timing is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = timing.first_chunk
    return {name: value for name, value in attributes.items() if value is not None and value != ""}
