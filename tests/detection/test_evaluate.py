"""`manage.py evaluate` measures a model without any server, alone or against another version."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from inference_worker import registry
from tests.inference_worker.test_measuring import manifest, wordy

ROOT = Path(__file__).resolve().parents[2]
HEADER = "text,label,source,lang"
LINES = [HEADER, *(["bad thing,1,a,en", "awful thing,1,b,sw", "fine thing,0,a,en"] * 20)]


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Two versions of a toy: the second knows one word more."""
    toys = {"wordy": "tests.inference_worker.test_measuring:Wordy"}
    monkeypatch.setattr(registry, "DETECTORS", toys)
    wordy(tmp_path, "1", "bad")
    wordy(tmp_path, "2", "bad", "awful")
    return tmp_path


def evaluate(models: Path, capsys, **options) -> str:
    stated = {"seed": 0, "models": models, "manifest": manifest(models, *LINES), **options}
    call_command("evaluate", **stated)
    return " ".join(capsys.readouterr().out.split())


def test_figures_diagram_and_alarms_are_printed_by_group(models, capsys):
    shown = evaluate(models, capsys, model="wordy@2", at=[0.45])
    assert shown.startswith("wordy@2 (abuse) on test.csv, 60 items")
    assert "all 60 60 40 1.000 1.00-1.00" in shown
    assert "source a 40 40 20" in shown
    assert "language sw 20 20 20 -" in shown  # of one class: no ranking
    assert "! language sw: 20 judged items, 20 of them true." in shown
    assert "45 % 40 40 1.000" in shown
    assert "claims too" in shown


def test_two_versions_are_compared_and_written_for_machines(models, capsys, tmp_path):
    out, plot = tmp_path / "out.json", tmp_path / "out.png"
    shown = evaluate(models, capsys, model="wordy@2", against="wordy@1", json=out, plot=plot)
    with Image.open(plot) as drawn:
        assert (drawn.format, drawn.width) == ("PNG", 704)
    assert "wordy@2 is better than wordy@1 (AUC +0.250" in shown
    found = json.loads(out.read_text())
    assert found["model"] == "wordy@2"
    assert found["manifest"]["items"] == 60
    assert found["comparison"]["auc"]["old"] == 0.75
    assert found["auc"] == 1.0
    assert found["curve"][0]["n"] == 20


def test_the_other_version_may_lie_in_a_folder_of_its_own(models, capsys, tmp_path):
    elsewhere = wordy(tmp_path / "elsewhere", "3", "fine")
    shown = evaluate(models, capsys, model="wordy@2", against=str(elsewhere))
    assert "better than wordy@3" in shown


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"model": "wordy@9"}, "No model for wordy@9"),
        ({"task": "abuse"}, "choose with --model"),
        (
            {"model": "wordy@1", "json": Path("/nowhere/out.json")},
            "cannot write /nowhere/out.json: No such",
        ),
        ({"model": "wordy@1", "manifest": Path("none.csv")}, r"none\.csv cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(models, capsys, options, named):
    with pytest.raises(CommandError, match=named):
        evaluate(models, capsys, **options)


@pytest.mark.parametrize("level", ["0", "101", "high"])
def test_a_level_that_is_no_percentage_is_refused(models, level):
    path = manifest(models, *LINES)
    with pytest.raises(CommandError, match="no percentage"):
        call_command("evaluate", f"--manifest={path}", "--model=wordy@1", f"--at={level}")


def test_it_needs_no_server_and_no_environment(tmp_path):
    texts = ["You are all rats and must leave,1,x,en", "The office opens at nine,0,x,en"]
    path = manifest(tmp_path, HEADER, *texts)
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "manage.py", "evaluate", "--task", "abuse", "--manifest", str(path)],
        cwd=ROOT,
        env={**known, "KILINDA_HOME": str(tmp_path / "no-stack-here")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "(abuse) on test.csv, 2 items" in done.stdout
