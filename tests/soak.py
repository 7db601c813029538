"""Many streams at once, for long: `python -m tests.soak --seconds 20 --streams 5000`.

Streams in the shapes of real servers' recordings (made up ones where these are absent) are read in random slices
by every async way, so many at a time; as one ends the next begins. A third of them is cut, breaks, or is cancelled
at a random place. Every answer is held against what is known of it: of a whole stream by the recording's own
answer, of a part by a slow reading of its bytes that shares nothing with the library (`tests/support/reference.py`).
At the end it says what was read, and how memory grew, and fails where anything was wrong or is left.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel

from streamagg import IncompleteStreamError, ProviderError, StreamAggError, accumulate, stream, tap
from tests.support import reference, shared
from tests.support.helpers import chunk, sse, strip_nulls

CUTS = 8
"""At so many places each stream may be cut."""
LONGEST = 60_000
"""Longer recordings, in bytes, are left out: they would be most of what is read."""
WAYS = ("accumulate", "chunks", "events", "text", "tap")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Part(NamedTuple):
    """The beginning of a stream, or all of it, and what it comes to."""

    body: bytes
    ended: Any
    """The response if the input ends there: a last event without its blank line may count."""
    error: type[StreamAggError] | None
    """What is raised at that end."""
    read: Any
    """The response of the events whose blank line is in it; None without one."""
    over: str | None
    """None where more is waited for after these events; else the error's name that they end with, or none."""
    events: int


def made_up() -> dict[str, tuple[bytes, Any, type[StreamAggError] | None]]:
    """Streams for a clone without the recordings."""
    cases: dict[str, tuple[bytes, Any, type[StreamAggError] | None]] = {}
    usage = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}
    for count in (1, 5, 40, 200):
        text = [chunk({"content": f"wörd{n} \n"}, index=n % 2) for n in range(count)]
        calls = [chunk({"tool_calls": [{"index": n % 3, "function": {"arguments": f'"{n}'}}]}) for n in range(count)]
        ends = [chunk(finish="stop", index=n) for n in (0, 1)]
        for name, middle in (("text", text), ("calls", calls), ("both", text + calls)):
            chunks = [*middle, *ends, {**chunk(), "choices": [], "usage": usage}]
            answer, _ = reference.merge(chunks)
            cases[f"{name} {count}"] = sse(*chunks), answer, None
        cases[f"error {count}"] = sse(*text, {"error": {"message": "no"}}), reference.merge(text)[0], ProviderError
    return cases


def recorded() -> dict[str, tuple[bytes, Any, type[StreamAggError] | None]]:
    """The recordings, with their own answers."""
    cases = {}
    for row in shared.MANIFEST:
        body = shared.body(row["name"])
        if len(body) <= LONGEST and b"\n\n" in body:
            error = ProviderError if row["error"] == "provider" else None if row["complete"] else IncompleteStreamError
            cases[row["name"]] = body, shared.expected(row["name"]), error
    return cases


def parts_of(body: bytes, answer: Any, error: type[StreamAggError] | None, dice: random.Random) -> list[Part]:
    """A stream whole, and its beginnings at some places."""
    count = body.count(b"data:")
    parts = [Part(body, answer, error, None, None, count)]
    for place in sorted(dice.sample(range(1, len(body)), min(CUTS, len(body) - 1))):
        cut = body[:place]
        if cut.endswith(b"\r") or b"data:" not in cut:
            continue
        try:
            ended, read = outcome(cut), outcome(_whole(cut))
            done = reference.chunks_of(_whole(cut))[1]
        except ValueError:  # it cannot be read, which the reference leaves to the library
            continue
        if ended[0] is None and not body.startswith(b"data:"):  # a cut may leave open what it is at all
            continue
        over = "ProviderError" if read[1] is ProviderError else "" if done else None
        parts.append(Part(cut, *ended, read[0], over, cut.count(b"data:")))
    return parts


def _whole(cut: bytes) -> bytes:
    """The part of a body that ends with a blank line."""
    end = max(cut.rfind(blank) + len(blank) if blank in cut else 0 for blank in (b"\n\n", b"\r\n\r\n"))
    return cut[:end]


def outcome(body: bytes) -> tuple[Any, type[StreamAggError] | None]:
    """What a body comes to by the reference: the response and the error."""
    chunks, done = reference.chunks_of(body)
    response, failed = reference.merge(chunks)
    if failed:
        return response, ProviderError
    inside = _whole(body) != body and chunks == reference.chunks_of(_whole(body))[0] and not done
    whole = response is not None and (done or (reference.finished(response) and not inside))
    return response, None if whole else IncompleteStreamError


def slices_of(body: bytes, dice: random.Random) -> list[bytes]:
    """Some slices, cut anywhere."""
    places = sorted(dice.choices(range(len(body) + 1), k=dice.choice((0, 1, 3, 10, 30))))
    return [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]


