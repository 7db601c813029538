"""`aggregate` in the hands of engines that run in one process: every row, once, and as without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.helpers import chunk, sse

pa = pytest.importorskip("pyarrow", reason="needs the extra `arrow`")
import pyarrow.parquet as pq  # noqa: E402 - not without pyarrow

from streamagg.arrow import SCHEMA, aggregate  # noqa: E402 - not without what is asked for above

COUNT = 5000


def body_of(number: int) -> bytes:
    """A recording; every fifth is cut, some call a tool."""
    call = {"index": 0, "id": f"call-{number}", "function": {"name": "f", "arguments": "{}"}}
    delta = {"content": f"text {number}", **({"tool_calls": [call]} if number % 3 == 0 else {})}
    whole = number % 5 != 0
    return sse(
        chunk(delta, id=f"id-{number}", finish="stop" if whole else None, usage={"prompt_tokens": number}), done=whole
    )


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engines") / "recordings.parquet"
    table = pa.table({"n": range(COUNT), "body": [body_of(number) for number in range(COUNT)]})
    pq.write_table(table, path, row_group_size=700)
    return path


@pytest.fixture(scope="module")
def wanted(recordings: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = aggregate(pq.read_table(recordings)).to_pylist()
    assert [row["complete"] for row in rows] == [number % 5 != 0 for number in range(COUNT)]
    return rows


def test_duckdb(recordings: Path, wanted: list[Any]) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs duckdb")
    with duckdb.connect() as source, duckdb.connect() as db:
        db.register("rows", aggregate(source.sql(f"select * from '{recordings}'").to_arrow_reader(900)))
        db.sql("create table responses as select * from rows")
        assert db.sql("select * from responses order by n").to_arrow_table().to_pylist() == wanted
        counted = db.sql(
            "select error, count(*), sum(prompt_tokens) from responses group by error order by error"
        ).fetchall()
        assert counted == [("IncompleteStreamError", 1000, 2497500), (None, 4000, 10000000)]
        tools = db.sql("select call.name, count(*) from (select unnest(tool_calls) as call from responses) group by 1")
        assert tools.fetchall() == [("f", 1667)]


def test_polars(recordings: Path, wanted: list[Any]) -> None:
    polars = pytest.importorskip("polars", reason="needs polars")

    def responses(frame: Any) -> Any:
        return polars.from_arrow(aggregate(frame.to_arrow()))

    rows = responses(polars.read_parquet(recordings))
    assert rows.to_dicts() == wanted
    schema = polars.from_arrow(pa.schema([("n", pa.int64()), *SCHEMA]).empty_table()).schema
    lazy = polars.scan_parquet(recordings).map_batches(responses, schema=schema)
    assert lazy.filter(polars.col("error").is_not_null()).select("n").collect()["n"].to_list() == list(
        range(0, COUNT, 5)
    )


def test_daft(recordings: Path, wanted: list[Any]) -> None:
    daft = pytest.importorskip("daft", reason="needs daft")

    @daft.func.batch(return_dtype=daft.DataType.from_arrow_type(pa.struct(list(SCHEMA))), unnest=True)
    def responses(body: daft.Series) -> Any:
        return aggregate(pa.record_batch({"body": body.to_arrow()})).to_struct_array()

    frame = daft.read_parquet(str(recordings))
    assert frame.select("n", responses(frame["body"])).sort("n").to_pylist() == wanted
