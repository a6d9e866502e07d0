"""Faults, injected for real into one running stack; afterwards every invariant must hold."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.stack import invariants
from tests.stack.harness import LEASE_SECONDS, Stack, children, wait_until
from tests.stack.toys import POISON

pytestmark = [pytest.mark.stack, pytest.mark.fault, pytest.mark.timeout(240)]

OVERLOADED = {202, 429, 503}
"""What a partner may read during a fault: accepted, or come back later."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("faults") / "home", puppets=True)
    try:
        yield stack.ready()
        stack.manage("verify_audit")
    finally:
        stack.stop()


@pytest.fixture
def stack(running: Stack) -> Stack:
    """The stack with nothing left to do."""
    invariants.settled(running)
    return running


@pytest.fixture
def recovered(
    stack: Stack, record_property: Callable[[str, object], None]
) -> Callable[[list[str]], None]:
    """Check the invariants, and note how long it took until every job had ended."""
    began = time.monotonic()

    def check(healthy: list[str]) -> None:
        invariants.settled(stack)
        record_property("seconds", round(time.monotonic() - began, 2))
        invariants.check(stack, healthy)

    return check


Recovered = Callable[[list[str]], None]


def gate() -> str:
    return uuid4().hex


# --- Workers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["worker group", "pool child"])
def test_kill_9_in_mid_batch_loses_nothing(stack: Stack, recovered: Recovered, victim: str) -> None:
    name = gate()
    with stack.load() as load:
        batch = stack.submit_batch([f"text {n}" for n in range(20)] + [f"gate:{name}"])
        child = stack.arrived(name)
        if victim == "worker group":
            os.killpg(stack.process_of("screen"), signal.SIGKILL)
        else:
            os.kill(child, signal.SIGKILL)
        load.grows_by(20)
        stack.open(name, stack.arrived(name, but={child}))
    assert load.statuses == {202}
    recovered(batch + load.accepted)
    assert stack.job(batch[-1])["crash_count"] == 1


def test_a_worker_told_to_stop_finishes_what_it_began(stack: Stack, recovered: Recovered) -> None:
    name, before = gate(), stack.process_of("screen")
    with stack.load() as load:
        held = stack.submit(f"gate:{name}")
        child = stack.arrived(name)
        os.kill(before, signal.SIGTERM)
        load.grows_by(10)
        stack.open(name, child)
        wait_until(lambda: stack.process_of("screen") != before, what="the worker is replaced")
    recovered([held, *load.accepted])
    assert stack.pids_that_judged(held) == [child]
    assert stack.job(held)["crash_count"] == 0


@dataclass
class LateFinish:
    """Who held a job at first, who held it then, and whose result was written."""

    late: int
    holder: int
    judges: list[int]
    submissions: list[str]


def stop_past_the_lease(stack: Stack) -> LateFinish:
    """Stop a worker until its lease is another's, and let it finish before the other does."""
    name = gate()
    contested = stack.submit(f"gate:{name}")
    late, group = stack.arrived(name), stack.process_of("screen")
    os.killpg(group, signal.SIGSTOP)
    with stack.second_worker():
        holder = stack.arrived(name, but={late})
        stack.open(name, late)
        os.killpg(group, signal.SIGCONT)
        after = stack.submit("after the late one")  # the other worker stands at the gate
        stack.finished(after)
        assert stack.pids_that_judged(after) == [late]
        stack.open(name, holder)
        stack.finished(contested)
    return LateFinish(late, holder, stack.pids_that_judged(contested), [contested, after])


def test_a_worker_stopped_past_its_lease_cannot_write_its_late_result(
    stack: Stack, recovered: Recovered
) -> None:
    outcome = stop_past_the_lease(stack)
    assert outcome.judges == [outcome.holder]
    recovered(outcome.submissions)


def poison_a_batch(stack: Stack) -> tuple[str, list[str]]:
    """Submit a text that kills its worker among healthy ones; return it and them, all ended."""
    texts = [f"mate {number}" for number in range(10)]
    *mates, poison = stack.submit_batch([*texts, POISON])
    invariants.settled(stack)
    return poison, mates


def test_a_poisoned_text_ends_dead_with_a_reason_and_its_batch_mates_are_judged(
    stack: Stack, recovered: Recovered
) -> None:
    poison, mates = poison_a_batch(stack)
    recovered(mates)
    assert (stack.job(poison)["state"], stack.job(poison)["crash_count"]) == ("dead", 4)
    read = stack.read(poison)
    assert (read["status"], read["result"]) == ("failed", None)
    assert read["failure"]["reason"] == "The worker died 4 times while it analysed this content."
    told = [event["type"] for event in stack.events() if event["subject_id"] == poison]
    assert told == ["submission.received", "analysis.failed"]


