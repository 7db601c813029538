"""The totals of all inputs: states, usage and repairs."""

from __future__ import annotations

from collections import Counter

import streamagg

from .report import Report
from .terminal import say


class Summary:
    """Sums the reports of all inputs."""

    def __init__(self) -> None:
        self.usage = streamagg.CompletionUsage()
        self._states: Counter[str] = Counter()
        self._tokens = 0
        self._repairs = 0

    def add(self, report: Report) -> None:
        self._states[report.state] += 1
        self._repairs += sum(report.repairs.values())
        if report.usage is not None:
            usage = report.usage
            self.usage += usage
            self._tokens += usage.total_tokens or (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)

    @property
    def status(self) -> int:
        """The exit status."""
        return 2 if self._states["unreadable"] else 1 if self._states["cut"] or self._states["failed"] else 0

    def show(self) -> None:
        """Print a table of one row to standard error."""
        columns = {
            "streams": self._states.total(),
            **{state: self._states[state] for state in ("complete", "cut", "failed", "unreadable")},
            "tokens": self._tokens,
            "repairs": self._repairs,
        }
        cells = [(name, f"{count:,}") for name, count in columns.items()]
        for row in zip(*cells, strict=True):
            aligned = (f"{text:>{max(map(len, cell))}}" for text, cell in zip(row, cells, strict=True))
            say("  ".join(aligned))
