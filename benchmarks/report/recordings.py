"""What the rows of the part of recordings say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..libraries import LIBRARIES
from ..parts.recordings import DECODE, DELIVERIES
from ..streams.recordings import LENGTHS
from .cells import Row, number, table

_TITLES = {DECODE: "bare decode", **{name: library.title for name, library in LIBRARIES.items()}}


def ratio(rows: Iterable[Row], library: str, delivery: str, beside: str, length: str = "all") -> float | None:
    """A figure: `beside` is `to_loop` or `to_decode`; None where it was not measured."""
    for row in rows:
        if row["state"] == "measured" and (row["library"], row["delivery"]) == (library, delivery):
            found: float | None = row[beside].get(length)
            return found
    return None


def summary(rows: list[Row]) -> Iterator[str]:
    """A line for each way: both deliveries, and what became of the answers."""
    found = _by_library(rows)
    yield "CPU time over all recordings, times the hand-written `orjson` loop, and times the bare decode."
    yield ""
    ways = [f"{title}, times {beside}" for title in DELIVERIES.values() for beside in ("the loop", "the decode")]
    lines = []
    for name, mine in found.items():
        figures = [mine[way][beside]["all"] for way in DELIVERIES for beside in ("to_loop", "to_decode")]
        lines.append([_TITLES[name], *map(number, figures), _answers(mine["whole"])])
    yield from table(("", *ways, "answers"), lines)


def by_length(rows: list[Row]) -> Iterator[str]:
    """Two tables: a column for each group of streams."""
    found = _by_library(rows)
    for way, title in DELIVERIES.items():
        yield ""
        yield f"By chunks a stream, {title}, times the loop (1: a made-up stream of one chunk and its end):"
        yield ""
        streams = next(iter(found.values()))[way]["streams"]
        names = [f"{length} ({streams[length]})" if length != "1" else length for length in LENGTHS]
        present = [length for length in LENGTHS if length == "1" or streams[length]]
        lines = [
            [_TITLES[name], *(number(mine[way]["to_loop"][length]) if length in present else "-" for length in LENGTHS)]
            for name, mine in found.items()
        ]
        yield from table(("", *names), lines)


def one_chunk(rows: list[Row]) -> Iterator[str]:
    """The stream of one chunk and its end: bytes to response."""
    yield ""
    yield "A stream of one chunk and its end, bytes to response:"
    yield ""
    lines = [
        [_TITLES[name], f"{mine['whole']['us_per_stream']['1']:.1f} µs", number(mine["whole"]["to_decode"]["1"])]
        for name, mine in _by_library(rows).items()
    ]
    yield from table(("", "a stream", "times the bare decode"), lines)


def absent(rows: list[Row]) -> Iterator[str]:
    """A line for each reason why ways were not measured, with their names."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["state"] != "measured":
            reasons.setdefault(row["reason"], []).append(_TITLES[row["library"]])
    for reason, titles in reasons.items():
        yield f"Not measured, {reason}: {'; '.join(titles)}."


def section(rows: list[Row]) -> Iterator[str]:
    """All of it."""
    if any(row["state"] == "measured" for row in rows):
        yield from summary(rows)
        yield from by_length(rows)
        yield from one_chunk(rows)
        yield ""
    yield from absent(rows)


def _by_library(rows: Iterable[Row]) -> dict[str, dict[str, Row]]:
    """The measured rows by library and delivery."""
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["state"] == "measured":
            found.setdefault(row["library"], {})[row["delivery"]] = row
    return found


def _answers(row: Row) -> str:
    if "wrong" not in row:
        return "-"
    counts = [f"{len(row[kind])} {kind}" for kind in ("wrong", "refused") if row[kind]]
    return ", ".join(counts) or "all right"