# --- The broker ----------------------------------------------------------------------------------


def test_the_broker_may_die_again_and_again(stack: Stack, recovered: Recovered) -> None:
    with stack.load() as load:
        for _ in range(3):
            before = stack.process_of("valkey")
            os.kill(before, signal.SIGKILL)
            wait_until(lambda: stack.process_of("valkey") != before)  # noqa: B023 - used at once
            load.grows_by(5)
    assert load.statuses == {202}
    recovered(load.accepted)


def test_a_broker_that_answers_nobody_delays_no_submission(
    stack: Stack, recovered: Recovered
) -> None:
    broker = stack.process_of("valkey")
    os.kill(broker, signal.SIGSTOP)
    try:
        with stack.load() as load:
            load.grows_by(20)
    finally:
        os.kill(broker, signal.SIGCONT)
    assert load.statuses == {202}
    assert load.slowest_seconds < 5.0
    recovered(load.accepted)


def test_flushall_loses_doorbells_only(stack: Stack, recovered: Recovered) -> None:
    with stack.load() as load, stack.redis() as broker:
        for _ in range(5):
            broker.flushall()
            load.grows_by(3)
    assert load.statuses == {202}
    recovered(load.accepted)
    # The flush took the queues' bindings too; doorbells must get through again all the same.
    assert stack.finished(stack.submit("rung for"))["status"] == "done"


def test_doorbells_that_ring_ten_times_do_nothing_twice(stack: Stack, recovered: Recovered) -> None:
    with stack.second_worker():
        batch = stack.submit_batch([f"text {number}" for number in range(40)])
        stack.ring("drain_screen", times=10)
        recovered(batch)


# --- The database and the API --------------------------------------------------------------------


def test_a_crash_of_postgres_loses_nothing_that_was_accepted(
    stack: Stack, recovered: Recovered
) -> None:
    name, log_before = gate(), len(stack.log("postgres"))
    held = stack.submit(f"gate:{name}")
    child, leased_until = stack.arrived(name), stack.job(held)["lease_until"]
    postmaster = int((stack.home / "postgres" / "postmaster.pid").read_text().split()[0])
    with stack.load() as load:
        # The server ends all others and recovers from its log when one of its own was killed.
        os.kill(max(children(postmaster)), signal.SIGKILL)
        load.grows_by(20)
    assert "was terminated by signal 9" in stack.log("postgres")[log_before:]
    assert load.statuses <= OVERLOADED
    lease = timedelta(seconds=LEASE_SECONDS)
    wait_until(
        lambda: stack.job(held)["lease_until"] > leased_until + lease, what="the lease is kept"
    )
    stack.open(name, child)
    recovered([held, *load.accepted])
    assert stack.pids_that_judged(held) == [child]


def test_an_api_killed_between_commit_and_doorbell_keeps_its_promise(
    stack: Stack, recovered: Recovered
) -> None:
    before = stack.process_of("web")
    die = "import os, signal, detection.doorbell as doorbell\n"
    die += "doorbell.ring = lambda lane: os.kill(os.getpid(), signal.SIGKILL)\n"
    planted = stack.plant("web", die)
    body, key = {"text": "accepted by the dying"}, uuid4().hex
    try:
        assert stack.call("/api/v1/submissions", body, Idempotency_Key=key).status == 0
    finally:
        planted.unlink()
    wait_until(lambda: stack.process_of("web") != before)
    (row,) = stack.rows("SELECT id FROM detection_submission WHERE idempotency_key = %s", key)

    def again() -> str | None:
        answer = stack.call("/api/v1/submissions", body, Idempotency_Key=key)
        return answer.body["id"] if answer.status == 202 else None

    assert wait_until(again, what="the API is back") == str(row["id"])
    recovered([str(row["id"])])


# --- The tests themselves: each rule that is taken away turns one of the above red ----------------

NO_FENCE = """
from detection import queue
fenced = queue._LEAVE
queue._LEAVE = fenced.replace(" AND job.lease_token = held.token", "")
assert queue._LEAVE != fenced
"""

NO_SOLO_RUN = """
from detection import queue
queue._HEALTHY = queue._CLAIM.format(which="TRUE")
"""


def test_without_the_fencing_token_the_late_result_would_be_noticed(stack: Stack) -> None:
    with stack.sabotaged("screen", NO_FENCE):
        outcome = stop_past_the_lease(stack)
    assert outcome.judges == [outcome.late]


def test_without_the_solo_run_the_dead_batch_mates_would_be_noticed(stack: Stack) -> None:
    with stack.sabotaged("screen", NO_SOLO_RUN):
        _, mates = poison_a_batch(stack)
    with pytest.raises(AssertionError, match="dead"):
        invariants.check(stack, mates)
