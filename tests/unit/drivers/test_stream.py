"""`stream` and `stream_sync`: typed chunks as they come, and the response at the end."""

from __future__ import annotations

import pytest

from streamagg import (
    ChatCompletionChunk,
    DecodeError,
    IncompleteStreamError,
    accumulate,
    accumulate_sync,
    stream,
    stream_sync,
)
from tests.support.helpers import chunk, merged, sse
from tests.support.streams import (
    BODY,
    CHUNKS,
    CUT,
    WANTED,
    Watched,
)

pytestmark = pytest.mark.anyio


class TestStream:
    async def test_chunks_then_the_response(self) -> None:
        async with stream(Watched(*[BODY[place : place + 7] for place in range(0, len(BODY), 7)])) as chunks:
            texts = [item.text async for item in chunks]
            assert texts == ["", "Hel", "lo", "", ""]
            assert chunks.response().to_dict() == WANTED
            assert await accumulate(chunks) == chunks.response()
            assert chunks.complete
            assert chunks.repairs == {}
        with stream_sync(BODY) as sync:
            assert [item.text for item in sync] == texts
            assert sync.response().to_dict() == WANTED
            assert accumulate_sync(sync) == sync.response()

    async def test_chunks_are_typed_and_independent(self) -> None:
        async with stream(BODY) as chunks:
            async for item in chunks:
                assert isinstance(item, ChatCompletionChunk)
                item.choices = None
                item.id = "ruined"
            assert chunks.response().to_dict() == WANTED

    def test_logprobs_of_chunks_are_independent_too(self) -> None:
        item = chunk({"content": "a"}, finish="stop")
        item["choices"][0]["logprobs"] = {"content": [{"token": "a", "bytes": [97], "x": {"y": 1}}]}
        for source in (sse(item, item), [item, item]):
            with stream_sync(source) as chunks:
                for each in chunks:
                    entry = each.choices[0].logprobs.content[0]  # type: ignore[index,union-attr]
                    entry.token = "ruined"
                    entry.bytes.append(0)  # type: ignore[union-attr]
                    entry.extra["x"]["y"] = 0
            assert chunks.response().to_dict() == merged(item, item)
            assert chunks.repairs == {}

    async def test_snapshot_at_any_time_response_at_the_end(self) -> None:
        async with stream(CHUNKS) as chunks:
            assert chunks.snapshot() is None
            async for item in chunks:
                if item.text == "Hel":
                    snapshot = chunks.snapshot()
                    assert snapshot is not None
                    assert snapshot.text == "Hel"
                    with pytest.raises(RuntimeError, match="has not ended"):
                        chunks.response()
                    break
            assert (await accumulate(chunks)).to_dict() == WANTED
        async with stream(CHUNKS) as chunks:
            await anext(chunks)
        with pytest.raises(IncompleteStreamError):
            chunks.response()

    async def test_chunks_before_an_error_come_first(self) -> None:
        bad = sse(*CHUNKS[:3], "nonsense", *CHUNKS[3:])
        async with stream([bad]) as chunks:
            texts = []
            with pytest.raises(DecodeError):
                async for item in chunks:
                    texts.append(item.text)
            assert texts == ["", "Hel", "lo"]
            for _ in range(2):
                with pytest.raises(DecodeError):
                    await anext(chunks)
                with pytest.raises(DecodeError):
                    chunks.response()

    async def test_a_cut_stream_raises_at_its_end(self) -> None:
        texts = []
        with pytest.raises(IncompleteStreamError), stream_sync(CUT) as sync:
            for item in sync:
                texts.append(item.text)
        assert texts == ["", "Hel"]
        with stream_sync(CUT, incomplete="return") as sync:
            assert [item.text for item in sync] == texts
            assert sync.response().text == "Hel"
            assert not sync.complete

    async def test_without_the_context(self) -> None:
        assert [item.text async for item in stream(CHUNKS)] == [item.text for item in stream_sync(CHUNKS)]

    async def test_wraps_itself(self) -> None:
        assert (await accumulate(stream(stream(BODY)))).to_dict() == WANTED
        assert accumulate_sync(stream_sync(stream_sync(BODY))).to_dict() == WANTED
