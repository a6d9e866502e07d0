"""Integrated gradients: they add up, share out, keep offsets, and work for any text model."""
# ruff: noqa: RUF001 - look-alike letters are what is tested

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from inference_worker.detectors.attribution import integrated_gradients
from inference_worker.detectors.text import TextDetector
from inference_worker.explaining.judging import judge
from inference_worker.registry import load_models
from inference_worker.types import Modality, Passage, Score, WordEvidence

MODELS = Path(__file__).parents[2] / "inference_worker" / "models"

TINY = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 200}
ARCHITECTURES = [
    (BertForSequenceClassification, BertConfig(**TINY, num_hidden_layers=2)),
    (
        XLMRobertaForSequenceClassification,
        XLMRobertaConfig(**TINY, num_hidden_layers=2, num_labels=4, max_position_embeddings=64),
    ),
    (
        DistilBertForSequenceClassification,
        DistilBertConfig(dim=32, n_heads=4, hidden_dim=64, vocab_size=200, n_layers=2),
    ),
]


def first_class(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, 0] - torch.logsumexp(logits[:, 1:], dim=1)


@pytest.mark.parametrize(("architecture", "config"), ARCHITECTURES)
def test_weights_sum_to_the_difference_for_any_architecture(architecture, config) -> None:
    torch.manual_seed(0)
    model = architecture(config).eval()
    ids = np.array([5, 20, 21, 22, 23, 24, 6])
    special = np.array([1, 0, 0, 0, 0, 0, 1], bool)
    found = integrated_gradients(model, ids, is_special=special, blank=3, log_odds=first_class)
    with torch.no_grad():
        for tokens, expected in ((ids, found.log_odds), (np.where(special, ids, 3), None)):
            logits = model(torch.from_numpy(tokens)[None]).logits
            expected = found.blank_log_odds if expected is None else expected
            assert float(first_class(logits)) == pytest.approx(expected, abs=1e-4)
    assert abs(found.gap) <= 0.02 * max(1.0, abs(found.log_odds - found.blank_log_odds))
    assert (found.weights[special] == 0).all()


@pytest.fixture(scope="module")
def detector() -> TextDetector:
    (found,) = load_models(MODELS / "abuse-text", [Modality.TEXT]).for_modality(Modality.TEXT)
    assert isinstance(found, TextDetector)
    return found


def explained(detector: TextDetector, text: str) -> WordEvidence:
    score = judge(detector, Passage(text))
    assert isinstance(score, Score)
    return detector.explain(Passage(text), score)


def by_word(text: str, found: WordEvidence) -> dict[str, float]:
    return {text[word.start : word.end]: word.weight for word in found.words}


def test_every_one_of_several_insults_has_weight(detector: TextDetector) -> None:
    text = "You are a disgusting idiot and a worthless liar, you stupid piece of garbage."
    found = explained(detector, text)
    weights = by_word(text, found)
    insults = [weights[word] for word in ("disgusting", "idiot", "worthless", "stupid")]
    assert min(insults) > 2 * abs(weights["and"])
    total = found.log_odds - found.blank_log_odds
    assert sum(weights.values()) + found.gap == pytest.approx(total, abs=0.5)  # "a" stands twice
    assert sum(word.weight for word in found.words) == pytest.approx(total - found.gap)


def test_offsets_are_of_the_text_as_it_was_submitted(detector: TextDetector) -> None:
    text = "Ｈｅｌｌｏ @someone https://example.org/x  you   sᴛᴜᴘɪᴅ\u200b ＩＤＩＯＴ 😀 today"
    found = explained(detector, text)
    words = list(by_word(text, found))
    assert [word.strip("\u200b") for word in words] == [w.strip("\u200b") for w in text.split()]
    assert max(by_word(text, found), key=by_word(text, found).__getitem__) in {
        "ＩＤＩＯＴ",
        "sᴛᴜᴘɪᴅ\u200b",
    }


def test_of_a_long_text_the_worst_window_is_explained(detector: TextDetector) -> None:
    calm = "The committee will meet on Monday to discuss the new water project. " * 40
    text = calm + "You are a stupid worthless idiot and should die. " + calm
    found = explained(detector, text)
    assert found.start < text.index("stupid") < found.end
    assert found.end - found.start < len(text) / 3
    top = max(found.words, key=lambda word: word.weight)
    assert text[top.start : top.end] in {"stupid", "worthless", "idiot", "die."}


def test_explaining_leaves_the_serving_model_as_it_was(detector: TextDetector) -> None:
    text = "You are a stupid worthless idiot."
    before = judge(detector, Passage(text))
    explained(detector, text)
    assert judge(detector, Passage(text)) == before
