"""How a body arrives: the same bytes, cut into reads in several ways."""

from __future__ import annotations

from .generated import Case, Kind

DELIVERIES = {
    "event": "one event per read",
    "8-events": "eight events per read",
    "1400-bytes": "reads of 1,400 bytes",
    "64-KiB": "reads of 64 KiB",
    "comment": "every comment and every event a read of its own",
}


def deliveries(kind: Kind) -> list[str]:
    """The ways to deliver a case."""
    return [name for name in DELIVERIES if name != "comment" or kind.comments]


def reads_of(case: Case, delivery: str) -> list[bytes]:
    """The case's body in reads."""
    events = case.events
    if delivery == "event":
        return list(events)
    if delivery == "8-events":
        return [b"".join(events[start : start + 8]) for start in range(0, len(events), 8)]
    body = b"".join(events)
    if delivery == "comment":
        return [block + b"\n\n" for block in body.split(b"\n\n")[:-1]]
    return cut(body, {"1400-bytes": 1400, "64-KiB": 65536}[delivery])


def cut(body: bytes, size: int) -> list[bytes]:
    """`body` in slices of `size` bytes."""
    return [body[start : start + size] for start in range(0, len(body), size)]
