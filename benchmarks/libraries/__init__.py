"""What is measured: each library in a module with a function for each way (timed) and `wire` (not timed).

A way, `collect` in most modules, takes the body in reads, as a list of bytes, and returns what the library
makes of it; a way for async code is a coroutine function. `wire(result)` says it in the wire's shape, a plain
dict, for the comparison with the known answer.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

CASES = "cases"
RECORDINGS = "recordings"


@dataclass(frozen=True)
class Library:
    """One way to do the job."""

    name: str
    title: str
    distribution: str
    """Whose version counts; None of its imports happen before the library's own process."""
    module: str
    way: str = "collect"
    parts: tuple[str, ...] = (CASES,)
    """The parts that measure it."""
    rounds_apart: int = 0
    """The rounds over the recordings in a process of its own; 0 where it takes turns with all that are quick."""
    needs: str = ""
    """A name that must exist, as `module:attribute`: some are absent from other versions of the sources."""
    frames_only: bool = False
    """Whether it only cuts the bytes into events: its answer is the payloads."""

    def load(self) -> tuple[Callable[[list[bytes]], Any], Callable[[Any], Any]]:
        """The way, and `wire`."""
        module = importlib.import_module(f"{__name__}.{self.module}")
        return getattr(module, self.way), module.wire

    def absence(self) -> str | None:
        """Why it cannot be measured here; None where it can."""
        if self.distribution and version_of(self.distribution) is None:
            return f"{self.distribution} is not installed"
        module, _, attribute = self.needs.partition(":")
        if module and not _has(module, attribute):
            return f"{module} has no {attribute}"
        return None


def _has(module: str, attribute: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError:
        return False


def version_of(distribution: str) -> str | None:
    """The installed version; None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


_BOTH = (CASES, RECORDINGS)
_FAST_PATH = "streamagg._accumulator.pipeline:FAST_PATH"


def _own(
    name: str, title: str, way: str, parts: tuple[str, ...], module: str = "streamagg_ways", **more: Any
) -> Library:
    return Library(name, title, "streamagg", module, way, parts, **more)


LIBRARIES = {
    library.name: library
    for library in (
        _own("streamagg", "streamagg `Accumulator`", "collect", _BOTH),
        _own("streamagg-general", "streamagg `Accumulator`, general path", "general", _BOTH, needs=_FAST_PATH),
        _own("streamagg-tap", "streamagg `tap_sync`", "tap", _BOTH),
        _own("streamagg-stream", "streamagg `stream_sync`, typed chunks", "stream", _BOTH),
        _own("streamagg-text", "streamagg `stream_sync`, `text()`", "text", (RECORDINGS,)),
        _own("streamagg-events", "streamagg `stream_sync`, `events()`", "events", (RECORDINGS,)),
        *(
            _own(f"streamagg-async-{way}", f"streamagg {title}", way, (RECORDINGS,), "streamagg_async", rounds_apart=3)
            for way, title in (
                ("accumulate", "`accumulate` (async)"),
                ("tap", "`tap` (async)"),
                ("stream", "`stream`, typed chunks (async)"),
                ("text", "`stream`, `text()` (async)"),
                ("events", "`stream`, `events()` (async)"),
            )
        ),
        Library("orjson", "hand-written loop, `orjson`", "orjson", "loop_orjson", parts=_BOTH),
        Library("json", "hand-written loop, `json`", "", "loop_json"),
        Library(
            "openai-state",
            "openai `create` + `ChatCompletionStreamState`",
            "openai",
            "openai_state",
            parts=_BOTH,
            rounds_apart=1,
        ),
        Library("openai-stream", "openai `.stream()`", "openai", "openai_stream"),
        Library(
            "litellm",
            "litellm `completion` + `stream_chunk_builder`",
            "litellm",
            "litellm_builder",
            parts=_BOTH,
            rounds_apart=1,
        ),
        Library("langchain-openai", "langchain-openai `ChatOpenAI.stream`", "langchain-openai", "langchain_chat"),
        Library("pydantic-ai", "pydantic-ai `model_request_stream`", "pydantic-ai-slim", "pydantic_ai_direct"),
        Library("httpx-sse", "httpx-sse, framing alone", "httpx-sse", "httpx_sse_frames", frames_only=True),
    )
}
