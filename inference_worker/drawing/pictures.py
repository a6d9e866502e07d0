"""Draws a picture: itself, what raises its score, its noise, and where it was manipulated."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.patches import Rectangle
from PIL import Image

from inference_worker.drawing.sheet import INK, LINE, SMALL, WIDTH_INCHES, Sheet, claim, signed
from inference_worker.drawing.values import Drawing, Stamp
from inference_worker.explaining.pictures import PictureEvidence, noise
from inference_worker.types import MapEvidence, Picture

Heat = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating]

LEFT, WIDEST, HIGHEST = 0.8, 6.2, 4.3
"""Of the picture on the sheet, in inches."""
SHOWN_SIDE = 620
"""Pixels of the longer side as drawn."""
NOISE_SIDE = 240
"""Places along the longer side of the noise picture: coarser than drawn, to compress."""
NAMED = 3
"""Places that are outlined and listed with their numbers."""
VEIL = 0.62
FAINTEST = 0.12
"""Places with less than this share of the largest fall are left clear."""
HALF = 0.5
TWINS = {"copied_from": "A", "copied_to": "B"}
"""Two areas alike, in the details of a map; which of them is the original cannot be told."""
BADGE: dict[str, Any] = {
    "ha": "center",
    "va": "center",
    "size": 9,
    "weight": "bold",
    "color": INK,
    "bbox": {"boxstyle": "circle,pad=0.22", "facecolor": "white", "edgecolor": INK},
}
NOISIEST = 99.0
"""Percentile at which the scale of the noise ends, so that one edge does not darken the rest."""


def draw_picture(content: Picture, stamp: Stamp) -> Drawing:
    """Draw the picture as it was judged, in the same frame as the others, to compare."""
    sheet, axes = _sheet(
        "The picture as it was judged",
        content,
        stamp,
        shows="the decoded picture with the scale of its own pixels.",
        does_not_show="anything a detector found; compare it with the heatmap and the noise.",
    )
    axes.imshow(_small(content), extent=_extent(content))
    alt = f"The submitted picture, {content.original_width} by {content.original_height} pixels."
    return sheet.finish("picture", alt, shows_content=True)


def draw_heatmap(
    content: Picture, found: PictureEvidence, stamp: Stamp, *, title: str = "What raises the score"
) -> Drawing:
    """Draw how far the log odds fall when the fine texture of each place is smoothed away."""
    sheet, axes = _sheet(
        title,
        content,
        stamp,
        shows="how far the log odds fall when the fine texture of one place is smoothed away: + "
        "(orange) speaks for the label, \N{MINUS SIGN} (purple) against it. "
        "A fall of 0.7 halves the odds.",
        does_not_show="what was changed or by whom. Places act together; a clear place moved the "
        f"score by less than {FAINTEST:.0%} of the most, or the model does not look there.",
    )
    falls = np.nan_to_num(found.falls)
    most = max(float(np.abs(falls).max()), 0.05)
    _grey(axes, content)
    shown = axes.imshow(
        falls,
        extent=_extent(content),
        cmap="PuOr_r",
        vmin=-most,
        vmax=most,
        alpha=np.where(np.abs(falls) >= FAINTEST * most, VEIL, 0.0),
        interpolation="nearest",
    )
    sheet.scale(axes, _opaque(shown), "fall of the log odds")
    _list(sheet, _outlined(axes, content, falls), falls)
    return sheet.finish("heatmap", _heat_alt(falls, found, stamp), shows_content=True)


def draw_noise(content: Picture, stamp: Stamp) -> Drawing:
    """Draw the strength of the noise residual."""
    sheet, axes = _sheet(
        "Noise residual",
        content,
        stamp,
        shows="how strong the finest grain is at each place (root mean square of the brightness "
        "less its 3 x 3 median). A camera's grain is alike all over surfaces of like brightness.",
        does_not_show="manipulation by itself: edges and texture are strong, and sky, blur and "
        "compression weak, in every honest picture. No detector drew this.",
    )
    width, height = _shown_size(content, NOISE_SIDE)
    strength = noise(content, width=width, height=height)
    most = max(float(np.percentile(strength, NOISIEST)), 1.0)
    shown = axes.imshow(strength, extent=_extent(content), cmap="cividis", vmin=0, vmax=most)
    sheet.scale(axes, shown, "grain (grey levels of 255)")
    middle, high = np.percentile(strength, [50, 95])
    alt = (
        f"Noise residual: half of the places have a grain below {middle:.1f} grey levels, one in "
        f"twenty above {high:.1f}."
    )
    return sheet.finish("noise", alt, shows_content=True)


def draw_map(content: Picture, found: MapEvidence, stamp: Stamp) -> Drawing:
    """Draw where a detector that localises by itself found something."""
    sheet, axes = _sheet(
        "Where it was found",
        content,
        stamp,
        shows=f"{found.unit}, place by place; the line is drawn at one "
        "half. A and B, where there are any, are alike: one may be a copy of the other.",
        does_not_show="who changed the picture or why. Repeated patterns and strong compression "
        "can look like a manipulation.",
    )
    _grey(axes, content)
    shown = axes.imshow(
        found.heat,
        extent=_extent(content),
        cmap="viridis",
        vmin=0,
        vmax=1,
        alpha=np.clip(found.heat * 1.2, 0, VEIL),
    )
    _encircle(axes, content, found.heat, "#b3123a")
    for name, letter in TWINS.items():
        if (area := found.details.get(name)) is not None:
            _letter(axes, content, np.asarray(area, np.float32), letter)
    sheet.scale(axes, _opaque(shown), found.unit)
    share = float((found.heat >= HALF).mean())
    alt = f"Map over the picture of the {found.unit}: {share:.1%} of it is at one half or more."
    return sheet.finish("map", alt, shows_content=True)


def _sheet(
    title: str, content: Picture, stamp: Stamp, *, shows: str, does_not_show: str
) -> tuple[Sheet, Axes]:
    """Return a sheet with axes of the picture's shape, in pixels of the original."""
    height, width = content.pixels.shape[:2]
    ratio = min(WIDEST / width, HIGHEST / height)
    across, down = width * ratio, height * ratio
    sheet = Sheet(
        title, stamp, shows=shows, does_not_show=does_not_show, body_inches=max(down, 1.6) + 0.65
    )
    axes = sheet.axes(LEFT, 0.5, across, down)
    axes.set_xlabel("pixels across", size=SMALL)
    axes.set_ylabel("pixels down", size=SMALL)
    axes.locator_params(nbins=5)
    return sheet, axes


