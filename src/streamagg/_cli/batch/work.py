"""One task: reads its recordings, writes one part of the output, and counts the totals."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, cast

import msgspec
import pyarrow as pa

from streamagg import UsageMode
from streamagg.arrow import SCHEMA, aggregate

from .plan import Task
from .read import BODY, Batch, Options, as_unicode, batches_of, schema_of
from .totals import Totals

# A part is read once and deleted: LZ4 takes half the time of zstd, and twice the space.
_PART_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def output_schema(options: Options) -> pa.Schema:
    """The columns of the output."""
    carried = schema_of(options, pa.null())
    return pa.schema([*carried.remove(carried.get_field_index(BODY)), *SCHEMA])


def work(task: Task, options: Options, path: str) -> Totals:
    """Write the rows of a task to `path`, and return their totals. The file appears whole or not at all."""
    totals = Totals()
    with replace_when_whole(path, os.path.dirname(path)) as file:
        if options.format == "jsonl":
            for rows in _rows(task, options):
                totals.count(rows)
                file.write(_json_lines(rows))
        else:
            with pa.ipc.new_file(file, output_schema(options), options=_PART_OPTIONS) as writer:
                for rows in _rows(task, options):
                    totals.count(rows)
                    writer.write_batch(rows)
    return totals


@contextmanager
def replace_when_whole(path: str, folder: str) -> Iterator[IO[bytes]]:
    """A new file in `folder` to write to. It is renamed to `path` when it is whole and on disk."""
    written = os.path.join(folder, f"{secrets.token_hex(8)}.tmp")
    try:
        with open(written, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(written, path)
    except BaseException:  # Ctrl-C too: half a part must not stay
        with suppress(FileNotFoundError):
            os.unlink(written)
        raise


def _rows(task: Task, options: Options) -> Iterator[pa.RecordBatch]:
    for batch in batches_of(task, options):
        yield _with_problems(aggregate(batch.recordings, BODY, usage=cast(UsageMode, options.usage)), batch)


def _with_problems(rows: pa.RecordBatch, batch: Batch) -> pa.RecordBatch:
    """The rows with the problems of reading in their error columns: they are the cause of the errors of the stream."""
    if not batch.problems:
        return rows
    for name, described in (
        ("complete", lambda problem: False),
        ("error", lambda problem: type(problem).__name__),
        ("error_message", lambda problem: as_unicode(str(problem))),
    ):
        place = rows.schema.get_field_index(name)
        values = rows.column(place).to_pylist()
        for number, problem in batch.problems.items():
            values[number] = described(problem)
        rows = rows.set_column(place, rows.schema.field(place), pa.array(values, rows.schema.field(place).type))
    return rows


def _json_lines(rows: pa.RecordBatch) -> bytes:
    """The rows as JSON lines of the same names. The response is an object here, not text."""
    lines: list[Any] = rows.to_pylist()
    for line in lines:
        if line["response"] is not None:
            line["response"] = msgspec.Raw(line["response"].encode())
    return msgspec.json.Encoder().encode_lines(lines)
