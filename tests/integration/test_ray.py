"""Ray, for real: a cluster of two workers on loopback, one of which is killed midway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.helpers import RAY_ALONE, chunk, sse

pytestmark = [pytest.mark.full, pytest.mark.filterwarnings("default")]  # Ray's own are many

os.environ |= RAY_ALONE
ray = pytest.importorskip("ray", reason="needs the extra `ray`")
pytest.importorskip("ray.data", reason="needs the extra `ray`")

import pyarrow as pa  # noqa: E402 - with Ray's extra
import pyarrow.parquet as pq  # noqa: E402 - not without what is asked for above
from ray.cluster_utils import Cluster  # noqa: E402 - not without what is asked for above

from streamagg._cli.batch import main as batch  # noqa: E402 - not without what is asked for above
from streamagg._cli.batch import plan as _batch_plan  # noqa: E402 - not without what is asked for above
from streamagg._cli.batch.totals import Totals  # noqa: E402 - not without what is asked for above
from streamagg._cli.batch.work import work  # noqa: E402 - not without what is asked for above
from streamagg._cli.main import main  # noqa: E402 - not without what is asked for above
from streamagg.arrow import SCHEMA, aggregate  # noqa: E402 - not without what is asked for above

FILES, ROWS = 24, 10
LOCAL = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}


def body_of(number: int) -> bytes:
    """A recording; every fifth is cut."""
    chunks = [chunk({"content": f"text {number}"}, id=f"id-{number}", finish="stop" if number % 5 else None)]
    return sse(*chunks, done=bool(number % 5))


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for file in range(FILES):
        numbers = range(file * ROWS, (file + 1) * ROWS)
        table = pa.table({"n": numbers, "body": [body_of(number) for number in numbers]})
        pq.write_table(table, folder / f"{file:02}.parquet")
    return folder


WANTED = [
    (n, f"id-{n}", f"text {n}", bool(n % 5), None if n % 5 else "IncompleteStreamError") for n in range(FILES * ROWS)
]


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    """A head without cores, for workers to join; all of it ends here, or with this process."""
    in_a_folder = tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True)
    with in_a_folder as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        cluster = Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False, **LOCAL})
        try:
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


@pytest.fixture
def cluster(running: Cluster) -> Cluster:
    """With two workers of one core each."""
    while len(running.worker_nodes) < 2:
        running.add_node(num_cpus=1, **LOCAL)
    return running


def kill_a_worker(cluster: Cluster) -> None:
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)


def test_ray_data(cluster: Cluster, recordings: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()

    def slowly(table: pa.Table) -> pa.Table:
        """`aggregate`, with a mark of where it ran."""
        if table.num_rows:
            where = ray.get_runtime_context().get_node_id()
            begun.joinpath(f"{where}-{table['n'][0]}-{time.monotonic_ns()}").touch()
            time.sleep(0.05)
        return aggregate(table)

    ray.init(address=cluster.address, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    data = ray.data.from_arrow([pq.read_table(path) for path in sorted(recordings.iterdir())])
    tables = data.map_batches(slowly, batch_format="pyarrow").iter_batches(batch_size=None, batch_format="pyarrow")
    found: list[Any] = []
    for table in tables:
        if not found:
            kill_a_worker(cluster)
            before = len(list(begun.iterdir()))
        assert table.schema.names == ["n", *SCHEMA.names]
        found += table.select(["n", "id", "text", "complete", "error"]).to_pylist()
    ray.shutdown()
    assert sorted(tuple(row.values()) for row in found) == WANTED
    marks = [path.name.split("-") for path in begun.iterdir()]
    assert before < len(marks), "it was killed too late to matter"
    assert len({where for where, *_ in marks}) == 2


def test_batch_on_ray(cluster: Cluster, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, whole = tmp_path / "out.parquet", tmp_path / "whole.parquet"
    monkeypatch.setattr(_batch_plan, "TASK_BYTES", 2000)
    assert main(["batch", str(recordings), "-o", str(whole), "--keep", "n"]) == 0
    manifest = tmp_path / "out.parquet.streamagg-parts" / "manifest.jsonl"
    begun = tmp_path / "begun"
    begun.mkdir()

    def slowly(*arguments: Any) -> Totals:
        """`work`, with a mark of where it ran."""
        begun.joinpath(f"{ray.get_runtime_context().get_node_id()}-{time.monotonic_ns()}").touch()
        time.sleep(0.05)
        return work(*arguments)

    def kill_midway() -> None:
        while not manifest.exists() or manifest.read_bytes().count(b"\n") < 3:
            time.sleep(0.01)
        kill_a_worker(cluster)

    monkeypatch.setattr(batch, "work", slowly)
    killer = threading.Thread(target=kill_midway)
    killer.start()
    on_ray = ["--engine", "ray", "--address", cluster.address]
    assert main(["batch", str(recordings), "-o", str(out), "--keep", "n", *on_ray]) == 0
    killer.join()
    assert pq.read_table(out) == pq.read_table(whole)
    assert pq.read_table(out)["n"].to_pylist() == [str(n) for n in range(FILES * ROWS)]
    assert len({path.name.split("-")[0] for path in begun.iterdir()}) == 2


def test_batch_on_a_cluster_of_its_own(recordings: Path, tmp_path: Path) -> None:
    """Without an address Ray starts one on this machine, which ends with the batch and says nothing."""
    out = tmp_path / "out.jsonl"
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "streamagg", "batch", recordings, "-o", out, "--engine", "ray"]
        environment = {**os.environ, "RAY_TMPDIR": folder}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "240 streams in" in done.stdout
    ids = [json.loads(line)["id"] for line in out.read_bytes().splitlines()]
    assert ids == [f"id-{n}" for n in range(FILES * ROWS)]
