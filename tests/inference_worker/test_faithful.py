"""The command that measures faithfulness and writes it into a model folder."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from inference_worker.faithfulness import sentence
from inference_worker.manifests import Labelled
from inference_worker.registry import ModelFolder
from inference_worker.training import faithful
from tests.inference_worker.test_explaining import TEXTS

MODELS = Path(__file__).parents[2] / "inference_worker" / "models"


def test_the_figures_land_in_manifest_and_card_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Path(shutil.copytree(MODELS / "abuse-text", tmp_path / "abuse-text"))
    manifest = tmp_path / "texts.csv"
    with manifest.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "source", "lang"])
        writer.writerows([text, number % 2, "ours", "en"] for number, text in enumerate(TEXTS))
    arguments = ["faithful", "--model", str(model), "--manifest", str(manifest), "--sample", "6"]
    monkeypatch.setattr("sys.argv", arguments)

    for _ in range(2):
        faithful.main()

    folder = ModelFolder.load(model)  # verified: every hash fits
    found = folder.training["faithfulness"]
    assert found["n"] >= 4
    assert found["top"] > found["random"]
    card = (model / "model-card.md").read_text()
    assert card.count(faithful.HEADING) == 1
    assert sentence(found) in card
    assert sentence(found) in capsys.readouterr().out
    before = json.loads((MODELS / "abuse-text" / "kilinda.json").read_text())
    after = json.loads((model / "kilinda.json").read_text())
    assert after["metrics"] == before["metrics"]


def test_a_sample_holds_both_labels_and_is_the_same_for_the_same_seed() -> None:
    items = [Labelled(at, int(at < 90), "s", "en", "words", None) for at in range(100)]
    drawn = faithful.sampled(items, 10, seed=3)
    assert [item.label for item in drawn].count(1) == 5
    assert drawn == faithful.sampled(items, 10, seed=3)
    assert drawn != faithful.sampled(items, 10, seed=4)
