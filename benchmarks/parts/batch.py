"""Recordings by the hundred thousand: each way through the same files, each answer compared with the known one.

Ways that use the machine (`streamagg batch`, Ray) are timed by the clock, from the start of the command to
the output on disk; ways in one process by their CPU time. Slow ways read fewer recordings.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from streamagg import Accumulator, SSEDecoder, StreamAggError
from streamagg.arrow import aggregate

from ..libraries import LIBRARIES
from ..measure.answers import wrong_parts
from ..measure.timing import cpu_time, decode_all, tolerant_decode
from ..streams import batch_mix
from .batch_jobs import QUICK_SIZES

SAMPLE = 4_000
"""How many recordings the parts of the work are timed on, one by one."""
OTHERS_SAMPLE = 1_000
ROUNDS = 7

_LOCAL = {"node_ip_address": "127.0.0.1", "object_store_memory": 500 * 2**20}
_ALONE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # it is how Ray keeps to loopback there, and does here too
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
}

Row = dict[str, Any]


def run(what: str, quick: bool, **arguments: Any) -> list[Row]:
    """The rows of one part: `growth`, `cores`, `cluster`, `others` or `stages`."""
    with tempfile.TemporaryDirectory(prefix="b", ignore_cleanup_errors=True) as folder:
        rows: list[Row] = _PARTS[what](Path(folder), quick, **arguments)
    return [{"part": what, "state": "measured", **row} for row in rows]


def _growth(folder: Path, quick: bool, size: int) -> list[Row]:
    """`streamagg batch` in one process."""
    return [_command(folder, size, "streamagg batch --jobs 1", "--jobs", "1")]


def _cores(folder: Path, quick: bool, size: int) -> list[Row]:
    return [_command(folder, size, "streamagg batch --jobs 2", "--jobs", "2")]


def _command(folder: Path, count: int, way: str, *options: str) -> Row:
    total = batch_mix.write(_made(folder / "in"), count)
    out = folder / "out.parquet"
    command = [sys.executable, "-m", "streamagg", "batch", str(folder / "in"), "-o", str(out), *options]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return _row(way, count, total, seconds, batch_mix.wrong_rows(pq.read_table(out), count), peak_bytes=peak)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _row(way: str, count: int, total: int, seconds: float, wrong: int, **more: Any) -> Row:
    return {"way": way, "recordings": count, "bytes": total, "seconds": seconds, "wrong": wrong, **more}


def _cluster(folder: Path, quick: bool, size: int) -> list[Row]:
    """Two workers of one core each. They are started, and warm, before the clock is."""
    total = batch_mix.write(_made(folder / "in"), size)
    with _two_workers(folder) as (ray, address):
        files = sorted(map(str, (folder / "in").iterdir()))

        def read(files: list[str], out: str) -> None:
            tables = ray.data.read_parquet(files, columns=["body"])
            tables.map_batches(aggregate, batch_format="pyarrow", batch_size=batch_mix.PER_FILE).write_parquet(out)

        read(files[:1], str(folder / "warm"))
        start = time.perf_counter()
        read(files, str(folder / "rows"))
        seconds = time.perf_counter() - start
        ray.shutdown()
        wrong = batch_mix.wrong_rows(pq.read_table(folder / "rows"), size)
        rows = [_row("Ray Data, two workers", size, total, seconds, wrong)]
        out = folder / "out.parquet"
        on_ray = ["--engine", "ray", "--address", address]
        command = [sys.executable, "-m", "streamagg", "batch", str(folder / "in"), "-o", str(out), *on_ray]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        wrong = batch_mix.wrong_rows(pq.read_table(out), size)
    return [*rows, _row("streamagg batch --engine ray, two workers", size, total, seconds, wrong)]


@contextmanager
def _two_workers(folder: Path) -> Iterator[tuple[Any, str]]:
    os.environ.update(_ALONE, RAY_TMPDIR=str(folder))
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False, **_LOCAL})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, **_LOCAL)
        ray.init(address=cluster.address, log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray, cluster.address
    finally:
        ray.shutdown()
        cluster.shutdown()


def _others(folder: Path, quick: bool, library: str) -> list[Row]:
    """A library of the suite, recording by recording, on one core."""
    count = QUICK_SIZES[0] if quick else OTHERS_SAMPLE
    made, choice = batch_mix.templates(), batch_mix.chosen(count)
    bodies = batch_mix.bodies(range(count), made, choice)
    collect, wire = LIBRARIES[library].load()
    results: list[Any] = []

    def read() -> None:
        for body in bodies:
            result = None
            with suppress(Exception):  # what it cannot read is a wrong answer
                result = collect([body])
            results.append(result)

    seconds = cpu_time(read)
    wrong = sum(
        result is None or bool(wrong_parts(made[choice[number]].answer, wire(result), whole=False))
        for number, result in enumerate(results)
    )
    return [_row(LIBRARIES[library].title, count, sum(map(len, bodies)), seconds, wrong, library=library)]


def _stages(folder: Path, quick: bool) -> list[Row]:
    """The parts of the work, each alone, on the same recordings, in turns; the medians."""
    count = QUICK_SIZES[0] if quick else SAMPLE
    total = batch_mix.write(_made(folder / "in"), count)
    batches = [batch for path in sorted((folder / "in").iterdir()) for batch in pq.ParquetFile(path).iter_batches(500)]
    bodies = [body for batch in batches for body in batch["body"].to_pylist()]
    made = batch_mix.templates()
    payloads = [payload for number in batch_mix.chosen(count) for payload in made[number].payloads]
    tasks: dict[str, Callable[[], Any]] = {
        "reading": lambda: [pq.ParquetFile(path).read() for path in sorted((folder / "in").iterdir())],
        "framing": lambda: [SSEDecoder().feed(body) for body in bodies],
        "decoding": lambda: decode_all(tolerant_decode, payloads),
        "accumulate": lambda: [_accumulated(body) for body in bodies],
        "aggregate": lambda: [aggregate(batch) for batch in batches],
    }
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(1 if quick else ROUNDS):
        for name, task in tasks.items():
            times[name].append(cpu_time(task))
    wrong = batch_mix.wrong_rows(pa.Table.from_batches(map(aggregate, batches)), count)
    return [{"recordings": count, "bytes": total, "times": times, "wrong": wrong}]


def _accumulated(body: bytes) -> Any:
    accumulator = Accumulator()
    try:
        accumulator.feed(body)
        return accumulator.finish()
    except StreamAggError as error:
        return error.partial


_PARTS: dict[str, Callable[..., list[Row]]] = {
    "growth": _growth,
    "cores": _cores,
    "cluster": _cluster,
    "others": _others,
    "stages": _stages,
}
