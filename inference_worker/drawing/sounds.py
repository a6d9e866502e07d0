"""Draws a recording: its spectrogram, the scores below on the same time axis, the worst window."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from inference_worker.drawing.sheet import (
    ACCENT,
    INK,
    LINE,
    SMALL,
    Sheet,
    claim,
    clock,
    mark_limit,
    signed,
)
from inference_worker.drawing.values import Drawing, Stamp
from inference_worker.explaining.sounds import BANDS_HERTZ, SLICES, SoundEvidence
from inference_worker.types import SAMPLE_RATE, Recording

COLUMNS = 900
"""Of the spectrogram picture, at most; longer stretches are averaged into one."""
FFT_SAMPLES, HOP_SAMPLES = 512, 160
FRAMES_AT_ONCE = 6_000
DEEPEST_DB = -80.0
LEFT, WIDTH = 0.85, 7.1
"""Of the axes, in inches."""
HATCH: dict[str, Any] = {
    "facecolor": "none",
    "edgecolor": "#7b8791",
    "hatch": "////",
    "linewidth": 0,
}

Samples = npt.NDArray[np.float32]
Levels = npt.NDArray[np.float64]


def draw_seconds(content: Recording, found: SoundEvidence, stamp: Stamp) -> Drawing:
    """Draw the whole recording: spectrogram above, score by second below."""
    sheet = Sheet(
        "The whole recording: sound and score by second",
        stamp,
        shows=f"how alike {claim(stamp.label)} each second sounds to this model, beside the sound "
        "itself. The boxed window scored highest. Hatched stretches were not judged.",
        does_not_show="who speaks, whether the words are true, or whether anything was cut. A "
        "high second is a reason to listen, not proof.",
        body_inches=4.15,
    )
    length = max(content.duration_seconds, len(content.samples) / SAMPLE_RATE)
    above, below = sheet.axes(LEFT, 1.75, WIDTH, 2.3), sheet.axes(LEFT, 0.42, WIDTH, 1.15)
    shown = _spectrogram(above, list(content.parts()))
    above.set_xlim(0, length)
    above.tick_params(labelbottom=False)
    sheet.scale(above, shown, "dB below the loudest")
    _scores(below, found, stamp, length)
    for axes in (above, below):
        _hatch_unjudged(axes, found, length)
        axes.axvspan(
            found.start, found.end, fill=False, edgecolor="#d1495b", linewidth=1.8, zorder=4
        )
    return sheet.finish(
        "seconds",
        _seconds_alt(found, stamp),
        shows_content=False,
        time=below,
        seconds=(0.0, length),
    )


def draw_window(content: Recording, found: SoundEvidence, stamp: Stamp) -> Drawing | None:
    """Draw the worst window: its spectrogram, and what the score loses without each part of it."""
    if found.falls is None:
        return None
    sheet = Sheet(
        f"The window that scored highest, {clock(found.start)} to {clock(found.end)}",
        stamp,
        shows="how far the window's log odds fall when one stretch of one band is made 20 dB "
        "weaker: + (orange) raises the score, \N{MINUS SIGN} (purple) lowers it. "
        "A fall of 0.7 halves the odds.",
        does_not_show="a cause. Parts act together, and another model may go by others.",
        body_inches=4.75,
    )
    above, below = sheet.axes(LEFT, 2.75, WIDTH, 1.9), sheet.axes(LEFT, 0.42, WIDTH, 2.15)
    first, last = content.at(found.start), content.at(found.end)
    shown = _spectrogram(above, [(found.start, content.samples[first:last])])
    above.set_xlim(found.start, found.end)
    above.tick_params(labelbottom=False)
    sheet.scale(above, shown, "dB below the loudest")
    _map(sheet, below, found)
    return sheet.finish(
        "window",
        _window_alt(found),
        shows_content=False,
        time=below,
        seconds=(found.start, found.end),
    )


def spectrogram(samples: Samples, columns: int = COLUMNS) -> Levels:
    """Return power, shape (FFT_SAMPLES // 2 + 1, at most `columns`).

    Neighbouring frames are averaged where there are more than `columns`; memory stays bounded.
    """
    padded = np.pad(samples, (0, max(0, FFT_SAMPLES - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)[::HOP_SAMPLES]
    count = max(1, min(columns, len(frames)))
    column = np.arange(len(frames)) * count // len(frames)
    power = np.zeros((count, FFT_SAMPLES // 2 + 1))
    window = np.hanning(FFT_SAMPLES)
    for at in range(0, len(frames), FRAMES_AT_ONCE):
        some = slice(at, at + FRAMES_AT_ONCE)
        np.add.at(power, column[some], np.abs(np.fft.rfft(frames[some] * window, axis=1)) ** 2)
    return np.asarray((power / np.bincount(column)[:, None]).T, np.float64)


def decibels(power: Levels, loudest: float) -> Levels:
    """Return dB below the loudest place, DEEPEST_DB at least."""
    level = 10 * np.log10(power / max(loudest, 1e-12) + 1e-12)
    return np.asarray(np.maximum(level, DEEPEST_DB), np.float64)


def _spectrogram(axes: Axes, parts: Sequence[tuple[float, Samples]]) -> Any:
    """Draw unbroken parts of sound, each from its second on; return what the scale is of."""
    total = sum(len(samples) for _, samples in parts)
    powers = [
        spectrogram(samples, max(1, round(COLUMNS * len(samples) / total))) for _, samples in parts
    ]
    loudest = max(float(power.max()) for power in powers)
    shown = None
    for (start, samples), power in zip(parts, powers, strict=True):
        shown = axes.imshow(
            decibels(power, loudest),
            origin="lower",
            aspect="auto",
            extent=(start, start + len(samples) / SAMPLE_RATE, 0, SAMPLE_RATE / 2_000),
            cmap="viridis",
            vmin=DEEPEST_DB,
            vmax=0,
            interpolation="nearest",
        )
    axes.set_ylabel("frequency (kHz)", size=SMALL)
    axes.set_ylim(0, SAMPLE_RATE / 2_000)
    axes.set_facecolor("#eef1f3")
    return shown


def _scores(axes: Axes, found: SoundEvidence, stamp: Stamp, length: float) -> None:
    known = np.array([np.nan if each is None else 100 * each for each in found.seconds])
    edges = np.minimum(np.arange(len(known) + 1, dtype=float), length)
    axes.stairs(known, edges, baseline=None, color=ACCENT, linewidth=1.8, zorder=3)
    axes.stairs(np.nan_to_num(known), edges, fill=True, color=ACCENT, alpha=0.14)
    mark_limit(axes, stamp)
    axes.set(xlim=(0, length), ylim=(0, 102))
    axes.set_ylabel("score (%)", size=SMALL)
    axes.set_xlabel("time (min:s)", size=SMALL)
    axes.xaxis.set_major_formatter(FuncFormatter(clock))
    axes.grid(axis="y", color=LINE, linewidth=0.6)


def _hatch_unjudged(axes: Axes, found: SoundEvidence, length: float) -> None:
    at = 0
    for is_missing, run in groupby(found.seconds, lambda each: each is None):
        seconds = len(list(run))
        if is_missing:
            axes.axvspan(at, min(at + seconds, length), zorder=3, **HATCH)
        at += seconds
    if None in found.seconds and axes.get_xlabel():
        axes.legend(
            handles=[Patch(label="not judged", **HATCH)],
            loc="upper right",
            fontsize=SMALL,
            framealpha=0.9,
            edgecolor=LINE,
        )


def _map(sheet: Sheet, axes: Axes, found: SoundEvidence) -> None:
    assert found.falls is not None
    falls = np.nan_to_num(found.falls)
    most = max(float(np.abs(falls).max()), 0.05)
    rows = len(BANDS_HERTZ) - 1
    shown = axes.imshow(
        falls,
        origin="lower",
        aspect="auto",
        extent=(found.start, found.end, 0, rows),
        cmap="PuOr_r",
        vmin=-most,
        vmax=most,
    )
    step = (found.end - found.start) / SLICES
    for (band, part), fall in np.ndenumerate(found.falls):
        text = "?" if np.isnan(fall) else signed(fall)
        axes.text(
            found.start + (part + 0.5) * step,
            band + 0.5,
            text,
            ha="center",
            va="center",
            size=8,
            color="white" if abs(np.nan_to_num(fall)) > 0.75 * most else INK,
        )
    axes.set_yticks(range(rows + 1), [f"{edge / 1000:g}" for edge in BANDS_HERTZ])
    axes.set_ylabel("band (kHz)", size=SMALL)
    axes.set_xlabel("time (min:s)", size=SMALL)
    axes.xaxis.set_major_formatter(FuncFormatter(clock))
    sheet.scale(axes, shown, "fall of the log odds")


def _seconds_alt(found: SoundEvidence, stamp: Stamp) -> str:
    judged = [each for each in found.seconds if each is not None]
    unjudged = len(found.seconds) - len(judged)
    said = (
        f"Spectrogram with the score for {claim(stamp.label)} by second. The window from "
        f"{clock(found.start)} to {clock(found.end)} scored highest. "
    )
    if judged:
        said += f"Seconds score {100 * min(judged):.0f} to {100 * max(judged):.0f} percent. "
    return said + f"{unjudged} of {len(found.seconds)} seconds were not judged."


def _window_alt(found: SoundEvidence) -> str:
    assert found.falls is not None
    band, part = np.unravel_index(np.nanargmax(found.falls), found.falls.shape)
    step = (found.end - found.start) / SLICES
    low, high = (BANDS_HERTZ[int(band) + n] / 1000 for n in (0, 1))
    at = found.start + float(part) * step
    return (
        f"Spectrogram of {clock(found.start)} to {clock(found.end)} and a map of what raises the "
        f"score: most of all {low:g} to {high:g} kHz from {clock(at)} to {clock(at + step)}, "
        f"without which the log odds fall by {np.nanmax(found.falls):.2f}."
    )
