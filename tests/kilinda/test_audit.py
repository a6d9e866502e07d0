from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction

from kilinda.audit import log
from kilinda.audit.models import AuditEntry


def act(number: int) -> log.Act:
    return log.Act("system", "test.done", "thing", str(number), {"habari": "njema", "n": number})


@pytest.fixture
def chain(db) -> None:
    """Five sealed entries."""
    log.record(act(number) for number in range(5))
    log.seal()


@pytest.fixture
def tampering(chain) -> None:
    """The power of someone who owns the database: the trigger is off."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditentry DISABLE TRIGGER audit_entry_append_only")


def test_sealing_chains_what_is_new_once(db):
    log.record([act(1), act(2)])
    assert log.seal() == 2
    assert log.seal() == 0
    log.record([act(3)])
    assert log.seal() == 1
    entries = AuditEntry.objects.order_by("id")
    assert [entry.chain_seq for entry in entries] == [1, 2, 3]
    assert log.verify() is None


def test_the_first_entry_is_chained_to_the_genesis_hash(chain):
    first = AuditEntry.objects.get(chain_seq=1)
    assert first.entry_hash == log.entry_hash(log.GENESIS, first, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "user:1"},
        {"action": "test.undone"},
        {"target_id": "99"},
        {"detail": {"n": 0}},
        {"entry_hash": "0" * 64},
    ],
)
def test_a_changed_entry_is_named(tampering, change):
    AuditEntry.objects.filter(chain_seq=3).update(**change)
    assert log.verify() is not None
    assert log.verify().chain_seq == 3


def test_a_removed_entry_is_named(tampering):
    AuditEntry.objects.filter(chain_seq=2).delete()
    assert log.verify() == log.Broken(2, "entry 2 is missing")


def test_a_changed_entry_with_a_fresh_hash_breaks_the_next_one(tampering):
    entry = AuditEntry.objects.get(chain_seq=2)
    previous = AuditEntry.objects.get(chain_seq=1).entry_hash
    entry.actor = "user:666"
    AuditEntry.objects.filter(chain_seq=2).update(
        actor=entry.actor, entry_hash=log.entry_hash(previous, entry, 2)
    )
    assert log.verify().chain_seq == 3


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditentry SET actor = 'nobody'",
        "UPDATE audit_auditentry SET chain_seq = NULL, entry_hash = ''",
        "DELETE FROM audit_auditentry",
    ],
)
def test_the_database_refuses_to_change_a_sealed_entry(chain, statement):
    with (
        pytest.raises(ProgrammingError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_the_database_refuses_to_change_an_entry_before_it_is_sealed(db):
    log.record([act(1)])
    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic():
        AuditEntry.objects.update(action="other")
    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic():
        AuditEntry.objects.all().delete()


@pytest.mark.django_db(transaction=True)
def test_parallel_sealing_makes_one_unbroken_chain():
    def work(worker: int) -> None:
        try:
            for number in range(10):
                log.record([act(100 * worker + number)])
                log.seal(limit=3)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    while log.seal():
        pass
    seqs = AuditEntry.objects.order_by("chain_seq").values_list("chain_seq", flat=True)
    assert list(seqs) == list(range(1, 81))
    assert log.verify() is None


def test_verify_audit_says_that_the_chain_holds(chain, capsys):
    log.record([act(6)])
    call_command("verify_audit")
    assert "holds" in capsys.readouterr().out


def test_verify_audit_fails_and_names_the_link(tampering):
    AuditEntry.objects.filter(chain_seq=4).update(actor="user:1")
    with pytest.raises(CommandError, match="entry 4"):
        call_command("verify_audit")
