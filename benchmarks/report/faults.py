"""Each place where streamagg gave a wrong answer, or none: the run fails then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def faults(results: dict[str, Any]) -> Iterator[str]:
    """Each place where streamagg gave a wrong answer, or none."""
    for row in results["recordings"]:
        if row["library"].startswith("streamagg") and row["state"] != "absent":
            for name, reason in row.get("wrong", {"all": row.get("reason")}).items():
                yield f"recordings, {row['library']}, {row.get('delivery', 'every delivery')}, {name}: {reason}"
    for row in results["cases"]:
        if not row["library"].startswith("streamagg") or row["state"] == "absent":
            continue
        if row["state"] == "failed" or row["wrong"]:
            found = row.get("reason") or ", ".join(row["wrong"])
            yield f"{row['library']}, {row['case']}, {row.get('delivery', 'every delivery')}: {found}"
    for row in results["end_to_end"]:
        wrong = [part for part in row.get("wrong", []) if part.startswith("accumulate")]
        if row["state"] == "failed" or wrong:
            yield f"end to end, {row['client']}: {row.get('reason') or wrong}"
    for row in results["growth"]:
        if row["state"] != "measured" or not row["right"]:
            yield f"growth, {row['kind']}, {row['chunks']}: {row.get('reason', 'another text')}"
    for row in results["crowd"]:
        if row["state"] != "measured":
            yield f"crowd: {row['reason']}"
    for row in results["framing"]:
        if row["parser"] == "streamagg" and (row["state"] != "measured" or not row["right"]):
            yield f"framing: {row.get('reason', row.get('input'))}"
    for row in results["batch"]:
        if row["state"] == "failed" or (row["part"] != "others" and row.get("wrong")):
            yield f"batch: {row.get('way', row['part'])}: {row.get('reason', row.get('wrong'))}"
