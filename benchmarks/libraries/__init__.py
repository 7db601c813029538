"""What is measured: each library in a module with `collect` (timed) and `wire` (not timed).

`collect(reads)` takes the body in reads, as a list of bytes, and returns what the library makes of
it. `wire(result)` says it in the wire's shape, a plain dict, for the comparison with the known answer.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any


@dataclass(frozen=True)
class Library:
    """One way to do the job."""

    name: str
    title: str
    distribution: str
    """Whose version counts; None of its imports happen before the library's own process."""
    module: str
    frames_only: bool = False
    """Whether it only cuts the bytes into events: its answer is the payloads."""

    def load(self) -> tuple[Callable[[list[bytes]], Any], Callable[[Any], Any]]:
        """`collect` and `wire`."""
        module = importlib.import_module(f"{__name__}.{self.module}")
        return module.collect, module.wire


LIBRARIES = {
    library.name: library
    for library in (
        Library("streamagg", "streamagg `Accumulator`", "streamagg", "streamagg_push"),
        Library("streamagg-stream", "streamagg `stream_sync`, typed chunks", "streamagg", "streamagg_stream"),
        Library("orjson", "hand-written loop, `orjson`", "orjson", "loop_orjson"),
        Library("json", "hand-written loop, `json`", "", "loop_json"),
        Library("openai-state", "openai `create` + `ChatCompletionStreamState`", "openai", "openai_state"),
        Library("openai-stream", "openai `.stream()`", "openai", "openai_stream"),
        Library("litellm", "litellm `completion` + `stream_chunk_builder`", "litellm", "litellm_builder"),
        Library("langchain-openai", "langchain-openai `ChatOpenAI.stream`", "langchain-openai", "langchain_chat"),
        Library("pydantic-ai", "pydantic-ai `model_request_stream`", "pydantic-ai-slim", "pydantic_ai_direct"),
        Library("httpx-sse", "httpx-sse, framing alone", "httpx-sse", "httpx_sse_frames", frames_only=True),
    )
}


def version_of(distribution: str) -> str | None:
    """The installed version; None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
