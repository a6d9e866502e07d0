"""Makes spliced and copy-moved pictures from photographs, with masks, to train on.

Shapes, borders and histories vary widely, so that no single trait of the making is learned.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]
Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Forgery:
    """A picture and which of its pixels were put there; none in an untouched one."""

    pixels: Pixels
    pasted: Mask


def forge(photo: Image.Image, donor: Image.Image, rng: Random) -> Forgery:
    """Return the photograph untouched (1 in 4), copy-moved (1 in 4) or with a part of the donor."""
    photo = _stored(photo, rng)
    kind = rng.integers(4)
    empty = Image.new("L", photo.size)
    if kind == 0:
        pasted, mask = photo, empty
    elif kind == 1:
        pasted, mask = _with_part_of(photo, _varied(photo, rng, far=True), rng)
    else:
        pasted, mask = _with_part_of(photo, _varied(_stored(donor, rng), rng, far=False), rng)
    if rng.random() < 0.25:
        pasted, mask = _resized(pasted, mask, rng)
    if rng.random() < 0.9:
        pasted = _compressed(pasted, int(rng.integers(70, 99)))
    return Forgery(np.asarray(pasted, np.uint8), np.asarray(mask) > 127)


def _stored(picture: Image.Image, rng: Random) -> Image.Image:
    """Give a picture a history: size, sharpness, compression at a grid of its own."""
    if rng.random() < 0.5:
        side = rng.uniform(0.6, 1.0) * min(picture.size)
        left, top = (rng.uniform(0, room - side) for room in picture.size)
        picture = picture.resize(
            picture.size, Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)
        )
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(1, 6), (picture.height, picture.width, 1))
        noisy = np.asarray(picture, np.float32) + noise
        picture = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
    if rng.random() < 0.7:
        picture = _compressed(picture, int(rng.integers(55, 97)))
    return picture


def _varied(picture: Image.Image, rng: Random, *, far: bool) -> Image.Image:
    """Move the picture about, so that another part of it comes to lie at a place."""
    if rng.random() < 0.5:
        angle, scale = rng.uniform(-30, 30), rng.uniform(0.7, 1.4)
        size = (int(picture.width * scale), int(picture.height * scale))
        turned = picture.resize(size, Image.Resampling.BICUBIC)
        picture = turned.rotate(angle, Image.Resampling.BICUBIC).resize(picture.size)
    if rng.random() < 0.3:
        picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.8, 1.2))
    reach = picture.width // 3 if far else 0
    shifts = [int(rng.integers(reach, 2 * reach + 8)) for _ in range(2)]
    return Image.fromarray(np.roll(np.asarray(picture), shifts, axis=(0, 1)))


def _with_part_of(
    photo: Image.Image, donor: Image.Image, rng: Random
) -> tuple[Image.Image, Image.Image]:
    shape = _SHAPES[rng.integers(len(_SHAPES))](photo.size, rng)
    soft = shape
    if rng.random() < 0.6:
        soft = shape.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 2.5)))
    return Image.composite(donor.resize(photo.size), photo, soft), shape


def _box(size: tuple[int, int], rng: Random) -> tuple[float, float, float, float]:
    width, height = (side * rng.uniform(0.12, 0.42) for side in size)
    left, top = rng.uniform(0, size[0] - width), rng.uniform(0, size[1] - height)
    return left, top, left + width, top + height


def _ellipse(size: tuple[int, int], rng: Random) -> Image.Image:
    shape = Image.new("L", size)
    box = _box(size, rng)
    ImageDraw.Draw(shape).ellipse(box, fill=255)
    centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return shape.rotate(rng.uniform(0, 180), center=centre)


def _rectangle(size: tuple[int, int], rng: Random) -> Image.Image:
    shape = Image.new("L", size)
    ImageDraw.Draw(shape).rectangle(_box(size, rng), fill=255)
    return shape


def _polygon(size: tuple[int, int], rng: Random) -> Image.Image:
    left, top, right, bottom = _box(size, rng)
    count = int(rng.integers(5, 12))
    turns = np.sort(rng.uniform(0, 2 * np.pi, count))
    reach = rng.uniform(0.5, 1.0, count)
    across = (left + right) / 2 + reach * np.cos(turns) * (right - left) / 2
    down = (top + bottom) / 2 + reach * np.sin(turns) * (bottom - top) / 2
    shape = Image.new("L", size)
    ImageDraw.Draw(shape).polygon(list(zip(across, down, strict=True)), fill=255)
    return shape


def _blob(size: tuple[int, int], rng: Random) -> Image.Image:
    """An ellipse with a ragged outline: two thirds of it, where smooth noise is high."""
    inside = np.asarray(_ellipse(size, rng)) > 127
    grain = Image.fromarray(rng.integers(0, 256, (6, 6), np.uint8))
    height = np.asarray(grain.resize(size, Image.Resampling.BICUBIC))
    high = height > np.quantile(height[inside], 1 / 3)
    return Image.fromarray(((high & inside) * 255).astype(np.uint8))


_SHAPES: tuple[Callable[[tuple[int, int], Random], Image.Image], ...] = (
    _ellipse,
    _rectangle,
    _polygon,
    _blob,
)


def _resized(
    picture: Image.Image, mask: Image.Image, rng: Random
) -> tuple[Image.Image, Image.Image]:
    scale = rng.uniform(0.75, 1.0)
    size = (int(picture.width * scale), int(picture.height * scale))
    return (
        picture.resize(size, Image.Resampling.LANCZOS).resize(picture.size),
        mask.resize(size).resize(picture.size),
    )


def _compressed(picture: Image.Image, quality: int) -> Image.Image:
    stored = io.BytesIO()
    picture.save(stored, "JPEG", quality=quality)
    return Image.open(stored).convert("RGB")
