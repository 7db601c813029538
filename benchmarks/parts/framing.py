"""Framing: events per second of `SSEDecoder`, beside other parsers of server-sent events."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

from streamagg import SSEDecoder

from ..measure.child import reason_of
from ..measure.timing import cpu_time
from ..streams.reads import cut

PARSERS = ("streamagg", "httpx-sse", "httpx2", "launchdarkly-eventsource")
"""By distribution."""
INPUTS = {
    "small": "small events, 64 KiB reads",
    "small-single": "small events, one per read",
    "small-cr": "small events with CR alone as line end, 64 KiB reads",
    "large": "one event of 4 MiB, 64 KiB reads",
    "large-small-reads": "one event of 4 MiB, reads of 1,400 bytes",
}
EVENTS = 50_000
QUICK_EVENTS = 500
LARGE = 4 * 2**20
ROUNDS = 9
_READ = 65536

Row = dict[str, Any]
Parse = Callable[[list[bytes]], list[str]]


def run(parsers: list[str], events: int, rounds: int) -> list[Row]:
    """The rows: each parser on each input, in turns in one process."""
    loaded = {name: _LOADERS[name]() for name in parsers}
    rows: list[Row] = []
    for name in INPUTS:
        reads, expected = _input(name, events)
        found = {parser: _checked(parse, reads, expected) for parser, parse in loaded.items()}
        times: dict[str, list[float]] = {parser: [] for parser, row in found.items() if row["state"] == "measured"}
        for _ in range(rounds):
            for parser, took in times.items():
                took.append(cpu_time(partial(loaded[parser], reads)))
        for parser, took in times.items():
            seconds = statistics.median(took)
            found[parser] |= {
                "events": len(expected),
                "events_per_second": len(expected) / seconds,
                "bytes_per_second": sum(map(len, reads)) / seconds,
                "to_streamagg": statistics.median(
                    mine / its for mine, its in zip(took, times["streamagg"], strict=True)
                ),
            }
        rows += [{"parser": parser, "input": name, **row} for parser, row in found.items()]
    return rows


def _checked(parse: Parse, reads: list[bytes], expected: list[str]) -> Row:
    """Warm up, and see whether the events are right."""
    try:
        return {"state": "measured", "right": parse(reads) == expected}
    except Exception as error:  # whatever a library raises is its row in the report
        return {"state": "failed", "reason": reason_of(error)}


def _input(name: str, events: int) -> tuple[list[bytes], list[str]]:
    if name.startswith("large"):
        data = "0123456789abcdef" * (LARGE // 16)
        return cut(b"data: %b\n\n" % data.encode(), 1400 if name == "large-small-reads" else _READ), [data]
    expected = [f'{{"n":{number},"text":"word"}}' for number in range(events)]
    end = b"\r" if name == "small-cr" else b"\n"
    blocks = [b"data: " + data.encode() + end * 2 for data in expected]
    return blocks if name == "small-single" else cut(b"".join(blocks), _READ), expected


def _streamagg() -> Parse:
    def parse(reads: list[bytes]) -> list[str]:
        decoder = SSEDecoder()
        return [event.data for data in reads for event in decoder.feed(data)]

    return parse


def _httpx_sse() -> Parse:
    import httpx
    from httpx_sse import EventSource

    def parse(reads: list[bytes]) -> list[str]:
        response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=iter(reads))
        return [event.data for event in EventSource(response).iter_sse()]

    return parse


def _httpx2() -> Parse:
    import httpx2

    def parse(reads: list[bytes]) -> list[str]:
        response = httpx2.Response(
            200,
            headers={"content-type": "text/event-stream"},
            content=iter(reads),
            request=httpx2.Request("GET", "http://replay"),
        )
        return [event.data for event in httpx2.EventSource(response, max_event_size=None)]

    return parse


def _launchdarkly() -> Parse:
    from ld_eventsource import SSEClient
    from ld_eventsource.config.connect_strategy import ConnectionClient, ConnectionResult, ConnectStrategy

    class Replay(ConnectStrategy, ConnectionClient):
        def __init__(self, reads: list[bytes]) -> None:
            self._reads = reads

        def create_client(self, logger: Any) -> ConnectionClient:
            return self

        def connect(self, last_event_id: str | None) -> ConnectionResult:
            return ConnectionResult(iter(self._reads), None)

    def parse(reads: list[bytes]) -> list[str]:
        with SSEClient(Replay(reads)) as client:
            return [event.data for event in client.events]

    return parse


_LOADERS: dict[str, Callable[[], Parse]] = {
    "streamagg": _streamagg,
    "httpx-sse": _httpx_sse,
    "httpx2": _httpx2,
    "launchdarkly-eventsource": _launchdarkly,
}
