"""Linear in the length of the stream: counted in steps and bytes, as a clock would measure the machine."""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any

import pytest

from streamagg import Accumulator
from tests.support.helpers import chunk, sse
from tests.support.steps import steps_of

LOGPROB = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}


def with_logprobs(n: int) -> Any:
    item = chunk({"content": "a"}, vendor=n)
    item["choices"][0]["logprobs"] = {"content": [LOGPROB]}
    return item


STREAMS = {
    "text": lambda n: chunk({"content": "ab"}),
    "text the general way": lambda n: chunk({"content": "ab"}, system_fingerprint=str(n)),
    "text the tolerant way": lambda n: chunk({"content": "ab"}, vendor=n),
    "arguments": lambda n: chunk(
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"'}}]}
    ),
    "logprobs": with_logprobs,
    "parts": lambda n: chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]}),
    "items": lambda n: chunk({"reasoning_details": [{"index": 0, "type": "t", "text": "a"}]}),
    "unknown": lambda n: chunk({"vendor": "a", "list": [n]}),
    "running usage": lambda n: chunk({"content": "a"}, usage={"prompt_tokens": 1, "completion_tokens": n, "x": n}),
}


@pytest.mark.skipif(sys.gettrace() is not None, reason="counts steps with the hook that a tracer has taken")
@pytest.mark.parametrize("kind", STREAMS)
def test_steps_grow_linearly(kind: str) -> None:
    def run(count: int) -> int:
        body = [sse(STREAMS[kind](n), done=False) for n in range(count)]
        accumulator = Accumulator()

        def push() -> None:
            for event in body:
                accumulator.feed(event)
            accumulator.snapshot()

        return steps_of(push)

    steps = [run(count) for count in (300, 600, 1200)]
    assert all(more <= 2.2 * less for less, more in pairwise(steps)), steps