class Soak:
    """What was read, and what went wrong."""

    def __init__(self, cases: list[list[Part]], seed: int, end: float) -> None:
        self.cases = cases
        self.dice = random.Random(seed)
        self.end = end
        self.events = 0
        self.open = 0
        self.most_open = 0
        self.kinds: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def source(self, part: Part, how: str, scope: anyio.CancelScope) -> AsyncIterator[bytes]:
        """The part's bytes, with a wait before each slice; then its end, an error, or a cancellation."""
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            for data in slices_of(part.body, self.dice):
                await anyio.sleep(self.dice.random() / 50)
                yield data
            if how == "cancelled":
                scope.cancel()
                await anyio.sleep_forever()
            if how == "broken":
                raise ConnectionResetError
        finally:
            self.open -= 1

    async def work(self) -> None:
        """Stream after stream until the time is up."""
        while time.monotonic() < self.end and not self.wrong:
            parts = self.dice.choice(self.cases)
            part, how = parts[0], "whole"
            if self.dice.random() < 1 / 3 and len(parts) > 1:
                part, how = self.dice.choice(parts[1:]), self.dice.choice(("cut", "broken", "cancelled"))
            way = self.dice.choice(WAYS if how == "whole" else WAYS[1:])  # it has no snapshot
            found = await self.read(part, how, way)
            wanted = self.wanted(part, how, way)
            if found != wanted:
                self.wrong.append(f"{how} by {way}: came to {found}\nand not {wanted}\nfrom {part.body!r}")
            self.kinds[how] += 1
            self.events += part.events

    def wanted(self, part: Part, how: str, way: str) -> tuple[Any, str]:
        if how in ("whole", "cut"):
            return part.ended, part.error.__name__ if part.error else ""
        stopped = "ConnectionResetError" if how == "broken" else "cancelled"
        if way == "tap":  # which lets pass what follows, and takes whatever stopped it for the end
            return part.ended, stopped
        return part.read, stopped if part.over is None else part.over

    async def read(self, part: Part, how: str, way: str) -> tuple[Any, str]:
        """The response, as far as it came, and the error's name."""
        said, snapshot = "", None
        with anyio.CancelScope() as scope:
            source = self.source(part, how, scope)
            try:
                if way == "accumulate":
                    snapshot = await accumulate(source)
                elif way == "tap":
                    async with tap(source) as body:
                        try:
                            async for _ in body:
                                pass
                            snapshot = body.response()
                        finally:
                            snapshot = body.snapshot()
                else:
                    async with stream(source) as chunks:
                        try:
                            async for _ in chunks if way == "chunks" else getattr(chunks, way)():
                                pass
                            snapshot = chunks.response()
                        finally:
                            snapshot = chunks.snapshot()
            except (StreamAggError, ConnectionResetError) as error:
                said = type(error).__name__
                snapshot = getattr(error, "partial", snapshot)
        if scope.cancelled_caught:
            said = "cancelled"
        return None if snapshot is None else strip_nulls(snapshot.to_dict()), said


def resident() -> int:
    """The process's memory in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE


async def soak(cases: list[list[Part]], seconds: float, streams: int, seed: int) -> Soak:
    """Run, and tell of it."""
    begin = time.monotonic()
    run = Soak(cases, seed, begin + seconds)
    tasks = set(asyncio.all_tasks())
    memory: list[tuple[float, int]] = []

    async def watch() -> None:
        while time.monotonic() < run.end and not run.wrong:
            await anyio.sleep(seconds / 200)
            memory.append((time.monotonic() - begin, resident()))

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        for _ in range(streams):
            group.start_soon(run.work)
    took = time.monotonic() - begin
    gc.collect()
    await anyio.lowlevel.checkpoint()
    if left := set(asyncio.all_tasks()) - tasks:
        run.wrong.append(f"tasks are left: {left}")
    if run.open:
        run.wrong.append(f"{run.open} sources are left open")
    tell(run, took, memory, streams)
    return run


def tell(run: Soak, took: float, memory: list[tuple[float, int]], streams: int) -> None:
    """The figures; memory that grew is a fault."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(run.kinds.items()))
    print(f"{sum(run.kinds.values())} streams ({kinds}) with {run.events} events in {took:.0f} s")
    print(f"{run.most_open} open at once, by {streams} tasks")
    steady = [(moment, size) for moment, size in memory if moment >= took * 0.2]  # first all must be open
    tenth = max(1, len(steady) // 10)
    first, last = (statistics.mean(size for _, size in part) for part in (steady[:tenth], steady[-tenth:]))
    slope = statistics.linear_regression(*zip(*steady, strict=True)).slope
    first_mib, last_mib = first / 2**20, last / 2**20
    print(f"memory: {first_mib:.1f} MiB in the first tenth, {last_mib:.1f} MiB in the last, {slope / 2**10:.1f} KiB/s")
    if last > first * 1.25 + 8 * 2**20:  # a short run is still filling what CPython keeps
        run.wrong.append(f"memory grew from {first:.0f} to {last:.0f} bytes")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--streams", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    cases = [parts_of(*case, dice) for case in (recorded() or made_up()).values()]
    kind = "recorded" if shared.MANIFEST else "made up"
    print(f"{len(cases)} shapes of streams, {kind}, cut at {sum(map(len, cases)) - len(cases)} places")
    descriptors = len(os.listdir("/proc/self/fd"))
    run = asyncio.run(soak(cases, options.seconds, options.streams, options.seed))
    if len(os.listdir("/proc/self/fd")) != descriptors:
        run.wrong.append("descriptors are left")
    for each in run.wrong[:3]:
        print(each[:5000], file=sys.stderr)
    print("every answer was right" if not run.wrong else f"{len(run.wrong)} faults")
    return bool(run.wrong)


if __name__ == "__main__":
    sys.exit(main())
