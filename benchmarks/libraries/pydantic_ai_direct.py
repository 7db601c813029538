"""pydantic-ai, `model_request_stream` read to its end."""

from __future__ import annotations

import asyncio

import httpx
from openai import AsyncOpenAI
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
from pydantic_ai.providers.openai import OpenAIProvider

from ..streams.generated import Json
from .replay import Replay

_replay = Replay()
_client = AsyncOpenAI(api_key="none", base_url="http://replay/v1", http_client=httpx.AsyncClient(transport=_replay))
_model = OpenAIChatModel("gpt-4o", provider=OpenAIProvider(openai_client=_client))
_settings = OpenAIChatModelSettings(openai_continuous_usage_stats=True)  # else it adds up running totals


def collect(reads: list[bytes]) -> ModelResponse:
    _replay.reads = reads
    return asyncio.run(_collect())


async def _collect() -> ModelResponse:
    messages = [ModelRequest.user_text_prompt("Hello")]
    async with model_request_stream(_model, messages, model_settings=_settings) as stream:
        async for _ in stream:
            pass
        return stream.get()


def wire(response: ModelResponse) -> Json:
    details = response.provider_details or {}
    calls = [
        {"id": part.tool_call_id, "function": {"name": part.tool_name, "arguments": part.args}}
        for part in response.parts
        if isinstance(part, ToolCallPart)
    ]
    said = {
        "content": "".join(part.content for part in response.parts if isinstance(part, TextPart)),
        "reasoning_content": "".join(part.content for part in response.parts if isinstance(part, ThinkingPart)),
        "refusal": details.get("refusal"),
        "tool_calls": calls,
    }
    choice = {
        "index": 0,
        "message": said,
        "finish_reason": details.get("finish_reason") or response.finish_reason,
        "logprobs": {"content": details.get("logprobs")},
    }
    usage = response.usage
    counts = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    return {"choices": [choice], "usage": counts}
