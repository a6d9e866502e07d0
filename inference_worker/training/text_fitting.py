"""Fine-tunes one abuse classifier: partial labels, sources weighted, snapshots on the way."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

from inference_worker.registry import WEIGHTS
from inference_worker.training import vocabulary
from inference_worker.training.parallel_texts import Lexicon
from inference_worker.training.text_data import LABELS, UNTOLD, Example, weights
from inference_worker.training.text_disguises import Disguises, meanings

LAYERS = 5
LONGEST = 64
"""Tokens of a training text; 95 % are shorter, and the rest mostly quote news."""
BATCH = 32
ENCODER_RATE, EMBEDDING_RATE, HEAD_RATE = 1.5e-4, 6e-4, 1e-3
SMOOTHING = 0.05
"""Of the labels: annotators disagree."""
KIND_WEIGHT = 0.3
"""Of telling insult from hate, beside telling abuse from the rest."""
STOPS = (0.7, 1.0)
"""Shares of the steps after which a run is measured, for early stopping."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Start:
    """What every run starts from."""

    encoder: Path
    tokenizer: PreTrainedTokenizerFast
    tokens: list[str]
    lexicon: Lexicon

    def model(self) -> BertForSequenceClassification:
        """Return a fresh, untrained classifier."""
        meant = meanings(self.lexicon)
        return vocabulary.transplant(self.encoder, self.tokens, meant, LAYERS, LABELS)


@dataclass(frozen=True, slots=True)
class Run:
    """One training run: what to learn from, and on which texts to measure every snapshot."""

    name: str
    start: Start
    learned: Sequence[Example]
    measured: Sequence[Example]
    epochs: int
    seed: int
    threads: int
    kept_in: Path | None = None
    """Folder for the weights of every snapshot, or None to keep no weights."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one of its STOPS."""

    scores: Floats
    """Logits of the measured texts, shape (n, labels)."""
    weights: Path | None
    """In bfloat16, as they are shipped."""


def fit(run: Run) -> list[Snapshot]:
    """Fine-tune a fresh model and return it as it was at each of STOPS."""
    torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    chance = random.Random(run.seed)
    model = run.start.model().to(device)  # type: ignore[arg-type]
    ids = _disguised(run, chance)
    steps = [group for _ in range(run.epochs) for group in batches(ids, chance)]
    stops = {max(1, round(share * len(steps))) for share in STOPS}
    targets = _Targets.of(run.learned, device)
    optimiser = torch.optim.AdamW(_groups(model), weight_decay=0.01, fused=True)
    pace = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        [ENCODER_RATE, EMBEDDING_RATE, HEAD_RATE],
        total_steps=len(steps),
        pct_start=0.1,
        cycle_momentum=False,
        anneal_strategy="linear",
    )
    found: list[Snapshot] = []
    model.train()
    for done, group in enumerate(_progress(run.name, steps), 1):
        with torch.autocast(device, torch.bfloat16):
            scores = model(**_padded([ids[i] for i in group], device)).logits
        loss = targets.loss(scores.float(), torch.tensor(group, device=device))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        pace.step()
        if done in stops:
            found.append(_snapshot(run, model, len(found)))
            model.train()
    return found


