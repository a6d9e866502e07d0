"""What a model folder must look like to be loaded at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from inference_worker import registry
from inference_worker.errors import ModelUnusable
from inference_worker.registry import MANIFEST, ModelFolder, load_models, sha256
from inference_worker.types import Modality


class Recorder:
    """Stands where a detector class does, and remembers which folders it was built from."""

    built: list[str] = []

    def __init__(self, folder: ModelFolder) -> None:
        self.name, self.version, self.label = folder.name, folder.version, folder.task
        Recorder.built.append(folder.name)


@pytest.fixture(autouse=True)
def _recorded(monkeypatch):
    Recorder.built = []
    here = f"{__name__}:Recorder"
    monkeypatch.setattr(registry, "DETECTORS", dict.fromkeys(("text", "speech", "image"), here))


def write_folder(root: Path, name: str = "abuse-text", **changed: object) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    save_file({"weight": np.zeros(2, np.float32)}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    stated = {
        "name": name,
        "version": "1.0.0",
        "task": "abuse",
        "modality": "text",
        "detector": "text",
        "labels": ["normal", "abuse"],
        "calibration": {"slope": 2.0, "offset": -1.0},
        "threshold": 0.5,
        "languages": ["en"],
        "gates": {"min_letters": 3},
        "metrics": {},
        "training": {},
        "files": {file.name: sha256(file) for file in folder.iterdir()},
        **changed,
    }
    (folder / MANIFEST).write_text(json.dumps(stated))
    return folder


def test_a_good_folder_loads_with_what_its_manifest_says(tmp_path):
    folder = ModelFolder.load(write_folder(tmp_path))
    assert (str(folder), folder.modality) == ("abuse-text@1.0.0", Modality.TEXT)
    assert folder.calibration.probability(0.5) == pytest.approx(0.5)


def test_altered_weights_are_refused_by_name(tmp_path):
    folder = write_folder(tmp_path)
    with (folder / "model.safetensors").open("ab") as weights:
        weights.write(b"\0")
    with pytest.raises(ModelUnusable, match=r"abuse-text/model\.safetensors does not match"):
        ModelFolder.load(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "x.pkl", "code.py", "a.ckpt"])
def test_files_that_can_run_code_are_refused_even_when_listed(tmp_path, name):
    folder = write_folder(tmp_path)
    (folder / name).write_bytes(b"\x80\x04.")
    stated = json.loads((folder / MANIFEST).read_text())
    stated["files"][name] = sha256(folder / name)
    (folder / MANIFEST).write_text(json.dumps(stated))
    with pytest.raises(ModelUnusable, match=f"{name} may not be loaded"):
        ModelFolder.load(folder)


def test_a_file_the_manifest_does_not_list_is_refused(tmp_path):
    folder = write_folder(tmp_path)
    (folder / "extra.json").write_text("{}")
    with pytest.raises(ModelUnusable, match=r"does not list: \['extra.json'\]"):
        ModelFolder.load(folder)


def test_a_listed_file_that_is_missing_is_named(tmp_path):
    folder = write_folder(tmp_path)
    (folder / "config.json").unlink()
    with pytest.raises(ModelUnusable, match=r"lists: \['config.json'\]"):
        ModelFolder.load(folder)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    folder = write_folder(tmp_path)
    (tmp_path / "secret.json").write_text("{}")
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(ModelUnusable, match="is a link"):
        ModelFolder.load(folder)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"threshold": 1.5}, "threshold must be within 0..1"),
        ({"modality": "smell"}, "'smell'"),
        ({"calibration": {"slope": 1}}, "lacks 'offset'"),
        ({"files": None}, "lists no files"),
    ],
)
def test_a_malformed_manifest_names_the_field(tmp_path, changed, named):
    with pytest.raises(ModelUnusable, match=named):
        ModelFolder.load(write_folder(tmp_path, **changed))


def test_an_unknown_detector_is_named_with_the_known_ones(tmp_path):
    write_folder(tmp_path, detector="smell")
    with pytest.raises(ModelUnusable, match=r"unknown detector 'smell'; known are: image, speech"):
        load_models(tmp_path)


def test_an_empty_root_is_refused(tmp_path):
    with pytest.raises(ModelUnusable, match="No model folder"):
        load_models(tmp_path)


def test_two_folders_of_one_name_are_refused(tmp_path):
    write_folder(tmp_path / "a")
    write_folder(tmp_path / "b")
    with pytest.raises(ModelUnusable, match="Two model folders are named 'abuse-text'"):
        load_models(tmp_path)


def write_all_three(root: Path) -> None:
    write_folder(root)
    write_folder(root, "voice", modality="audio", detector="speech", task="synthetic_speech")
    write_folder(root, "looks", modality="image", detector="image", task="synthetic_image")


@pytest.mark.parametrize(
    ("modality", "names"),
    [
        (Modality.TEXT, ["abuse-text"]),
        (Modality.AUDIO, ["voice"]),
        (Modality.IMAGE, ["looks"]),
        (Modality.VIDEO, ["looks", "voice"]),
    ],
)
def test_each_modality_gets_its_detectors_and_no_other_is_built(tmp_path, modality, names):
    write_all_three(tmp_path)
    models = load_models(tmp_path, [modality])
    assert [detector.name for detector in models.for_modality(modality)] == names
    assert Recorder.built == names


def test_the_model_set_names_every_model_in_a_stable_order(tmp_path):
    write_all_three(tmp_path)
    models = load_models(tmp_path)
    assert models.model_set == "abuse-text@1.0.0,looks@1.0.0,voice@1.0.0"
    assert sorted(Recorder.built) == ["abuse-text", "looks", "voice"]


def test_a_task_without_a_model_says_which_are_installed(tmp_path):
    write_folder(tmp_path)
    models = load_models(tmp_path)
    assert models.for_task("abuse")[0].name == "abuse-text"
    with pytest.raises(ModelUnusable, match=r"'synthetic_image'; installed are: abuse"):
        models.for_task("synthetic_image")
