"""`tap` and `tap_sync`: what goes in comes out, at once, and on every way out the response is there."""

from __future__ import annotations

import gc
import math
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from streamagg import (
    ChatCompletionResponse,
    DecodeError,
    IdleTimeoutError,
    IncompleteStreamError,
    LimitError,
    Limits,
    ProviderError,
    Timing,
    accumulate,
    accumulate_sync,
    stream,
    tap,
    tap_sync,
)
from tests.support import shared
from tests.support.clock import ticking
from tests.support.helpers import chunk, cut, merged, slicings, sse
from tests.support.streams import BODY, CHUNKS, CUT, WANTED, Closable, Stalling, SyncClosable, Watched, events

pytestmark = pytest.mark.anyio

BAD = sse(*CHUNKS[:2], "nonsense", *CHUNKS[2:])


class Harmful:
    """An item whose attributes raise."""

    @property
    def data(self) -> Any:
        raise ZeroDivisionError("mine")


class TestPassing:
    @pytest.mark.parametrize("number", range(5))
    async def test_the_same_objects_in_the_same_slices(self, number: int) -> None:
        slices = list(slicings(BODY + b": bye\n\n"))[number]
        for source in (slices, iter(slices), Watched(*slices), Watched(*slices).agen(), Closable(*slices)):
            async with tap(source) as body:
                passed = [data async for data in body]
            assert [*map(id, passed)] == [*map(id, slices)]
            assert body.response().to_dict() == WANTED
        with tap_sync(slices) as sync:
            assert [*map(id, sync)] == [*map(id, slices)]
        assert sync.response().to_dict() == WANTED

    @pytest.mark.parametrize("items", [CHUNKS, events(*CHUNKS), [*map(sse, CHUNKS)]], ids=["dicts", "events", "bytes"])
    async def test_chunks_pass_as_they_are(self, items: list[Any]) -> None:
        async with tap(Watched(*items)) as body:
            passed = [item async for item in body]
        assert [*map(id, passed)] == [*map(id, items)]
        with tap_sync(items) as sync:
            assert [*map(id, sync)] == [*map(id, items)]
        if isinstance(items[0], bytes):
            return  # each of them ends with [DONE]
        assert body.response().to_dict() == sync.response().to_dict() == WANTED

    async def test_what_is_changed_once_it_came_out_was_read_before(self) -> None:
        source = [{**item} for item in CHUNKS]
        async with tap(source) as body:
            async for item in body:
                item.clear()
        assert body.response().to_dict() == WANTED

    async def test_everything_passes_up_to_the_end_of_the_source(self) -> None:
        source = [BODY, b": more\n\n", sse(*CHUNKS), b"\xff"]
        async with tap(source) as body:
            seen = []
            async for data in body:
                seen.append((data, body.done))
        assert seen == [(data, True) for data in source]
        assert body.response().to_dict() == WANTED
        assert body.error is None

    async def test_each_slice_comes_out_before_the_next_is_asked_for(self) -> None:
        out: list[bytes] = []
        pieces = [BODY[place : place + 40] for place in range(0, len(BODY), 40)]

        async def source() -> AsyncIterator[bytes]:
            for number, piece in enumerate(pieces):
                assert len(out) == number
                yield piece

        async with tap(source()) as body:
            async for data in body:
                out.append(data)
        with tap_sync(pieces) as sync:
            assert next(sync) is pieces[0]
        assert out == pieces

    async def test_a_response_of_a_client(self) -> None:
        slices = [BODY[place : place + 40] for place in range(0, len(BODY), 40)]
        live = httpx.MockTransport(lambda request: httpx.Response(200, content=Watched(*slices)))
        async with httpx.AsyncClient(transport=live) as client, client.stream("GET", "http://test") as response:
            async with tap(response) as body:
                assert [data async for data in body] == slices
            assert body.response().to_dict() == WANTED

    async def test_a_plain_answer(self) -> None:
        answer = accumulate_sync(BODY).to_json().encode()
        async with tap([answer[:100], answer[100:]]) as body:
            assert b"".join([data async for data in body]) == answer
        assert body.response().to_dict() == WANTED

    async def test_no_source(self) -> None:
        with pytest.raises(TypeError, match="cannot read a stream from int"):
            await anext(tap(5))
        with pytest.raises(TypeError, match="cannot read a stream from int"):
            next(tap_sync(5))