@dataclass(frozen=True, slots=True)
class _Targets:
    """What is to be learnt, one entry an example."""

    abusive: torch.Tensor
    kinds: torch.Tensor
    importance: torch.Tensor

    @classmethod
    def of(cls, examples: Sequence[Example], device: str) -> _Targets:
        return cls(
            torch.tensor([float(e.label) for e in examples], device=device),
            torch.tensor([e.kind for e in examples], device=device),
            torch.from_numpy(weights(examples)).to(device),
        )

    def loss(self, scores: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
        """Return the loss of abuse against the rest, and of its kind where the source says it."""
        odds = torch.logsumexp(scores[:, 1:], dim=1) - scores[:, 0]
        wanted = self.abusive[group] * (1 - SMOOTHING) + SMOOTHING / 2
        each = torch.nn.functional.binary_cross_entropy_with_logits(odds, wanted, reduction="none")
        kinds = self.kinds[group]
        of_kind = torch.nn.functional.cross_entropy(
            scores[:, 1:], (kinds - 1).clamp(min=0), reduction="none"
        )
        told = (kinds != UNTOLD).float()
        return ((each + KIND_WEIGHT * told * of_kind) * self.importance[group]).mean()


@torch.inference_mode()
def logits(model: Any, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> Floats:
    """Return the logits of each normalised text, shape (n, labels)."""
    ids = _encoded(tokenizer, texts)
    found = np.zeros((len(ids), len(LABELS)))
    order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
    device = model.device.type
    for at in range(0, len(order), BATCH):
        group = order[at : at + BATCH]
        with torch.autocast(device, torch.bfloat16):
            scores = model(**_padded([ids[i] for i in group], device)).logits
        found[group] = scores.double().cpu().numpy()
    return found


def log_odds(scores: Floats) -> Floats:
    """Return the log odds of abuse of any kind, shape (n,)."""
    return np.asarray(np.logaddexp.reduce(scores[:, 1:], axis=1) - scores[:, 0])


def batches(ids: Sequence[Sequence[int]], chance: random.Random) -> list[list[int]]:
    """Group places by like length, in random order, so that little is padding."""
    order = sorted(range(len(ids)), key=lambda place: len(ids[place]) + chance.random() * 4)
    groups = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    chance.shuffle(groups)
    return groups


def _snapshot(run: Run, model: Any, place: int) -> Snapshot:
    model.eval()
    scores = logits(model, run.start.tokenizer, [e.text for e in run.measured])
    if run.kept_in is None:
        return Snapshot(scores, None)
    path = run.kept_in / f"{run.name}-{place}{WEIGHTS}"
    state = model.state_dict().items()
    save_file({name: t.detach().to("cpu", torch.bfloat16).contiguous() for name, t in state}, path)
    return Snapshot(scores, path)


def _disguised(run: Run, chance: random.Random) -> list[list[int]]:
    disguises = Disguises(run.start.lexicon, chance)
    texts = [disguises.change(e.text, e.language) for e in run.learned]
    return _encoded(run.start.tokenizer, texts)


def _encoded(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each text, cut at LONGEST."""
    rows = tokenizer(list(texts), truncation=True, max_length=LONGEST)
    return list(rows["input_ids"])


def _padded(ids: Sequence[Sequence[int]], device: str) -> dict[str, torch.Tensor]:
    """Return token ids and mask as tensors of shape (batch, longest)."""
    longest = max(len(row) for row in ids)
    tokens = torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids])
    lengths = torch.tensor([len(row) for row in ids])
    mask = (torch.arange(longest)[None] < lengths[:, None]).long()
    return {"input_ids": tokens.to(device), "attention_mask": mask.to(device)}


def _groups(model: Any) -> list[dict[str, Any]]:
    embeddings = list(model.bert.embeddings.word_embeddings.parameters())
    head = [*model.classifier.parameters(), *model.bert.pooler.parameters()]
    apart = {id(parameter) for parameter in (*embeddings, *head)}
    body = [parameter for parameter in model.parameters() if id(parameter) not in apart]
    return [{"params": body}, {"params": embeddings}, {"params": head}]


def _progress(name: str, steps: Sequence[list[int]]) -> Iterator[list[int]]:
    began, texts = time.monotonic(), 0
    for place, step in enumerate(steps, 1):
        yield step
        texts += len(step)
        if place % 25 == 0 or place == len(steps):
            rate = texts / (time.monotonic() - began)
            bar = "#" * (30 * place // len(steps))
            print(f"{name:12} [{bar:30}] {place}/{len(steps)}, {rate:.0f} texts/s", flush=True)
