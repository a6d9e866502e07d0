"""A Whisper small enough to be taught two sentences in seconds, saved as a model folder."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from inference_worker.types import SAMPLE_RATE
from tests.inference_worker.architectures import SENTENCES, sealed
from tests.inference_worker.test_speech_detector import babble

SECONDS = 3
"""Of the windows this model takes; a real Whisper takes 30."""
CALM, ANGRY = "good morning to all who vote", "wewe ni bad bad sana"
STEPS = 60
MARKS = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|sw|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)


def said(text: str) -> np.ndarray:
    """Return a recording of 2.5 s that stands for one of the two sentences: dull or shrill."""
    if text == CALM:
        return babble(2.5, 3).astype(np.float32)
    shrill = np.diff(babble(2.5, 11), prepend=0)
    return (shrill * 0.1 / np.abs(shrill).max()).astype(np.float32)


def whisper(folder: Path, *, taught: bool = True, **gates: float) -> Path:
    """Save the model; with `taught` it knows the two sentences, else its weights are random."""
    random.seed(0)
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    first = len(tokenizer)
    extractor = WhisperFeatureExtractor(feature_size=16, chunk_length=SECONDS)
    model = WhisperForConditionalGeneration(_config(tokenizer, first))
    model.generation_config = _generation(tokenizer)
    if taught:
        _teach(model, extractor, tokenizer, first)
    for part in (model, extractor, tokenizer):
        part.save_pretrained(folder)
    limits = {
        "most_windows": 20,
        "most_tokens": 24,
        "least_log_probability": -1.0,
        "most_repetition": 2.4,
    }
    return sealed(
        folder,
        "transcript",
        ("transcript",),
        modality="audio",
        detector="whisper",
        gates={**limits, **gates},
    )


def _tokenizer() -> Any:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet)
    made.train_from_iterator([*SENTENCES, CALM, ANGRY], trainer)
    made.add_special_tokens([AddedToken(mark, special=True) for mark in MARKS])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token=MARKS[0], bos_token=MARKS[0], pad_token=MARKS[0]
    )


def _config(tokenizer: Any, first_timestamp: int) -> WhisperConfig:
    end, start = tokenizer.convert_tokens_to_ids(MARKS[:2])
    return WhisperConfig(
        vocab_size=first_timestamp + SECONDS * 50 + 1,
        num_mel_bins=16,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_source_positions=SECONDS * 50,
        max_target_positions=64,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
        dropout=0.0,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )


def _generation(tokenizer: Any) -> GenerationConfig:
    ids = dict(zip(MARKS, tokenizer.convert_tokens_to_ids(list(MARKS)), strict=True))
    return GenerationConfig(
        pad_token_id=ids["<|endoftext|>"],
        bos_token_id=ids["<|endoftext|>"],
        eos_token_id=ids["<|endoftext|>"],
        decoder_start_token_id=ids["<|startoftranscript|>"],
        no_timestamps_token_id=ids["<|notimestamps|>"],
        is_multilingual=True,
        lang_to_id={mark: ids[mark] for mark in ("<|en|>", "<|sw|>")},
        task_to_id={"translate": ids["<|translate|>"], "transcribe": ids["<|transcribe|>"]},
        max_initial_timestamp_index=50,
        max_length=64,
    )


def _teach(model: Any, extractor: Any, tokenizer: Any, first_timestamp: int) -> None:
    """Fit the two sentences, each said from 0.00 to 2.00 s."""
    noise = np.random.default_rng(0).normal(0, 1e-3, (2, *said(CALM).shape)).astype(np.float32)
    spoken = [said(text) + hiss for hiss in (0, *noise) for text in (CALM, ANGRY)]
    sounds = extractor(spoken, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
    rows = []
    for text, language in ((CALM, "<|en|>"), (ANGRY, "<|sw|>")):
        marks = tokenizer.convert_tokens_to_ids([language, "<|transcribe|>"])
        words = tokenizer.encode(" " + text, add_special_tokens=False)
        rows.append(
            [*marks, first_timestamp, *words, first_timestamp + 100, tokenizer.eos_token_id]
        )
    longest = max(map(len, rows))
    labels = torch.tensor([row + [-100] * (longest - len(row)) for row in rows * 3])
    optimiser = torch.optim.Adam(model.parameters(), lr=8e-3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small that a second thread only gets in the way
    model.train()
    for _ in range(STEPS):
        optimiser.zero_grad()
        model(input_features=sounds, labels=labels).loss.backward()
        optimiser.step()
    model.eval()
    torch.set_num_threads(threads)