class TestErrors:
    @pytest.mark.parametrize(
        ("items", "kind", "options"),
        [
            ([BAD, b"a", b"b"], DecodeError, {}),
            ([sse(*CHUNKS[:2], {"error": {"message": "x"}}), BODY], ProviderError, {}),
            ([BEFORE := sse(*CHUNKS[:2], done=False), BODY], LimitError, {"limits": Limits(response_size=20)}),
            ([BEFORE, sse({"type": "ping"}), BODY], DecodeError, {"strict": True}),
            ([CHUNKS[0], CHUNKS[1], 5, *CHUNKS[2:]], DecodeError, {}),
        ],
        ids=["nonsense", "error", "limit", "strict", "number"],
    )
    async def test_reading_stops_and_passing_goes_on(self, items: list[Any], kind: type, options: Any) -> None:
        async with tap(items, **options) as body:
            passed = []
            async for item in body:
                passed.append(item)
                if item is items[-1]:
                    assert isinstance(body.error, kind)
        assert [*map(id, passed)] == [*map(id, items)]
        with tap_sync(items, **options) as sync:
            assert [*map(id, sync)] == [*map(id, items)]
        for each in (body, sync):
            assert type(each.error) is kind
            assert not each.complete
            with pytest.raises(kind) as caught:
                each.response()
            assert caught.value is each.error
            assert caught.value.partial == each.snapshot()

    async def test_an_items_own_error_is_kept_too(self) -> None:
        harmful = Harmful()
        async with tap([*CHUNKS[:4], harmful, CHUNKS[4]]) as body:
            assert [item async for item in body][4] is harmful
        assert isinstance(body.error, DecodeError)
        assert "reading it raised ZeroDivisionError" in str(body.error)
        assert isinstance(body.error.__cause__, ZeroDivisionError)
        assert body.error.partial is not None
        assert body.error.partial.text == "Hello"
        assert not body.complete
        with pytest.raises(DecodeError):
            body.response()

    @pytest.mark.parametrize("error", [ConnectionResetError("gone"), httpx.ReadError("gone")], ids=["os", "httpx"])
    async def test_the_sources_error_passes_unchanged(self, error: Exception) -> None:
        async with tap(Closable(CUT, error=error)) as body:
            with pytest.raises(type(error)) as caught:
                async for _ in body:
                    pass
            assert caught.value is error
            with pytest.raises(StopAsyncIteration):
                await anext(body)
        assert isinstance(body.error, IncompleteStreamError)
        assert body.snapshot().text == "Hel"  # type: ignore[union-attr]
        with pytest.raises(IncompleteStreamError):
            body.response()

        def broken() -> Iterator[bytes]:
            yield BODY
            raise error

        with pytest.raises(type(error)) as caught, tap_sync(broken()) as sync:
            for _ in sync:
                pass
        assert caught.value is error
        assert sync.error is None
        assert sync.response().to_dict() == WANTED

    async def test_a_cut_stream(self) -> None:
        async with tap([CUT]) as body:
            assert [data async for data in body] == [CUT]
        assert isinstance(body.error, IncompleteStreamError)
        assert body.error.partial is not None
        assert body.error.partial.text == "Hel"
        with pytest.raises(IncompleteStreamError):
            body.response()
        async with tap([CUT], incomplete="return") as body:
            assert [data async for data in body] == [CUT]
        assert body.error is None
        assert not body.complete
        assert body.response().text == "Hel"

    async def test_nothing_at_all(self) -> None:
        async with tap([]) as body:
            assert [data async for data in body] == []
        assert isinstance(body.error, IncompleteStreamError)
        assert body.usage is None
        assert body.snapshot() is None

    async def test_wrong_options(self) -> None:
        for make in (tap, tap_sync):
            with pytest.raises(ValueError, match="incomplete must be"):
                make(BODY, incomplete="ignore")  # type: ignore[operator]


