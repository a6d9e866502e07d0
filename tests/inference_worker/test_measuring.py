"""A model is measured through the loop of production: its gates count, and broken files too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference_worker import registry
from inference_worker.errors import ModelUnusable
from inference_worker.manifests import ManifestUnusable, read
from inference_worker.measuring import find, run
from inference_worker.registry import ModelFolder
from inference_worker.types import Picture, Prepared, Window
from tests.factories import video_bytes
from tests.inference_worker.test_registry import write_folder
from tests.inference_worker.toys import WordCounter


class Wordy(WordCounter):
    """Counts the words that its folder's gates name."""

    def __init__(self, folder: ModelFolder) -> None:
        super().__init__(name=folder.name, version=folder.version, label=folder.task)
        self._words = set(folder.gates)

    def forward(self, windows: Sequence[Window]) -> np.ndarray:
        return np.array([sum(word in self._words for word in w.features) for w in windows])


class Brightness(Wordy):
    """Scores a picture by its mean brightness."""

    def prepare(self, content: Picture) -> Prepared:
        return Prepared((Window([float(content.pixels.mean())], 1, 0, 0),))

    def forward(self, windows: Sequence[Window]) -> np.ndarray:
        return np.array([window.features[0] / 64 for window in windows])


@pytest.fixture(autouse=True)
def _toys(monkeypatch):
    toys = {name: f"{__name__}:{name.title()}" for name in ("wordy", "brightness")}
    monkeypatch.setattr(registry, "DETECTORS", toys)


def wordy(root: Path, version: str, *words: str) -> Path:
    """Write a version of a model that counts these words; return its folder."""
    gates = dict.fromkeys(words)
    return write_folder(
        root / f"wordy-{version}", "wordy", version=version, detector="wordy", gates=gates
    )


def quiet(done: int) -> None:
    """Nobody watches."""


def manifest(folder: Path, *lines: str) -> Path:
    path = folder / "test.csv"
    path.write_text("\n".join(lines))
    return path


TEXTS = ["text,label,source,lang", "bad bad,1,a,en", "fine day,0,a,en", "awful,1,b,sw", " ,0,b,sw"]


def test_what_the_gates_refuse_is_counted_by_reason(tmp_path):
    model = find(wordy(tmp_path, "1", "bad").parent, task="abuse")
    items = read(manifest(tmp_path, *TEXTS))
    found = run(model, items, quiet)
    assert sorted(found.probabilities) == [0, 1, 2]
    assert found.not_judged == {"too_short": 1}
    report = found.report(items)
    assert (report["n"], report["abstained"]) == (4, 1)
    assert set(report["by_language"]) == {"en", "sw"}


def test_files_that_cannot_be_read_are_counted_and_the_others_judged(tmp_path):
    for name, shade in (("dark", 10), ("light", 240)):
        Image.new("RGB", (64, 64), (shade,) * 3).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "dark.png").read_bytes()[:40])
    write_folder(tmp_path, "light", modality="image", task="synthetic_image", detector="brightness")
    model = find(tmp_path, task="synthetic_image")
    items = read(manifest(tmp_path, "file,label", "dark.png,real", "light.png,ai", "broken.png,ai"))
    found = run(model, items, quiet)
    assert found.probabilities[0] < found.probabilities[1]
    assert sum(found.not_judged.values()) == 1


def test_a_video_is_measured_by_its_frames(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(video_bytes())
    write_folder(tmp_path, "light", modality="image", task="synthetic_image", detector="brightness")
    items = read(manifest(tmp_path, "file,label", "clip.mp4,ai"))
    assert list(run(find(tmp_path, task="synthetic_image"), items, quiet).probabilities) == [0]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (["file,label", "test.csv,1"], "Line 2: wordy@1 judges text, so the column text must"),
        (["file,text,label", ",bad,1", "test.csv,,1"], "Line 3: wordy@1 judges text"),
    ],
)
def test_content_of_another_kind_is_refused_by_line(tmp_path, lines, named):
    model = find(wordy(tmp_path, "1", "bad").parent, task="abuse")
    with pytest.raises(ManifestUnusable, match=named):
        run(model, read(manifest(tmp_path, *lines)), quiet)


# --- Which model ---------------------------------------------------------------------------------


def test_a_model_is_found_by_task_name_version_or_folder(tmp_path):
    first, second = wordy(tmp_path, "1", "bad"), wordy(tmp_path, "2", "bad", "awful")
    write_folder(tmp_path, "other", task="synthetic_image", modality="image")
    assert find(tmp_path, task="synthetic_image").name == "other"
    assert find(tmp_path, model="wordy@2").path == second
    assert find(tmp_path / "nowhere", model=str(first)).version == "1"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (
            {"task": "abuse"},
            r"Several models fit .*choose with --model: wordy@1 \(abuse\), wordy@2",
        ),
        ({"model": "wordy"}, "Several models fit wordy"),
        ({"model": "wordy@3"}, "No model for wordy@3; there are: .*wordy@2"),
        ({"task": "nonsense"}, "No model for the task 'nonsense'; there are: "),
        ({"task": "synthetic_image", "model": "wordy@1"}, "No model for wordy@1"),
    ],
)
def test_a_model_that_is_not_there_or_not_alone_is_named(tmp_path, options, named):
    wordy(tmp_path, "1", "bad")
    wordy(tmp_path, "2", "bad", "awful")
    with pytest.raises(ModelUnusable, match=named):
        find(tmp_path, **options)


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(ModelUnusable, match="no folder of models"):
        find(tmp_path / "none", task="abuse")
