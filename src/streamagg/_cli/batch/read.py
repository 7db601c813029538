"""The recordings of a task as record batches: the source, the position, the kept columns and the body of each.

1. Batches come in the order of the input, and are bounded in rows and in bytes.
2. A file that cannot be read gives a recording with the problem: the recordings before it stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, takewhile
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from .files import PROBLEMS, body_of, body_of_chunks, fields_of, id_of, is_chunk, lines_of, open_file, text_of
from .plan import Slice, Task

BODY = "body of the stream"
"""The name of the bodies' column. `aggregate` removes the column; the spaces keep it apart from kept columns."""
_ROWS = 4096
_BYTES = 8 * 2**20
"""A batch of recordings ends at either bound. Bodies and rows of one batch are in memory at once."""
_READ_SIZE = 2**20


class Batch(NamedTuple):
    """Some recordings, and the problems of reading them by row number."""

    recordings: pa.RecordBatch
    problems: Mapping[int, Exception]


class _Recording(NamedTuple):
    path: str
    position: int
    kept: tuple[str | None, ...]
    body: bytes | None
    problem: Exception | None = None


class Options(Struct, frozen=True, array_like=True):
    """The options that change the rows of a batch. They are part of the name of each part."""

    column: str
    keep: tuple[tuple[str, str], ...]
    """Pairs of names: in the input and in the output."""
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
    """The recordings of a task, in order. A file that cannot be read gives a recording with its problem."""
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
    sources = [as_unicode(row.path) for row in rows]
    kept = [[row.kept[number] for row in rows] for number in range(len(options.keep))]
    columns = [sources, [row.position for row in rows], *kept, [row.body for row in rows]]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    problems = {number: row.problem for number, row in enumerate(rows) if row.problem is not None}
    return Batch(pa.RecordBatch.from_arrays(arrays, schema=schema), problems)


def as_unicode(text: str) -> str:
    """A path, or a message with one, as Unicode that Arrow takes: on POSIX a path may be any bytes."""
    return text.encode("utf-8", "replace").decode()


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
    """A file that is one recording. A damaged file gives the part before the damage, with the problem."""
    pieces: list[bytes] = []
    problem: Exception | None = None
    with open_file(part.path) as file:
        try:
            while piece := file.read1(_READ_SIZE):
                pieces.append(piece)
        except PROBLEMS as error:
            problem = error
    yield _Recording(part.path, 0, (None,) * len(options.keep), b"".join(pieces), problem)


def _lines(part: Slice, options: Options) -> Iterator[_Recording]:
    """Recordings in JSON lines: one a line, or one for each id where the first line is a chunk."""
    with open_file(part.path) as file:
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
    """The recordings of a file of chunks, mixed in any way. A chunk without an id belongs to the chunk before it."""
    streams: dict[str, tuple[int, list[bytes]]] = {}
    latest = ""
    problem: Exception | None = None
    try:
        for position, line in lines:
            name = id_of(line) or latest
            # Azure begins a stream with a chunk whose id is empty: chunks before the first id belong to it.
            if not latest and name:
                streams = {name: streams.get("", (position, []))}
            latest = name
            streams.setdefault(name, (position, []))[1].append(line)
    except PROBLEMS as error:
        problem = error
    for position, chunks in streams.values():
        yield _Recording(path, position, (None,) * len(options.keep), body_of_chunks(chunks))
    if problem is not None:
        raise problem


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
        pa.array([as_unicode(path)] * batch.num_rows, pa.large_string()),
        pa.array(range(position, position + batch.num_rows), pa.int64()),
        *(_as_text(batch.column(name)) for name, _ in options.keep),
        body,
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema_of(options, body.type))


def _as_text(values: pa.Array) -> pa.Array:
    """The values as text: a string unchanged, any other value as JSON."""
    plain = [msgspec.to_builtins(value) for value in values.to_pylist()]
    texts = [value if value is None or isinstance(value, str) else msgspec.json.encode(value) for value in plain]
    return pa.array(texts, pa.large_string())