class TestWaysOut:
    """On each the source's generator is finished, and what was read is there."""

    def check(self, body: Any, watched: Watched) -> None:
        assert watched.open == 0
        assert body.snapshot().text == "Hel"
        assert body.usage is None
        assert not body.complete
        assert dict(body.repairs) == {}
        assert isinstance(body.error, IncompleteStreamError)
        with pytest.raises(IncompleteStreamError):
            body.response()

    async def test_break(self) -> None:
        watched = Watched(*CHUNKS)
        async with tap(watched) as body:
            async for item in body:
                if item is CHUNKS[1]:
                    break
            assert body.error is None
            with pytest.raises(RuntimeError, match="has not ended yet"):
                body.response()
        self.check(body, watched)
        with tap_sync(watched.gen()) as sync:
            for item in sync:
                if item is CHUNKS[1]:
                    break
            with pytest.raises(RuntimeError, match="has not ended yet"):
                sync.response()
        self.check(sync, watched)

    async def test_close(self) -> None:
        watched = Watched(*CHUNKS)
        body = tap(watched)
        assert [await anext(body), await anext(body)] == CHUNKS[:2]
        await body.aclose()
        await body.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(body)
        self.check(body, watched)
        sync = tap_sync(watched.gen())
        assert [next(sync), next(sync)] == CHUNKS[:2]
        sync.close()
        sync.close()
        with pytest.raises(StopIteration):
            next(sync)
        self.check(sync, watched)

    async def test_closed_before_it_began(self) -> None:
        async with tap(BODY) as body:
            pass
        with tap_sync(BODY) as sync:
            pass
        for each in (body, sync):
            assert isinstance(each.error, IncompleteStreamError)
            assert each.snapshot() is None

    async def test_an_error_of_the_reader(self) -> None:
        watched = Watched(*CHUNKS)
        body = tap(watched)
        with pytest.raises(ZeroDivisionError):
            async with body:
                async for item in body:
                    if item is CHUNKS[1]:
                        raise ZeroDivisionError
        self.check(body, watched)

    async def test_cancellation(self) -> None:
        scope = anyio.CancelScope()
        source = Stalling(sse(*CHUNKS[:2], done=False), then=scope.cancel)
        async with tap(source) as body:
            with scope:
                async for _ in body:
                    pass
            assert scope.cancelled_caught
            with pytest.raises(IncompleteStreamError):
                body.response()
        assert source.finished

    async def test_thrown_away(self) -> None:
        """Of a generator that relays a tap nothing may be left but the tap itself."""
        watched = Watched(*CHUNKS)
        sync = tap_sync(watched.gen())

        def relay() -> Iterator[Any]:
            with sync:
                yield from sync

        relayed = relay()
        assert [next(relayed), next(relayed)] == CHUNKS[:2]
        assert watched.open == 1
        del relayed
        gc.collect()
        self.check(sync, watched)

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio warns of a relay that is thrown away, and should
    async def test_thrown_away_async(self, anyio_backend: str) -> None:
        watched = Watched(*CHUNKS)
        body = tap(watched)

        async def relay() -> AsyncIterator[Any]:
            async with body:
                async for item in body:
                    yield item

        relayed = relay()
        assert [await anext(relayed), await anext(relayed)] == CHUNKS[:2]
        assert watched.open == 1
        del relayed
        gc.collect()
        await anyio.wait_all_tasks_blocked()  # asyncio closes it in a task of its own
        self.check(body, watched)

    async def test_the_tap_thrown_away(self, tmp_path: Path) -> None:
        """Nothing is left running or open, and nobody is warned."""
        path = tmp_path / "recording.sse"
        path.write_bytes(BODY * 100)
        for source in (BODY, CHUNKS, Closable(BODY), path):
            body = tap(source)
            await anext(body)
            del body
        for blocking in (BODY, CHUNKS, SyncClosable(BODY), path):
            sync = tap_sync(blocking)
            next(sync)
            del sync
        gc.collect()

    async def test_the_caller_closes_what_it_opened(self, tmp_path: Path) -> None:
        path = tmp_path / "recording.sse"
        path.write_bytes(BODY)
        closable, blocking = Closable(BODY), SyncClosable(BODY)
        with path.open("rb") as file:
            for source in (file, closable):
                async with tap(source) as body:
                    assert [data async for data in body] == [BODY]
            file.seek(0)
            for source in (file, blocking):
                with tap_sync(source) as sync:
                    assert [*sync] == [BODY]
            assert [file.closed, closable.closed, blocking.closed] == [False] * 3


