"""The chart: how long each library takes for case 1, beside the bare decode loop. Legible on light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

from ..libraries import LIBRARIES
from ..streams.generated import KINDS

mpl.use("svg")

import matplotlib.pyplot as plt

_CASE = "text"
_DELIVERY = "event"
_INK = "#808080"
_OURS = "#2f9e78"
_OTHERS = "#8a93a6"


def draw(results: dict[str, Any], path: Path) -> None:
    """Write the chart as SVG; nothing where nothing was measured."""
    rows = sorted(
        (
            row
            for row in results["cases"]
            if row["state"] == "measured" and row["case"] == _CASE and row["delivery"] == _DELIVERY
        ),
        key=lambda row: -row["ratio"],
    )
    if not rows:
        return
    style: Any = {"svg.hashsalt": "streamagg", "font.family": "sans-serif", "font.size": 10, "text.color": _INK}
    with mpl.rc_context(style):
        figure, axes = plt.subplots(figsize=(8.4, 0.42 * len(rows) + 1.3))
        titles = [LIBRARIES[row["library"]].title.replace("`", "") for row in rows]
        colours = [_OURS if row["library"].startswith("streamagg") else _OTHERS for row in rows]
        ratios = [row["ratio"] for row in rows]
        axes.barh(titles, ratios, color=colours, height=0.62, left=0)
        axes.set_xscale("log")
        axes.set_xlim(min(0.5, *ratios), max(ratios) * 3)
        axes.axvline(1, color=_INK, linewidth=1, linestyle=(0, (4, 3)))
        for place, row in enumerate(rows):
            label = f"{row['ratio']:,.0f} x" if row["ratio"] >= 10 else f"{row['ratio']:.2f} x"
            if row["wrong"]:
                label += "  (wrong answer)"
            axes.text(row["ratio"] * 1.06, place, label, va="center", color=_INK)
        axes.set_title(f"{KINDS[_CASE].title}, one event per read", loc="left", color=_INK, fontsize=11)
        axes.set_xlabel("CPU time as a multiple of the bare decode loop (dashed), logarithmic", color=_INK)
        axes.tick_params(colors=_INK, which="both", length=0)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        for name, spine in axes.spines.items():
            spine.set_visible(name == "left")
            spine.set_color(_INK)
        figure.tight_layout()
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)
