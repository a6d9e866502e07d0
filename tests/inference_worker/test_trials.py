"""Versions on trial: whose judgement counts, and that a failing one does no harm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from inference_worker.registry import Registry
from inference_worker.runtime import Analysed, Runtime, Work
from inference_worker.trials import FAILED, OnTrial, Post, Role, roles, standings
from inference_worker.types import Abstention, Modality, Passage, Prepared, Score, Window
from tests.inference_worker.toys import WordCounter, registry


class Faulty(WordCounter):
    """Raises where its name says so; `forward` only for windows with the word "poison"."""

    def prepare(self, content: Passage) -> Prepared | Abstention:
        if self.name == "prepare":
            raise ValueError("prepare")
        return super().prepare(content)

    def interpret(self, prepared: Prepared, logits: np.ndarray) -> Score:
        if self.name == "interpret":
            raise ValueError("interpret")
        said = super().interpret(prepared, logits)
        assert isinstance(said, Score)
        return said


class WithKinds(Faulty):
    """Says more than a logit of each window."""

    def forward(self, windows: Sequence[Window]) -> np.ndarray:
        logits = super().forward(windows)
        return np.stack([logits, logits + 1], axis=1)

    def interpret(self, prepared: Prepared, logits: np.ndarray) -> Score:
        return super().interpret(prepared, logits[:, 0])


def post(version: str, role: Role, share: float = 0.0, slot: str = "toy") -> Post:
    return Post(slot, "toy", version, Modality.TEXT, version * 64, "", role, share)


def score(version: str) -> Score:
    return Score("toy", version, "abuse", 0.5, 0.0)


def failed(version: str) -> Abstention:
    return Abstention("toy", version, "abuse", FAILED, "It failed.")


# --- Whose judgement counts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (0.0, {"toy@1": Role.SHADOW, "toy@2": Role.CANARY, "toy@3": Role.SHADOW}),
        (0.199, {"toy@1": Role.SHADOW, "toy@2": Role.CANARY, "toy@3": Role.SHADOW}),
        (0.2, {"toy@1": Role.ACTIVE, "toy@3": Role.SHADOW}),  # the share ends
        (0.999, {"toy@1": Role.ACTIVE, "toy@3": Role.SHADOW}),
    ],
)
def test_a_canary_counts_in_its_share_and_the_active_one_elsewhere(draw, expected):
    posts = [post("1", Role.ACTIVE), post("2", Role.CANARY, 0.2), post("3", Role.SHADOW)]
    assert {name: each.role for name, each in standings(posts, draw).items()} == expected


def test_a_canary_concerns_no_other_slot():
    posts = [post("1", Role.ACTIVE, slot="other"), post("2", Role.CANARY, 0.5)]
    assert standings(posts, 0.1)["toy@1"].role is Role.ACTIVE


def test_where_a_canary_failed_the_active_one_counts():
    standing = standings([post("1", Role.ACTIVE), post("2", Role.CANARY, 1.0)], 0.5)
    assert roles([score("1"), score("2")], standing) == [Role.SHADOW, Role.CANARY]
    assert roles([score("1"), failed("2")], standing) == [Role.ACTIVE, Role.SHADOW]


def test_what_has_no_post_counts():
    standing = standings([post("1", Role.ACTIVE), post("2", Role.SHADOW)], 0.5)
    said = Abstention("video", "1", "synthetic_speech", "no_sound", "There is no sound track.")
    assert roles([said, score("2")], standing) == [Role.ACTIVE, Role.SHADOW]
    assert roles([said], {}) == [Role.ACTIVE]


# --- A version that fails ------------------------------------------------------------------------


class Texts:
    """Hands out texts once and keeps what comes back."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.finished: dict[str, Analysed[str]] = {}
        self.retried: list[str] = []

    def claim(self) -> list[Work[str]]:
        works = [Work(text, Modality.TEXT, passage=Passage(text)) for text in self.texts]
        self.texts = []
        return works

    def finish(self, analysed: Sequence[Analysed[str]]) -> None:
        self.finished |= {each.job: each for each in analysed}

    def fail(self, job: str, code: str, reason: str) -> None:
        raise AssertionError((job, code, reason))

    def retry(self, job: str, code: str, reason: str) -> None:
        self.retried.append(job)


def drained(trial: WordCounter, *texts: str) -> Texts:
    """Judge the texts with an active toy and a shadow; return what came back."""
    plain = registry(WordCounter(version="1", poison="-"), trial)
    (first, active), (second, _) = plain.entries
    posts = tuple(
        Post(folder.name, folder.name, folder.version, Modality.TEXT, "", "", role)
        for folder, role in ((first, Role.ACTIVE), (second, Role.SHADOW))
    )
    runtime = Runtime(Registry(((first, active), (second, OnTrial(trial))), posts), decoder=None)
    source = Texts(*texts)
    runtime.drain(source)
    runtime.close()
    return source


@pytest.mark.parametrize("detector", [Faulty, WithKinds])
@pytest.mark.parametrize("where", ["prepare", "interpret"])
def test_a_shadow_that_raises_abstains_and_costs_no_job(detector, where):
    source = drained(detector(name=where, version="2"), "bad bad", "fine")
    assert source.retried == []
    for analysed in source.finished.values():
        active, shadow = (each.judgement for each in analysed.judged)
        assert isinstance(active, Score)
        assert isinstance(shadow, Abstention)
        assert shadow.code == FAILED
        assert roles([active, shadow], analysed.standings) == [Role.ACTIVE, Role.SHADOW]


@pytest.mark.parametrize("detector", [Faulty, WithKinds])
def test_a_shadow_abstains_only_on_the_item_its_model_fails_on(detector):
    source = drained(detector(name="toy", version="2"), "bad bad", "poison", "fine")
    assert source.retried == []
    said = {text: each.judged[1].judgement for text, each in source.finished.items()}
    assert isinstance(said["poison"], Abstention)
    assert isinstance(said["bad bad"], Score)
    assert isinstance(said["fine"], Score)
    assert all(isinstance(each.judged[0].judgement, Score) for each in source.finished.values())
