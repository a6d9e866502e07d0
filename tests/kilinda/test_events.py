from concurrent.futures import ThreadPoolExecutor
from threading import Event as Signal
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from kilinda.partners import events
from kilinda.partners.models import Event
from tests.factories import OrganisationFactory

DEADLINE_SECONDS = 20


def news(organisation_id: UUID) -> events.NewEvent:
    return events.NewEvent(organisation_id, "analysis.completed", uuid4(), {})


def test_events_are_read_in_order_from_any_number(db):
    organisation = OrganisationFactory()
    events.append(news(organisation.id) for _ in range(5))
    seqs = [event.seq for event in events.read(organisation.id, after_seq=2, limit=2)]
    assert seqs == [3, 4]


def test_each_organisation_counts_for_itself(db):
    one, other = OrganisationFactory(), OrganisationFactory()
    events.append([news(one.id), news(other.id), news(one.id)])
    assert (events.sequence(one.id), events.sequence(other.id)) == (2, 1)


def test_an_event_exists_only_if_its_transaction_commits(db):
    organisation = OrganisationFactory()
    with transaction.atomic():
        events.append([news(organisation.id)])
        transaction.set_rollback(True)
    assert events.read(organisation.id, after_seq=0, limit=10) == []


@pytest.mark.django_db(transaction=True)
def test_a_late_commit_gets_a_later_number_and_never_appears_behind_a_reader():
    organisation = OrganisationFactory().id
    written, may_commit = Signal(), Signal()

    def write_late() -> None:
        try:
            with transaction.atomic():
                events.append([news(organisation)])
                written.set()
                assert may_commit.wait(DEADLINE_SECONDS)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(write_late)
        assert written.wait(DEADLINE_SECONDS)
        events.append([news(organisation)])  # a larger id, committed sooner
        seen = [event.id for event in events.read(organisation, after_seq=0, limit=10)]
        may_commit.set()
        late.result(DEADLINE_SECONDS)
    after = list(events.read(organisation, after_seq=1, limit=10))
    assert len(seen) == len(after) == 1
    assert after[0].seq == 2
    assert after[0].id < seen[0]


@pytest.mark.django_db(transaction=True)
def test_twenty_writers_and_two_readers_leave_no_gap_and_miss_nothing():
    organisation = OrganisationFactory().id
    all_written = Signal()

    def write(_: int) -> None:
        try:
            for _ in range(10):
                with transaction.atomic():
                    events.append([news(organisation)])
        finally:
            connection.close()

    def follow() -> list[int]:
        """Read on as a partner does, until everything was written and nothing is left."""
        seen: list[Event] = []
        try:
            while True:
                was_all = all_written.is_set()
                fresh = events.read(organisation, after_seq=seen[-1].seq if seen else 0, limit=7)
                seen.extend(fresh)
                if was_all and not fresh:
                    return [event.seq for event in seen]
        finally:
            connection.close()

    with ThreadPoolExecutor(22) as pool:
        readers = [pool.submit(follow) for _ in range(2)]
        list(pool.map(write, range(20)))
        all_written.set()
        followed = [reader.result(DEADLINE_SECONDS) for reader in readers]
    assert followed == [list(range(1, 201))] * 2
