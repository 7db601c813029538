"""The results as text: `RESULTS.md`, and a summary for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from . import batch_figures, endtoend, framing
from .inputs import KINDS
from .libraries import LIBRARIES
from .reads import DELIVERIES, deliveries

Results = dict[str, Any]
Row = dict[str, Any]

UNFAIR = """\
Each comparison is unfair to somebody, so that comes first.

- **The floor** is `msgspec.json.Decoder(ChatCompletionChunk).decode` in a loop over payloads that are already cut
  out of the stream; it keeps nothing. It does less than any library: no framing, no merging, no answer. In case 6,
  whose field the strict structs refuse, it reads the same payloads without that field.
- **The hand-written loops** know only what these streams hold. They check nothing, and would lose or break on much
  of what servers really send (CRLF, an event without a space after `data:`, calls without an index, errors).
- **openai, litellm, langchain-openai and pydantic-ai** do more than streamagg: they make a request, validate or
  build an object for each chunk, and raise events. An in-process transport hands them the reads, so no socket
  counts; the making of one request does, spread over the stream. litellm is told not to log each chunk, and
  pydantic-ai that usage is a running total. Their answers need not hold ids, the model or vendor fields to be
  right; streamagg's must be equal to the known answer, field by field.
- **Those that are slow get a shorter stream**: the largest of 200, 1,000 and 5,000 chunks that they should read in
  0.6 seconds. Some grow with the square of the length, so this is in their favour.
- **httpx-sse** only cuts bytes into events and reads none of them.
- **Text repeats itself** more than a model does, and every stream comes from one seed.
- **Time** is CPU time of the process with garbage collection on. Where the floor is given, both ran in turns in the
  same process, and the figure is the median of the rounds' ratios. Absolute times are those of a shared machine.
- **Memory** is the growth of the peak of resident memory over a fork that has the input at hand and has read a very
  short stream. It counts in pages, and what fits into memory that was left free is not seen, so less than a tenth of
  a MiB means nothing. The streams differ in length, see the column.
- **Batches**: the ways that end in a Parquet file are timed by the clock, from the start of the command, with
  reading and writing; those in memory, and the loops and types of others, by CPU time, on recordings that are at
  hand. Every recording is one of 400 streams under an id of its own; what others get wrong is mostly streams that
  were cut or end with an error.
