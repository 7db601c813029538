"""langchain-openai, the chunks of `ChatOpenAI.stream` added up, as its documentation does it."""

from __future__ import annotations

import os
from typing import Any

os.environ["LANGSMITH_TRACING"] = "false"

import httpx
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from ..streams.generated import Json
from .replay import Replay

_replay = Replay()
_key = SecretStr("none")
_model = ChatOpenAI(model="gpt-4o", api_key=_key, http_client=httpx.Client(transport=_replay), stream_usage=True)


def collect(reads: list[bytes]) -> Any:
    _replay.reads = reads
    full: Any = None
    for chunk in _model.stream("Hello"):
        full = chunk if full is None else full + chunk
    return full


def wire(message: AIMessageChunk) -> Json:
    usage: Json = dict(message.usage_metadata or {})
    calls = [
        {"id": call["id"], "function": {"name": call["name"], "arguments": call["args"]}}
        for call in message.tool_call_chunks
    ]
    said = {"content": message.content, "tool_calls": calls, **message.additional_kwargs}
    choice = {
        "index": 0,
        "message": said,
        "finish_reason": message.response_metadata.get("finish_reason"),
        "logprobs": message.response_metadata.get("logprobs"),
    }
    counts = {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
    }
    return {"choices": [choice], "usage": counts}
