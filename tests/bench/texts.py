"""The text lane, queued rows to written results, beside the best raw forward found.

Both run in as many processes as the screen worker has children, with one thread each: that is the
fastest raw forward found (docs/adr/004). The floor sorts all texts by length first; no queue can.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection

from tests.bench.report import Line, beside_floor

TEXTS, CHILDREN = 3072, 2
CALM = (
    "the vote was counted this morning and people who came late were asked to wait in the hall "
    "we will publish the results of every station on friday so that everybody can check them "
    "our reporter spoke with the observers about how the ballots were brought to the county office"
)
ANGRY = (
    "you are a stupid liar and your whole filthy family should leave this country before we make "
    "you shut up you worthless idiot nobody wants thieves like you here"
)
PLAIN, HARSH = CALM.split(), ANGRY.split()
HARSH_SHARE = 0.15


def measure() -> list[Line]:
    """Return text_lane_ratio."""
    from detection.models import AnalysisResult
    from kilinda.partners.models import Organisation
    from tests.bench import queueing

    organisation, _ = Organisation.objects.get_or_create(name="Bench", slug="bench")
    texts = made_texts()
    with _children() as children:

        def lane() -> float:
            queueing.empty()
            queueing.fill(organisation, texts)
            speed = _together(children, "drain")
            written = AnalysisResult.objects.count()
            assert written == TEXTS, f"{written} results for {TEXTS} jobs"
            queueing.empty()
            return speed

        def floor() -> float:
            return _together(children, "forward")

        return [
            beside_floor("text_lane_ratio", "texts/s", lane, floor, goal=">= 0.8", rounds=5),
        ]


def made_texts() -> list[str]:
    """Return texts of tweet length: 25 tokens in the mean, 52 at the 95th percentile."""
    chance = random.Random(7)
    return [
        " ".join(
            chance.choices(
                HARSH if chance.random() < HARSH_SHARE else PLAIN,
                k=max(3, int(chance.gammavariate(3.2, 6.2))),
            )
        )
        for _ in range(TEXTS)
    ]


def _together(children: list[Connection], order: str) -> float:
    """Have every child do the same at once; return texts a second over all of them."""
    began = time.perf_counter()
    for child in children:
        child.send(order)
    for child in children:
        child.recv()
    return TEXTS / (time.perf_counter() - began)


@contextmanager
def _children() -> Iterator[list[Connection]]:
    """Start the processes, wait until their models are warm, and end them at the close."""
    spawn = multiprocessing.get_context("spawn")
    ours, processes = [], []
    for number in range(CHILDREN):
        near, far = spawn.Pipe()
        process = spawn.Process(target=_child, args=(number, far))
        process.start()
        ours.append(near)
        processes.append(process)
    try:
        for near in ours:
            near.recv()
        yield ours
    finally:
        for near, process in zip(ours, processes, strict=True):
            near.send("end")
            process.join(30)


def _child(number: int, orders: Connection) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    import django
    import structlog

    django.setup()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    from detection import tasks
    from inference_worker.types import Passage
    from tests.bench.lanes import LANE, drain, flat_out

    runtime = tasks.runtime(LANE.SCREEN)
    mine = [partial(Passage, text, "en") for text in made_texts()[number::CHILDREN]]
    orders.send("ready")
    while (order := orders.recv()) != "end":
        drain(runtime, LANE.SCREEN) if order == "drain" else flat_out(runtime, mine)
        orders.send("done")
