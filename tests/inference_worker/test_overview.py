"""The page about the bundled models says what their folders say."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference_worker.errors import ModelUnusable
from inference_worker.training.overview import MODELS, page
from tests.inference_worker.test_registry import write_folder

ROOT = Path(__file__).resolve().parents[2]


def figures(n: int, auc: float | None, **parts: object) -> dict:
    interval = {} if auc is None else {name: [auc - 0.01, auc + 0.01] for name in METRICS}
    shown = dict.fromkeys(METRICS, auc)
    return {"n": n, "abstained": 2, **shown, "intervals": interval, **parts}


METRICS = ("auc", "macro_auc", "eer", "macro_f1", "accuracy", "ece")


def report(**by_source: dict) -> dict:
    return figures(10, 0.75, by_source=by_source, by_language={"und": figures(10, 0.75)})


def test_the_committed_page_is_what_the_bundled_folders_say():
    committed = (ROOT / "docs" / "detectors.md").read_text(encoding="utf-8")
    assert committed == page(MODELS), "run: python -m inference_worker.training.overview"


def test_every_bundled_model_is_on_the_page_with_its_card():
    text = page(MODELS)
    cards = sorted(MODELS.glob("*/model-card.md"))
    assert cards
    for card in cards:
        link = f"(../{card.relative_to(ROOT).as_posix()})"
        assert link in text
        assert (ROOT / "docs" / link.strip("()")).is_file()


def test_figures_come_with_their_interval(tmp_path):
    write_folder(tmp_path, metrics={"left_out": report()})
    assert "| all together | 10 | 2 | 0.750 [0.740, 0.760] |" in page(tmp_path)


def test_an_undefined_figure_is_a_dash(tmp_path):
    write_folder(tmp_path, metrics={"left_out": report(calls=figures(3, None))})
    assert "| calls | 3 | 2 | - | - | - | - |" in page(tmp_path)


def test_content_without_a_language_makes_no_row(tmp_path):
    write_folder(tmp_path, metrics={"left_out": report()})
    assert "language und" not in page(tmp_path)


def test_a_name_cannot_break_the_table(tmp_path):
    write_folder(tmp_path, metrics={"left_out": report(**{"a | b": figures(3, 0.5)})})
    assert "| a / b | 3 |" in page(tmp_path)


def test_an_altered_folder_is_not_described(tmp_path):
    folder = write_folder(tmp_path)
    (folder / "config.json").write_text('{"altered": true}')
    with pytest.raises(ModelUnusable, match=r"config\.json"):
        page(tmp_path)