class TestWhileItRuns:
    async def test_what_is_there(self) -> None:
        async with tap(CHUNKS) as body:
            assert body.snapshot() is None
            texts = []
            async for _ in body:
                snapshot = body.snapshot()
                assert snapshot is not None
                texts.append((snapshot.text, body.complete, body.usage is not None))
        assert texts == [
            ("", False, False),
            ("Hel", False, False),
            ("Hello", False, False),
            ("Hello", True, False),
            ("Hello", True, True),
        ]
        assert body.usage == ChatCompletionResponse.from_json(accumulate_sync(BODY).to_json()).usage

    async def test_options_arrive(self) -> None:
        twice = [*CHUNKS, CHUNKS[-1]]
        async with tap(twice, usage="sum") as body:
            async for _ in body:
                pass
        assert body.usage == accumulate_sync(twice, usage="sum").usage
        with tap_sync([{"type": "ping"}, *twice], usage="last") as sync:
            assert len([*sync]) == 7
        assert sync.usage == accumulate_sync(CHUNKS).usage
        assert dict(sync.repairs) == {"not_a_chunk": 1}

    async def test_timing(self) -> None:
        """By a clock that ticks once whenever it is read: for the beginning, each item, and the end."""
        items = [b": hi\n\n", sse(CHUNKS[1], done=False), sse(*CHUNKS[2:]), b": more\n\n"]
        wanted = Timing(first_byte=1, first_chunk=2, first_text=2, last_text=3, last_chunk=3, text_rate=2)
        for enter in (True, False):
            body = tap(items)
            body._clock = ticking()
            assert body.timing == Timing()
            if enter:
                await body.__aenter__()
            assert await anext(body) == items[0]
            assert body.timing == Timing(first_byte=1)
            assert [data async for data in body] == items[1:]
            assert body.timing == wanted
            sync = tap_sync(items)
            sync._clock = ticking()
            if enter:
                sync.__enter__()
            assert [*sync] == items
            assert sync.timing == wanted

    def test_timing_of_what_the_end_brought_and_of_nothing(self) -> None:
        for items, wanted in (
            (
                [sse(*CHUNKS[:2], done=False)[:-2]],
                Timing(first_byte=1, first_chunk=1, first_text=2, last_text=2, last_chunk=2),
            ),
            ([CUT], Timing(first_byte=1, first_chunk=1, first_text=1, last_text=1, last_chunk=1)),
            ([b"", b"x"], Timing(first_byte=1)),
            ([], Timing()),
        ):
            sync = tap_sync(items)
            sync._clock = ticking()
            assert [*sync] == items
            assert sync.timing == wanted

    async def test_accumulate_ends_it(self) -> None:
        for source in (tap(CHUNKS), tap_sync(CHUNKS)):
            assert (await accumulate(source)).to_dict() == WANTED
        assert accumulate_sync(tap_sync(CHUNKS)).to_dict() == WANTED
        body, sync = tap(CHUNKS), tap_sync(CHUNKS)
        await anext(body)
        next(sync)
        assert (await accumulate(body)).to_dict() == accumulate_sync(sync).to_dict() == WANTED

    async def test_of_each_other(self) -> None:
        assert (await accumulate(tap(tap(BODY)))).to_dict() == WANTED
        async with tap(Watched(BODY)) as body, stream(body) as chunks:
            assert [item.text async for item in chunks] == ["", "Hel", "lo", "", ""]


