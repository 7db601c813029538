"""Arrow tables of recorded streams to tables of responses. Needs the extra `arrow`.

1. `aggregate` has the form of a function that engines call on batches: Ray Data, Spark, Daft, DuckDB and Polars.
2. One row in gives one row out. A broken stream is a row with its error, never an exception.
3. Columns are checked before the first row is read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pyarrow as pa

import streamagg

from .rows import SCHEMA, Row, arrays_of, row_of

T = TypeVar("T", pa.Table, pa.RecordBatch, pa.RecordBatchReader)

_BATCH_ROWS = 4096  # bounds the Python rows in memory; a table may be one batch of millions
_READABLE = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_null,
)
_DEFAULT_LIMITS = streamagg.Limits()


def aggregate(
    data: T,
    column: str = "body",
    *,
    usage: streamagg.UsageMode = "auto",
    strict: bool = False,
    limits: streamagg.Limits = _DEFAULT_LIMITS,
) -> T:
    """Replace the recorded streams in `column` by the columns of `SCHEMA`, after all other columns of `data`.

    `data`: a table, a record batch, or a reader of record batches. The result has the same type and the same number of
    rows. A reader is read as its result is read.

    `column`: the name of a column of binary values or strings (large, views and dictionaries too), each value one
    recorded body. Or a column of lists of these, each list one stream: its chunks as JSON where the first begins with
    `{`, else the slices of its body. A null is an empty recording. `usage`, `strict`, `limits`: see `Accumulator`.

    A broken stream is a row: `complete` is false, `error` has the class of the error, `error_message` its text, and the
    other columns hold the response as far as it came.

    Raises `KeyError` where the column does not exist, `TypeError` where it has another type, and `ValueError` where
    another column has a name of `SCHEMA`.
    """
    begin = partial(streamagg.Accumulator, usage=usage, strict=strict, limits=limits)
    begin()  # a wrong option is an error of the call, not of each row
    reader = _BatchReader(data.schema, column, begin)
    if isinstance(data, pa.RecordBatch):
        return reader.read(data)
    if isinstance(data, pa.Table):
        return pa.Table.from_batches(map(reader.read, data.to_batches(max_chunksize=_BATCH_ROWS)), schema=reader.schema)
    return pa.RecordBatchReader.from_batches(reader.schema, map(reader.read, data))


class _BatchReader:
    """Reads the batches of one source: the schema, the column and the options are theirs in common."""

    def __init__(self, schema: pa.Schema, column: str, begin: Callable[[], streamagg.Accumulator]) -> None:
        _check(schema, column)
        self._place: int = schema.get_field_index(column)
        self._begin = begin
        self.schema = pa.schema([*schema.remove(self._place), *SCHEMA])

    def read(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = [self._row(item) for item in batch.column(self._place)]
        other_columns = [array for number, array in enumerate(batch.columns) if number != self._place]
        return pa.RecordBatch.from_arrays([*other_columns, *arrays_of(rows)], schema=self.schema)

    def _row(self, item: pa.Scalar) -> Row:
        accumulator = self._begin()
        try:
            _feed(accumulator, item)
            response = accumulator.finish()
        except streamagg.StreamAggError as error:
            return row_of(error.partial, error, accumulator.repairs)
        return row_of(response, None, accumulator.repairs)


def _check(schema: pa.Schema, column: str) -> None:
    """Raise where the column's type is not readable, and where another column has a name of `SCHEMA`."""
    kind = schema.field(column).type
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_dictionary(kind)
    if not any(test(kind.value_type if nested else kind) for test in _READABLE):
        raise TypeError(f"column {column!r} holds {kind}: expected binary or strings, or lists of these")
    conflicts = [name for name in schema.names if name != column and name in SCHEMA.names]
    if conflicts:
        raise ValueError(f"rename or leave out {', '.join(map(repr, conflicts))}: the result has columns of that name")


def _feed(accumulator: streamagg.Accumulator, item: pa.Scalar) -> None:
    if not isinstance(item, (pa.ListScalar, pa.LargeListScalar)):
        accumulator.feed(_bytes_of(item))
    elif item.is_valid:
        chunks = [chunk for chunk in map(_bytes_of, item.values) if chunk]
        feed = accumulator.add if chunks and chunks[0].lstrip().startswith(b"{") else accumulator.feed
        for chunk in chunks:
            feed(chunk)


def _bytes_of(item: pa.Scalar) -> bytes:
    """The bytes of a value; empty for a null. The buffer saves the decoding of strings."""
    value = item.value if isinstance(item, pa.DictionaryScalar) else item
    return bytes(value.as_buffer()) if value.is_valid else b""
