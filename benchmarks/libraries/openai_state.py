"""openai-python, the chunks of `create` put together by its `ChatCompletionStreamState`."""

from __future__ import annotations

from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion

from .openai_client import client, replay, request, wire

__all__ = ["collect", "wire"]


def collect(reads: list[bytes]) -> ChatCompletion:
    replay.reads = reads
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in client.chat.completions.create(**request, stream=True):
        state.handle_chunk(chunk)
    return state.get_final_completion()
