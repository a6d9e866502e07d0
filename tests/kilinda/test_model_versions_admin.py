"""The page of model versions: registering, asking before each move, comparing."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from detection import bases, comparison, rollout
from detection.models import DetectorScore
from detection.versions import ModelVersion
from inference_worker import registry
from kilinda.partners.models import Role, User
from tests import factories, model_folders

pytestmark = pytest.mark.django_db

LIST = reverse("admin:detection_modelversion_changelist")
ADD = reverse("admin:detection_modelversion_add")


@pytest.fixture(autouse=True)
def models(settings, tmp_path, monkeypatch) -> Path:
    place = tmp_path / "models"
    place.mkdir()
    settings.KILINDA_MODELS, settings.KILINDA_HOME = str(place), tmp_path / "home"
    monkeypatch.setitem(registry.DETECTORS, model_folders.DETECTOR, "tests.model_folders:Built")
    return place


@pytest.fixture
def superuser() -> User:
    return factories.UserFactory(is_staff=True, is_superuser=True)


@pytest.fixture
def office(superuser) -> Client:
    client = Client()
    client.force_login(superuser)
    return client


@pytest.fixture
def versions(models, superuser) -> tuple[ModelVersion, ModelVersion]:
    """The active version and a candidate."""
    model_folders.write(models)
    bases.sync()
    folder = model_folders.write(models, version="1.1.0")
    (second,) = rollout.register(source=str(folder), actor=superuser)
    return ModelVersion.objects.get(version="1.0.0"), second


def said(response) -> str:
    return " ".join(str(message) for message in response.context["messages"])


def ask(client: Client, version: ModelVersion, act: str):
    return client.post(LIST, {"action": act, "_selected_action": version.pk})


def confirm(client: Client, version: ModelVersion, act: str, **given: object) -> str:
    """Press an act's button, and then the button of the page that asks; return what was said."""
    asked = ask(client, version, act)
    form = {"action": act, "_selected_action": version.pk, "seen": asked.context["seen"]}
    return said(client.post(LIST, form | given, follow=True))


def test_a_version_is_registered_from_a_folder(office, models):
    folder = model_folders.write(models)
    answer = office.post(ADD, {"place": str(folder), "rival": ""}, follow=True)
    assert "Registered as candidates: words@1.0.0." in said(answer)
    row = ModelVersion.objects.get()
    assert (row.state, row.registered_by, row.source) == (
        "candidate",
        User.objects.get(),
        str(folder),
    )


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"place": "/etc", "rival": ""}, "A folder must lie below a directory of KILINDA_MODELS."),
        ({"place": "{models}/none", "rival": ""}, "There is no directory"),
        ({"place": "{models}", "rival": "other"}, "There is no slot &#x27;other&#x27;"),
        ({"place": "ftp://host/x", "rival": ""}, "does not begin with s3://, models:/"),
        ({"place": "", "rival": ""}, "This field is required"),
    ],
)
def test_what_cannot_be_registered_is_said_beside_the_field(office, models, given, named):
    model_folders.write(models)
    form = {name: value.format(models=models) for name, value in given.items()}
    assert named in office.post(ADD, form).content.decode()
    assert not ModelVersion.objects.exists()


def test_a_move_is_asked_before_it_is_made(office, versions):
    second = versions[1]
    asked = ask(office, second, "activate")
    page = asked.content.decode()
    assert "words@1.0.0 is retired. Rolling back returns to it." in page
    second.refresh_from_db()
    assert second.state == "candidate"
    assert confirm(office, second, "activate") == "words@1.1.0 is active now."
    assert confirm(office, second, "roll_back") == "words@1.0.0 is active now."


def test_a_canary_has_the_share_that_was_given(office, versions):
    _, second = versions
    assert confirm(office, second, "start_canary", share_percent=20) == (
        "words@1.1.0 is a canary now."
    )
    second.refresh_from_db()
    assert second.share_percent == 20
    again = {"action": "start_canary", "_selected_action": second.pk, "seen": rollout.generation()}
    refused = office.post(LIST, again | {"share_percent": 100})
    assert "less than or equal to 99" in refused.content.decode()


def test_who_is_late_is_told_and_nothing_is_moved(office, versions, superuser):
    _, second = versions
    seen = ask(office, second, "activate").context["seen"]
    rollout.start_shadow(version=second, actor=superuser)
    form = {"action": "activate", "_selected_action": second.pk, "seen": seen}
    assert "Somebody else changed the models" in said(office.post(LIST, form, follow=True))
    second.refresh_from_db()
    assert second.state == "shadow"


