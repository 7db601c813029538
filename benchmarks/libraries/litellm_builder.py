"""litellm, the chunks of `completion` put together by `stream_chunk_builder`."""

from __future__ import annotations

import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else importing it asks the network

import litellm

from ..streams.generated import Json
from .openai_client import client, replay, request

litellm.disable_streaming_logging = True  # else each chunk is logged on other threads, whose time would count


def collect(reads: list[bytes]) -> Any:
    replay.reads = reads
    messages = request["messages"]
    chunks = list(litellm.completion(model="openai/gpt-4o", messages=messages, stream=True, client=client))
    return litellm.stream_chunk_builder(chunks, messages=messages)


def wire(response: Any) -> Json:
    plain: Json = response.model_dump(mode="json")
    return plain
