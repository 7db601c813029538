"""What the rows of the batch part say."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from typing import Any

Row = dict[str, Any]
Table = tuple[tuple[str, ...], list[list[str]]]
"""The names of the columns, and the rows."""


def words(rows: Iterable[Row]) -> Iterator[str]:
    """What one core does in an hour, in plain words."""
    largest = max(_measured(rows, "growth"), key=lambda row: row["recordings"], default=None)
    if largest is not None:
        size = largest["bytes"] / largest["recordings"] / 1e3
        hourly = float(f"{3600 * largest['recordings'] / largest['seconds']:.3g}")
        gigabytes = 3600 * largest["bytes"] / largest["seconds"] / 1e9
        yield (
            f"In an hour one core turns {hourly:,.0f} recorded streams, of {size:,.0f} KB each, into rows of a Parquet"
            f" file: {gigabytes:,.0f} GB."
        )


def tables(rows: list[Row]) -> Iterator[Table]:
    """By way, by number of recordings, by part of the work."""
    if ways := [_way(row) for row in _ways(rows)]:
        yield ("way", "recordings", "recordings a second", "MB a second", "wrong"), ways
    if growth := [_grown(row) for row in _measured(rows, "growth")]:
        yield ("`streamagg batch --jobs 1`, recordings", "each", "a second", "peak memory"), growth
    for row in _measured(rows, "stages"):
        yield ("part of the work, one core", "a recording", "of `aggregate`"), list(_stages(row))


def ratios(rows: Iterable[Row]) -> list[float]:
    """The time of `aggregate`, times that of `Accumulator` alone, by round."""
    return [
        table / alone
        for row in _measured(rows, "stages")
        for table, alone in zip(row["times"]["aggregate"], row["times"]["accumulate"], strict=True)
    ]


def share_of_loop(rows: list[Row]) -> float | None:
    """Recordings a second of the command on one core, times those of the hand-written `orjson` loop in memory."""
    command = max(_measured(rows, "growth"), key=lambda row: row["recordings"], default=None)
    loops = [row for row in _measured(rows, "others") if row["library"] == "orjson"]
    if command is None or not loops:
        return None
    (loop,) = loops
    share: float = (command["recordings"] / command["seconds"]) / (loop["recordings"] / loop["seconds"])
    return share


def _measured(rows: Iterable[Row], *parts: str) -> list[Row]:
    return [row for row in rows if row["state"] == "measured" and row["part"] in parts]


def _ways(rows: list[Row]) -> Iterator[Row]:
    """One row each: of the sizes the largest, and the parts of the work that are a way of their own."""
    yield from sorted(_measured(rows, "growth"), key=lambda row: row["recordings"])[-1:]
    yield from _measured(rows, "cores", "cluster")
    for row in _measured(rows, "stages"):
        for name, title in (("aggregate", "`aggregate`, in memory"), ("accumulate", "`Accumulator`, in memory")):
            yield {**row, "way": title, "seconds": statistics.median(row["times"][name])}
    yield from _measured(rows, "others")
    yield from (row for row in rows if row["state"] != "measured")


def _way(row: Row) -> list[str]:
    if row["state"] != "measured":
        return [row["way"], "-", "-", "-", f"{row['state']}: {row['reason']}"]
    count, seconds = row["recordings"], row["seconds"]
    speed = [f"{count / seconds:,.0f}", f"{row['bytes'] / seconds / 1e6:,.1f}"]
    return [row["way"], f"{count:,}", *speed, f"{row['wrong']:,}"]


def _grown(row: Row) -> list[str]:
    count, seconds = row["recordings"], row["seconds"]
    return [
        f"{count:,}",
        f"{1e6 * seconds / count:,.0f} µs",
        f"{count / seconds:,.0f}",
        f"{row['peak_bytes'] / 2**20:,.0f} MiB",
    ]


def _stages(row: Row) -> Iterator[list[str]]:
    times = {name: statistics.median(found) for name, found in row["times"].items()}
    times["building"] = times["aggregate"] - times["accumulate"]
    for name, title in (
        ("reading", "reading Parquet"),
        ("framing", "framing: `SSEDecoder`"),
        ("decoding", "decoding: a bare msgspec loop"),
        ("accumulate", "`Accumulator`: framing, decoding, merging"),
        ("building", "building Arrow: `aggregate` less `Accumulator`"),
        ("aggregate", "`aggregate`"),
    ):
        share = times[name] / times["aggregate"]
        yield [title, f"{1e6 * times[name] / row['recordings']:,.0f} µs", f"{100 * share:.0f} %"]
