"""The number format of a model: the fastest whose answers are float32's."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from inference_worker.detectors.device import choose_precision
from inference_worker.errors import ModelUnusable

ITEMS = {"x": torch.linspace(-1, 1, 64).reshape(16, 4)}


class Linear(torch.nn.Module):
    """Two classes by one matrix; `bias` is added to the first, the same for every item."""

    def __init__(self, bias: float = 0.0, *, slow: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(4, 2)
        self.shift = torch.nn.Parameter(torch.tensor([bias, 0.0]))
        self.slow = slow

    @property
    def dtype(self) -> torch.dtype:
        return self.shift.dtype

    def forward(self, x: torch.Tensor) -> SimpleNamespace:
        work = torch.ones(700, 700) @ torch.ones(700, 700) if self.is_slow_in_float32() else None
        assert work is None or work.shape == (700, 700)
        return SimpleNamespace(logits=self.linear(x) + self.shift)

    def is_slow_in_float32(self) -> bool:
        return self.slow and self.dtype == torch.float32


def test_the_faster_format_is_chosen_when_its_logits_agree() -> None:
    model = Linear(slow=True)
    chosen = choose_precision(model, ITEMS)
    assert (chosen.dtype, model.dtype) == (torch.bfloat16, torch.bfloat16)
    assert chosen.seconds == chosen.trials[1].seconds


def test_float32_stays_when_rounding_drowns_what_sets_items_apart() -> None:
    # In bfloat16 numbers near 200 are a whole unit apart; the items differ by less than that.
    model = Linear(bias=200.0, slow=True)
    chosen = choose_precision(model, ITEMS)
    assert (chosen.dtype, model.dtype) == (torch.float32, torch.float32)
    assert chosen.trials[1].disagreement > 0.05


def test_a_format_this_machine_cannot_compute_is_not_chosen() -> None:
    class Float32Only(Linear):
        def forward(self, x: torch.Tensor) -> SimpleNamespace:
            if x.dtype != torch.float32:
                raise RuntimeError('"stft" not implemented for BFloat16')
            return super().forward(x)

    chosen = choose_precision(Float32Only(slow=True), ITEMS)
    assert chosen.dtype == torch.float32
    assert chosen.trials[1].disagreement == math.inf


def test_a_model_whose_outputs_are_no_numbers_is_refused() -> None:
    with pytest.raises(ModelUnusable, match="not finite"):
        choose_precision(Linear(bias=math.nan), ITEMS)
