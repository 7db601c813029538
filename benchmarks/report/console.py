"""What a terminal shows."""

from __future__ import annotations

from .cells import Row, right, size
from .sections import SECTIONS, Results, fast_path_table, recordings_section, target_table


def console(results: Results) -> str:
    """What a terminal shows: every row in a line, and the targets."""
    lines = list(recordings_section(results)) if results["recordings"] else []
    lines += dict.fromkeys(_console_row(row) for row in results["cases"])
    if fast_path := list(fast_path_table(results)):
        lines += ["", *fast_path]
    for name, (_, section) in SECTIONS.items():
        lines += ["", *section(results)] if results[name] else []
    reached = [row for row in results["targets"] if row["reached"] is not None]
    lines += ["", *target_table(reached)] if reached else []
    return "\n".join(lines)


def _console_row(row: Row) -> str:
    if row["state"] == "absent":
        return f"{row['library']:17} absent: {row['reason']}"
    place = f"{row['library']:17} {row['case']:16} {row.get('delivery', ''):11}"
    if row["state"] != "measured":
        return f"{place} {row['state']}: {row['reason']}"
    return (
        f"{place} {row['chunks']:5} chunks {row['us_per_chunk']:8.2f} µs {row['ratio']:8.2f} x floor"
        f" {size(row['peak_bytes']):>9} {right([row])}"
    )
