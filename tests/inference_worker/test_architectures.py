"""Standard architectures with random weights, from a folder to scores: an operator's own models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForAudioClassification
from transformers.image_processing_backends import PilBackend

from inference_worker.decoding.decoder import Decoder
from inference_worker.detectors.image import PLACES
from inference_worker.errors import ModelUnusable
from inference_worker.explaining.judging import asker, judge
from inference_worker.explaining.parts import parts_of
from inference_worker.registry import load_models
from inference_worker.runtime import Analysed, Runtime, Work
from inference_worker.types import SAMPLE_RATE, Modality, Passage, Picture, Recording, Score, Window
from tests.inference_worker import architectures as made
from tests.inference_worker.test_speech_detector import babble

SECONDS = (1.3, 2.0, 3.1, 4.0, 9.0)
SIZES = ((64, 64), (97, 64), (64, 200), (640, 480))
TEXTS = (
    made.SENTENCES[0],
    "habari",
    " ".join(made.SENTENCES * 6),
    "you liar",
    made.SENTENCES[3],
)


class Items:
    """Hands out all items at once, or one by one, and keeps what was judged."""

    def __init__(self, works: Sequence[Work[int]], at_once: int) -> None:
        self.works, self.at_once = list(works), at_once
        self.judged: dict[int, Score] = {}

    def claim(self) -> list[Work[int]]:
        lot, self.works = self.works[: self.at_once], self.works[self.at_once :]
        return lot

    def finish(self, analysed: Sequence[Analysed[int]]) -> None:
        for each in analysed:
            (judged,) = each.judged
            assert isinstance(judged.judgement, Score), judged.judgement
            self.judged[each.job] = judged.judgement

    def fail(self, job: int, code: str, reason: str) -> None:
        raise AssertionError((job, code, reason))

    retry = fail


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(slots=1) as decoder:
        yield decoder


@pytest.fixture(scope="module")
def works(tmp_path_factory) -> dict[Modality, list[Work[int]]]:
    folder = tmp_path_factory.mktemp("media")
    return {
        Modality.AUDIO: [
            Work(n, Modality.AUDIO, path=made.recorded(folder / f"{n}.wav", babble(seconds, n)))
            for n, seconds in enumerate(SECONDS)
        ],
        Modality.IMAGE: [
            Work(n, Modality.IMAGE, path=painted(folder / f"{n}.png", size, n))
            for n, size in enumerate(SIZES)
        ],
        Modality.TEXT: [
            Work(n, Modality.TEXT, passage=Passage(text)) for n, text in enumerate(TEXTS)
        ],
    }


def painted(path: Path, size: tuple[int, int], seed: int) -> Path:
    grain = np.random.default_rng(seed).integers(0, 256, (5 + seed, 7, 3), np.uint8)
    Image.fromarray(grain).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def judged(runtime: Runtime, works: Sequence[Work[int]], at_once: int) -> list[Score]:
    if at_once == 1:  # one drain each, so that no batch holds two items
        return [judged(runtime, [work], 2)[0] for work in works]
    items = Items(works, at_once)
    runtime.drain(items)
    return [items.judged[work.job] for work in works]


CASES = [
    *((builder, Modality.AUDIO) for builder in made.SPEECH),
    *((builder, Modality.IMAGE) for builder in made.PICTURE),
    *((builder, Modality.TEXT) for builder in made.TEXT),
]


@pytest.mark.parametrize(("build", "modality"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_standard_model_scores_batches_like_single_items(
    build, modality, tmp_path, works, decoder
) -> None:
    build(tmp_path / build.__name__)
    runtime = Runtime(load_models(tmp_path, [modality]), decoder)
    runtime.warm_up()
    together = judged(runtime, works[modality], 50)
    alone = judged(runtime, works[modality], 1)

    raws = np.array([score.raw for score in together])
    assert raws.std() > 0.01, "different items must differ, or the comparison says nothing"
    assert raws == pytest.approx([score.raw for score in alone], abs=0.02 * float(raws.std()))
    assert all(score.detector == build.__name__ for score in together)
    assert all(0 < score.probability < 1 for score in together)


CONTENTS = {
    Modality.AUDIO: Recording(babble(1.3, 1).astype(np.float32), 1.3),
    Modality.IMAGE: Picture(np.asarray(Image.effect_noise((64, 48), 60).convert("RGB")), 64, 48),
    Modality.TEXT: Passage(made.SENTENCES[1]),
}


@pytest.mark.parametrize(("build", "modality"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_standard_model_can_be_explained(build, modality, tmp_path) -> None:
    detector = loaded(build(tmp_path / build.__name__))
    content = CONTENTS[modality]
    score = judge(detector, content)
    assert isinstance(score, Score)

    parts = parts_of(detector, asker(detector), content, score)

    assert parts is not None
    assert len(parts.weights) > 5
    assert np.isfinite(parts.weights).all()
    assert parts.weights.std() > 0, "the parts must matter, some more than others"


@pytest.mark.parametrize("build", made.TEXT)
def test_the_weights_of_words_add_up_for_any_text_model(build, tmp_path) -> None:
    detector = loaded(build(tmp_path / "words"))
    score = judge(detector, CONTENTS[Modality.TEXT])
    found = detector.explain(CONTENTS[Modality.TEXT], score)
    assert sum(word.weight for word in found.words) == pytest.approx(
        found.log_odds - found.blank_log_odds, abs=0.1 * abs(found.log_odds - found.blank_log_odds)
    )


# --- Speech --------------------------------------------------------------------------------------


def shapes_of_passes(detector, windows) -> list[dict[str, tuple[int, ...]]]:
    """Return the shape of each argument in each pass that one forward() makes."""
    seen: list[dict[str, tuple[int, ...]]] = []
    hook = detector._network._model.register_forward_pre_hook(
        lambda model, args, named: seen.append({k: tuple(v.shape) for k, v in named.items()}),
        with_kwargs=True,
    )
    detector.forward(windows)
    hook.remove()
    return seen


def loaded(folder: Path):
    ((_, detector),) = load_models(folder).entries
    return detector


def speech_windows(detector, *seconds: float) -> list[Window]:
    sounds = (babble(each).astype(np.float32) for each in seconds)
    recordings = (Recording(sound, len(sound) / SAMPLE_RATE) for sound in sounds)
    return [window for each in recordings for window in detector.prepare(each).windows]


def test_a_model_trained_with_masks_takes_different_lengths_in_one_pass(tmp_path) -> None:
    detector = loaded(made.wav2vec2_by_layer(tmp_path / "voice"))
    (shapes,) = shapes_of_passes(detector, speech_windows(detector, 1.5, 2.0))
    assert shapes == {"input_values": (2, 32_000), "attention_mask": (2, 32_000)}


def test_a_model_trained_without_masks_takes_each_length_apart(tmp_path) -> None:
    detector = loaded(made.wav2vec2_by_group(tmp_path / "voice"))
    shapes = shapes_of_passes(detector, speech_windows(detector, 1.5, 2.0, 1.5))
    assert shapes == [{"input_values": (2, 24_000)}, {"input_values": (1, 32_000)}]


def test_windows_are_as_long_as_what_the_extractor_fills_up_to(tmp_path) -> None:
    detector = loaded(made.ast(tmp_path / "voice"))
    windows = speech_windows(detector, 6.0)
    assert {round(window.end - window.start, 2) for window in windows} == {2.56}
    assert {window.features["input_values"].shape for window in windows} == {(256, 32)}


def test_an_extractor_for_another_sample_rate_is_refused(tmp_path) -> None:
    made.wav2vec2_by_layer(tmp_path / "voice", sampling_rate=8_000)
    with pytest.raises(ModelUnusable, match=r"voice@0\.1 takes 8000 samples a second; 16000"):
        load_models(tmp_path)


def test_the_log_odds_set_the_task_against_all_other_classes(tmp_path) -> None:
    folder = made.wav2vec2_by_layer(tmp_path / "voice")
    detector = loaded(folder)
    (window,) = speech_windows(detector, 2.0)
    model = AutoModelForAudioClassification.from_pretrained(folder, local_files_only=True).eval()
    inputs = {name: torch.from_numpy(value[None]) for name, value in window.features.items()}
    with torch.inference_mode():
        chance = model(**inputs).logits.softmax(dim=1)[0, made.THREE.index("synthetic_speech")]
    (odds,) = detector.forward([window])
    assert 1 / (1 + np.exp(-odds)) == pytest.approx(float(chance), abs=0.02)


# --- Pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", made.PICTURE)
def test_pictures_are_processed_by_pil_without_torchvision(build, tmp_path) -> None:
    detector = loaded(build(tmp_path / "looks"))
    assert detector._processor.backend == "pil"
    assert isinstance(detector._processor._processor, PilBackend)


def test_a_folder_that_names_the_torchvision_class_loads_with_pil_too(tmp_path) -> None:
    folder = tmp_path / "looks"
    made.vit(folder)
    stated = json.loads((folder / "preprocessor_config.json").read_text())
    stated["image_processor_type"] = "ViTImageProcessorFast"
    (folder / "preprocessor_config.json").write_text(json.dumps(stated))
    made.seal_picture(folder)
    assert loaded(folder)._processor.backend == "pil"


def picture(width: int, height: int) -> Picture:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Picture(pixels, width, height)


def test_a_processor_that_scales_gets_the_whole_picture(tmp_path) -> None:
    detector = loaded(made.vit(tmp_path / "looks"))
    (window,) = detector.prepare(picture(640, 480)).windows
    assert window.features["pixel_values"].shape == (3, 32, 32)


def test_a_processor_that_does_not_scale_gets_crops_of_its_size(tmp_path) -> None:
    detector = loaded(made.vit(tmp_path / "looks", do_resize=False))
    prepared = detector.prepare(picture(640, 480))
    assert prepared.notes["crop_pixels"] == 32
    assert [w.features["pixel_values"].shape for w in prepared.windows] == [(3, 32, 32)] * len(
        PLACES
    )


@pytest.mark.parametrize(
    ("processor", "named"),
    [
        ({"size": {"height": 48, "width": 48}}, "does not take what its preprocessor makes"),
        ({"do_resize": False, "size": {"height": 32, "width": 64}}, "must state a square size"),
    ],
)
def test_a_processor_that_does_not_fit_the_model_is_refused_at_the_start(
    processor, named, tmp_path
) -> None:
    made.vit(tmp_path / "looks", **processor)
    with pytest.raises(ModelUnusable, match=named):
        load_models(tmp_path)


# --- Text ----------------------------------------------------------------------------------------


def test_windows_are_no_longer_than_the_model_takes(tmp_path) -> None:
    detector = loaded(made.bert(tmp_path / "words"))
    windows = detector.prepare(Passage(" ".join(made.SENTENCES * 9))).windows
    assert max(window.length for window in windows) == 64
    assert windows[-1].end == len(" ".join(made.SENTENCES * 9))
