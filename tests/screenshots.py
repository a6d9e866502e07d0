"""Draws what OCR must cope with: chats in light and dark, memes, pages; and knows what they say."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONTS = tuple(
    path
    for path in (
        Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
        Path("/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf"),
    )
    if path.exists()
)
BOLD = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf")
ETHIOPIC = Path("/usr/share/fonts/truetype/noto/NotoSansEthiopic-Regular.ttf")


@cache
def font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size)


@dataclass(frozen=True)
class Theme:
    page: str
    theirs: str
    ours: str
    ink: str
    faint: str


LIGHT = Theme("#efe7de", "#ffffff", "#d9fdd3", "#111b21", "#667781")
DARK = Theme("#0b141a", "#202c33", "#005c4b", "#e9edef", "#8696a0")


def chat(
    messages: list[str],
    *,
    theme: Theme = LIGHT,
    width: int = 720,
    size: int = 26,
    face: Path | None = None,
    sender: str = "",
) -> Image.Image:
    """A chat on a phone: status bar, contact, bubbles on both sides with clock times and ticks."""
    text, small = font(face or FONTS[0], size), font(FONTS[0], size * 2 // 3)
    image = Image.new("RGB", (width, width * 2), theme.page)
    draw = ImageDraw.Draw(image)
    draw.text((24, 12), "14:07", theme.faint, small)
    draw.text((width - 110, 12), "4G 83%", theme.faint, small)
    draw.text((110, 60), "Amina Wanjiru", theme.ink, text)
    draw.text((110, 64 + size), "online", theme.faint, small)
    y = 150
    for number, message in enumerate(messages):
        y = _bubble(draw, message, number, y, theme, width, text, small, sender)
    draw.text((60, image.height - 60), "Message", theme.faint, text)
    return image


def _bubble(draw, message, number, y, theme, width, text, small, sender) -> int:
    is_ours = number % 2 == 1
    step = round(text.size * 1.35)
    lines = textwrap.wrap(message, width=int(width * 0.66 / (text.size * 0.56)))
    wide = max([text.getlength(line) for line in lines] + [small.getlength("10:00 //") + 20])
    left = width - wide - 64 if is_ours else 24
    heads = 1 if sender and not is_ours else 0
    high = step * (len(lines) + heads) + small.size + 28
    draw.rounded_rectangle(
        (left, y, left + wide + 40, y + high), 16, theme.ours if is_ours else theme.theirs
    )
    if heads:
        draw.text((left + 20, y + 10), sender, "#c2410c", small)
    for place, line in enumerate(lines):
        draw.text((left + 20, y + 10 + step * (place + heads)), line, theme.ink, text)
    clock = f"10:{12 + number:02d}" + (" ✓✓" if is_ours else "")
    at = (left + wide + 24 - small.getlength(clock), y + high - small.size - 12)
    draw.text(at, clock, theme.faint, small)
    return y + high + 22


def photo(*, width: int = 640, height: int = 480, seed: int = 0) -> Image.Image:
    """Soft shapes and texture, without anything written: a picture that OCR need not see."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(30, 220, (12, 16, 3)).astype(np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    noise = generator.normal(0, 9, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(image, float) + noise, 0, 255).astype(np.uint8))


def meme(top: str, bottom: str, *, behind: Image.Image | None = None) -> Image.Image:
    """White capitals with a black outline, above and below on a photo."""
    image = (behind or photo()).copy()
    draw = ImageDraw.Draw(image)
    face = font(BOLD, image.width // 14)
    for words, y in ((top, 10), (bottom, image.height - face.size * 2.5)):
        lines = textwrap.wrap(words.upper(), width=19)
        for place, line in enumerate(lines):
            draw.text(
                (image.width / 2, y + place * face.size * 1.1),
                line,
                "white",
                face,
                anchor="ma",
                stroke_width=max(2, face.size // 14),
                stroke_fill="black",
            )
    return image
