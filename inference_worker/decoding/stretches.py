"""Keeps a bounded part of a sound track of any length, spread evenly over all of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inference_worker.types import SAMPLE_RATE, Stretch

Samples = npt.NDArray[np.float32]

BLOCK_SECONDS = 4
"""One window of the speech detector, so that a block is never too short to be judged."""
BLOCK_SAMPLES = BLOCK_SECONDS * SAMPLE_RATE


class Blocks:
    """Stretches of BLOCK_SECONDS, thinned by doubling the stride so that at most `most` are held.

    Up to `most` blocks a track is kept whole. A longer one keeps every second, fourth, eighth, ...
    block, so between most / 2 and `most` of them, whatever its length, which nobody needs to know
    beforehand: headers lie.
    """

    def __init__(self, most: int) -> None:
        """`most` is the number of blocks, at least 1."""
        self._most = most
        self._kept: dict[int, Samples] = {}
        self._stride = 1

    @property
    def is_whole(self) -> bool:
        """Whether nothing has been left out so far."""
        return self._stride == 1

    def wants(self, number: int) -> bool:
        """Whether block `number` of the time line would be kept."""
        return number % self._stride == 0

    def add(self, number: int, samples: Samples) -> None:
        """Keep a block: at most BLOCK_SAMPLES, fewer for the last one of a track."""
        self._kept[number] = samples
        while len(self._kept) > self._most:
            self._stride *= 2
            self._kept = {n: held for n, held in self._kept.items() if self.wants(n)}

    def joined(self) -> tuple[Samples, tuple[Stretch, ...]]:
        """Return all samples in order of time, and where each unbroken stretch of them lies."""
        numbers = sorted(self._kept)
        if not numbers:
            return np.zeros(0, np.float32), ()
        stretches = []
        first = 0
        for run in _runs(numbers):
            count = sum(len(self._kept[number]) for number in run)
            stretches.append(Stretch(float(run[0] * BLOCK_SECONDS), first, count))
            first += count
        return np.concatenate([self._kept[number] for number in numbers]), tuple(stretches)


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """Group ascending numbers that follow one another."""
    runs = [[numbers[0]]]
    for number in numbers[1:]:
        if number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs
