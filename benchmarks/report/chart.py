"""The chart: the CPU time over real recordings first, then that of one long stream. Legible on light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

from ..libraries import LIBRARIES
from ..parts.recordings import DECODE
from ..streams.generated import KINDS

mpl.use("svg")

import matplotlib.pyplot as plt

_CASE = "text"
_DELIVERY = "event"
_INK = "#808080"
_OURS = "#2f9e78"
_OTHERS = "#8a93a6"

_LEFT_OUT = {DECODE, "streamagg-general", *(name for name in LIBRARIES if name.startswith("streamagg-async"))}
"""No way of a user, and the async twins, which are as quick as the others."""

Bar = tuple[str, float, str]
"""The name of a library, its ratio, and the note beside it."""


def draw(results: dict[str, Any], path: Path) -> None:
    """Write the chart as SVG; nothing where nothing was measured."""
    panels = [
        ("Real recordings, one event a read", "the hand-written orjson loop", _recordings(results)),
        (f"A long stream: {KINDS[_CASE].title}, one event a read", "the bare decode", _long_stream(results)),
    ]
    panels = [(title, unit, sorted(bars, key=lambda bar: -bar[1])) for title, unit, bars in panels if bars]
    if not panels:
        return
    style: Any = {"svg.hashsalt": "streamagg", "font.family": "sans-serif", "font.size": 10, "text.color": _INK}
    with mpl.rc_context(style):
        heights = [len(bars) + 3 for _, _, bars in panels]
        size = (8.4, 0.42 * sum(heights))
        figure, axes = plt.subplots(len(panels), figsize=size, squeeze=False, height_ratios=heights)
        for place, (title, unit, bars) in enumerate(panels):
            _panel(axes[place][0], title, unit, bars)
        figure.tight_layout()
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)


def _recordings(results: dict[str, Any]) -> list[Bar]:
    return [
        (row["library"], row["to_loop"]["all"], _note(len(row["wrong"]) + len(row["refused"])))
        for row in results["recordings"]
        if row["state"] == "measured" and row["delivery"] == _DELIVERY and row["library"] not in _LEFT_OUT
    ]


def _note(failed: int) -> str:
    return f"  ({failed} wrong or refused)" if failed else ""


def _long_stream(results: dict[str, Any]) -> list[Bar]:
    return [
        (row["library"], row["ratio"], "  (wrong answer)" if row["wrong"] else "")
        for row in results["cases"]
        if row["state"] == "measured" and row["case"] == _CASE and row["delivery"] == _DELIVERY
        if row["library"] not in _LEFT_OUT
    ]


def _panel(axes: Any, title: str, unit: str, bars: list[Bar]) -> None:
    titles = [LIBRARIES[library].title.replace("`", "") for library, _, _ in bars]
    colours = [_OURS if library.startswith("streamagg") else _OTHERS for library, _, _ in bars]
    ratios = [ratio for _, ratio, _ in bars]
    axes.barh(titles, ratios, color=colours, height=0.62, left=0)
    axes.set_xscale("log")
    axes.set_xlim(min(0.5, *ratios), max(ratios) * 5)
    axes.axvline(1, color=_INK, linewidth=1, linestyle=(0, (4, 3)))
    for place, (_, ratio, note) in enumerate(bars):
        label = f"{ratio:,.0f} x" if ratio >= 10 else f"{ratio:.2f} x"
        axes.text(ratio * 1.06, place, label + note, va="center", color=_INK)
    axes.set_title(title, loc="left", color=_INK, fontsize=11)
    axes.set_xlabel(f"CPU time, times {unit} (dashed), logarithmic", color=_INK)
    axes.tick_params(colors=_INK, which="both", length=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    for name, spine in axes.spines.items():
        spine.set_visible(name == "left")
        spine.set_color(_INK)
