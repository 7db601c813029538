"""streamagg, by each of its ways for blocking code."""

from __future__ import annotations

import importlib
from typing import Any

from streamagg import Accumulator, ChatCompletionResponse, stream_sync, tap_sync

from ..streams.generated import Json

PIPELINE = "streamagg._accumulator.pipeline"
"""The module whose `FAST_PATH` is the class of the fast path, or None, which switches it off."""


def collect(reads: list[bytes]) -> ChatCompletionResponse:
    """The bytes pushed into an `Accumulator`: the work that `accumulate` does with a source."""
    accumulator = Accumulator()
    for data in reads:
        accumulator.feed(data)
    return accumulator.finish()


def general(reads: list[bytes]) -> ChatCompletionResponse:
    """The same by the general path alone."""
    pipeline: Any = importlib.import_module(PIPELINE)
    fast_path, pipeline.FAST_PATH = pipeline.FAST_PATH, None
    try:
        return collect(reads)
    finally:
        pipeline.FAST_PATH = fast_path


def tap(reads: list[bytes]) -> ChatCompletionResponse:
    """The bytes passed on as they are."""
    with tap_sync(iter(reads)) as body:
        for _ in body:
            pass
        return body.response()


def stream(reads: list[bytes]) -> ChatCompletionResponse:
    """Every chunk handed out as a typed struct."""
    with stream_sync(iter(reads)) as chunks:
        for _ in chunks:
            pass
        return chunks.response()


def text(reads: list[bytes]) -> ChatCompletionResponse:
    """Every piece of text handed out."""
    with stream_sync(iter(reads)) as chunks:
        for _ in chunks.text():
            pass
        return chunks.response()


def events(reads: list[bytes]) -> ChatCompletionResponse:
    """Every event handed out."""
    with stream_sync(iter(reads)) as chunks:
        for _ in chunks.events():
            pass
        return chunks.response()


def wire(response: ChatCompletionResponse) -> Json:
    return response.to_dict()
