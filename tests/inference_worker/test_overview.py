"""The page about the bundled models says what their folders say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from inference_worker.errors import ModelUnusable
from inference_worker.evaluation import evaluate
from inference_worker.registry import MANIFEST
from inference_worker.training.measured import add
from inference_worker.training.overview import MODELS, page
from inference_worker.training.previous import keep
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
    assert "every score is unmeasured" in page(tmp_path)


def test_an_undefined_figure_is_a_dash(tmp_path):
    write_folder(tmp_path, metrics={"left_out": report(calls=figures(3, None))})
    assert "| calls | 3 | 2 | - | - | - | - | - |" in page(tmp_path)


def test_content_without_a_language_makes_no_row(tmp_path):
    write_folder(tmp_path, metrics={"left_out": report()})
    assert "language und" not in page(tmp_path)


def test_a_name_cannot_break_the_table(tmp_path):
    write_folder(tmp_path, metrics={"left_out": report(**{"a | b": figures(3, 0.5)})})
    assert "| a / b | 3 |" in page(tmp_path)


def measured(seed: int = 0) -> dict:
    """Return a real report over 120 items in two languages."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, 2, 120)
    claimed = np.clip(labels * 0.4 + chance.random(120) * 0.6, 0, 1)
    return evaluate(
        labels.tolist(),
        claimed.tolist(),
        ["forum"] * 120,
        ["en"] * 60 + ["sw"] * 60,
        [False] * 120,
        conditions=["short"] * 60 + [""] * 60,
        threshold=0.6,
    )


def test_the_grade_of_each_language_and_condition_is_shown_at_a_glance(tmp_path):
    write_folder(tmp_path, metrics={"unseen_sources": measured()})
    shown = page(tmp_path)
    assert "| strong: en, short, sw |" in shown.partition("## abuse-text")[0]
    assert "| language sw | 60 | " in shown
    assert "| condition short | 60 | 0 | " in shown


def test_the_diagram_the_alarms_and_the_forms_of_calibration_are_shown(tmp_path):
    tried = {"log_loss": 0.61234, "ece": 0.0444}
    chosen = {"form": "platt", "left_out": {"temperature": tried, "platt": tried}}
    write_folder(tmp_path, metrics={"unseen_sources": measured()}, training={"calibration": chosen})
    shown = page(tmp_path)
    assert "| platt | 0.6123 | 0.044 | x |" in shown
    assert "| temperature | 0.6123 | 0.044 |  |" in shown
    assert "| 60 % (the model's own) |" in shown
    assert "| claimed | items | true | 95 % |" in shown


def test_the_version_before_is_compared_group_by_group(tmp_path):
    old = write_folder(tmp_path / "old", metrics={"unseen_sources": measured(1)})
    new = write_folder(tmp_path / "new", version="2.0.0", metrics={"unseen_sources": measured(2)})
    before = json.loads((old / MANIFEST).read_text())
    keep(new, before)
    shown = page(tmp_path / "new")
    assert "**Compared with version 1.0.0**" in shown
    areas = [measured(seed)["by_language"]["sw"]["auc"] for seed in (1, 2)]
    assert f"| {areas[1] - areas[0]:+.3f} |" in shown
    with pytest.raises(ValueError, match=r"another version of abuse-text than 1\.0\.0"):
        keep(old, before)


def test_an_operators_own_figures_come_first_and_make_the_reliability(tmp_path):
    folder = write_folder(tmp_path, metrics={"unseen_sources": measured(1)})
    own = {**measured(2), "model": "abuse-text@1.0.0", "comparison": {}, "not_judged": {}}
    sealed = add(folder, own, name="our stream", version="1.0.0-ours")
    assert sealed.version == "1.0.0-ours"
    assert list(sealed.metrics) == ["our stream", "unseen_sources"]
    assert sealed.reliability["language:sw"].auc == own["by_language"]["sw"]["auc"]


@pytest.mark.parametrize(
    ("figures", "options", "named"),
    [
        ({"model": "other@1"}, {}, r"of other@1, not of abuse-text@1\.0\.0"),
        ({}, {"version": "1.0.0"}, r"another version than 1\.0\.0"),
        ({}, {"name": "unseen_sources"}, "named 'unseen_sources' already"),
    ],
)
def test_figures_that_do_not_belong_are_refused(tmp_path, figures, options, named):
    folder = write_folder(tmp_path, metrics={"unseen_sources": measured(1)})
    own = {**measured(2), "model": "abuse-text@1.0.0", **figures}
    with pytest.raises(ValueError, match=named):
        add(folder, own, **{"name": "ours", "version": "2", **options})


def test_the_faithfulness_of_the_evidence_is_told(tmp_path):
    found = {"n": 40, "share": 0.1, "draws": 8, "top": 1.25, "random": 0.2, "difference": 1.05}
    found |= {"interval": [0.7, 1.4], "better": 0.9}
    write_folder(tmp_path, faithfulness=found, metrics={"speed": {"items": 3, "rate": 0.5}})
    shown = page(tmp_path)
    assert "the log odds fall by 1.25; without a random 10% by 0.20" in shown
    assert "| rate | 0.500 |" in shown  # a set that is no report of a ranking


def test_an_altered_folder_is_not_described(tmp_path):
    folder = write_folder(tmp_path)
    (folder / "config.json").write_text('{"altered": true}')
    with pytest.raises(ModelUnusable, match=r"config\.json"):
        page(tmp_path)
