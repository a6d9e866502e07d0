"""Makes the sample pictures and the video: `python -m kilinda.demo.making`.

The recording is ours too: espeak-ng (voice sw, 150 words a minute) reading our words, as Opus at
16 kbit/s. Nothing here was photographed, recorded or taken from anyone.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

SAMPLES = Path(__file__).parent / "samples"
SEED = 2027
FRAMES_PER_SECOND = 12
VIDEO_SECONDS = 6

Plane: TypeAlias = npt.NDArray[np.float64]
Picture: TypeAlias = npt.NDArray[np.uint8]


def main() -> None:
    """Write all three files."""
    scene = landscape(1600, 720)
    Image.fromarray(scene[:, :1080]).save(SAMPLES / "landscape.jpg", quality=82)
    Image.fromarray(pattern(480)).save(SAMPLES / "pattern.png", optimize=True)
    write_pan(scene, SAMPLES / "pan.mp4")


def clouds(width: int, height: int, octaves: int, chance: np.random.Generator) -> Plane:
    """Return fractal noise in 0..1, shape (height, width): each octave half as large and strong."""
    total = np.zeros((height, width))
    for octave in range(octaves):
        cells = 2 ** (octave + 2)
        coarse = Image.fromarray(chance.random((cells, 2 * cells)).astype(np.float32))
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) / 2**octave
    spread = total - total.min()
    result: Plane = spread / spread.max()
    return result


def landscape(width: int, height: int) -> Picture:
    """Return hills under a clouded evening sky with the grain of a sensor, uint8 RGB."""
    chance = np.random.default_rng(SEED)
    y = np.linspace(0, 1, height)[:, None, None]
    sky = (1 - y) * np.array([92, 136, 196]) + y * np.array([250, 206, 160])
    cover = np.clip(clouds(width, height, 6, chance) * 2 - 0.9, 0, 1)[:, :, None]
    scene = sky * (1 - 0.7 * cover) + 245 * 0.7 * cover
    for depth in range(4):
        scene = _with_hill(scene, depth, chance)
    grain = chance.normal(0, 3, (height, width, 1))
    result: Picture = np.clip(scene + grain, 0, 255).astype(np.uint8)
    return result


def _with_hill(scene: Plane, depth: int, chance: np.random.Generator) -> Plane:
    """Lay one range of hills over the scene; a larger `depth` is nearer, lower and darker."""
    height, width = scene.shape[:2]
    ridge = clouds(width, 8, 5, chance)[3] * 0.22 + 0.38 + 0.14 * depth
    is_hill = np.linspace(0, 1, height)[:, None] > ridge[None, :]
    light = 0.6 + 0.5 * clouds(width, height, 7, chance)[:, :, None]
    near = np.array([66, 92, 44]) * (1.15 - 0.15 * depth)
    haze = np.array([150, 160, 178])
    colour = (near * depth + haze * (3 - depth)) / 3 * light
    result: Plane = np.where(is_hill[:, :, None], colour, scene)
    return result


def pattern(side: int) -> Picture:
    """Return the interference of three waves, uint8 RGB, as no camera sees anything."""
    y, x = np.mgrid[0:side, 0:side] / side * 2 * np.pi
    waves = (np.sin(7 * x + 3 * np.cos(2 * y)), np.sin(5 * y - 4 * x), np.cos(6 * np.hypot(x, y)))
    result: Picture = np.stack([np.round(7 * (w + 1)) * 18 for w in waves], -1).astype(np.uint8)
    return result


def write_pan(scene: Picture, target: Path) -> None:
    """Write an MP4 (H.264, AAC) that pans over the scene while the computer voice speaks."""
    with av.open(target, "w") as video, av.open(SAMPLES / "computer-voice-sw.ogg") as voice:
        pictures: Any = video.add_stream("libx264", rate=FRAMES_PER_SECOND)
        pictures.width, pictures.height, pictures.pix_fmt = 640, 360, "yuv420p"
        pictures.options = {"crf": "30", "g": str(FRAMES_PER_SECOND)}
        sound: Any = video.add_stream("aac", rate=24_000)
        sound.bit_rate, sound.layout = 32_000, "mono"
        _encode_pan(scene, video, pictures)
        _encode_voice(voice, video, sound)


def _encode_pan(scene: Picture, video: Any, stream: Any) -> None:
    count = VIDEO_SECONDS * FRAMES_PER_SECOND
    for number in range(count):
        left = (scene.shape[1] - 1280) * number // count
        view = Image.fromarray(scene[:, left : left + 1280]).resize((640, 360))
        frame = av.VideoFrame.from_ndarray(np.asarray(view), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
        video.mux(stream.encode(frame))
    video.mux(stream.encode(None))


def _encode_voice(voice: Any, video: Any, stream: Any) -> None:
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=24_000)
    for decoded in voice.decode(audio=0):
        if decoded.time > VIDEO_SECONDS:
            break
        for frame in resampler.resample(decoded):
            video.mux(stream.encode(frame))
    video.mux(stream.encode(None))


if __name__ == "__main__":
    main()
