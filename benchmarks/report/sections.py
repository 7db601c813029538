"""The sections of the page: one function for each part, which gives lines of Markdown, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..libraries import LIBRARIES
from ..parts import end_to_end, framing
from ..streams.generated import KINDS
from ..streams.reads import DELIVERIES, deliveries
from . import batch, recordings
from .cells import Row, cell, number, right, size, table

Results = dict[str, Any]


def target_table(targets: list[Row]) -> Iterator[str]:
    rows = (
        (
            row["target"],
            row["bound"],
            "-" if row["wish"] is None else f"{row['wish']:g}",
            "not measured" if row["reached"] is None else f"{number(row['reached'])} ({row['where']})",
            {True: "yes", False: "**no**", None: "-"}[row["met"]],
        )
        for row in targets
    )
    return table(("figure", "target", "wish", "reached, at the worst place measured", "met"), rows)


def case_summary(results: Results) -> Iterator[str]:
    """A line for each library, a column for each case."""
    rows = {(row["library"], row["case"]): row for row in results["cases"] if row.get("delivery") in (None, "event")}
    names = [name for name in KINDS if any(case == name for _, case in rows)]
    yield "Times the bare decode loop; a figure in brackets belongs to a wrong answer."
    yield ""
    libraries = [name for name in LIBRARIES if any(library == name for library, _ in rows)]
    lines = ([LIBRARIES[name].title, *(cell(rows.get((name, case))) for case in names)] for name in libraries)
    yield from table(("", *names), lines)


def fast_path_table(results: Results) -> Iterator[str]:
    """For each case, how many times as long the general path takes as `Accumulator` does with its fast path."""
    ways = ("event", "64-KiB")
    general, own = (_ratios_of(results, library) for library in ("streamagg-general", "streamagg"))
    lines: list[list[str]] = []
    for name in KINDS:
        places = [(name, way) for way in ways]
        if all(place in general and place in own for place in places):
            lines.append([name, *(number(general[place] / own[place]) for place in places)])
    if lines:
        yield "The general path alone, times the same with the fast path:"
        yield ""
        yield from table(("case", *(f"`{way}`" for way in ways)), lines)


def _ratios_of(results: Results, library: str) -> dict[tuple[str, str], float]:
    """By case and delivery."""
    rows = (row for row in results["cases"] if row["library"] == library and row["state"] == "measured")
    return {(row["case"], row["delivery"]): row["ratio"] for row in rows}


LEGEND = (
    "Columns by delivery are times the bare decode loop: `event` is one event per read, `8-events` eight,"
    " `1400-bytes` and `64-KiB` reads of that size, `comment` a read for every comment and every event."
    " Time is at one event per read; memory is the largest of the deliveries."
)


def case_table(results: Results, name: str) -> Iterator[str]:
    kind = KINDS[name]
    rows = [row for row in results["cases"] if row["case"] == name]
    if not rows:
        return
    yield f"### {kind.number}: {kind.title} (`{name}`)"
    yield ""
    ways = [way for way in DELIVERIES if way in deliveries(kind)]
    lines: list[list[str]] = []
    for library in dict.fromkeys(row["library"] for row in rows):
        mine = {row.get("delivery"): row for row in rows if row["library"] == library}
        measured = [row for row in mine.values() if row["state"] == "measured"]
        title = LIBRARIES[library].title
        if not measured:
            (row, *_) = mine.values()
            lines.append([title, *["-"] * (len(ways) + 3), f"{row['state']}: {row['reason']}"])
            continue
        lines.append(
            [
                title,
                f"{measured[0]['chunks']:,}",
                *(cell(mine.get(way)) for way in ways),
                f"{measured[0]['us_per_chunk']:.2f} µs",
                size(max(row["peak_bytes"] for row in measured)),
                right(mine.values()),
            ]
        )
    yield from table(("", "chunks", *(f"`{way}`" for way in ways), "a chunk", "peak memory", "right"), lines)
    yield ""


def end_to_end_section(results: Results) -> Iterator[str]:
    if not results["end_to_end"]:
        return
    yield (
        "CPU time of the client process per chunk, case `text`. `burst`: as fast as the client reads;"
        " `paced`: the server waits a millisecond after each event, so most of the time goes to waking up."
    )
    yield ""
    lines: list[list[str]] = []
    for row in results["end_to_end"]:
        title = [end_to_end.CLIENTS[row["client"]], row.get("pace", "-")]
        if row["state"] != "measured":
            lines.append([*title, *["-"] * 5, f"{row['state']}: {row['reason']}"])
            continue
        took, to_read = row["us_per_chunk"], row["to_read"]
        lines.append(
            [
                *title,
                f"{row['chunks'] / row['reads']:.1f}",
                f"{took['read']:.2f} µs",
                f"{took['accumulate']:.2f} µs",
                f"{100 * (to_read['accumulate'] - 1):+.0f} %",
                f"{took['stream']:.1f} µs ({row['stream_to_accumulate']:.1f} x)" if "stream" in took else "-",
                right([row]),
            ]
        )
    header = (
        "client",
        "pace",
        "events per read",
        "reading",
        "and accumulating",
        "more",
        "`.stream()` instead",
        "right",
    )
    yield from table(header, lines)


def growth_section(results: Results) -> Iterator[str]:
    if not results["growth"]:
        return
    yield (
        "One event per read, ASCII text. The answer is the final text in memory; for logprobs, what a bare decode loop"
        " holds that keeps them. They stop at 100,000: a million would be more than a gigabyte of answer."
    )
    yield ""
    lines: list[list[str]] = []
    for row in results["growth"]:
        title = [row["kind"], f"{row['chunks']:,}"]
        if row["state"] != "measured":
            lines.append([*title, "-", "-", "-", "-", f"{row['state']}: {row['reason']}"])
            continue
        lines.append(
            [
                *title,
                f"{row['us_per_chunk']:.2f} µs",
                f"{row['ratio']:.2f}",
                size(row["peak_bytes"]),
                size(row["answer_bytes"]),
                "yes" if row["right"] else "**no**",
            ]
        )
    yield from table(
        ("", "chunks", "a chunk", "times the bare decode loop", "peak memory", "the answer", "right"), lines
    )


def crowd_section(results: Results) -> Iterator[str]:
    for row in results["crowd"]:
        if row["state"] != "measured":
            yield f"{row['state']}: {row['reason']}"
            continue
        held = ", ".join(f"{bytes_:,.0f} after {count}" for count, bytes_ in row["held_per_stream"].items())
        yield (
            f"{row['streams']:,} streams open at once, {row['chunks']} chunks each, one event per read, in turns: "
            f"{row['chunks_per_second']:,.0f} chunks a second ({row['ratio']:.2f} times the bare decode loop), "
            f"the longest `feed` {row['longest_pause_ms']:.2f} ms of CPU time, a snapshot {row['snapshot_us']:.1f} µs."
        )
        yield ""
        yield f"Bytes held per open stream beyond its own text: {held} chunks."


def framing_section(results: Results) -> Iterator[str]:
    if not results["framing"]:
        return
    lines: list[list[str]] = []
    for row in results["framing"]:
        title = [framing.INPUTS.get(row.get("input", ""), "-"), row["parser"]]
        if row["state"] != "measured":
            lines.append([*title, "-", "-", "-", f"{row['state']}: {row['reason']}"])
            continue
        lines.append(
            [
                *title,
                f"{row['events_per_second']:,.0f}",
                f"{row['bytes_per_second'] / 1e6:,.0f} MB",
                f"{row['to_streamagg']:.2f}",
                "yes" if row["right"] else "**no**",
            ]
        )
    yield from table(("input", "parser", "events a second", "bytes a second", "times streamagg's time", "right"), lines)


def batch_section(results: Results) -> Iterator[str]:
    yield from batch.words(results["batch"])
    for header, lines in batch.tables(results["batch"]):
        yield ""
        yield from table(header, lines)


def recordings_section(results: Results) -> Iterator[str]:
    return recordings.section(results["recordings"])


SECTIONS: dict[str, tuple[str, Callable[[Results], Iterator[str]]]] = {
    "end_to_end": ("End to end", end_to_end_section),
    "growth": ("Growth", growth_section),
    "crowd": ("Crowd", crowd_section),
    "framing": ("Framing", framing_section),
    "batch": ("Batches", batch_section),
}
"""The parts but for the cases: the title and the lines of each, by its name in the results."""