def _extent(content: Picture) -> tuple[float, float, float, float]:
    return (0, content.original_width, content.original_height, 0)


def _shown_size(content: Picture, side: int = SHOWN_SIDE) -> tuple[int, int]:
    """Return width and height as drawn: never larger than the picture."""
    height, width = content.pixels.shape[:2]
    ratio = min(1.0, side / max(height, width))
    return max(1, round(width * ratio)), max(1, round(height * ratio))


def _small(content: Picture) -> npt.NDArray[np.uint8]:
    image = Image.fromarray(content.pixels).resize(_shown_size(content), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _grey(axes: Axes, content: Picture) -> None:
    grey = np.asarray(Image.fromarray(_small(content)).convert("L"))
    axes.imshow(grey, extent=_extent(content), cmap="gray", vmin=0, vmax=255)


def _opaque(shown: Any) -> Any:
    """Return the same scale without the picture's own transparency, for a scale bar."""
    return ScalarMappable(shown.norm, shown.cmap)


def _places(content: Picture, heat: Heat) -> tuple[Floats, Floats]:
    """Return the middles of a map's columns and rows, in pixels of the original."""
    rows, columns = heat.shape
    across = (np.arange(columns) + 0.5) * content.original_width / columns
    return across, (np.arange(rows) + 0.5) * content.original_height / rows


def _encircle(axes: Axes, content: Picture, heat: Heat, colour: str) -> None:
    """Draw the line at one half."""
    if min(heat.shape) < 2 or not heat.min() < HALF < heat.max():
        return
    for width, shade in ((3.0, "white"), (1.4, colour)):
        axes.contour(*_places(content, heat), heat, [HALF], colors=[shade], linewidths=width)


def _letter(axes: Axes, content: Picture, area: Heat, letter: str) -> None:
    """Encircle one of two areas alike and put its letter in its middle."""
    if area.max() <= 0:
        return
    _encircle(axes, content, area, INK)
    across, down = _places(content, area)
    middle = (area.sum(axis=0) @ across / area.sum(), area.sum(axis=1) @ down / area.sum())
    axes.text(*middle, letter, **BADGE)


def _outlined(axes: Axes, content: Picture, falls: npt.NDArray[np.floating]) -> list[int]:
    """Outline and number the places that raise the score most; return them."""
    rows, columns = falls.shape
    wide, high = content.original_width / columns, content.original_height / rows
    places = [int(p) for p in np.argsort(falls.ravel())[::-1][:NAMED] if falls.ravel()[p] > 0]
    for number, place in enumerate(places, 1):
        left, top = (place % columns) * wide, (place // columns) * high
        for width, colour in ((3.4, "white"), (1.6, INK)):
            axes.add_patch(
                Rectangle((left, top), wide, high, fill=False, linewidth=width, edgecolor=colour)
            )
        axes.text(
            left + wide / 2,
            top + high / 2,
            str(number),
            **BADGE,
        )
    return places


def _list(sheet: Sheet, places: list[int], falls: npt.NDArray[np.floating]) -> None:
    lines = [f"{n}   {signed(falls.ravel()[place])}" for n, place in enumerate(places, 1)]
    text = "\n".join(["Strongest places", *lines]) if lines else "No place raises\nthe score."
    sheet.figure.text(
        1 - 0.25 / WIDTH_INCHES,
        1 - 0.8 / sheet.height,
        text,
        ha="right",
        va="top",
        size=SMALL,
        color=INK,
        linespacing=1.7,
        bbox={"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": LINE},
    )


def _heat_alt(falls: npt.NDArray[np.floating], found: PictureEvidence, stamp: Stamp) -> str:
    rows, columns = falls.shape
    row, column = np.unravel_index(int(falls.argmax()), falls.shape)
    return (
        f"Heatmap of {rows} by {columns} places over the whole picture. The score for "
        f"{claim(stamp.label)} rests most on row {row + 1}, column {column + 1}: without its "
        f"texture the log odds, {found.log_odds:.2f}, fall by {falls.max():.2f}. "
        f"{int((falls < 0).sum())} of {falls.size} places speak against it."
    )
