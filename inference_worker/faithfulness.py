"""Whether evidence is faithful: taking away what it points at must move the score more than chance.

The deletion test (Samek et al. 2017, "Evaluating the visualization of what a deep neural network
has learned"), at one share: the tenth of the parts with the largest weights against random tenths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from inference_worker.explaining.judging import Asked, Floats, asker, judge
from inference_worker.explaining.parts import Parts, parts_of
from inference_worker.types import Content, Detector, Score

SHARE = 0.1
DRAWS = 8
FEWEST_PARTS = 5
"""Of a text with fewer words a tenth is a large share, whichever one it is."""
RESAMPLES = 1_000


class Faithfulness(TypedDict):
    """The deletion test over some items; falls are of log odds, in nats."""

    n: int
    """Items tested: those the model judged, with parts enough."""
    share: float
    draws: int
    top: float
    """Mean fall when the parts with the largest weights are taken away."""
    random: float
    """Mean fall when as many random parts are, over `draws` draws an item."""
    difference: float
    interval: list[float]
    """95 % bootstrap interval of the difference, over items."""
    better: float
    """Share of items whose top parts count for more than their mean random draw."""


def measure(
    detector: Detector,
    contents: Iterable[Content],
    *,
    share: float = SHARE,
    draws: int = DRAWS,
    seed: int = 0,
) -> Faithfulness:
    """Run the deletion test. Raises ValueError when not one item could be tested."""
    rng = np.random.default_rng(seed)
    ask = asker(detector)
    pairs = [
        pair
        for content in contents
        if (pair := _falls(detector, ask, content, share, draws, rng)) is not None
    ]
    if not pairs:
        raise ValueError("None of the contents could be judged and explained.")
    top, random = np.array(pairs).T
    low, high = _interval(top - random, rng)
    return Faithfulness(
        n=len(pairs),
        share=share,
        draws=draws,
        top=round(float(top.mean()), 4),
        random=round(float(random.mean()), 4),
        difference=round(float((top - random).mean()), 4),
        interval=[round(low, 4), round(high, 4)],
        better=round(float((top > random).mean()), 3),
    )


def sentence(found: Mapping[str, Any]) -> str:
    """Return the figures as a sentence for cards and pages."""
    low, high = found["interval"]
    return (
        f"Without the strongest tenth of the evidence the log odds fall by {found['top']:.2f}, "
        f"without a random tenth by {found['random']:.2f} (mean over {found['n']} items and "
        f"{found['draws']} draws each; 95 % interval of the difference {low:.2f} to {high:.2f}). "
        f"The evidence beat chance on {100 * found['better']:.0f} % of the items."
    )


def _falls(
    detector: Detector,
    ask: Asked,
    content: Content,
    share: float,
    draws: int,
    rng: np.random.Generator,
) -> tuple[float, float] | None:
    """Return the fall without the top parts and the mean fall without random ones, or None."""
    score = judge(detector, content)
    parts = parts_of(detector, ask, content, score) if isinstance(score, Score) else None
    if parts is None or len(parts.weights) < FEWEST_PARTS:
        return None
    count = max(1, round(share * len(parts.weights)))
    ranked = np.argsort(parts.weights).tolist()
    chosen: list[list[int]] = [ranked[-count:]]
    chosen += [rng.choice(ranked, count, replace=False).tolist() for _ in range(draws)]
    falls = _without_each(ask, parts, chosen)
    if np.isnan(falls[0]) or np.isnan(falls[1:]).all():
        return None
    return float(falls[0]), float(np.nanmean(falls[1:]))


def _without_each(ask: Asked, parts: Parts, chosen: Sequence[Sequence[int]]) -> Floats:
    whole, *rest = ask([parts.whole, *(parts.without(each) for each in chosen)])
    return np.asarray(whole - np.array(rest), np.float64)


def _interval(differences: Floats, rng: np.random.Generator) -> tuple[float, float]:
    drawn = rng.choice(differences, (RESAMPLES, len(differences))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
