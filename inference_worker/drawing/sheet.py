"""The sheet every picture of evidence is drawn on: title, score, what it shows, where it is from.

Only this package imports matplotlib, and only its object interface: pyplot keeps global state.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from datetime import UTC
from itertools import chain
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from inference_worker.drawing.values import Drawing, Plot, Stamp

WIDTH_INCHES, DOTS_PER_INCH = 9.0, 110
MARGIN_INCHES = 0.2
INK, QUIET, LINE, ACCENT = "#17212b", "#56646f", "#c3ccd3", "#0b5f58"
SMALL = 9.0
"""Points, of everything but titles: readable when the page shows the sheet at four fifths."""
LINE_CHARACTERS = 124
"""Of the small print that fit into the width."""
LINE_INCHES = 0.195
HEAD_INCHES = 0.66
MOST_BYTES = 200_000
"""Of one PNG. Colours are given up first, then size."""
PALETTES = (256, 64)
"""Numbers of colours to try."""
RAMP_SHARE = 0.5
"""Weight of the scales' colours in the palette, beside all of the picture's: a scale bar covers few
pixels, and colours chosen by area alone would make it lie."""
SMALLER = 0.85

CLASSES = {
    "abuse": "abusive language",
    "synthetic_speech": "synthetic speech",
    "synthetic_image": "an AI-generated picture",
    "manipulated_image": "a manipulated picture",
    "machine_text": "machine-written text",
}


class Sheet:
    """One drawing in the making."""

    def __init__(
        self, title: str, stamp: Stamp, *, shows: str, does_not_show: str, body_inches: float
    ) -> None:
        """Print title and small print around a free body, `body_inches` high."""
        self.title = title
        small = _small_print(stamp, shows, does_not_show)
        foot = LINE_INCHES * len(small) + MARGIN_INCHES
        self.height = HEAD_INCHES + body_inches + foot + MARGIN_INCHES
        self._foot = foot
        self._ramps = [_ramp(INK), _ramp(QUIET)]
        self.figure = Figure(figsize=(WIDTH_INCHES, self.height), dpi=DOTS_PER_INCH)
        self.figure.patch.set_facecolor("white")
        FigureCanvasAgg(self.figure)
        self._write(MARGIN_INCHES, self.height - 0.32, title, size=13, weight="bold")
        self._write(MARGIN_INCHES, self.height - 0.56, _head(stamp), size=SMALL, color=QUIET)
        for row, line in enumerate(reversed(small)):
            self._write(
                MARGIN_INCHES,
                MARGIN_INCHES * 0.7 + LINE_INCHES * row,
                line,
                size=SMALL,
                color=QUIET if row < 1 else INK,
            )

    def axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        """Return axes at a place of the body, all in inches from its lower left corner."""
        box = (
            left / WIDTH_INCHES,
            (self._foot + bottom) / self.height,
            width / WIDTH_INCHES,
            height / self.height,
        )
        axes = self.figure.add_axes(box)
        axes.tick_params(labelsize=SMALL, colors=INK, length=3)
        for spine in axes.spines.values():
            spine.set_color(LINE)
        return axes

    def scale(self, axes: Axes, shown: Any, label: str, *, ticks: Any = None) -> None:
        """Put a scale bar on the right of `axes`."""
        box = axes.get_position()
        place = self.figure.add_axes((box.x1 + 0.012, box.y0, 0.014, box.height))
        bar = self.figure.colorbar(shown, cax=place, ticks=ticks)
        bar.set_label(label, size=SMALL, color=INK)
        bar.ax.tick_params(labelsize=SMALL, colors=INK, length=2)
        colours = (shown.cmap(np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)
        self._ramps.append(Image.fromarray(colours[None]))
        bar.outline.set_edgecolor(LINE)

    def finish(
        self,
        name: str,
        alt: str,
        *,
        shows_content: bool,
        time: Axes | None = None,
        seconds: tuple[float, float] = (0.0, 0.0),
    ) -> Drawing:
        """Render. `time` are the axes whose width is the stretch of `seconds`."""
        plot = None if time is None else self._plot(time, seconds)
        image = _rendered(self.figure)
        png, width, height = _compressed(image, self._ramps)
        return Drawing(name, self.title, png, width, height, alt, shows_content, plot)

    def _plot(self, time: Axes, seconds: tuple[float, float]) -> Plot:
        """Return where the axes that share the time line of `time` lie, together."""
        line = time.get_position()
        boxes = [axes.get_position() for axes in self.figure.axes]
        shared = [box for box in boxes if abs(box.x0 - line.x0) + abs(box.x1 - line.x1) < 1e-6]
        return Plot(
            left=round(float(line.x0), 5),
            right=round(float(line.x1), 5),
            top=round(1 - max(float(box.y1) for box in shared), 5),
            bottom=round(1 - min(float(box.y0) for box in shared), 5),
            start=seconds[0],
            end=seconds[1],
        )

    def _write(self, left: float, bottom: float, text: str, **style: Any) -> None:
        style = {"color": INK, **style}
        self.figure.text(left / WIDTH_INCHES, bottom / self.height, text, **style)


def _ramp(colour: str) -> Image.Image:
    """Return the shades of writing in one colour on white."""
    dark = np.array(to_rgb(colour))
    shades = 255 * (1 - np.linspace(0, 1, 32)[:, None] * (1 - dark))
    return Image.fromarray(np.rint(shades).astype(np.uint8)[None])


def claim(label: str) -> str:
    """Return what a label claims, in words."""
    return CLASSES.get(label, label.replace("_", " "))


def clock(seconds: float, _place: int | None = None) -> str:
    """Return a place on a time line as min:s, with tenths where it is not whole."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    whole = f"{minutes}:{rest // 10:02d}"
    return whole if rest % 10 == 0 else f"{whole}.{rest % 10}"


def signed(value: float) -> str:
    """Return a number with its sign and a real minus."""
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def mark_limit(axes: Axes, stamp: Stamp) -> None:
    """Draw the probability from which the model itself says yes, on an axis of percent."""
    if stamp.threshold is None:
        return
    limit = 100 * stamp.threshold
    axes.axhline(limit, color=INK, linestyle=(0, (4, 3)), linewidth=1)
    axes.annotate(
        "the model's own limit",
        (1, limit),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 3),
        textcoords="offset points",
        ha="right",
        size=SMALL,
        color=INK,
    )


