"""How much each token of a window moved a text model's log odds, by integrated gradients.

Leaving out one word at a time says nothing where a text holds several insults: without any one of
them the others still decide. Integrated gradients share the whole difference out instead: the
weights sum to the log odds of the window less those of the same window with every token blanked.
Source: Sundararajan, Taly and Yan 2017, "Axiomatic attribution for deep networks".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

LEAST_NODES, MOST_NODES = 16, 256
"""Points on the way from blank to text where the gradient is taken: doubled until it adds up."""
NODES_AT_ONCE = 16
CLOSE_ENOUGH = 0.02
"""Gap in the sum, as a share of the difference (of 1 where that is smaller), at which to stop."""


@dataclass(frozen=True, slots=True)
class TokenWeights:
    """Weights of a window's tokens, float64 of shape (tokens,); special tokens have none."""

    weights: npt.NDArray[np.float64]
    log_odds: float
    """Of the window, computed in float32."""
    blank_log_odds: float
    """Of the same window with every token blanked."""

    @property
    def gap(self) -> float:
        """What the weights miss of the difference they share out."""
        return self.log_odds - self.blank_log_odds - float(self.weights.sum())


LogOdds = Callable[[torch.Tensor], torch.Tensor]
"""Logits of shape (n, classes) to log odds of shape (n,)."""


def integrated_gradients(
    model: Any,
    ids: npt.NDArray[np.int64],
    *,
    is_special: npt.NDArray[np.bool_],
    blank: int,
    log_odds: LogOdds,
) -> TokenWeights:
    """Share out the log odds of one window of token `ids`, shape (tokens,).

    `model` is a sequence classification model in float32 and evaluation mode that takes
    `inputs_embeds`; `blank` is the token that stands for nothing, such as [MASK].
    """
    whole, empty = _ends(model, ids, is_special, blank)
    outer = log_odds(_logits(model, torch.stack([empty, whole]))).detach()
    last, first = float(outer[1]), float(outer[0])
    allowed = CLOSE_ENOUGH * max(1.0, abs(last - first))
    nodes = LEAST_NODES
    while True:
        found = TokenWeights(_weights(model, whole, empty, nodes, log_odds), last, first)
        if abs(found.gap) <= allowed or nodes >= MOST_NODES:
            return found
        nodes *= 2


def _ends(
    model: Any, ids: npt.NDArray[np.int64], is_special: npt.NDArray[np.bool_], blank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the embeddings of the window and of its blank, each of shape (tokens, size)."""
    embed = model.get_input_embeddings()
    device = next(model.parameters()).device
    blanked = np.where(is_special, ids, blank)
    with torch.no_grad():
        whole, empty = (embed(torch.from_numpy(each).to(device)) for each in (ids, blanked))
    return whole, empty


def _weights(
    model: Any, whole: torch.Tensor, empty: torch.Tensor, nodes: int, log_odds: LogOdds
) -> npt.NDArray[np.float64]:
    """Integrate the gradient from `empty` to `whole` by Gauss-Legendre quadrature."""
    points, shares = np.polynomial.legendre.leggauss(nodes)
    along = torch.tensor((points + 1) / 2, dtype=whole.dtype, device=whole.device)
    share = torch.tensor(shares / 2, dtype=whole.dtype, device=whole.device)
    total = torch.zeros_like(whole)
    for at in range(0, nodes, NODES_AT_ONCE):
        some = along[at : at + NODES_AT_ONCE, None, None]
        inputs = (empty + some * (whole - empty)).requires_grad_(True)
        (slope,) = torch.autograd.grad(log_odds(_logits(model, inputs)).sum(), inputs)
        total += (slope * share[at : at + NODES_AT_ONCE, None, None]).sum(dim=0)
    weights = ((whole - empty) * total).sum(dim=-1)
    return np.asarray(weights.double().cpu().numpy(), np.float64)


def _logits(model: Any, embeddings: torch.Tensor) -> torch.Tensor:
    mask = torch.ones(embeddings.shape[:2], dtype=torch.long, device=embeddings.device)
    found: torch.Tensor = model(inputs_embeds=embeddings, attention_mask=mask).logits
    return found.float()
