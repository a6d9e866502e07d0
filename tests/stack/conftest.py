"""The fault matrix as figures: KILINDA_REPORTS names the folder that gets fault.json."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

FIGURES = pytest.StashKey[list[dict[str, object]]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield
    if item.get_closest_marker("fault") and (call.when == "call" or report.failed):
        figures = item.config.stash.setdefault(FIGURES, [])
        figures.append(
            {
                "name": item.name.removeprefix("test_"),
                "value": dict(item.user_properties).get("seconds", round(call.duration, 2)),
                "unit": "s from the fault to the end of every job",
                "floor": None,
                "ratio": None,
                "goal": "every invariant holds",
                "holds": report.passed,
            }
        )
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    figures = config.stash.get(FIGURES, [])
    if not (folder := os.environ.get("KILINDA_REPORTS")) or not figures:
        return
    terminalreporter.section("faults")
    for figure in figures:
        verdict = "holds" if figure["holds"] else "BROKEN"
        terminalreporter.line(f"{verdict:<8}{figure['value']:>8.2f} s  {figure['name']}")
    path = Path(folder) / "fault.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2))