- **End to end** counts the client's CPU time alone, over loopback: no TLS, no real network.
"""


def markdown(results: Results) -> str:
    """The whole of `RESULTS.md`."""
    parts = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks` from the repository root, with the `bench` group installed; not edited by"
        " hand. `results.json` has the same figures and more.",
        "",
        *_environment(results),
        "",
        "## What is unfair",
        "",
        UNFAIR,
    ]
    if results["targets"]:
        parts += ["## Figures to reach", "", *_targets(results["targets"]), ""]
    if any(row["state"] == "measured" for row in results["cases"]):
        parts += ["## At one event per read", "", "![Time to read a stream](results.svg)", "", *_summary(results), ""]
        parts += ["## Every case", "", _LEGEND, ""]
        for name in KINDS:
            parts += _case(results, name)
    for title, section in (
        ("End to end", _end_to_end),
        ("Growth", _growth),
        ("Crowd", _crowd),
        ("Framing", _framing),
        ("Batches", _batch),
    ):
        if lines := list(section(results)):
            parts += [f"## {title}", "", *lines, ""]
    return "\n".join(parts).rstrip() + "\n"


def console(results: Results) -> str:
    """What a terminal shows: every row in a line, and the targets."""
    lines = list(dict.fromkeys(_console_row(row) for row in results["cases"]))
    for name, section in (
        ("end_to_end", _end_to_end),
        ("growth", _growth),
        ("crowd", _crowd),
        ("framing", _framing),
        ("batch", _batch),
    ):
        lines += ["", *section(results)] if results[name] else []
    reached = [row for row in results["targets"] if row["reached"] is not None]
    lines += ["", *_targets(reached)] if reached else []
    return "\n".join(lines)


def _console_row(row: Row) -> str:
    if row["state"] == "absent":
        return f"{row['library']:17} absent: {row['reason']}"
    place = f"{row['library']:17} {row['case']:16} {row.get('delivery', ''):11}"
    if row["state"] != "measured":
        return f"{place} {row['state']}: {row['reason']}"
    return (
        f"{place} {row['chunks']:5} chunks {row['us_per_chunk']:8.2f} µs {row['ratio']:8.2f} x floor"
        f" {_size(row['peak_bytes']):>9} {_right([row])}"
    )


# ------------------------------------------------------------------ sections


def _environment(results: Results) -> Iterator[str]:
    found = results["environment"]
    yield (
        f"{found['date']}, {found['python']}, {found['system']}, {found['cpu']} ({found['cores']} cores),"
        f" {found['seconds']} s in all."
    )
    yield ""
    yield ", ".join(f"{name} {version or '(absent)'}" for name, version in found["versions"].items()) + "."


def _targets(targets: list[Row]) -> Iterator[str]:
    rows = (
        (
            row["target"],
            row["bound"],
            "not measured" if row["reached"] is None else f"{_number(row['reached'])} ({row['where']})",
            {True: "yes", False: "**no**", None: "-"}[row["met"]],
        )
        for row in targets
    )
    return _table(("figure", "target", "reached, at the worst place measured", "met"), rows)


def _summary(results: Results) -> Iterator[str]:
    """A line for each library, a column for each case."""
    rows = {(row["library"], row["case"]): row for row in results["cases"] if row.get("delivery") in (None, "event")}
    names = [name for name in KINDS if any(case == name for _, case in rows)]
    yield "Times the bare decode loop; a figure in brackets belongs to a wrong answer."
    yield ""
    libraries = [name for name in LIBRARIES if any(library == name for library, _ in rows)]
    lines = ([LIBRARIES[name].title, *(_cell(rows.get((name, case))) for case in names)] for name in libraries)
    yield from _table(("", *names), lines)


_LEGEND = (
    "Columns by delivery are times the bare decode loop: `event` is one event per read, `8-events` eight,"
    " `1400-bytes` and `64-KiB` reads of that size, `comment` a read for every comment and every event."
    " Time is at one event per read; memory is the largest of the deliveries."
)


def _case(results: Results, name: str) -> Iterator[str]:
    kind = KINDS[name]
    rows = [row for row in results["cases"] if row["case"] == name]
    if not rows:
        return
    yield f"### {kind.number}: {kind.title} (`{name}`)"
    yield ""
    ways = [way for way in DELIVERIES if way in deliveries(kind)]
    lines = []
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
                *(_cell(mine.get(way)) for way in ways),
                f"{measured[0]['us_per_chunk']:.2f} µs",
                _size(max(row["peak_bytes"] for row in measured)),
                _right(mine.values()),
            ]
        )
    yield from _table(("", "chunks", *(f"`{way}`" for way in ways), "a chunk", "peak memory", "right"), lines)
    yield ""


def _end_to_end(results: Results) -> Iterator[str]:
    if not results["end_to_end"]:
        return
    yield (
        "CPU time of the client process per chunk, case `text`. `burst`: as fast as the client reads;"
        " `paced`: the server waits a millisecond after each event, so most of the time goes to waking up."
    )
    yield ""
    lines = []
    for row in results["end_to_end"]:
        title = [endtoend.CLIENTS[row["client"]], row.get("pace", "-")]
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
                _right([row]),
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
    yield from _table(header, lines)


def _growth(results: Results) -> Iterator[str]:
    if not results["growth"]:
        return
    yield (
        "One event per read, ASCII text. The answer is the final text in memory; for logprobs, what a bare decode loop"
        " holds that keeps them. They stop at 100,000: a million would be more than a gigabyte of answer."
    )
    yield ""
    lines = []
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
                _size(row["peak_bytes"]),
                _size(row["answer_bytes"]),
                "yes" if row["right"] else "**no**",
            ]
        )
    yield from _table(
        ("", "chunks", "a chunk", "times the bare decode loop", "peak memory", "the answer", "right"), lines
    )


def _crowd(results: Results) -> Iterator[str]:
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


def _framing(results: Results) -> Iterator[str]:
    if not results["framing"]:
        return
    lines = []
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
    yield from _table(
        ("input", "parser", "events a second", "bytes a second", "times streamagg's time", "right"), lines
    )


def _batch(results: Results) -> Iterator[str]:
    yield from batch_figures.words(results["batch"])
    for header, lines in batch_figures.tables(results["batch"]):
        yield ""
        yield from _table(header, lines)


# ------------------------------------------------------------------ cells


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(header)
    yield f"| {' | '.join(names)} |"
    yield f"|{' --- |' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    if row["state"] != "measured":
        return str(row["state"])
    return f"({_number(row['ratio'])})" if row["wrong"] else _number(row["ratio"])


def _right(rows: Iterable[Row]) -> str:
    wrong = list(dict.fromkeys(part for row in rows for part in row.get("wrong", [row.get("reason", "")])))
    return f"**no**: {', '.join(wrong)}" if wrong else "yes"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _size(count: float) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"
