"""Another version of a bundled model, tried, activated and rolled back in running workers.

The real model and real processes; an administrator presses the buttons of the back office while a
partner keeps submitting.
"""

from __future__ import annotations

import json
import re
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from inference_worker.training.packaging import seal
from tests.stack import invariants
from tests.stack.harness import ROOT, Stack, children, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

BUNDLED = ROOT / "inference_worker" / "models"
TEXT = "You are a disgusting liar and a worthless idiot. Shut up, you stupid piece of garbage."
AN_INSTANT = timedelta(seconds=0.5)
"""Between a worker's look at the rollout and its claim; far longer than that takes."""


@pytest.fixture(scope="module")
def extra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An operator's own directory of models, empty at the start."""
    return tmp_path_factory.mktemp("extra")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, extra: Path) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("rollout") / "home"
    stack = Stack(home, puppets=False, KILINDA_MODELS=f"{BUNDLED},{extra}")
    try:
        yield stack.ready()
        stack.manage("verify_audit")
    finally:
        stack.stop()


class Administrator:
    """A person in the back office: cookies and forms."""

    def __init__(self, stack: Stack) -> None:
        self.base, self.jar = f"http://127.0.0.1:{stack.port}", CookieJar()
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        self.get("/login/")
        self.post("/login/", **stack.people["admin"])

    def get(self, path: str) -> str:
        with self.browser.open(self.base + path, timeout=60) as page:
            return str(page.read().decode())

    def post(self, path: str, **fields: object) -> str:
        token = next(cookie.value for cookie in self.jar if cookie.name == "csrftoken")
        form = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token})
        with self.browser.open(self.base + path, form.encode(), timeout=60) as page:
            return str(page.read().decode())

    def register(self, folder: Path) -> None:
        page = self.post("/admin/detection/modelversion/add/", place=str(folder), rival="")
        assert "Registered as candidates" in page

    def move(self, row: dict[str, Any], act: str, **given: object) -> str:
        """Press an act's button and confirm on the page that asks; return what came then."""
        listed = "/admin/detection/modelversion/"
        chosen = {"action": act, "_selected_action": row["id"]}
        asked = self.post(listed, **chosen)
        seen = re.search(r'name="seen" value="(\d+)"', asked)
        assert seen, asked
        return self.post(listed, **chosen, seen=seen[1], **given)


@pytest.fixture(scope="module")
def administrator(stack: Stack) -> Administrator:
    return Administrator(stack)


def resealed(extra: Path, version: str, **changed: object) -> Path:
    """Write the bundled text model again under another version and with another calibration."""
    folder = extra / f"abuse-text-{version}"
    shutil.copytree(BUNDLED / "abuse-text", folder)
    stated = json.loads((folder / "kilinda.json").read_text())
    (folder / "kilinda.json").unlink()
    calibration = {"slope": stated["calibration"]["slope"] / 2, "offset": -2.0}
    seal(folder, stated | {"version": version, "calibration": calibration} | changed)
    return folder


def row_of(stack: Stack, version: str) -> dict[str, Any]:
    (row,) = stack.rows(
        "SELECT * FROM detection_modelversion WHERE name = 'abuse-text' AND version = %s", version
    )
    return row


def active_version(stack: Stack) -> str:
    (row,) = stack.rows(
        "SELECT version FROM detection_modelversion WHERE slot = 'abuse-text' AND state = 'active'"
    )
    return str(row["version"])


def judged(stack: Stack, submissions: list[str]) -> list[dict[str, Any]]:
    """Return of each job, in order of its claim, when it was claimed and what counted."""
    return stack.rows(
        "SELECT job.started_at, score.version, score.probability, result.text_score::float,"
        " result.metadata->'models' AS models, count(*) OVER (PARTITION BY job.id) AS scores"
        " FROM analysis_jobs job JOIN analysis_results result ON result.job_id = job.id"
        " JOIN detection_detectorscore score ON score.result_id = result.id"
        " AND score.detector = 'abuse-text' AND score.role <> 'shadow'"
        " WHERE job.submission_id = ANY(%s) ORDER BY job.started_at",
        submissions,
    )


