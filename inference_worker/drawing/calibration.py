"""The reliability diagram as a picture: what a model claimed and what was found, bin by bin."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from inference_worker.drawing.sheet import ACCENT, DOTS_PER_INCH, INK, LINE, QUIET
from inference_worker.evaluation import Bin, Report

SIZE_INCHES = (6.4, 7.2)


def reliability_diagram(report: Report, title: str, source: str) -> bytes:
    """Return a PNG: the share that was true over the claim, with 95 % intervals and item counts.

    `title` names the model, `source` what it was measured on.
    """
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08)
    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout=layout)
    figure.patch.set_facecolor("white")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    figure.suptitle(f"{title}: what it claims and what is true", size=12, weight="bold", color=INK)
    _draw_shares(upper, report["curve"])
    _draw_counts(lower, report["curve"])
    figure.supxlabel(_small_print(report, source), size=7.5, color=QUIET)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def _draw_shares(axes: Axes, curve: Sequence[Bin]) -> None:
    claimed = np.array([each["claimed"] for each in curve]) * 100
    found = np.array([each["observed"] for each in curve]) * 100
    low, high = (np.array([each["interval"] for each in curve]).reshape(-1, 2) * 100).T
    axes.plot([0, 100], [0, 100], color=QUIET, linestyle=(0, (4, 3)), linewidth=1)
    axes.text(3, 96, "claims too little", size=8, color=QUIET, va="top")
    axes.text(97, 4, "claims too much", size=8, color=QUIET, ha="right", va="bottom")
    spans = np.maximum([found - low, high - found], 0)
    axes.errorbar(
        claimed, found, yerr=spans, fmt="o-", color=ACCENT, ecolor=INK, elinewidth=1, capsize=3,
        markersize=5, linewidth=1,
    )  # fmt: skip
    axes.set(xlim=(0, 100), ylim=(0, 100), ylabel="true, % of the items (bars: 95 % interval)")
    _plain(axes)


def _draw_counts(axes: Axes, curve: Sequence[Bin]) -> None:
    middles = [50 * (each["low"] + each["high"]) for each in curve]
    counts = [each["n"] for each in curve]
    bars = axes.bar(middles, counts, width=9, color=LINE, edgecolor=QUIET)
    axes.bar_label(bars, size=7, color=INK, padding=1)
    axes.set(xlabel="stated probability, %", ylabel="items")
    axes.margins(y=0.25)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=8, colors=INK, length=3)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)
    axes.grid(color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color(LINE)


def _small_print(report: Report, source: str) -> str:
    judged = report["n"] - report["abstained"]
    error = "undefined" if report["ece"] is None else f"{report['ece']:.3f}"
    return f"{source}: {judged} of {report['n']} items judged; calibration error {error}"
