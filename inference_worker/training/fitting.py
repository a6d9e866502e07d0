"""Fits a small network to statistics of its items; the speech and image trainers share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from tqdm import tqdm  # type: ignore[import-untyped]

from inference_worker.detectors.network import Features, Statistics
from inference_worker.figures import Tally, auc

PATIENCE = 8
"""Epochs without a better ranking of the held-out group after which a training ends."""
LEAST_EPOCHS = 20
"""A stopping group that is easy, or hopeless, may be ranked best by a model that knows little."""


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
    """At most; fewer when a group that was left out says so."""
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
        device = next(self.model.parameters()).device
        scores = self.model(torch.from_numpy(inputs).to(device)).logits.double().cpu()
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


def fit(
    recipe: Recipe,
    items: Items,
    seed: int,
    epochs: int | None = None,
    watch: Callable[[Fitted], bool] | None = None,
) -> Fitted:
    """Train a fresh model on all the items, for the recipe's epochs or for fewer.

    `watch` gets the model after each epoch, ready to predict, and may end the training by True.
    """
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    fitted = Fitted(recipe.build(), _scale(recipe.front_end, items.views), recipe)
    views = torch.from_numpy(fitted.statistics.standardised(items.views))
    labels = torch.from_numpy(items.labels).to(device)
    weights = torch.from_numpy(balanced_weights(items.labels, items.sources)).to(device)
    model = fitted.model.to(device)
    epochs = epochs or recipe.epochs
    optimiser, pace = _optimiser(model, recipe, epochs, len(labels))
    for _ in tqdm(range(epochs), desc=f"{len(labels)} items", unit="epoch", mininterval=2):
        model.train()
        for places in torch.split(torch.randperm(len(labels)), recipe.batch_size):
            inputs = recipe.model_input(_jittered(views, places, recipe).numpy())
            per_item = nn.functional.cross_entropy(
                model(torch.from_numpy(inputs).to(device)).logits,
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
        if watch and watch(fitted):
            break
    model.cpu()
    return fitted


def epochs_that_help(recipe: Recipe, items: Items, held_out: Items, seed: int) -> int:
    """Train on `items` until `held_out` is ranked no better for PATIENCE epochs; return the best.

    Areas are averaged over three epochs: one epoch more or less is chance.
    """
    areas: list[float] = []

    def is_past_the_best(fitted: Fitted) -> bool:
        odds = fitted.log_odds(held_out.views[:, 0])
        areas.append(auc(Tally.of(held_out.labels, odds)) or 0.0)
        return len(areas) > LEAST_EPOCHS and len(areas) - _best(areas) > PATIENCE

    fit(recipe, items, seed, watch=is_past_the_best)
    return max(LEAST_EPOCHS, _best(areas))


def _best(areas: Sequence[float]) -> int:
    """Return the number of epochs with the highest mean over it and its neighbours."""
    padded = np.pad(np.asarray(areas), 1, mode="edge")
    return int(np.argmax(np.convolve(padded, np.ones(3) / 3, mode="valid"))) + 1


def _scale(front_end: str, views: Features) -> Statistics:
    return Statistics(front_end, views.mean(axis=(0, 1)), views.std(axis=(0, 1)) + 1e-5)


def _optimiser(
    model: nn.Module, recipe: Recipe, epochs: int, count: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.OneCycleLR]:
    steps = epochs * -(-count // recipe.batch_size)
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


@dataclass(frozen=True, slots=True)
class Unseeing:
    """For each group a model that never saw it, and how many epochs each was trained."""

    models: Mapping[str, Fitted]
    epochs: Mapping[str, int]

    def log_odds(self, views: Features, groups: npt.NDArray[np.str_]) -> npt.NDArray[np.float64]:
        """Predict statistics of shape (n, statistics), each by the model that is blind to it."""
        odds = np.zeros(len(views))
        for group, fitted in self.models.items():
            mine = groups == group
            if mine.any():
                odds[mine] = fitted.log_odds(views[mine])
        return odds

    @property
    def usual_epochs(self) -> int:
        """Return the median over the groups: how long a model of all groups is trained."""
        return round(float(np.median(list(self.epochs.values()))))


def blind_to_each_group(recipe: Recipe, items: Items, more: Items | None, seed: int) -> Unseeing:
    """Train a model without each group of `items`, stopped early by another group in turn.

    The group that stops a training is held out of it, then learned too, so that neither choice
    rests on the group that is measured. `more` is only trained on, and left out with its group.
    """
    names = np.unique(items.groups).tolist()
    models, epochs = {}, {}
    for place, group in enumerate(names):
        stopper = names[(place + 1) % len(names)]
        print(f"Leaving out {group}; stopped by {stopper}", flush=True)
        fewer = _without(items, more, {group, stopper})
        held_out = items.where(items.groups == stopper)
        epochs[group] = epochs_that_help(recipe, fewer, held_out, seed)
        models[group] = fit(recipe, _without(items, more, {group}), seed, epochs[group])
    return Unseeing(models, epochs)


def _without(items: Items, more: Items | None, groups: set[str]) -> Items:
    kept = items.where(~np.isin(items.groups, list(groups)))
    if more is None:
        return kept
    return kept.and_also(more.where(~np.isin(more.groups, list(groups))))


def leave_groups_out(
    recipe: Recipe, items: Items, more: Items | None, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Predict each group of `items` by a model that never saw it; two arrays of shape (items,).

    The first is for the items as they are, the second for their first damaged view. `more` is
    only trained on, and left out with its group too.
    """
    blind = blind_to_each_group(recipe, items, more, seed)
    plain, damaged = (blind.log_odds(items.views[:, view], items.groups) for view in (0, 1))
    return plain, damaged
