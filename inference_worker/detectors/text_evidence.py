"""Explains the score of a text: the words of its worst window, with weights that add up."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Encoding
from transformers import AutoModelForSequenceClassification

from inference_worker.detectors.attribution import LogOdds, integrated_gradients
from inference_worker.detectors.device import choose_device
from inference_worker.detectors.normalisation import Normalised
from inference_worker.registry import ModelFolder
from inference_worker.types import Score, WeighedWord, WordEvidence

WORD = re.compile(r"\S+")
BLANKS = ("mask_token_id", "pad_token_id", "unk_token_id")
"""What stands for "no word", the first that the tokenizer has."""


def exact_model(folder: ModelFolder, serving: Any) -> Any:
    """Return the model in float32: the one that serves if it is, else loaded anew.

    In bfloat16 log odds come in steps of 1/32, far too coarse for the weight of one word.
    """
    if serving.dtype == torch.float32:
        return serving
    model = AutoModelForSequenceClassification.from_pretrained(
        folder.path,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=torch.float32,
    )
    return model.to(choose_device()).eval().requires_grad_(False)


def blank_token(tokenizer: Any) -> int:
    """Return the token that stands for nothing."""
    known = (getattr(tokenizer, name, None) for name in BLANKS)
    return next((token for token in known if token is not None), 0)


def worst_window(score: Score) -> int:
    """Return which window of the text scored highest; segments are in the order of windows."""
    probabilities = [segment.probability for segment in score.segments]
    return int(np.argmax(probabilities))


def explain_window(
    model: Any, part: Encoding, normalised: Normalised, text: str, *, blank: int, log_odds: LogOdds
) -> WordEvidence:
    """Weigh the words of one window, `part`, of the `normalised` form of `text`."""
    found = integrated_gradients(
        model,
        np.array(part.ids, np.int64),
        is_special=np.array(part.special_tokens_mask, bool),
        blank=blank,
        log_odds=log_odds,
    )
    spans = _spans(part, normalised)
    start = min((begin for begin, _ in spans.values()), default=0)
    end = max((stop for _, stop in spans.values()), default=0)
    return WordEvidence(
        start=start,
        end=end,
        words=_words(text, start, end, spans, found.weights),
        log_odds=found.log_odds,
        blank_log_odds=found.blank_log_odds,
        gap=found.gap,
    )


def _spans(part: Encoding, normalised: Normalised) -> dict[int, tuple[int, int]]:
    """Return where each ordinary token stands in the original text."""
    tokens = zip(part.offsets, part.special_tokens_mask, strict=True)
    return {
        place: normalised.span(*span) for place, (span, special) in enumerate(tokens) if not special
    }


def _words(
    text: str,
    start: int,
    end: int,
    spans: dict[int, tuple[int, int]],
    weights: npt.NDArray[np.float64],
) -> tuple[WeighedWord, ...]:
    """Add up the tokens of each word; a token between words counts for the one before."""
    words = [match.span() for match in WORD.finditer(text, start, end)] or [(start, end)]
    begins = [begin for begin, _ in words]
    totals = np.zeros(len(words))
    for place, (token_start, _) in spans.items():
        word = max(0, int(np.searchsorted(begins, token_start, side="right")) - 1)
        totals[word] += weights[place]
    return tuple(
        WeighedWord(begin, stop, float(total))
        for (begin, stop), total in zip(words, totals, strict=True)
    )
