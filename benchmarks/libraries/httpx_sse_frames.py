"""httpx-sse, which cuts the bytes into events and reads none of them."""

from __future__ import annotations

from httpx_sse import EventSource

from .replay import Replay

_replay = Replay()


def collect(reads: list[bytes]) -> list[str]:
    _replay.reads = reads
    return [event.data for event in EventSource(_replay.response()).iter_sse()]


def wire(payloads: list[str]) -> list[bytes]:
    return [payload.encode() for payload in payloads if payload != "[DONE]"]
