"""Columns of recorded streams to columns of responses: one row a stream. Needs the extra `arrow`.

`aggregate` is what engines take: Ray Data, Spark, Daft, DuckDB and Polars all hand out Arrow.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pyarrow as pa

import streamagg

from .rows import SCHEMA, Row, arrays_of, row_of

T = TypeVar("T", pa.Table, pa.RecordBatch, pa.RecordBatchReader)

_ROWS = 4096  # a table is read in batches of so many at the most
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
    """The recorded streams in `column` as the columns of `SCHEMA`, after all other columns of `data`.

    `data`: a table, a record batch, or a reader of record batches, which is read as its result is; what
    comes back is of the same kind, a row for each row. `column`: binary or strings (large, views and
    dictionaries too), each value a recorded body; or lists of these, each list a stream's chunks as JSON,
    or, where the first does not begin with `{`, the slices of its body. `usage`, `strict`, `limits`: see
    `Accumulator`.

    A stream that is broken is a row: `complete` is false, `error` and `error_message` say why, the other
    columns hold what there is of it. A null is a stream of which nothing was recorded.

    Raises `KeyError` where there is no such column, `TypeError` where it holds something else, and
    `ValueError` where another column has the name of one in `SCHEMA`.
    """
    begin = partial(streamagg.Accumulator, usage=usage, strict=strict, limits=limits)
    begin()  # an option that is none is no row's error
    reading = _Reading(data.schema, column, begin)
    if isinstance(data, pa.RecordBatch):
        return reading.read(data)
    if isinstance(data, pa.Table):
        return pa.Table.from_batches(map(reading.read, data.to_batches(max_chunksize=_ROWS)), schema=reading.schema)
    return pa.RecordBatchReader.from_batches(reading.schema, map(reading.read, data))


class _Reading:
    """What all batches of one source have in common."""

    def __init__(self, schema: pa.Schema, column: str, begin: Callable[[], streamagg.Accumulator]) -> None:
        _check(schema, column)
        self._place: int = schema.get_field_index(column)
        self._begin = begin
        self.schema = pa.schema([*schema.remove(self._place), *SCHEMA])

    def read(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = [self._row(item) for item in batch.column(self._place)]
        carried = [array for number, array in enumerate(batch.columns) if number != self._place]
        return pa.RecordBatch.from_arrays([*carried, *arrays_of(rows)], schema=self.schema)

    def _row(self, item: pa.Scalar) -> Row:
        accumulator = self._begin()
        try:
            _push(accumulator, item)
            response = accumulator.finish()
        except streamagg.StreamAggError as error:
            return row_of(error.partial, error, accumulator.repairs)
        return row_of(response, None, accumulator.repairs)


def _check(schema: pa.Schema, column: str) -> None:
    """Refuse a column whose type cannot be read, and other columns that are in the way."""
    kind = schema.field(column).type
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_dictionary(kind)
    if not any(test(kind.value_type if nested else kind) for test in _READABLE):
        raise TypeError(f"column {column!r} holds {kind}: expected binary or strings, or lists of these")
    taken = [name for name in schema.names if name != column and name in SCHEMA.names]
    if taken:
        raise ValueError(f"rename or leave out {', '.join(map(repr, taken))}: the result has columns of that name")


def _push(accumulator: streamagg.Accumulator, item: pa.Scalar) -> None:
    if not isinstance(item, (pa.ListScalar, pa.LargeListScalar)):
        accumulator.feed(_bytes_of(item))
    elif item.is_valid:
        chunks = [chunk for chunk in map(_bytes_of, item.values) if chunk]
        push = accumulator.add if chunks and chunks[0].lstrip().startswith(b"{") else accumulator.feed
        for chunk in chunks:
            push(chunk)


def _bytes_of(item: pa.Scalar) -> bytes:
    """A value as its bytes, which strings need not be decoded for; of a null, none."""
    value = item.value if isinstance(item, pa.DictionaryScalar) else item
    return bytes(value.as_buffer()) if value.is_valid else b""
