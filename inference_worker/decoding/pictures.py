"""Read a still picture with Pillow: bounded before it is decoded, upright, opaque, 8-bit RGB."""

from __future__ import annotations

import math
import struct
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import BmpImagePlugin as BmpImagePlugin  # the sandbox cannot import while it decodes
from PIL import GifImagePlugin as GifImagePlugin
from PIL import Image
from PIL import JpegImagePlugin as JpegImagePlugin
from PIL import MpoImagePlugin as MpoImagePlugin
from PIL import PngImagePlugin as PngImagePlugin
from PIL import WebPImagePlugin as WebPImagePlugin

from inference_worker.decoding.limits import Limits
from inference_worker.errors import Undecodable
from inference_worker.types import Picture

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""JPEG includes MPO. Never one that runs a program (EPS) or is rarely attacked (PSD, FITS)."""

# Pillow warns at one size and fails at twice that; here Limits.pixels rules.
Image.MAX_IMAGE_PIXELS = None


_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the turn that undoes it (Exif 2.32, tag 274)."""
_FIRST_ON_ITS_SIDE = 5


def read_picture(file: IO[bytes], limits: Limits) -> Picture:
    """Decode the first image of `file`; raise Undecodable with what is wrong with it."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            check_pixels(image.width, image.height, limits, "picture")
            orientation = _orientation(image)
            width, height = image.size
            image.draft(image.mode, _fitted(width, height, limits.picture_side))
            pixels = _rgb(_shrunk(image, limits.picture_side))
    except (OSError, SyntaxError) as error:
        raise _refusal(error) from error
    if orientation in _TURNS:
        pixels = pixels.transpose(_TURNS[orientation])
    if orientation in _TURNS and orientation >= _FIRST_ON_ITS_SIDE:
        width, height = height, width
    return Picture(np.asarray(pixels), original_width=width, original_height=height)


def check_pixels(width: int, height: int, limits: Limits, what: str) -> None:
    """Refuse a `what` (picture, video) larger than the limit, going by its header alone."""
    if width * height > limits.pixels:
        found, limit = (math.ceil(n / 1_000_000) for n in (width * height, limits.pixels))
        raise Undecodable(
            "too_many_pixels", f"The {what} has {found:,} megapixels; the limit is {limit:,}."
        )


def _refusal(error: OSError | SyntaxError) -> Undecodable:
    if "truncated" in str(error).lower():
        return Undecodable("truncated", "The picture ends before all of its pixels are there.")
    return Undecodable("damaged", "The picture is damaged and could not be decoded.")


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; a damaged EXIF block does not make the picture unreadable."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError, TypeError, struct.error):
        return 1


def _fitted(width: int, height: int, side: int) -> tuple[int, int]:
    ratio = min(1.0, side / max(width, height))
    return max(1, math.ceil(width * ratio)), max(1, math.ceil(height * ratio))


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    """Scale down to `side`, in a mode that may be interpolated; smaller pictures stay untouched."""
    image.load()
    size = _fitted(image.width, image.height, side)
    if size == image.size:
        return image
    return _rgb(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, coloured).convert("RGB")
    if image.mode.startswith("I"):  # 16 bits of grey, which convert() would clip at 255
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    return image.convert("RGB")


def _eight_bits(grey: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    high: npt.NDArray[np.uint8] = (np.clip(grey, 0, 65_535) >> 8).astype(np.uint8)
    return high
