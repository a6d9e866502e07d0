"""Judges whether a text is abusive: gates, overlapping token windows, one calibrated score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Encoding
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from inference_worker.detectors.device import bearable_batch, choose_device, choose_precision
from inference_worker.detectors.languages import MIX, Languages
from inference_worker.detectors.network import claiming_places
from inference_worker.detectors.normalisation import Normalised, normalise
from inference_worker.detectors.segments import score_by_windows
from inference_worker.detectors.text_evidence import (
    blank_token,
    exact_model,
    explain_window,
    worst_window,
)
from inference_worker.errors import ModelUnusable
from inference_worker.registry import ModelFolder
from inference_worker.reliability import GROUPS, LANGUAGE
from inference_worker.types import (
    KINDS,
    Abstention,
    Judgement,
    Passage,
    Prepared,
    Score,
    Window,
    WordEvidence,
)

LONGEST_WINDOW = 128
"""Tokens, [CLS] and [SEP] included; longer input costs more and was never trained on."""
OVERLAP = 32
"""Tokens two neighbouring windows share, so that no sentence is only seen cut in half."""
COMMON_LENGTHS = (8, 16, 24, 32, 48, 64, 128)
SAMPLES = (
    "Good morning, the county office opens at nine.",
    "You are all rats and should be thrown out of this country!",
    "Habari za asubuhi ndugu zangu, mkutano utaanza saa nne.",
    "Nyinyi ni takataka, tutawafukuza hapa.",
)


class TextDetector:
    """Scores a Passage with a sequence classification model."""

    batch_size = 64

    def __init__(self, folder: ModelFolder) -> None:
        """Load the model. Raises ModelUnusable when its files do not fit together."""
        self.name, self.version, self.label = folder.name, folder.version, folder.task
        self._folder = folder
        self._positive, self._others = claiming_places(folder)
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                folder.path, local_files_only=True, trust_remote_code=False
            )
            self._model = AutoModelForSequenceClassification.from_pretrained(
                folder.path, local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError) as wrong:
            raise ModelUnusable(f"{folder} cannot be loaded: {wrong}") from wrong
        self._pad = tokenizer.pad_token_id or 0
        self._blank = blank_token(tokenizer)
        if not tokenizer.is_fast:
            raise ModelUnusable(f"{folder}: its tokenizer has no fast form (tokenizer.json).")
        # The Rust tokenizer itself: the Python wrapper around it costs more than it does.
        self._tokenizer = tokenizer.backend_tokenizer
        self._tokenizer.no_padding()
        self._longest = _longest_window(tokenizer, self._model.config)
        self._tokenizer.enable_truncation(self._longest, stride=min(OVERLAP, self._longest // 4))
        self._languages = Languages(folder.path) if folder.languages else None
        self._device = choose_device()
        self._model.to(self._device).eval()
        samples = self._sample_windows()
        self.precision = choose_precision(self._model, self._batch(samples))
        tokens = sum(window.length for window in samples)
        self.batch_size = bearable_batch(
            self.precision.seconds / tokens * self._longest, self.batch_size
        )

    def prepare(self, content: Passage) -> Prepared | Abstention:
        """Check length and language, and cut the text into windows of LONGEST_WINDOW tokens."""
        most = int(self._folder.gates["max_characters"])
        normalised = normalise(content.text[:most])
        if refusal := self._refusal(content, normalised):
            return refusal
        notes = {
            "characters": len(content.text),
            "judged_characters": min(len(content.text), most),
            GROUPS: self._groups(content.language, normalised.text),
        }
        return Prepared(self.windows(normalised), notes)

    @torch.inference_mode()
    def forward(self, windows: Sequence[Window]) -> npt.NDArray[np.float32]:
        """Return the log odds of the label for each window, shape (n,).

        Where the label has several kinds, their logits follow it: shape (n, 1 + kinds).
        """
        logits = self._model(**self._batch(windows)).logits.float()
        odds = self._log_odds(logits)
        if len(self._positive) > 1:
            odds = torch.cat([odds[:, None], logits[:, self._positive]], dim=1)
        return np.asarray(odds.cpu().numpy(), np.float32)

    def interpret(self, prepared: Prepared, logits: npt.NDArray[np.float32]) -> Judgement:
        """Score the text as its worst window; every window becomes a segment."""
        odds = logits if logits.ndim == 1 else logits[:, 0]
        score = score_by_windows(self._folder, prepared, odds, float(odds.max()))
        if logits.ndim == 1:
            return score
        kinds = self._shares(logits[int(odds.argmax()), 1:])
        return replace(score, notes={**score.notes, KINDS: kinds})

    def explain(self, content: Passage, score: Score) -> WordEvidence:
        """Weigh the words of the worst window; offsets are into the original text."""
        normalised = normalise(content.text[: int(self._folder.gates["max_characters"])])
        encoding = self._tokenizer.encode(normalised.text)
        part = (encoding, *encoding.overflowing)[worst_window(score)]
        return explain_window(
            exact_model(self._folder, self._model),
            part,
            normalised,
            content.text,
            blank=self._blank,
            log_odds=self._log_odds,
        )

    def warm_up(self) -> None:
        """Run one full batch of each common length."""
        for length in {min(length, self._longest) for length in COMMON_LENGTHS}:
            window = Window(np.full(length, self._pad, np.int64), length, 0, 0)
            self.forward([window] * self.batch_size)

    def _log_odds(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the log odds of abuse, shape (n,), from logits of shape (n, classes)."""
        claimed = torch.logsumexp(logits[:, self._positive], dim=1)
        return claimed - torch.logsumexp(logits[:, self._others], dim=1)

    def _shares(self, logits: npt.NDArray[np.float32]) -> dict[str, float]:
        """Return how the label divides into its kinds, the likeliest first; they add up to 1."""
        shares = np.exp(logits - np.logaddexp.reduce(logits)).tolist()
        names = (self._folder.labels[place] for place in self._positive)
        ranked = sorted(zip(names, shares, strict=True), key=lambda each: -each[1])
        return {name: round(share, 4) for name, share in ranked}

    def _refusal(self, content: Passage, normalised: Normalised) -> Abstention | None:
        least = int(self._folder.gates["min_letters"])
        letters = sum(character.isalpha() for character in normalised.text)
        if letters < least:
            return self._abstain(
                "too_short", f"The text has {letters} letters; at least {least} are needed."
            )
        if language := self._unmeasured_language(content.language, normalised.text):
            known = ", ".join(self._folder.languages)
            reason = f"The model was measured on {known}; this text is taken to be in {language}."
            return self._abstain("language_not_measured", reason)
        return None

    def _unmeasured_language(self, hint: str | None, text: str) -> str | None:
        """Return the language in which the model must not guess, or None."""
        if self._languages is None:
            return None
        primary = (hint or "und").lower().replace("_", "-").partition("-")[0]
        if primary not in {"und", *self._folder.languages}:
            return primary
        return self._languages.foreign(text)

    def _groups(self, hint: str | None, text: str) -> list[str]:
        """Return the language the reliability is asked for: as hinted at, else as recognised.

        A mix that is recognised counts beside the hint; nothing where neither tells.
        """
        found = self._languages.measured(text) if self._languages else None
        named = [hint] if hint else []
        if found and (found == MIX or not hint):
            named.append(found)
        return [f"{LANGUAGE}{tag}" for tag in named]

    def _abstain(self, code: str, reason: str) -> Abstention:
        return Abstention(self.name, self.version, self.label, code, reason)

    def windows(self, normalised: Normalised) -> tuple[Window, ...]:
        """Cut a text into windows of LONGEST_WINDOW tokens with offsets into the original."""
        encoding = self._tokenizer.encode(normalised.text)
        return tuple(_window(part, normalised) for part in (encoding, *encoding.overflowing))

    def _batch(self, windows: Sequence[Window]) -> dict[str, torch.Tensor]:
        """Return token ids and mask padded to the longest window, shape (n, longest)."""
        longest = max(window.length for window in windows)
        ids = np.full((len(windows), longest), self._pad, np.int64)
        mask = np.zeros((len(windows), longest), np.int64)
        for row, window in enumerate(windows):
            ids[row, : window.length] = window.features
            mask[row, : window.length] = 1
        tensors = {"input_ids": ids, "attention_mask": mask}
        return {name: torch.from_numpy(a).to(self._device) for name, a in tensors.items()}

    def _sample_windows(self) -> list[Window]:
        sampled = [self.windows(normalise(text))[0] for text in SAMPLES]
        return sampled * (self.batch_size // len(sampled))


def _longest_window(tokenizer: Any, config: Any) -> int:
    """Return the most tokens of a window: fewer than usual where the model takes fewer."""
    positions = getattr(config, "max_position_embeddings", None) or LONGEST_WINDOW
    return int(min(LONGEST_WINDOW, tokenizer.model_max_length, positions))


def _window(part: Encoding, normalised: Normalised) -> Window:
    """Turn one stretch of tokens into a Window with offsets into the original text."""
    real = [
        span
        for span, special in zip(part.offsets, part.special_tokens_mask, strict=True)
        if not special
    ]
    first, last = (real[0][0], real[-1][1]) if real else (0, 0)
    start, end = normalised.span(first, last)
    return Window(np.array(part.ids, np.int64), len(part.ids), start, end)
