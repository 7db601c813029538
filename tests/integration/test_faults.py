"""What goes wrong on the wire: real clients, a server that breaks at every byte, and what is left of the stream.

Of each case: the error, the response as far as its events arrived whole, and that nothing stays behind.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import anyio
import httpx
import pytest

from streamagg import (
    DecodeError,
    IdleTimeoutError,
    IncompleteStreamError,
    ProviderError,
    StreamAggError,
    stream,
)
from streamagg._drivers.driver import Driver
from tests.support.effort import some
from tests.support.faults import CHUNKED, FaultServer, Then, fault_server, framed, head, nothing_left, sized
from tests.support.helpers import merged

pytestmark = pytest.mark.anyio


def small(delta: dict[str, Any], **choice: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, **choice}]}


CHUNKS: list[dict[str, Any]] = [
    small({"role": "assistant", "content": 'Zü"\n'}),
    small({"content": "rich 🌦"}),
    small({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]}),
    small({"tool_calls": [{"index": 0, "function": {"arguments": '{"x":"ö"}'}}]}),
    small({}, finish_reason="tool_calls"),
    {"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
]
EVENTS = [b"data: " + json.dumps(item, ensure_ascii=number % 2 == 0, separators=(",", ":")).encode() + b"\n\n" for number, item in enumerate(CHUNKS)]  # fmt: skip
BODY = b"".join(EVENTS) + b"data: [DONE]\n\n"
WANTED = merged(*CHUNKS)


class Expected(NamedTuple):
    """What there is of a body that ended early."""

    response: dict[str, Any] | None
    complete: bool
    done: bool


def whole_events(prefix: bytes) -> Expected:
    """The merge of the events whose blank line arrived."""
    events = [event.removeprefix(b"data: ") for event in prefix.split(b"\n\n")[:-1]]
    done = b"[DONE]" in events
    chunks = [json.loads(event) for event in events if event != b"[DONE]"]
    finished = len(chunks) >= 5 and prefix.endswith(b"\n\n")
    return Expected(merged(*chunks) if chunks else None, done or finished, done)


def at_the_end(prefix: bytes) -> Expected:
    """As `whole_events`; a last event without its blank line counts where its data is whole."""
    before, blank, tail = prefix.rpartition(b"\n\n")
    data = tail.strip().removeprefix(b"data: ")
    is_whole = data == b"[DONE]" or _is_json(data)
    return whole_events(before + blank + tail.rstrip(b"\n") + b"\n\n" if is_whole else prefix)


def _is_json(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False


Open = Callable[[str], AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def _httpx() -> AsyncIterator[Open]:
    async with httpx.AsyncClient(verify=False, timeout=30) as client:
        yield lambda url: client.stream("GET", url)


@asynccontextmanager
async def _aiohttp() -> AsyncIterator[Open]:
    async with aiohttp.ClientSession() as session:
        yield session.get


CLIENTS: dict[str, Callable[[], AbstractAsyncContextManager[Open]]] = {"httpx": _httpx, "aiohttp": _aiohttp}
ERRORS: dict[str, tuple[type[Exception], ...]] = {"httpx": (httpx.TransportError,), "aiohttp": (aiohttp.ClientError,)}
"""What a client raises where its connection breaks."""

clients = pytest.mark.parametrize(
    ("client", "anyio_backend"),
    [
        pytest.param("httpx", ("asyncio", {}), id="httpx-asyncio"),
        pytest.param("httpx", ("asyncio", {"use_uvloop": True}), id="httpx-uvloop"),
        pytest.param("httpx", ("trio", {}), id="httpx-trio"),
        pytest.param("aiohttp", ("asyncio", {}), id="aiohttp-asyncio"),
        pytest.param("aiohttp", ("asyncio", {"use_uvloop": True}), id="aiohttp-uvloop"),
    ],
)


def unfinished(test: Any) -> Any:
    """httpx leaves its inner generators unfinished where a stream is left before its end, of which trio tells."""
    for mark in (
        r"ignore:Exception ignored in. <async_generator object (\w*Stream|Response|AsyncHTTP11Connection)\.",
        "ignore:Async generator 'http(x|core)\\..* was garbage collected:ResourceWarning",
    ):
        test = pytest.mark.filterwarnings(mark)(test)
    return test


class Outcome(NamedTuple):
    """What reading an answer came to."""

    response: dict[str, Any] | None
    """Whole, or as far as it came."""
    error: Exception | None
    given: bytes
    """What the client gave of the body."""
    repairs: dict[str, int]


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """A server; what the client gives of an answer is noted."""
    original = Driver.begin

    def begin(self: Any, *args: Any) -> Any:
        take, self.given = original(self, *args), []

        def take_noted(item: bytes) -> bool:
            self.given.append(item)
            return take(item)

        return take_noted

    monkeypatch.setattr(Driver, "begin", begin)
    with fault_server() as server:
        yield server


async def read(response: Any, **options: Any) -> Outcome:
    """Read an answer by `stream`; an error of ours carries what there is, and the snapshot always does."""
    error: Exception | None = None
    async with stream(response, **options) as chunks:
        try:
            texts = [chunk.text async for chunk in chunks]
            whole = chunks.response()
            assert "".join(texts) == whole.text
        except Exception as caught:  # which one is what the test asks
            error = caught
        snapshot = chunks.snapshot()
    if isinstance(error, StreamAggError):
        assert error.partial == snapshot
    elif error is None:
        assert whole == snapshot
    given = b"".join(getattr(chunks._driver, "given", ()))
    return Outcome(None if snapshot is None else snapshot.to_dict(), error, given, dict(chunks.repairs))


async def read_all(client: str, urls: list[str], **options: Any) -> list[Outcome]:
    """Read many answers, some at once; nothing is left of it."""
    outcomes: dict[int, Outcome] = {}
    places = list(range(len(urls)))

    async def work() -> None:
        while places:
            place = places.pop()
            async with open_url(urls[place]) as response:
                outcomes[place] = await read(response, **options)

    with anyio.fail_after(120):
        async with nothing_left(), CLIENTS[client]() as open_url, anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(work)
    return [outcomes[place] for place in range(len(urls))]


async def read_one(client: str, url: str, **options: Any) -> Outcome:
    (outcome,) = await read_all(client, [url], **options)
    return outcome


OFFSETS = some(range(len(BODY) + 1))


@clients
async def test_closed_at_every_byte(faults: FaultServer, client: str, anyio_backend: Any) -> None:
    """A body that ends with its connection: nothing but its content tells that it was cut."""
    urls = [faults.url(head() + BODY[:offset], then=Then.CLOSE) for offset in OFFSETS]
    for offset, outcome in zip(OFFSETS, await read_all(client, urls), strict=True):
        expected = at_the_end(BODY[:offset])
        assert outcome.response == expected.response, offset
        assert type(outcome.error) is (type(None) if expected.complete else IncompleteStreamError), offset
        if not expected.done:
            assert outcome.given == BODY[:offset]


@clients
async def test_closed_at_every_byte_of_chunked_encoding(faults: FaultServer, client: str, anyio_backend: Any) -> None:
    """Inside a frame, its length or its end: the client knows, and its error passes unless `[DONE]` came."""
    slices = [BODY[place : place + 50] for place in range(0, len(BODY), 50)]
    wire = framed(slices)
    offsets = some(range(len(wire)))
    urls = [faults.url(CHUNKED + wire[:offset], then=Then.CLOSE) for offset in offsets]
    for offset, outcome in zip(offsets, await read_all(client, urls), strict=True):
        expected = whole_events(outcome.given)
        assert outcome.response == expected.response, offset
        assert BODY.startswith(outcome.given)
        assert len(outcome.given) >= 50 * wire[:offset].count(b"\r\n", 4) // 2 - 50, offset
        assert isinstance(outcome.error, () if expected.done else ERRORS[client]) or expected.done, offset


@clients
async def test_reset_at_every_byte(faults: FaultServer, client: str, anyio_backend: Any) -> None:
    urls = [faults.url(sized(BODY)[: -len(BODY) or None] + BODY[:offset], then=Then.RESET) for offset in OFFSETS]
    for offset, outcome in zip(OFFSETS, await read_all(client, urls), strict=True):
        expected = whole_events(outcome.given)
        assert outcome.response == expected.response, offset
        assert BODY.startswith(outcome.given)
        assert expected.done or isinstance(outcome.error, ERRORS[client]), (offset, outcome.error)
        assert not expected.done or outcome.error is None


@clients
async def test_stalled_at_every_byte(faults: FaultServer, client: str, anyio_backend: Any) -> None:
    urls = [faults.url(sized(BODY)[: -len(BODY) or None] + BODY[:offset], then=Then.STALL) for offset in OFFSETS]
    for offset, outcome in zip(OFFSETS, await read_all(client, urls, idle_timeout=1.0), strict=True):
        expected = whole_events(BODY[:offset])
        assert outcome.response == expected.response, offset
        assert type(outcome.error) is (type(None) if expected.done else IdleTimeoutError), offset
        assert outcome.given == BODY[:offset]


@clients
async def test_a_byte_a_packet(faults: FaultServer, client: str, anyio_backend: Any) -> None:
    bytes_ = [BODY[place : place + 1] for place in range(len(BODY))]
    plain = faults.url(sized(BODY)[: -len(BODY)], *bytes_, then=Then.CLOSE)
    wire = framed(bytes_)
    chunked = faults.url(CHUNKED, *(wire[place : place + 1] for place in range(len(wire))), then=Then.CLOSE)
    for outcome in await read_all(client, [plain, chunked]):
        assert outcome[:2] == (WANTED, None)


CUTS = {
    "inside a UTF-8 character": BODY.index("🌦".encode()) + 2,
    "inside an escape": BODY.index(b"\\u00fc") + 3,
    "after a backslash": BODY.index(b"\\n") + 1,
    "inside the arguments": BODY.index(rb"{\"x") + 2,
}


@pytest.mark.sampled(7)
@clients
@pytest.mark.parametrize("where", CUTS)
async def test_cut_inside(faults: FaultServer, client: str, anyio_backend: Any, where: str) -> None:
    """Nothing of the event that was cut counts, and the text of the others has no mark of it."""
    before = BODY[: CUTS[where]]
    outcome = await read_one(client, faults.url(sized(before), then=Then.CLOSE))
    assert isinstance(outcome.error, IncompleteStreamError)
    assert "inside an event" in str(outcome.error) or outcome.response is None
    assert outcome.response == whole_events(before).response
    assert "\ufffd" not in json.dumps(outcome.response, ensure_ascii=False)
    assert outcome.repairs == {}


def _compressed(window: int) -> list[bytes]:
    """Each event compressed and flushed, as servers do it that stream; and the end."""
    pack = zlib.compressobj(wbits=window)
    return [*(pack.compress(event) + pack.flush(zlib.Z_SYNC_FLUSH) for event in EVENTS), pack.compress(b"data: [DONE]\n\n") + pack.flush()]  # fmt: skip


@clients
@pytest.mark.parametrize(("encoding", "window"), [(b"gzip", 31), (b"deflate", 15)])
async def test_compressed(faults: FaultServer, client: str, anyio_backend: Any, encoding: bytes, window: int) -> None:
    """Whole, and cut after each event: what was flushed before is there."""
    parts = _compressed(window)
    start = head(b"content-encoding: " + encoding)
    urls = [faults.url(start, *parts[:count], then=Then.CLOSE) for count in range(1, len(parts) + 1)]
    for count, outcome in enumerate(await read_all(client, urls), 1):
        expected = whole_events(b"".join(EVENTS[:count]) + (b"data: [DONE]\n\n" if count == len(parts) else b""))
        assert outcome.response == expected.response
        if not expected.complete:
            assert isinstance(outcome.error, (IncompleteStreamError, *ERRORS[client]))
        if expected.done:
            assert outcome.error is None


PAGE = b"<!DOCTYPE html>\n<html><head><title>Maintenance</title></head>\n\n<body>data: none</body></html>\n"


@clients
async def test_a_page_with_status_200(faults: FaultServer, client: str, anyio_backend: Any) -> None:
    for kind in (b"text/html", b"text/event-stream"):
        outcome = await read_one(client, faults.url(sized(PAGE, kind=kind), then=Then.CLOSE))
        assert isinstance(outcome.error, DecodeError)
        assert "neither an event stream nor JSON" in str(outcome.error)
        assert kind.decode() in str(outcome.error)
        assert outcome.response is None


REFUSALS = {
    "json": (b"application/json", b'{"error": {"message": "no", "type": "t", "code": 7}}'),
    "text": (b"text/plain", b"no"),
    "nothing": (b"text/plain", b""),
}


@pytest.mark.sampled(4)
@clients
@pytest.mark.parametrize("body", REFUSALS)
@pytest.mark.parametrize("status", [b"401 Unauthorized", b"429 Too Many Requests", b"500 Internal Server Error"])
async def test_refused(faults: FaultServer, client: str, anyio_backend: Any, status: bytes, body: str) -> None:
    kind, content = REFUSALS[body]
    outcome = await read_one(client, faults.url(sized(content, status=status, kind=kind), then=Then.CLOSE))
    assert isinstance(outcome.error, ProviderError)
    assert outcome.error.status == int(status[:3])
    assert (outcome.error.code, outcome.error.type) == ((7, "t") if body == "json" else (None, None))
    assert ("no" if content else "empty body") in outcome.error.message
    assert outcome.response is None


@pytest.mark.sampled(2)
@clients
@unfinished
async def test_open_after_done(faults: FaultServer, client: str, anyio_backend: Any) -> None:
    """The connection stays open, and says nothing more, or goes on for ever: the stream is over all the same."""
    for then in (Then.STALL, Then.FLOOD):
        for begin in (head(), sized(b" " * 9999)[:-9999]):
            outcome = await read_one(client, faults.url(begin + BODY, then=then))
            assert outcome[:2] == (WANTED, None)


GARBAGE = b"\xff\xfe<html>\n\ndata: {\n\n" + EVENTS[0] + b'data: {"error": "late"}\n\n'


@clients
@unfinished
async def test_garbage_after_done(faults: FaultServer, client: str, anyio_backend: Any) -> None:
    urls = [
        faults.url(sized(BODY + GARBAGE), then=Then.CLOSE),
        faults.url(head() + BODY, GARBAGE, then=Then.RESET),
        faults.url(CHUNKED + framed([BODY, GARBAGE])[:-3], then=Then.CLOSE),
    ]
    for outcome in await read_all(client, urls):
        assert outcome[:2] == (WANTED, None)
        assert outcome.repairs == {}


@pytest.mark.sampled(3)
@clients
@unfinished
async def test_comments_without_end(faults: FaultServer, client: str, anyio_backend: Any) -> None:
    for events in ([], EVENTS[:2]):
        url = faults.url(head() + b"".join(events), then=Then.FLOOD)
        outcome = await read_one(client, url, idle_timeout=0.5)
        assert isinstance(outcome.error, IdleTimeoutError)
        assert outcome.response == whole_events(b"".join(events)).response


@clients
@unfinished
async def test_two_streams_mixed(faults: FaultServer, client: str, anyio_backend: Any) -> None:
    """A proxy that goes on with another stream: the first one's id stays, and that it changed is told."""
    other = [event.replace(b'"id":"c"', b'"id":"d"') for event in EVENTS]
    body = b"".join([*EVENTS[:2], *other[2:]]) + b"data: [DONE]\n\n"
    outcome = await read_one(client, faults.url(sized(body), then=Then.CLOSE))
    assert outcome[:2] == (WANTED, None)
    assert outcome.repairs == {"id_changed": len(EVENTS) - 2}
    strict = await read_one(client, faults.url(sized(body), then=Then.CLOSE), strict=True)
    assert isinstance(strict.error, DecodeError)
    assert strict.response == merged(*CHUNKS[:2])


@clients
@pytest.mark.usefixtures("end_is_waited_for")
async def test_connections_are_used_again(faults: FaultServer, client: str, anyio_backend: Any) -> None:
    """What ends as it should leaves a connection that takes the next request; here one has all three."""
    urls = [faults.url(CHUNKED + framed([*EVENTS, b"data: [DONE]\n\n"]), then=Then.AGAIN) for _ in range(3)]
    async with nothing_left(), CLIENTS[client]() as open_url:
        for url in urls:
            async with open_url(url) as response:
                assert (await read(response))[:2] == (WANTED, None)
        assert faults.connections == 1
