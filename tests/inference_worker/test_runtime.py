from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from inference_worker.runtime import AHEAD, WRITE_AT, Analysed, Runtime, Work
from inference_worker.types import Abstention, Modality, Passage, Score
from tests.inference_worker.toys import WordCounter, registry


class ListSource:
    """Hands out lots of texts, and keeps what came back."""

    def __init__(self, *lots: Sequence[str]) -> None:
        self.lots = list(lots)
        self.claims = 0
        self.finished: list[Analysed[str]] = []
        self.writes: list[int] = []
        self.retried: list[str] = []

    def claim(self) -> list[Work[str]]:
        self.claims += 1
        texts = self.lots.pop(0) if self.lots else []
        return [Work(text, Modality.TEXT, passage=Passage(text)) for text in texts]

    def finish(self, analysed: Sequence[Analysed[str]]) -> None:
        self.writes.append(len(analysed))
        self.finished.extend(analysed)

    def fail(self, job: str, code: str, reason: str) -> None:
        raise AssertionError((job, code, reason))

    def retry(self, job: str, code: str, reason: str) -> None:
        self.retried.append(job)

    def texts(self) -> list[str]:
        return sorted(each.job for each in self.finished)


@pytest.fixture
def detector() -> WordCounter:
    return WordCounter()


@pytest.fixture
def runtime(detector: WordCounter) -> Iterator[Runtime]:
    made = Runtime(registry(detector), decoder=None)
    yield made
    made.close()


def test_every_item_of_every_claim_gets_exactly_one_result(runtime: Runtime) -> None:
    source = ListSource([f"text {n}" for n in range(10)], [f"more {n}" for n in range(5)])
    assert runtime.drain(source) == 15
    assert source.texts() == sorted(
        [f"text {n}" for n in range(10)] + [f"more {n}" for n in range(5)]
    )


def test_windows_are_batched_with_others_of_like_length(
    runtime: Runtime, detector: WordCounter
) -> None:
    runtime.drain(ListSource(["a", "a b c", "a", "a b c", "a", "a b c", "a", "a b c"]))
    assert detector.batches == [[1, 1, 1, 1], [3, 3, 3, 3]]


def test_a_long_item_is_judged_from_all_its_windows(runtime: Runtime) -> None:
    source = ListSource(["fine fine fine fine bad bad bad bad fine"])
    runtime.drain(source)
    (score,) = [judged.judgement for judged in source.finished[0].judged]
    assert isinstance(score, Score)
    assert [round(segment.probability, 2) for segment in score.segments] == [0.27, 0.95, 0.27]
    assert score.probability == max(segment.probability for segment in score.segments)


def test_an_abstention_needs_no_forward_pass(runtime: Runtime, detector: WordCounter) -> None:
    source = ListSource([""])
    runtime.drain(source)
    assert isinstance(source.finished[0].judged[0].judgement, Abstention)
    assert detector.batches == []


def test_an_item_that_breaks_the_forward_pass_does_not_take_others_along(runtime: Runtime) -> None:
    source = ListSource(["one", "poison", "two", "three"])
    runtime.drain(source)
    assert source.texts() == ["one", "three", "two"]
    assert source.retried == ["poison"]


def test_a_long_item_that_breaks_one_of_its_batches_is_retried_once(runtime: Runtime) -> None:
    source = ListSource(["poison " * 30, "one"])
    runtime.drain(source)
    assert source.texts() == ["one"]
    assert source.retried == ["poison " * 30]


def test_an_item_that_cannot_be_prepared_is_retried_and_others_go_on(runtime: Runtime) -> None:
    source = ListSource(["one", "unpreparable"])
    runtime.drain(source)
    assert (source.texts(), source.retried) == (["one"], ["unpreparable"])


def test_claiming_runs_ahead_of_the_models_but_only_so_far(
    runtime: Runtime, detector: WordCounter
) -> None:
    detector.gate = threading.Event()
    source = ListSource(*[[f"text {n}"] for n in range(20)])
    drain = threading.Thread(target=runtime.drain, args=[source])
    drain.start()
    # One lot at the models, AHEAD waiting, one in the hands of the thread that claims.
    deadline = threading.Event()
    while source.claims < AHEAD + 1 and not deadline.wait(0.01):
        continue
    assert source.claims <= AHEAD + 3
    detector.gate.set()
    drain.join(10)
    assert len(source.finished) == 20


def test_a_failed_write_ends_the_drain_with_its_error(runtime: Runtime) -> None:
    class Broken(ListSource):
        def finish(self, analysed: Sequence[Analysed[str]]) -> None:
            raise ConnectionError("database away")

    with pytest.raises(ConnectionError, match="database away"):
        runtime.drain(Broken(*[["text"]] * 50))


def test_a_failed_claim_ends_the_drain_with_its_error(runtime: Runtime) -> None:
    class Broken(ListSource):
        def claim(self) -> list[Work[str]]:
            raise ConnectionError("database away")

    with pytest.raises(ConnectionError, match="database away"):
        runtime.drain(Broken())


def test_the_runtime_works_again_after_a_failed_drain(runtime: Runtime) -> None:
    class Broken(ListSource):
        def finish(self, analysed: Sequence[Analysed[str]]) -> None:
            raise ConnectionError("database away")

    with pytest.raises(ConnectionError):
        runtime.drain(Broken(["text"]))
    source = ListSource(["text"])
    assert runtime.drain(source) == 1
    assert source.texts() == ["text"]


def test_results_are_written_in_groups_and_none_is_held_back(runtime: Runtime) -> None:
    source = ListSource([f"text {n}" for n in range(2 * WRITE_AT + 6)])
    runtime.drain(source)
    assert source.writes == [WRITE_AT, WRITE_AT, 6]
