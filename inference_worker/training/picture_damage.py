"""What happens to a picture on its way to us, so that a model in training cannot lean on it."""

from __future__ import annotations

import io

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
