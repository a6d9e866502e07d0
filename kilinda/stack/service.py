"""What the supervisor must know about one service."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum


class Tier(IntEnum):
    """Services stop from the highest tier down, those of one tier together."""

    STATE = 0
    PROCESSES = 1


def _nothing() -> None:
    """Prepare nothing."""


def _none() -> str:
    """Name no problem: the service is ready as soon as it runs."""
    return ""


@dataclass(frozen=True)
class Service:
    """A program that runs until it is told to stop."""

    name: str
    command: tuple[str, ...]
    tier: Tier = Tier.PROCESSES
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] = _nothing  # before every start, also after a crash
    problem: Callable[[], str] = _none  # why it is not ready yet, or nothing
    ready_within_seconds: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_seconds: float = 30.0
    demoted: bool = False  # refuses to run as root