def _head(stamp: Stamp) -> str:
    percent = f"{100 * stamp.probability:.2f} %"
    said = f"{stamp.detector} {stamp.version}  ·  score for {claim(stamp.label)}: {percent}"
    if stamp.threshold is None:
        return said
    return f"{said}  ·  the model itself says yes from {100 * stamp.threshold:.0f} %"


def _small_print(stamp: Stamp, shows: str, does_not_show: str) -> list[str]:
    computed = f"{stamp.computed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    origin = (
        f"Kilinda-Sauti  ·  computed {computed}  ·  content sha256 {stamp.sha256[:16]}…  ·  "
        f"{stamp.detector}@{stamp.version}"
    )
    return [
        *textwrap.wrap(f"Shows: {shows}", LINE_CHARACTERS),
        *textwrap.wrap(f"Does not show: {does_not_show}", LINE_CHARACTERS),
        origin,
    ]


def _rendered(figure: Figure) -> Image.Image:
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()  # type: ignore[no-untyped-call]
    drawn = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    return Image.fromarray(np.asarray(drawn)).convert("RGB")


def _compressed(image: Image.Image, ramps: Sequence[Image.Image]) -> tuple[bytes, int, int]:
    """Return the smallest loss that fits into MOST_BYTES, with width and height."""
    while True:
        tries = chain([image], (_with_palette(image, ramps, colours) for colours in PALETTES))
        for each in tries:
            png = _png(each)
            if len(png) <= MOST_BYTES:
                return png, *image.size
        width, height = (round(side * SMALLER) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)


def _with_palette(image: Image.Image, ramps: Sequence[Image.Image], colours: int) -> Image.Image:
    """Reduce the colours, those of the scales counting for more than they cover."""
    width, height = image.size
    strip = max(1, round(RAMP_SHARE * height / max(1, len(ramps))))
    sample = Image.new("RGB", (width, height + strip * len(ramps)))
    sample.paste(image)
    for number, ramp in enumerate(ramps):
        wide = ramp.resize((width, strip), Image.Resampling.NEAREST)
        sample.paste(wide, (0, height + number * strip))
    method, dither = Image.Quantize.MEDIANCUT, Image.Dither.NONE
    palette = sample.quantize(colours, method=method, dither=dither)
    return image.quantize(palette=palette, dither=dither)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()
