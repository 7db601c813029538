"""Tables and the cells in them, as Markdown: the terminal shows the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Row = dict[str, Any]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(header)
    yield f"| {' | '.join(names)} |"
    yield f"|{' --- |' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


def cell(row: Row | None) -> str:
    if row is None:
        return "-"
    if row["state"] != "measured":
        return str(row["state"])
    return f"({number(row['ratio'])})" if row["wrong"] else number(row["ratio"])


def right(rows: Iterable[Row]) -> str:
    wrong = list(dict.fromkeys(part for row in rows for part in row.get("wrong", [row.get("reason", "")])))
    return f"**no**: {', '.join(wrong)}" if wrong else "yes"


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def size(count: float) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"
