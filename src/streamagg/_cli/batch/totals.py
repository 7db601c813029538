"""Totals of streams, tokens and errors: a task counts them, the manifest keeps them, the summary sums them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
from msgspec import Struct, field

_TABLE_ROWS = 30  # of a table in the summary: a screen's height


class ModelTotals(Struct, array_like=True):
    """The totals of one model."""

    streams: int = 0
    incomplete: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Totals(Struct):
    """The totals of some streams."""

    models: dict[str, ModelTotals] = field(default_factory=dict)
    """By the name of the model; the empty name stands for streams without one."""
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def streams(self) -> int:
        return sum(model.streams for model in self.models.values())

    def add(self, other: Totals) -> None:
        for name, others in other.models.items():
            own = self.models.setdefault(name, ModelTotals())
            for counter in own.__struct_fields__:
                setattr(own, counter, getattr(own, counter) + getattr(others, counter))
        for error, count in other.errors.items():
            self.errors[error] = self.errors.get(error, 0) + count

    def count(self, rows: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        columns = ("model", "error", "prompt_tokens", "completion_tokens")
        for model, error, prompt, completion in zip(*(rows.column(name).to_pylist() for name in columns), strict=True):
            totals = self.models.setdefault(model or "", ModelTotals())
            totals.streams += 1
            totals.incomplete += error is not None
            totals.prompt_tokens += prompt or 0
            totals.completion_tokens += completion or 0
            if error is not None:
                self.errors[error] = self.errors.get(error, 0) + 1


def summary(totals: Totals, seconds: float, output: str) -> Iterator[str]:
    """The lines at the end of a batch: totals by model and by error class."""
    incomplete = sum(model.incomplete for model in totals.models.values())
    yield f"{totals.streams:,} streams in {seconds:.1f} s, {incomplete:,} of them with an error: {output}"
    models = sorted(totals.models.items(), key=lambda item: (-item[1].streams, item[0]))
    yield from _table(
        ("model", "streams", "errors", "prompt tokens", "completion tokens"),
        [(name, [row.streams, row.incomplete, row.prompt_tokens, row.completion_tokens]) for name, row in models],
    )
    errors = sorted(totals.errors.items(), key=lambda item: (-item[1], item[0]))
    yield from _table(("error", "streams"), [(name, [count]) for name, count in errors])


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, list[int]]]) -> Iterator[str]:
    """The lines of a table with aligned columns; no line where there is no row."""
    if not rows:
        return
    body = ([_printable(name), *(f"{number:,}" for number in numbers)] for name, numbers in rows[:_TABLE_ROWS])
    cells = [list(header), *body]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    yield ""
    for name, *numbers in cells:
        aligned = (f"{text:>{width}}" for text, width in zip(numbers, widths[1:], strict=True))
        yield "  ".join([f"{name:<{widths[0]}}", *aligned])
    if len(rows) > _TABLE_ROWS:
        yield f"and {len(rows) - _TABLE_ROWS:,} more"


def _printable(name: str) -> str:
    """A name that a server sent, without the control characters that a terminal would act on."""
    return "".join(letter if letter.isprintable() else "?" for letter in name) or "(none)"
