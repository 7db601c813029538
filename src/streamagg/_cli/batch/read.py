"""The recordings of a task as record batches: where each came from, what is kept of its record, its body."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, takewhile
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from .files import PROBLEMS, body_of, body_of_chunks, fields_of, id_of, is_chunk, lines_of, opened, text_of
from .plan import Slice, Task

BODY = "body of the stream"
"""The column of the recordings: `aggregate` takes it away, so it is in no one's way."""
_ROWS = 4096
_BYTES = 8 * 2**20
_READ_SIZE = 2**20


class Batch(NamedTuple):
    """Some recordings, and what was wrong with reading them, by row."""

    recordings: pa.RecordBatch
    problems: Mapping[int, Exception]


class _Recording(NamedTuple):
    path: str
    position: int
    kept: tuple[str | None, ...]
    body: bytes | None
    problem: Exception | None = None


class Options(Struct, frozen=True, array_like=True):
    """What decides on a batch's rows beside its inputs."""

    column: str
    keep: tuple[tuple[str, str], ...]
    """Names in the input, and in the output."""
    usage: str
    format: str


def schema_of(options: Options, body: pa.DataType) -> pa.Schema:
    """The columns of a batch of recordings."""
    return pa.schema(
        [
            ("source", pa.large_string()),
            ("position", pa.int64()),
            *((name, pa.large_string()) for _, name in options.keep),
            (BODY, body),
        ]
    )


def batches_of(task: Task, options: Options) -> Iterator[Batch]:
    """The task's recordings in order. What cannot be read of a file is a recording with its problem."""
    rows: list[_Recording] = []
    size = 0
    for part in task:
        if part.kind == "parquet":
            if rows:
                yield _batch(rows, options)
                rows, size = [], 0
            yield from _parquet(part, options)
            continue
        for recording in _recordings(part, options):
            rows.append(recording)
            size += len(recording.body or b"")
            if len(rows) == _ROWS or size >= _BYTES:
                yield _batch(rows, options)
                rows, size = [], 0
    if rows:
        yield _batch(rows, options)


def _batch(rows: list[_Recording], options: Options) -> Batch:
    schema = schema_of(options, pa.large_binary())
    names = [[row.kept[number] for row in rows] for number in range(len(options.keep))]
    columns = [[shown(row.path) for row in rows], [row.position for row in rows], *names, [row.body for row in rows]]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    problems = {number: row.problem for number, row in enumerate(rows) if row.problem is not None}
    return Batch(pa.RecordBatch.from_arrays(arrays, schema=schema), problems)


def shown(text: str) -> str:
    """A path, or what names one, as Arrow takes it: on POSIX it may be any bytes."""
    return text.encode("utf-8", "replace").decode()


# ------------------------------------------------------------------ bodies and lines


def _recordings(part: Slice, options: Options) -> Iterator[_Recording]:
    read = _whole if part.kind == "body" else _lines
    position = 0
    try:
        for recording in read(part, options):
            yield recording
            position = recording.position
    except PROBLEMS as problem:
        yield _Recording(part.path, position, (None,) * len(options.keep), None, problem)


def _whole(part: Slice, options: Options) -> Iterator[_Recording]:
    """A file that is one recording; of one that breaks off, what there is of it."""
    pieces: list[bytes] = []
    problem: Exception | None = None
    with opened(part.path) as file:
        try:
            while piece := file.read1(_READ_SIZE):
                pieces.append(piece)
        except PROBLEMS as error:
            problem = error
    yield _Recording(part.path, 0, (None,) * len(options.keep), b"".join(pieces), problem)


def _lines(part: Slice, options: Options) -> Iterator[_Recording]:
    """Recordings in JSON lines: one a line, or, where the first line is a chunk, one for each id."""
    with opened(part.path) as file:
        lines = lines_of(file, part.start)
        first = next(lines, None)
        if first is None:
            return
        lines = chain([first], lines)
        if part.stop is None and is_chunk(first[1], options.column):
            yield from _by_id(part.path, lines, options)
            return
        for position, line in takewhile(lambda found: part.stop is None or found[0] < part.stop, lines):
            fields = fields_of(line)
            kept = tuple(text_of(fields.get(name, b"null")) for name, _ in options.keep)
            yield _Recording(part.path, position, kept, body_of(fields.get(options.column, line)))


def _by_id(path: str, lines: Iterable[tuple[int, bytes]], options: Options) -> Iterator[_Recording]:
    """Chunks of any number of streams, mixed in any way; one without an id goes with the one before it."""
    streams: dict[str, tuple[int, list[bytes]]] = {}
    latest = ""
    problem: Exception | None = None
    try:
        for position, line in lines:
            name = id_of(line) or latest
            if not latest and name:  # those before the first id are its own: Azure begins so
                streams = {name: streams.get("", (position, []))}
            latest = name
            streams.setdefault(name, (position, []))[1].append(line)
    except PROBLEMS as error:
        problem = error
    for position, chunks in streams.values():
        yield _Recording(path, position, (None,) * len(options.keep), body_of_chunks(chunks))
    if problem is not None:
        raise problem


# ------------------------------------------------------------------ Parquet


def _parquet(part: Slice, options: Options) -> Iterator[Batch]:
    position = 0
    try:
        with pq.ParquetFile(part.path) as file:
            groups = range(part.start, file.num_row_groups if part.stop is None else part.stop)
            rows = [file.metadata.row_group(number).num_rows for number in range(groups.stop)]
            size = sum(file.metadata.row_group(number).total_byte_size for number in groups)
            position = sum(rows[: part.start])
            columns = list(dict.fromkeys([options.column, *(name for name, _ in options.keep)]))
            most = max(1, min(_ROWS, _BYTES * sum(rows[part.start :]) // max(1, size)))
            for batch in file.iter_batches(most, row_groups=list(groups), columns=columns):
                yield Batch(_with_source(batch, part.path, position, options), {})
                position += batch.num_rows
    except PROBLEMS as problem:
        yield _batch([_Recording(part.path, position, (None,) * len(options.keep), None, problem)], options)


def _with_source(batch: pa.RecordBatch, path: str, position: int, options: Options) -> pa.RecordBatch:
    body = batch.column(options.column)
    arrays = [
        pa.array([shown(path)] * batch.num_rows, pa.large_string()),
        pa.array(range(position, position + batch.num_rows), pa.int64()),
        *(_as_text(batch.column(name)) for name, _ in options.keep),
        body,
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema_of(options, body.type))


def _as_text(values: pa.Array) -> pa.Array:
    """Strings as they are, anything else as JSON."""
    plain = [msgspec.to_builtins(value) for value in values.to_pylist()]
    texts = [value if value is None or isinstance(value, str) else msgspec.json.encode(value) for value in plain]
    return pa.array(texts, pa.large_string())