@pytest.mark.parametrize("seen", ["", "x", "-1", "99999"])
def test_a_made_up_number_moves_nothing(office, versions, seen):
    form = {"action": "activate", "_selected_action": versions[1].pk, "seen": seen}
    assert "Somebody else changed" in said(office.post(LIST, form, follow=True))


def test_an_act_that_does_not_fit_is_refused(office, versions):
    first, _ = versions
    answer = office.post(LIST, {"action": "activate", "_selected_action": first.pk}, follow=True)
    assert "words@1.0.0 is active: activate does not apply." in said(answer)


def test_only_fitting_acts_are_offered(office, versions):
    second = versions[1]
    page = office.get(reverse("admin:detection_modelversion_change", args=[second.pk]))
    assert [act["name"] for act in page.context["acts"]] == [
        "start_shadow",
        "start_canary",
        "activate",
        "retire",
    ]


def test_an_error_of_a_worker_is_shown(office, versions):
    ModelVersion.objects.filter(pk=versions[0].pk).update(load_error="host: The weights are gone.")
    assert "Not loaded. host: The weights are gone." in office.get(LIST).content.decode()


def test_a_reviewer_may_not_compare(versions):
    client = Client()
    client.force_login(factories.reviewer(is_staff=True))
    url = reverse("admin:detection_modelversion_compare", args=[versions[1].pk])
    assert client.get(url).status_code == 403


def test_an_administrator_may_move(versions):
    client = Client()
    client.force_login(factories.reviewer(role=Role.ADMINISTRATOR, is_staff=True))
    assert confirm(client, versions[1], "start_shadow") == "words@1.1.0 is a shadow now."


# --- Comparing -----------------------------------------------------------------------------------


def both(text: str, active: float | None, trial: float | None) -> None:
    """Write a text's result with the scores of both versions."""
    result = factories.ResultFactory(job__submission__text=text, scores=[])
    for version, role, probability in (("1.0.0", "active", active), ("1.1.0", "shadow", trial)):
        factories.DetectorScoreFactory(
            result=result,
            detector="words",
            version=version,
            role=role,
            probability=probability,
        )


def test_figures_and_disagreements_are_about_the_same_content(office, versions, superuser):
    _, second = versions
    rollout.start_shadow(version=second, actor=superuser)
    both("both call it fine", 0.10, 0.30)
    both("only the trial calls it bad", 0.40, 0.60)
    both("only the active one does", 0.90, 0.40)
    both("only the active one could judge", 0.20, None)
    both("neither could judge", None, None)
    factories.ResultFactory()  # seen by neither
    found = comparison.compare(second)
    assert found is not None
    assert (found.seen, found.judged, found.crossing) == (5, 3, 2)
    assert (found.only_trial, found.only_active) == (0, 1)
    assert found.mean_difference == pytest.approx(-10 / 3)
    assert found.mean_distance == pytest.approx(30)
    listed = [each.beginning for each in comparison.disagreements(second)]
    assert listed == [
        "only the active one does",
        "only the trial calls it bad",
        "only the active one could judge",
    ]
    url = reverse("admin:detection_modelversion_compare", args=[second.pk])
    assert url in office.get(LIST).content.decode()
    page = office.get(url).content.decode()
    assert "only the active one does" in page
    assert "66.7 %" in page
    assert "-3.3 points" in ask(office, second, "activate").content.decode()


def test_shadows_are_no_scores_for_anybody_else(versions):
    both("judged by both", 0.4, 0.6)
    assert [score.version for score in DetectorScore.objects.all()] == ["1.0.0"]
    assert DetectorScore.everything.count() == 2


def test_what_was_judged_twice_is_compared_in_order(versions):
    result = factories.ResultFactory(scores=[])
    for active, trial in ((0.1, 0.2), (0.9, 0.8)):
        for version, role, probability in (("1.0.0", "active", active), ("1.1.0", "shadow", trial)):
            factories.DetectorScoreFactory(
                result=result, detector="words", version=version, role=role, probability=probability
            )
    found = comparison.compare(versions[1])
    assert found is not None
    assert (found.seen, found.crossing) == (2, 0)
    assert found.mean_distance == pytest.approx(10)
