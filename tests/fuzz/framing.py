"""`SSEDecoder` against the WHATWG's steps, read literally, a character at a time."""

from __future__ import annotations

from streamagg import LimitError, ServerSentEvent, SSEDecoder

from .shapes import body_of, slices_of

FLUSH = 64
"""The bit of the first byte that says whether an unfinished last event counts."""


def try_input(data: bytes) -> None:
    body = body_of(data)
    slices = slices_of(body, data)
    flush = bool(data[:1] and data[0] & FLUSH)
    decoder = SSEDecoder(flush=flush)
    events = [event for piece in slices for event in decoder.feed(piece)]
    committed = decoder.last_event_id
    events += decoder.finish()
    wanted, last_id, retry = literal(body.decode("utf-8", "replace"), flush=flush)
    assert (events, decoder.retry) == (wanted, retry)
    assert committed == decoder.last_event_id == last_id
    bounded(body, slices, wanted)


def bounded(body: bytes, slices: list[bytes], wanted: list[ServerSentEvent]) -> None:
    """Under a limit: the same events, up to one that is larger than it."""
    decoder = SSEDecoder(max_event_bytes=len(body) // 2)
    events: list[ServerSentEvent] = []
    try:
        for piece in slices:
            events += decoder.feed(piece)
    except LimitError:
        assert events == wanted[: len(events)]
    else:
        assert all(len(event.data.encode()) <= 3 * len(body) // 2 for event in events)


def literal(text: str, *, flush: bool) -> tuple[list[ServerSentEvent], str, int | None]:
    """The events of a body, the last event ID, and the reconnection time."""
    events: list[ServerSentEvent] = []
    data, kind, last_id, committed = "", "", "", ""
    retry: int | None = None
    reconnection: int | None = None
    seen = False  # a data line came in this block
    text = text.removeprefix("\ufeff")
    line = ""
    place = 0
    ended = ""
    while place < len(text):
        letter = text[place]
        place += 1
        if letter not in "\r\n":
            line += letter
            continue
        if letter == "\r" and text[place : place + 1] == "\n":
            place += 1
        ended, line = line, ""
        if ended == "":
            committed = last_id
            if seen:
                events.append(ServerSentEvent(data.removesuffix("\n"), kind or "message", last_id, retry))
            data, kind, retry, seen = "", "", None, False
            continue
        data, kind, last_id, retry, seen = field(ended, data, kind, last_id, retry, seen)
        reconnection = reconnection if retry is None else retry
    if flush:
        if line:
            data, kind, last_id, retry, seen = field(line, data, kind, last_id, retry, seen)
        if seen:
            events.append(ServerSentEvent(data.removesuffix("\n"), kind or "message", last_id, retry))
    return events, committed, reconnection


def field(
    line: str, data: str, kind: str, last_id: str, retry: int | None, seen: bool
) -> tuple[str, str, str, int | None, bool]:
    """One line that is not blank."""
    name, _, value = line.partition(":")
    if value.startswith(" "):
        value = value[1:]
    if name == "data":
        return data + value + "\n", kind, last_id, retry, True
    if name == "event":
        kind = value
    elif name == "id" and "\0" not in value:
        last_id = value
    elif name == "retry" and value and all(digit in "0123456789" for digit in value):
        retry = int(value)
    return data, kind, last_id, retry, seen
