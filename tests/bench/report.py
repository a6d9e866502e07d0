"""One line a figure: the product beside its floor, the ratio, and the goal."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

from kilinda import env

COMPARE = {">=": operator.ge, "<": operator.lt, "<=": operator.le}


@dataclass(frozen=True)
class Line:
    """A figure. `goal` is such as ">= 0.5" and judges the ratio if there is one, else the value."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    goal: str | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        sign, limit = self.goal.split()
        return COMPARE[sign](self.value if self.ratio is None else self.ratio, float(limit))


def beside_floor(
    name: str,
    unit: str,
    product: Callable[[], float],
    floor: Callable[[], float],
    *,
    goal: str | None,
    rounds: int = 5,
) -> Line:
    """Measure speeds in turn, floor product floor product …; report medians and their ratio."""
    floor(), product()
    pairs = [(floor(), product()) for _ in range(rounds)]
    value = median(speed for _, speed in pairs)
    least = median(speed for speed, _ in pairs)
    return Line(name, value, unit, least, median(p / f for f, p in pairs), goal)


def publish(lines: list[Line], name: str) -> None:
    """Print the table and write it as JSON into the reports folder."""
    print(f"{'figure':<28}{'value':>12}{'floor':>12}{'ratio':>8}  {'goal':<10}holds")
    for line in lines:
        print(
            f"{line.name:<28}{_figure(line.value):>12}{_figure(line.floor):>12}"
            f"{_figure(line.ratio):>8}  {line.goal or '':<10}{_word(line.holds)}  {line.unit}"
        )
    folder = env.home() / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(line), "holds": line.holds} for line in lines]
    (folder / f"{name}.json").write_text(json.dumps(rows, indent=2))


def _figure(number: float | None) -> str:
    return "" if number is None else f"{number:,.2f}"


def _word(holds: bool | None) -> str:
    return {True: "yes", False: "NO ", None: "-  "}[holds]