def check_nothing_lost(stack: Stack, submissions: list[str]) -> None:
    invariants.settled(stack)
    assert invariants.states(stack, submissions) == {"done": len(submissions)}
    assert invariants.told_once(stack, submissions) == []
    assert invariants.gaps(stack) == []
    assert invariants.broken_link(stack) is None
    assert len(judged(stack, submissions)) == len(submissions)  # one result and one score each


def test_a_version_is_tried_activated_and_rolled_back_under_load(
    stack: Stack, administrator: Administrator, extra: Path
) -> None:
    old, workers = active_version(stack), children(stack.process_of("screen"))
    new = f"{old}.1"
    administrator.register(resealed(extra, new))
    with stack.load(TEXT) as load:
        load.grows_by(20)
        administrator.move(row_of(stack, new), "start_shadow")
        wait_until(lambda: shadows(stack, new) > 20, what="the shadow judges beside")
        administrator.move(row_of(stack, new), "activate")
        activated = row_of(stack, new)["moved_at"]
        wait_until(lambda: newest(stack) == new, what="the new version judges")
        load.grows_by(30)
        administrator.move(row_of(stack, new), "roll_back")
        rolled_back = row_of(stack, old)["moved_at"]
        wait_until(lambda: newest(stack) == old, what="the old version judges again")
        load.grows_by(30)
    assert load.statuses == {202}
    check_nothing_lost(stack, load.accepted)
    assert children(stack.process_of("screen")) == workers  # nothing was restarted
    found = judged(stack, load.accepted)
    for row in found:
        assert f"abuse-text@{row['version']}" in row["models"]
        assert row["text_score"] == pytest.approx(100 * row["probability"], abs=0.01)
        if row["started_at"] < activated or row["started_at"] > rolled_back + AN_INSTANT:
            assert row["version"] == old
        elif activated + AN_INSTANT < row["started_at"] < rolled_back:
            assert row["version"] == new
    # The same text all along: each version has its one score, and they differ.
    scores = {version: set() for version in (old, new)}
    for row in found:
        scores[row["version"]].add(round(row["probability"], 2))
    assert all(len(each) == 1 for each in scores.values()), scores
    assert scores[old] != scores[new]
    compared = administrator.get(
        f"/admin/detection/modelversion/{row_of(stack, new)['id']}/compare/"
    )
    assert "Judged by both" in compared


def shadows(stack: Stack, version: str) -> int:
    (row,) = stack.rows(
        "SELECT count(*) FROM detection_detectorscore WHERE role = 'shadow' AND version = %s",
        version,
    )
    return int(row["count"])


def newest(stack: Stack) -> str:
    """Return the version that gave the newest score that counts."""
    (row,) = stack.rows(
        "SELECT version FROM detection_detectorscore"
        " WHERE detector = 'abuse-text' AND role <> 'shadow' ORDER BY id DESC LIMIT 1"
    )
    return str(row["version"])


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_at_work(
    stack: Stack, administrator: Administrator, extra: Path
) -> None:
    old = active_version(stack)
    broken = f"{old}.2"
    administrator.register(resealed(extra, broken, labels=["one thing", "another"]))
    with stack.load(TEXT) as load:
        administrator.move(row_of(stack, broken), "activate")
        wait_until(lambda: row_of(stack, broken)["load_error"], what="the worker says so")
        load.grows_by(20)
        health = stack.call("/health").body
        page = administrator.get("/admin/detection/modelversion/")
        administrator.move(row_of(stack, broken), "roll_back")
        load.grows_by(5)
    check_nothing_lost(stack, load.accepted)
    assert {row["version"] for row in judged(stack, load.accepted)} == {old}
    assert (health["status"], health["failed"]) == ("degraded", ["rollout"])
    assert f"abuse-text@{broken} is not loaded" in health["checks"]["rollout"]["problem"]
    assert "labels must" in page
    assert active_version(stack) == old
    wait_until(lambda: stack.call("/health").body["status"] == "ok", what="all is well again")
