"""The attributes of a response in OpenTelemetry's semantic conventions for GenAI clients.

1. The tables below map an attribute to a field. The names come from the repository semantic-conventions-genai, with
   its page on OpenAI. The conventions are in development: a name that changes there changes here.
2. No attribute holds content: text of a user or a model does not leak into a trace.
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
    """The attributes of a span for this response: strings, numbers and one list of strings. They hold no content.

    `timing`: the `timing` of a stream. It gives the time to the first chunk, in seconds since reading began. A choice
    without a finish reason has the reason `error` (the conventions' rule). Fields that are None or empty have no
    attribute. The caller adds the attributes of the request: `gen_ai.provider.name`, `gen_ai.request.model`...
    """
    usage = response.usage or CompletionUsage()
    attributes: dict[str, Any] = {"gen_ai.operation.name": "chat", "openai.api.type": "chat_completions"}
    for source, names in (
        (response, _OF_RESPONSE),
        (usage, _OF_USAGE),
        (usage.prompt_tokens_details, _OF_PROMPT),
        (usage.completion_tokens_details, _OF_COMPLETION),
    ):
        if source is not None:
            attributes |= zip(names, attrgetter(*names.values())(source), strict=True)
    if response.choices:
        reasons = [choice.finish_reason or "error" for choice in response.choices]
        attributes["gen_ai.response.finish_reasons"] = reasons
    if timing is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = timing.first_chunk
    return {name: value for name, value in attributes.items() if value is not None and value != ""}
