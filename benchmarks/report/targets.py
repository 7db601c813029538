"""The figures to reach, and what was reached: the worst place counts, or else the row says what does."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..streams.generated import KINDS
from . import batch, recordings

Results = dict[str, Any]
Row = dict[str, Any]
Figure = tuple[float, str]
"""A figure and where it was measured."""

MIB = 2**20


def targets(results: Results) -> list[Row]:
    """A row for each target: what it is, its bound, what was reached; `met` is None where nothing was measured."""
    return list(_targets(results))


def _targets(results: Results) -> Iterator[Row]:
    yield from _recordings(results["recordings"])
    yield from _long_streams(results)
    own = list(_ratios(results, "streamagg"))
    yield _at_most("case 5 at 64 KiB reads: times the bare decode", 2.0, _of(own, "atoma", "64-KiB"))
    yield _at_most("case 5, every comment a read of its own: the same", 5.0, _of(own, "atoma", "comment"))
    yield _batch_share(results["batch"])
    for library, bound in (
        ("openai-stream", 250),
        ("litellm", 60),
        ("langchain-openai", 60),
        ("pydantic-ai", 60),
        ("orjson", 2.5),
    ):
        yield _typical(f"{library} on case 1: times slower than streamagg", bound, list(_slower(results, library)))
    yield _at_most(
        "end to end, aiohttp, one event per read: accumulating, times reading alone",
        1.4,
        _end_to_end(
            results, [("aiohttp", "paced"), ("aiohttp-chunks", "burst")], lambda row: row["to_read"]["accumulate"]
        ),
    )
    yield _at_least(
        "end to end, openai client at full speed: `.stream()`, times raw response and streamagg",
        15,
        _end_to_end(results, [("openai", "burst")], lambda row: row["stream_to_accumulate"]),
    )
    yield _at_most("growth: time per chunk at the largest size, times that at 10,000", 1.15, _growth_time(results))
    yield _at_most("growth: peak memory less 2 MiB, times the answer", 1.5, _growth_memory(results))
    yield _at_most("crowd: bytes held per open stream beyond its text", 4096, _crowd(results))
    yield _framing(results)
    ratios = batch.ratios(results["batch"])
    title = "batch: a table from a column of recordings, times `Accumulator` alone"
    yield _at_most(title, 1.6, [(statistics.median(ratios), "median")] if ratios else [])


_RECORDINGS: tuple[tuple[str, str, tuple[str, ...], float, float], ...] = (
    ("`feed` of a whole body", "streamagg", ("whole",), 1.5, 1.0),
    ("`feed`, one event a read", "streamagg", ("event",), 1.7, 1.2),
    ("typed chunks of `stream_sync`", "streamagg-stream", ("whole", "event"), 3, 2),
    ("`text()` of `stream_sync`", "streamagg-text", ("whole", "event"), 3, 1.5),
)
"""Way, library, deliveries, bound, wish: times the hand-written orjson loop."""

_ONE_CHUNK = 46
"""The times of the bare decode that this stream took once: the bound is a third of it, the wish a fifth."""

_LONG: tuple[tuple[str, str, str, str | None, float, float | None], ...] = (
    ("long text, one event a read", "streamagg", "text", "event", 1.3, 1.0),
    ("long text, 64 KiB reads", "streamagg", "text", "64-KiB", 0.8, 0.6),
    ("tool arguments, one event a read", "streamagg", "tool-arguments", "event", 1.4, None),
    ("tool arguments, 64 KiB reads", "streamagg", "tool-arguments", "64-KiB", 0.8, None),
    ("reasoning, one event a read", "streamagg", "reasoning", "event", 1.4, None),
    ("reasoning, 64 KiB reads", "streamagg", "reasoning", "64-KiB", 0.8, None),
    ("refusal, one event a read", "streamagg", "refusal", "event", 1.4, None),
    ("refusal, 64 KiB reads", "streamagg", "refusal", "64-KiB", 0.8, None),
    ("obfuscation, one event a read", "streamagg", "text-obfuscated", "event", 1.6, None),
    ("obfuscation, 64 KiB reads", "streamagg", "text-obfuscated", "64-KiB", 1.0, None),
    ("n = 4, one event a read", "streamagg", "four-choices", "event", 2.0, None),
    ("running usage, one event a read", "streamagg", "running-usage", "event", 2.7, None),
    ("vendor field, one event a read", "streamagg", "vendor-field", "event", 2.0, None),
    ("logprobs, any reads", "streamagg", "logprobs", None, 2.5, 2.0),
    ("`tap_sync`, long text, one event a read", "streamagg-tap", "text", "event", 1.5, None),
    ("typed chunks of `stream_sync`, long text, one event a read", "streamagg-stream", "text", "event", 3, 2),
)
"""Title, library, case, delivery or None for all, bound, wish: times the bare decode."""


def _recordings(rows: list[Row]) -> Iterator[Row]:
    for title, library, deliveries, bound, wish in _RECORDINGS:
        found = [(recordings.ratio(rows, library, way, "to_loop"), way) for way in deliveries]
        figures = [(ratio, way) for ratio, way in found if ratio is not None]
        yield _at_most(f"real recordings, {title}, times the hand-written `orjson` loop", bound, figures, wish)
    ratio = recordings.ratio(rows, "streamagg", "whole", "to_decode", "1")
    title = "a stream of one chunk and its end, bytes to response, times the bare decode of its payloads"
    figures = [] if ratio is None else [(ratio, "whole")]
    yield _at_most(title, round(_ONE_CHUNK / 3, 1), figures, round(_ONE_CHUNK / 5, 1))


def _long_streams(results: Results) -> Iterator[Row]:
    for title, library, case, delivery, bound, wish in _LONG:
        figures = _of(_ratios(results, library), case, delivery)
        yield _at_most(f"{title}, times the bare decode", bound, figures, wish)


def _batch_share(rows: list[Row]) -> Row:
    share = batch.share_of_loop(rows)
    title = "`streamagg batch --jobs 1`, recordings a second, as a share of the `orjson` loop in memory"
    return _at_least(title, 0.6, [] if share is None else [(share, "the most recordings")])


def _at_most(title: str, bound: float, figures: Iterable[Figure], wish: float | None = None) -> Row:
    worst = max(figures, default=None)
    return _row(title, f"at most {bound:g}", worst, worst and worst[0] <= bound, wish)


def _at_least(title: str, bound: float, figures: Iterable[Figure]) -> Row:
    worst = min(figures, default=None)
    return _row(title, f"at least {bound:g}", worst, worst and worst[0] >= bound)


def _typical(title: str, bound: float, figures: list[Figure]) -> Row:
    """As `_at_least`, by the median: single runs of slow libraries vary."""
    if not figures:
        return _row(title, f"at least {bound:g}", None, None)
    middle = statistics.median(figure for figure, _ in figures)
    lowest, where = min(figures)
    return _row(title, f"at least {bound:g}", (middle, f"median; lowest {lowest:.3g}, {where}"), middle >= bound)


def _row(title: str, bound: str, worst: Figure | None, met: bool | None, wish: float | None = None) -> Row:
    return {
        "target": title,
        "bound": bound,
        "wish": wish,
        "reached": worst and worst[0],
        "where": worst and worst[1],
        "met": met,
    }


def _ratios(results: Results, library: str) -> Iterator[tuple[float, Row]]:
    for row in results["cases"]:
        if row["library"] == library and row["state"] == "measured":
            yield row["ratio"], row


def _of(ratios: Iterable[tuple[float, Row]], case: str, delivery: str | None) -> Iterator[Figure]:
    """The ratios of a case, by one delivery or by all."""
    for ratio, row in ratios:
        if row["case"] == case and delivery in (None, row["delivery"]):
            yield ratio, f"{row['case']}, {row['delivery']}"


def _slower(results: Results, library: str) -> Iterator[Figure]:
    own = {(row["case"], row["delivery"]): ratio for ratio, row in _ratios(results, "streamagg")}
    for ratio, row in _ratios(results, library):
        place = row["case"], row["delivery"]
        if KINDS[row["case"]].number == 1 and place in own:
            yield ratio / own[place], ", ".join(place)


def _end_to_end(results: Results, places: list[tuple[str, str]], figure: Callable[[Row], float]) -> Iterator[Figure]:
    for row in results["end_to_end"]:
        if row["state"] == "measured" and (row["client"], row["pace"]) in places:
            yield figure(row), f"{row['client']}, {row['pace']}"


def _growth_time(results: Results) -> Iterator[Figure]:
    rows = {(row["kind"], row["chunks"]): row for row in results["growth"] if row["state"] == "measured"}
    for kind in sorted({kind for kind, _ in rows}):
        largest = max(size for other, size in rows if other == kind)
        if (kind, 10_000) in rows:
            yield rows[kind, largest]["ratio"] / rows[kind, 10_000]["ratio"], f"{kind}, {largest:,}"


def _growth_memory(results: Results) -> Iterator[Figure]:
    for row in results["growth"]:
        if row["state"] == "measured":
            beyond = max(0, row["peak_bytes"] - 2 * MIB)
            yield beyond / row["answer_bytes"], f"{row['kind']}, {row['chunks']:,}"


def _crowd(results: Results) -> Iterator[Figure]:
    for row in results["crowd"]:
        if row["state"] == "measured":
            yield from ((held, f"after {count} chunks") for count, held in row["held_per_stream"].items())


def _framing(results: Results) -> Row:
    speeds = {
        row["parser"]: row["events_per_second"]
        for row in results["framing"]
        if row["state"] == "measured" and row["input"] == "small"
    }
    own = speeds.pop("streamagg", None)
    title = "framing: small events a second"
    bound = "at least 1,200,000, or 1.5 times the quickest other"
    if own is None:
        return _row(title, bound, None, None)
    quickest = max(speeds, key=speeds.__getitem__, default=None)
    beside = f"{own / speeds[quickest]:.2f} times {quickest}" if quickest else "no other measured"
    met = own >= 1.2e6 or (quickest is not None and own >= 1.5 * speeds[quickest])
    return _row(title, bound, (own, beside), met)
