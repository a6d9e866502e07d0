"""What happens to a picture on its way to us, so that a model in training cannot lean on it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageFilter

Pixels = npt.NDArray[np.uint8]


def damage(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture after random resizing, blur, noise, colour and compression, same shape."""
    picture = Image.fromarray(pixels)
    for chance, step in _STEPS:
        if rng.random() < chance:
            picture = step(picture, rng)
    return np.asarray(picture, np.uint8)


def _resized(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut out 70-100 % of the picture and bring it back to size with a random filter."""
    side = int(min(picture.size) * rng.uniform(0.7, 1.0))
    left = int(rng.integers(picture.width - side + 1))
    top = int(rng.integers(picture.height - side + 1))
    kinds = (
        Image.Resampling.BILINEAR,
        Image.Resampling.BICUBIC,
        Image.Resampling.LANCZOS,
        Image.Resampling.BOX,
    )
    cut = picture.crop((left, top, left + side, top + side))
    return cut.resize(picture.size, kinds[rng.integers(len(kinds))])


def _blurred(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))


def _sharpened(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.filter(ImageFilter.UnsharpMask(rng.uniform(0.5, 2), int(rng.integers(30, 150))))


def _noisy(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(picture, np.float32)
    noise = rng.normal(0, rng.uniform(1, 8), pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def _recoloured(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    for kind in (ImageEnhance.Color, ImageEnhance.Contrast, ImageEnhance.Brightness):
        picture = kind(picture).enhance(rng.uniform(0.7, 1.3))
    return picture


def _compressed(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    stored = io.BytesIO()
    kind = "WEBP" if rng.random() < 0.25 else "JPEG"
    picture.save(stored, kind, quality=int(rng.integers(50, 96)))
    return Image.open(stored).convert("RGB")


_STEPS = (
    (0.4, _resized),
    (0.2, _blurred),
    (0.2, _sharpened),
    (0.25, _noisy),
    (0.4, _recoloured),
    (0.7, _compressed),
)


def _jpeg(pixels: Pixels, rng: np.random.Generator, *, quality: int) -> Pixels:
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "JPEG", quality=quality)
    return np.asarray(Image.open(stored).convert("RGB"), np.uint8)


def _through_half(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    picture = Image.fromarray(pixels)
    half = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)
    return np.asarray(half.resize(picture.size, Image.Resampling.BICUBIC), np.uint8)


def _slightly_scaled(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    picture = Image.fromarray(pixels)
    size = (int(picture.width * 0.9), int(picture.height * 0.9))
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS), np.uint8)


def _soft(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1.0)), np.uint8)


def _grainy(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    noisy = pixels + rng.normal(0, 5, pixels.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _small(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    top, left = ((side - 144) // 2 for side in pixels.shape[:2])
    return pixels[top : top + 144, left : left + 144]


CONDITIONS: Mapping[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "small": _small,
    "JPEG quality 75": partial(_jpeg, quality=75),
    "JPEG quality 50": partial(_jpeg, quality=50),
    "scaled to 90 %": _slightly_scaled,
    "halved and enlarged": _through_half,
    "blurred": _soft,
    "noisy": _grainy,
}
"""Conditions under which a picture reaches us, each exactly: for measuring, not for training."""
