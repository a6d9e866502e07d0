"""What may be done with a version of a model, by whom, and what is written about it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, connections, transaction

from detection import bases, rollout
from detection.errors import InvalidMove, ModelRefused, NothingToRollBackTo, RolloutMoved
from detection.versions import ModelVersion
from inference_worker import registry
from kilinda.audit.models import AuditEntry
from kilinda.partners.models import User
from tests import model_folders
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

State = ModelVersion.State


@pytest.fixture(autouse=True)
def models(settings, tmp_path, monkeypatch) -> Path:
    """An empty place of models, which a toy may judge with."""
    place = tmp_path / "models"
    place.mkdir()
    settings.KILINDA_MODELS, settings.KILINDA_HOME = str(place), tmp_path / "home"
    monkeypatch.setitem(registry.DETECTORS, model_folders.DETECTOR, "tests.model_folders:Built")
    return place


@pytest.fixture
def admin() -> User:
    return UserFactory()


@pytest.fixture
def first(models) -> ModelVersion:
    """Version 1.0.0 of "words", active since the first start."""
    model_folders.write(models)
    bases.sync()
    return ModelVersion.objects.get()


@pytest.fixture
def second(models, first, admin) -> ModelVersion:
    """Version 1.1.0, a candidate."""
    model_folders.write(models, version="1.1.0")
    (made,) = rollout.register(source=str(models), actor=admin)
    return made


def states() -> dict[str, str]:
    return {row.version: row.state for row in ModelVersion.objects.order_by("version")}


def audited() -> list[tuple[str, str]]:
    return [
        (entry.actor.partition(":")[0], entry.action) for entry in AuditEntry.objects.order_by("id")
    ]


# --- The first start and what comes later --------------------------------------------------------


def test_the_first_models_are_active_by_themselves(first):
    assert (first.state, first.slot, first.registered_by) == (State.ACTIVE, "words", None)
    assert first.metrics == {"unseen": {"n": 100, "auc": 0.8}}
    assert audited() == [("system", "model.registered"), ("system", "model.activated")]
    assert bases.shelf().load(first.digest).version == "1.0.0"


def test_a_second_start_changes_nothing(first):
    before = rollout.generation()
    bases.sync()
    assert (rollout.generation(), ModelVersion.objects.count()) == (before, 1)


def test_a_version_put_beside_the_active_one_waits_as_a_candidate(models, first):
    model_folders.write(models, version="1.1.0")
    bases.sync()
    assert states() == {"1.0.0": "active", "1.1.0": "candidate"}


def test_an_update_that_replaces_the_folder_is_followed(models, first):
    (models / "words-1.0.0").rename(models.parent / "gone")
    model_folders.write(models, version="1.10.0")
    bases.sync()
    assert states() == {"1.0.0": "retired", "1.10.0": "active"}
    assert bases.shelf().load(first.digest).version == "1.0.0"  # so that it can be rolled back


def test_an_update_does_not_undo_what_a_person_chose(models, second, admin):
    rollout.activate(version=second, actor=admin)
    for folder in list(models.iterdir()):
        folder.rename(models.parent / folder.name)
    model_folders.write(models, version="2.0.0")
    bases.sync()
    assert states() == {"1.0.0": "retired", "1.1.0": "active", "2.0.0": "candidate"}


def test_other_files_under_a_known_version_are_left_out(models, first, caplog):
    (models / "words-1.0.0").rename(models.parent / "gone")
    model_folders.write(models, training={"changed": True})
    bases.sync()
    assert ModelVersion.objects.get().digest == first.digest


def test_an_unsafe_folder_does_not_stop_the_others(models):
    model_folders.write(models, "bad", files={"../../x.safetensors": "0" * 64})
    model_folders.write(models)
    bases.sync()
    assert [row.name for row in ModelVersion.objects.all()] == ["words"]


# --- Registering ---------------------------------------------------------------------------------


def test_what_is_registered_already_is_refused(models, first, admin):
    with pytest.raises(ModelRefused, match="registered already"):
        rollout.register(source=str(models), actor=admin)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"detector": "smell"}, "needs the detector 'smell'"),
        ({"name": "two words"}, "name must be at most 100 letters"),
        ({"files": {"model.bin": "0" * 64}}, "lists no .safetensors"),
        ({"files": {"model.safetensors": "0" * 64, "run.py": "0" * 64}}, "run.py may not be"),
        ({"files": {"../model.safetensors": "0" * 64}}, "a file's name has letters"),
        ({"threshold": 2}, "threshold must be within 0..1"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_by_name(models, admin, changed, named):
    model_folders.write(models, version="3.0.0", **changed)
    with pytest.raises(ModelRefused, match=named):
        rollout.register(source=str(models), actor=admin)


def test_a_model_of_another_name_can_compete_in_a_slot(models, first, admin):
    folder = model_folders.write(models.parent, "larger-words")
    (made,) = rollout.register(source=str(folder), actor=admin, slot="words")
    rollout.activate(version=made, actor=admin)
    assert ModelVersion.objects.get(pk=first.pk).state == State.RETIRED


@pytest.mark.parametrize(
    ("slot", "named"), [("none", "no slot 'none'"), ("words", "is for abuse in text")]
)
def test_a_slot_of_another_task_is_refused(models, first, admin, slot, named):
    folder = model_folders.write(models.parent, "pictures", task="fake", modality="image")
    with pytest.raises(ModelRefused, match=named):
        rollout.register(source=str(folder), actor=admin, slot=slot)


# --- Moves ---------------------------------------------------------------------------------------


def test_from_candidate_to_active_and_back_in_one_action(first, second, admin):
    rollout.start_shadow(version=second, actor=admin)
    rollout.start_canary(version=second, share_percent=10, actor=admin)
    assert rollout.start_canary(version=second, share_percent=50, actor=admin).share_percent == 50
    active = rollout.activate(version=second, actor=admin)
    assert (active.state, active.share_percent, active.succeeded) == (State.ACTIVE, None, first)
    assert states() == {"1.0.0": "retired", "1.1.0": "active"}
    assert rollout.roll_back(version=second, actor=admin) == first
    assert states() == {"1.0.0": "active", "1.1.0": "retired"}
    assert [action for who, action in audited() if who == "user"] == [
        "model.registered",
        "model.shadow_started",
        "model.canary_started",
        "model.canary_started",
        "model.activated",
        "model.rolled_back",
    ]


def test_every_move_raises_the_number_that_workers_compare(first, second, admin):
    numbers = [rollout.generation()]
    for move in (rollout.start_shadow, rollout.activate, rollout.roll_back):
        move(version=second, actor=admin)
        numbers.append(rollout.generation())
    assert numbers == sorted(set(numbers))


def test_rolling_back_the_first_version_says_that_there_is_none_before(first, admin):
    with pytest.raises(NothingToRollBackTo, match=r"before words@1\.0\.0"):
        rollout.roll_back(version=first, actor=admin)


def test_only_an_active_version_is_rolled_back(second, admin):
    with pytest.raises(InvalidMove, match="only an active version"):
        rollout.roll_back(version=second, actor=admin)


@pytest.mark.parametrize("share", [0, 100, -5])
def test_a_canary_has_a_share_between_none_and_all(second, admin, share):
    with pytest.raises(InvalidMove, match="1 to 99 percent"):
        rollout.start_canary(version=second, share_percent=share, actor=admin)


def test_a_slot_has_one_canary(models, second, admin):
    rollout.start_canary(version=second, share_percent=10, actor=admin)
    model_folders.write(models, version="1.2.0")
    (third,) = rollout.register(source=str(models), actor=admin)
    with pytest.raises(InvalidMove, match=r"words@1\.1\.0 is the canary"):
        rollout.start_canary(version=third, share_percent=10, actor=admin)


def test_the_last_active_model_of_a_kind_of_content_stays(first, admin):
    with pytest.raises(InvalidMove, match="only active model for text"):
        rollout.retire(version=first, actor=admin)


def test_the_active_version_cannot_become_its_own_shadow(first, admin):
    with pytest.raises(InvalidMove, match="is active and cannot become shadow"):
        rollout.start_shadow(version=first, actor=admin)


def test_who_decided_on_what_is_no_longer_true_is_told(second, admin):
    seen = rollout.generation()
    rollout.start_shadow(version=second, actor=admin, seen=seen)
    with pytest.raises(RolloutMoved, match="Somebody else changed the models"):
        rollout.activate(version=second, actor=admin, seen=seen)
    assert states() == {"1.0.0": "active", "1.1.0": "shadow"}


@pytest.mark.django_db(transaction=True)
def test_of_two_administrators_at_once_one_moves_and_the_other_is_told(second, admin):
    seen, told = rollout.generation(), []

    def other() -> None:
        try:
            rollout.start_shadow(version=second, actor=admin, seen=seen)
        except RolloutMoved as error:
            told.append(str(error))
        finally:
            connections.close_all()

    with transaction.atomic():
        rollout.activate(version=second, actor=admin, seen=seen)
        thread = threading.Thread(target=other)
        thread.start()
        with connection.cursor() as cursor:  # until the other waits for our lock
            while not told and not waiting(cursor):
                assert thread.is_alive()
    thread.join()
    assert len(told) == 1
    assert states() == {"1.0.0": "retired", "1.1.0": "active"}


def waiting(cursor) -> bool:
    cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return bool(cursor.fetchone()[0])


# --- What the database itself refuses ------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"state": "active"}, "model_one_active_in_a_slot"),
        ({"state": "canary"}, "model_share_is_a_canarys"),
        ({"share_percent": 10}, "model_share_is_a_canarys"),
        ({"state": "canary", "share_percent": 100}, "model_share_is_a_canarys"),
        ({"version": "1.0.0"}, "model_version_once"),
        ({"digest": "x"}, "model_digest_is_hex"),
        ({"state": "resting"}, "model_state_is_known"),
    ],
)
def test_the_database_refuses(second, change, constraint):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        ModelVersion.objects.filter(pk=second.pk).update(**change)