class TestTime:
    async def test_idle(self) -> None:
        async with tap(Stalling(sse(*CHUNKS[:2], done=False)), idle_timeout=0.25) as body:
            with anyio.fail_after(10), pytest.raises(IdleTimeoutError) as caught:
                async for _ in body:
                    pass
        assert body.error is caught.value
        assert body.error.partial == body.snapshot()
        with pytest.raises(IdleTimeoutError):
            body.response()

    @pytest.mark.sampled(4)
    @pytest.mark.parametrize("first", [BODY, BAD], ids=["after [DONE]", "after an error"])
    async def test_what_passes_unread_is_a_sign_of_life(self, first: bytes) -> None:
        """Together the pauses are longer than the timeout, each alone is not."""

        async def source() -> AsyncIterator[bytes]:
            yield first
            for _ in range(12):
                await anyio.sleep(0.1)
                yield b": more\n\n"

        async with tap(source(), idle_timeout=1) as body:
            assert len([data async for data in body]) == 13
        assert body.complete is (first is BODY)

    async def test_a_silence_after_the_end_is_no_error_of_the_stream(self) -> None:
        source = Closable()
        source.__class__ = type("Silent", (Closable,), {"__anext__": silent_after(BODY)})
        async with tap(source, idle_timeout=0.03) as body:
            with anyio.fail_after(10), pytest.raises(IdleTimeoutError):
                async for _ in body:
                    pass
        assert body.error is None
        assert body.response().to_dict() == WANTED

    async def test_sync_looks_once_a_read_returns(self) -> None:
        import time

        def slow() -> Iterator[bytes]:
            yield sse(*CHUNKS[:2], done=False)
            time.sleep(0.03)
            yield b": still there\n\n"

        with pytest.raises(IdleTimeoutError), tap_sync(slow(), idle_timeout=0.01) as sync:
            for _ in sync:
                pass
        assert isinstance(sync.error, IdleTimeoutError)


def silent_after(*items: bytes) -> Any:
    left = [*items]

    async def following(self: Any) -> bytes:
        return left.pop(0) if left else await anyio.sleep(math.inf)  # type: ignore[return-value]

    return following


@shared.needs_shared
@pytest.mark.parametrize("row", shared.MANIFEST, ids=shared.ids(shared.MANIFEST))
def test_corpus(row: dict[str, Any]) -> None:
    """Of every recording the same bytes come out, and the response that `accumulate` gives."""
    import random

    slices = cut(shared.body(row["name"]), random.Random(0))
    with tap_sync(slices) as body:
        assert [*map(id, body)] == [*map(id, slices)]
    try:
        wanted = accumulate_sync(slices)
    except Exception as error:  # whatever reading it raises, the tap must have
        assert type(body.error) is type(error)
        assert str(body.error) == str(error)
    else:
        assert body.response() == wanted


def test_chunks_without_choices_have_usage() -> None:
    with tap_sync(
        [chunk({"content": "a"}, finish="stop"), {"id": "c1", "choices": [], "usage": {"total_tokens": 3}}]
    ) as body:
        assert len([*body]) == 2
    assert body.response().to_dict() == merged(
        chunk({"content": "a"}, finish="stop"), {"id": "c1", "choices": [], "usage": {"total_tokens": 3}}
    )
