"""A response by OpenTelemetry's names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given

from streamagg import (
    Accumulator,
    ChatCompletionResponse,
    CompletionUsage,
    accumulate_sync,
    otel_attributes,
)
from tests.support.helpers import chunk, sse
from tests.support.strategies import CHUNKS


def test_otel_attributes() -> None:
    usage = {
        "prompt_tokens": 30,
        "completion_tokens": 9,
        "total_tokens": 39,
        "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 5, "audio_tokens": 0, "text_tokens": 28, "image_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 1, "text_tokens": 8, "image_tokens": 3, "accepted_prediction_tokens": 2},
    }  # fmt: skip
    response = accumulate_sync(
        sse(
            chunk({"content": "secret"}, finish="stop", service_tier="default", system_fingerprint="fp"),
            chunk({"content": "cut"}, index=1, usage=usage),
        )
    )
    timing = SimpleNamespace(first_byte=0.1, first_chunk=0.25, first_text=0.5)
    assert otel_attributes(response, timing) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.response.id": "c1",
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": ["stop", "error"],
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 30,
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.usage.cache_read.input_tokens": 20,
        "gen_ai.usage.cache_write.input_tokens": 5,
        "gen_ai.usage.text.input_tokens": 28,
        "gen_ai.usage.audio.input_tokens": 0,
        "gen_ai.usage.image.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 4,
        "gen_ai.usage.text.output_tokens": 8,
        "gen_ai.usage.audio.output_tokens": 1,
        "gen_ai.usage.image.output_tokens": 3,
        "openai.api.type": "chat_completions",
        "openai.response.service_tier": "default",
        "openai.response.system_fingerprint": "fp",
    }


def test_otel_attributes_of_what_never_came() -> None:
    least = {"gen_ai.operation.name": "chat", "openai.api.type": "chat_completions"}
    assert otel_attributes(ChatCompletionResponse()) == least
    assert (
        otel_attributes(ChatCompletionResponse(id="", usage=CompletionUsage()), SimpleNamespace(first_chunk=None))
        == least
    )


@given(CHUNKS)
def test_otel_attributes_are_such_as_spans_take(chunks: list[Any]) -> None:
    accumulator = Accumulator()
    for item in chunks:
        accumulator.add(item)
    response = accumulator.snapshot()
    if response is not None:
        for name, value in otel_attributes(response).items():
            assert type(value) in (str, int, float) or all(type(item) is str for item in value), name
