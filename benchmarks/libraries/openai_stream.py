"""openai-python, `.stream()` read to its end."""

from __future__ import annotations

from openai.types.chat import ChatCompletion

from .openai_client import client, replay, request, wire

__all__ = ["collect", "wire"]


def collect(reads: list[bytes]) -> ChatCompletion:
    replay.reads = reads
    with client.chat.completions.stream(**request) as stream:
        for _ in stream:
            pass
        return stream.get_final_completion()
