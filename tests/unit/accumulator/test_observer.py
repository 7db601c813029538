"""Chunks that are handed out while a stream runs: what came, and apart from the response."""

from __future__ import annotations

import pytest

from streamagg import (
    Accumulator,
    ChatCompletionChunk,
    stream_sync,
)
from tests.support.helpers import chunk, sse


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("place", ["usage", "choice's usage", "logprobs", "nothing"])
def test_what_is_handed_out_is_apart_and_what_came(add: bool, place: str) -> None:
    counts = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    item = chunk({"content": "a"}, usage=counts if place == "usage" else None, vendor={"k": 1})
    item["choices"][0]["usage"] = counts if place == "choice's usage" else None
    item["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -1.0}]} if place == "logprobs" else None
    second = {"index": 1, "delta": {"content": "b"}}
    accumulator = Accumulator()
    out: list[ChatCompletionChunk] = []
    accumulator.deliver = out.append
    for each in ({**item, "choices": [*item["choices"], second]}, item):
        accumulator.add(each) if add else accumulator.feed(sse(each, done=False))
    before = accumulator.snapshot()
    assert [len(one.choices or ()) for one in out] == [2, 1]
    for one in out:
        assert isinstance(one, ChatCompletionChunk)
        assert (one.text, one.id, dict(one.extra)) == ("a", "c1", {"vendor": {"k": 1}})
        for holder in (one, (one.choices or [one])[0]):  # type: ignore[list-item]
            if holder.usage is not None:
                holder.usage.total_tokens = 777
        if (logprobs := (one.choices or [])[0].logprobs) is not None:
            logprobs.content[0].token = "changed"  # type: ignore[index]
            logprobs.content.clear()  # type: ignore[union-attr]
        one.extra.clear()
    assert accumulator.snapshot() == before
    assert dict(accumulator.repairs) == {}


def test_usage_of_handed_out_chunks_is_apart() -> None:
    report = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    with stream_sync(sse(*[chunk({"content": "a"}, usage=report)] * 3)) as chunks:
        for item in chunks:
            item.usage.total_tokens = 777  # type: ignore[union-attr]
    assert chunks.response().usage.total_tokens == 3  # type: ignore[union-attr]
