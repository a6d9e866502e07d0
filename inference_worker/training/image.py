"""Trains the bundled detector of generated pictures: `python -m inference_worker.training.image`.

Validated on whole generators it never saw; the shipped model then learns from all.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from transformers import ConvNextConfig, ConvNextForImageClassification

from inference_worker.detectors.image import model_input
from inference_worker.detectors.network import Features
from inference_worker.detectors.texture import CROP, STATISTICS, texture_statistics
from inference_worker.training.fitting import Items, Recipe, fit, leave_groups_out
from inference_worker.training.picture_damage import damage
from inference_worker.training.reports import (
    Statement,
    compute,
    fingerprint,
    measure,
    parse_options,
    publish,
    source_table,
)

GROUPS = {
    "dinablachman/realorfake": "FFHQ vs StyleGAN2",
    "SupaGruen/StableDiffusion-CheatSheet": "SD1.5",
    "EnragedAntelope/Artists-SD35L": "SD3.5",
    "justinpinkney/awesome-pretrained-stylegan2": "StyleGAN2, photo-like",
}
SHARED_OUT = ("SD1.5", "SD3.5", "StyleGAN2, photo-like")
"""Groups without real pictures of their own: each is left out with a third of the photographs."""
VIEWS = 3
HIDDEN = 256


def build() -> ConvNextForImageClassification:
    """Return a ConvNeXt over one pixel of STATISTICS channels: a residual perceptron."""
    return ConvNextForImageClassification(
        ConvNextConfig(
            num_channels=STATISTICS,
            patch_size=1,
            image_size=1,
            num_stages=1,
            hidden_sizes=[HIDDEN],
            depths=[1],
            layer_scale_init_value=0.5,
            drop_path_rate=0.0,
            num_labels=2,  # type: ignore[call-arg]
        )
    )


RECIPE = Recipe("texture_statistics", build, model_input, epochs=30, undamaged_share=0.5)
STATEMENT = Statement(
    name="synthetic-image",
    version="1.0.0",
    task="synthetic_image",
    modality="image",
    detector="image",
    labels=("real_image", "synthetic_image"),
    languages=(),
    gates={"least_side_pixels": 96, "least_contrast": 3.0},
    about="""Says how likely it is that a picture was made by a generative model. It looks at one
to five crops of 224 pixels at native resolution: statistics of block frequencies, of the spectrum,
of neighbouring residuals and of colour, through a small network of the ConvNeXt class, trained from
scratch.""",
    limits="""- This is a weak detector. Stable Diffusion 1.5 is near chance (below a simple
frequency baseline of AUC .598; SD3.5 is below its .942 too), and faces of StyleGAN2 are barely
told from photographs. Treat a score as a hint at most.
- The generated training pictures lean to illustration and the real ones are photographs, so a part
of what was learned is style; human-made illustrations were never measured.
- Only StyleGAN2 and Stable Diffusion 1.5 and 3.5 were there; newer generators were never measured.
- All training pictures are 256 x 256 crops, scaled and stored as JPEG; other scales were never
measured, nor were frames of video.
- Edited (retouched, spliced) real pictures are not what this model looks for.
- One score is no proof: a person decides.""",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of the manifest."""

    path: Path
    is_generated: bool
    source: str
    licence: str
    url: str

    @property
    def group(self) -> str:
        """Return the group it is left out with; photographs are dealt out by their address."""
        dealt = SHARED_OUT[zlib.crc32(self.url.encode()) % len(SHARED_OUT)]
        return GROUPS.get(self.source, dealt)


def read_manifest(data: Path) -> list[Sample]:
    """Read data/manifest.csv."""
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        return [
            Sample(
                data / row["file"], row["label"] == "ai", row["source"], row["licence"], row["url"]
            )
            for row in csv.DictReader(stream)
        ]


def views(task: tuple[Path, int]) -> Features:
    """Return the statistics of a picture as it is and VIEWS - 1 times damaged."""
    path, seed = task
    journey, place = np.random.default_rng(seed), np.random.default_rng(seed)
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), np.uint8)
    room = np.array(pixels.shape[:2]) - CROP
    crops = [_cut(pixels, *(room // 2))]
    for _ in range(VIEWS - 1):
        crops.append(_cut(damage(pixels, journey), *place.integers(0, room + 1)))
    return np.stack([texture_statistics(crop) for crop in crops])


def _cut(pixels: np.ndarray, top: int, left: int) -> np.ndarray:
    return pixels[top : top + CROP, left : left + CROP]


def to_items(samples: Sequence[Sample], cache: Path | None) -> Items:
    """Return the pictures, damaged."""
    tasks = [(sample.path, seed) for seed, sample in enumerate(samples)]
    return Items(
        compute(views, tasks, cache and cache / "image.npy"),
        np.array([int(sample.is_generated) for sample in samples]),
        np.array([sample.source for sample in samples]),
        np.array([sample.group for sample in samples]),
    )


def train(data: Path, out: Path, cache: Path | None, seed: int) -> None:
    """Measure on left-out groups, train on all, and write the model folder."""
    samples = read_manifest(data)
    known = fingerprint(data / "manifest.csv", (sample.path for sample in samples))
    print(f"{len(samples)} pictures, {known}", flush=True)
    items = to_items(samples, cache)
    measured = measure(items, ["und"] * len(samples), *leave_groups_out(RECIPE, items, None, seed))
    print("Learning from everything", flush=True)
    fitted = fit(RECIPE, items, seed)
    training = {"seed": seed, "epochs": RECIPE.epochs, "pictures": len(samples), **known}
    sources = source_table((s.source, s.licence, int(s.is_generated)) for s in samples)
    print(f"Wrote {publish(out, STATEMENT, fitted, measured, training, sources)}")


def main() -> None:
    """Parse the options and train."""
    options = parse_options(__doc__)
    train(options.data / "image", options.out, options.cache, options.seed)


if __name__ == "__main__":
    main()
