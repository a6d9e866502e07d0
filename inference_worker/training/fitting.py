"""Fits a small network to statistics of its items; the speech and image trainers share it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from inference_worker.detectors.network import Features, Statistics


@dataclass(frozen=True, slots=True)
class Items:
    """Training items as statistics of several views: the item as it is, then damaged copies."""

    views: Features
    """float32, shape (items, views, statistics)."""
    labels: npt.NDArray[np.int64]
    """1 for the positive class, shape (items,)."""
    sources: npt.NDArray[np.str_]
    """Where each item came from, shape (items,)."""
    groups: npt.NDArray[np.str_]
    """What each item is left out with, shape (items,)."""

    def where(self, chosen: npt.NDArray[np.bool_]) -> Items:
        """Return the chosen items only."""
        return Items(
            self.views[chosen], self.labels[chosen], self.sources[chosen], self.groups[chosen]
        )

    def and_also(self, others: Items) -> Items:
        """Return both as one."""
        return Items(
            np.concatenate([self.views, others.views]),
            np.concatenate([self.labels, others.labels]),
            np.concatenate([self.sources, others.sources]),
            np.concatenate([self.groups, others.groups]),
        )


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, how long and how fast."""

    front_end: str
    build: Callable[[], Any]
    """Returns the untrained transformers model."""
    model_input: Callable[[Features], Features]
    """Shapes statistics of (n, statistics) as the model takes them."""
    epochs: int
    learning_rate: float = 1e-3
    batch_size: int = 64
    weight_decay: float = 0.3
    label_smoothing: float = 0.1
    undamaged_share: float = 0.7
    """How often an item is shown as it is."""
    noise: float = 0.2
    """Standard deviations of noise added to every statistic, against learning items by heart."""
    hidden_share: float = 0.1
    """Statistics hidden from the model at each step, for the same reason."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained model with the scale of its inputs."""

    model: Any
    statistics: Statistics
    recipe: Recipe

    @torch.inference_mode()
    def log_odds(self, values: Features) -> npt.NDArray[np.float64]:
        """Return the positive class's log odds for statistics of shape (n, statistics)."""
        inputs = self.recipe.model_input(self.statistics.standardised(values))
        scores = self.model(torch.from_numpy(inputs)).logits.double()
        return np.asarray((scores[:, 1] - scores[:, 0]).numpy(), np.float64)


def balanced_weights(
    labels: npt.NDArray[np.int64], sources: npt.NDArray[np.str_]
) -> npt.NDArray[np.float32]:
    """Weigh items so that classes count alike and a big source does not drown the small ones.

    Within a class a source of n items counts as the square root of n. Shape (items,), mean 1.
    """
    cells = list(zip(labels.tolist(), sources.tolist(), strict=True))
    sizes = Counter(cells)
    weights = np.array([sizes[cell] ** -0.5 for cell in cells])
    for label in (0, 1):
        weights[labels == label] /= weights[labels == label].sum()
    return np.asarray(weights * len(labels) / weights.sum(), np.float32)


def fit(recipe: Recipe, items: Items, seed: int) -> Fitted:
    """Train a fresh model on all the items."""
    torch.manual_seed(seed)
    scale = _scale(recipe.front_end, items.views)
    views = torch.from_numpy(scale.standardised(items.views))
    labels = torch.from_numpy(items.labels)
    weights = torch.from_numpy(balanced_weights(items.labels, items.sources))
    model = recipe.build()
    optimiser, pace = _optimiser(model, recipe, len(labels))
    began = time.monotonic()
    model.train()
    for _ in range(recipe.epochs):
        for places in torch.split(torch.randperm(len(labels)), recipe.batch_size):
            inputs = recipe.model_input(_jittered(views, places, recipe).numpy())
            per_item = nn.functional.cross_entropy(
                model(torch.from_numpy(inputs)).logits,
                labels[places],
                reduction="none",
                label_smoothing=recipe.label_smoothing,
            )
            loss = (per_item * weights[places]).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            pace.step()
    model.eval()
    seconds = time.monotonic() - began
    print(f"  {len(labels)} items, last loss {loss.item():.3f}, {seconds:.0f} s", flush=True)
    return Fitted(model, scale, recipe)


def _scale(front_end: str, views: Features) -> Statistics:
    return Statistics(front_end, views.mean(axis=(0, 1)), views.std(axis=(0, 1)) + 1e-5)


def _optimiser(
    model: nn.Module, recipe: Recipe, count: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.OneCycleLR]:
    steps = recipe.epochs * -(-count // recipe.batch_size)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, total_steps=steps)
    return optimiser, rate


def _jittered(views: torch.Tensor, places: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Return one view of each item, noisy and with some statistics hidden."""
    damaged = torch.randint(1, views.shape[1], (len(places),))
    which = torch.where(torch.rand(len(places)) < recipe.undamaged_share, 0, damaged)
    chosen = views[places, which]
    chosen = chosen + recipe.noise * torch.randn_like(chosen)
    return nn.functional.dropout(chosen, recipe.hidden_share)


def leave_groups_out(
    recipe: Recipe, items: Items, more: Items | None, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Predict each group of `items` by a model that never saw it; two arrays of shape (items,).

    The first is for the items as they are, the second for their first damaged view. `more` is
    only trained on, and left out with its group too.
    """
    plain, damaged = np.zeros(len(items.labels)), np.zeros(len(items.labels))
    for group in np.unique(items.groups):
        print(f"Leaving out {group}", flush=True)
        unseen = items.groups == group
        learned = items.where(~unseen)
        if more is not None:
            learned = learned.and_also(more.where(more.groups != group))
        fitted = fit(recipe, learned, seed)
        plain[unseen] = fitted.log_odds(items.views[unseen, 0])
        damaged[unseen] = fitted.log_odds(items.views[unseen, 1])
    return plain, damaged
