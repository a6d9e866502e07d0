"""The factories make rows that the database's constraints accept, for each kind of content."""

import pytest
from django.core.files.storage import default_storage

from inference_worker.decoding.sniff import sniff
from tests import factories


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["text", "audio", "image", "video"])
def test_an_item_of_each_kind_has_a_score_and_its_content(kind: str) -> None:
    traits = {} if kind == "text" else {kind: True}
    item = factories.ItemFactory(**traits)

    submission = item.job.submission
    assert submission.content_type == item.result.content_type == kind
    assert item.organisation == submission.organisation
    assert item.result.scores.get().probability == pytest.approx(0.915)
    if submission.media:
        with default_storage.open(submission.media.storage_name) as file:
            assert sniff(file.read(4096)).mime == submission.media.mime


@pytest.mark.django_db
def test_an_unjudged_result_has_an_abstention_instead_of_a_score() -> None:
    result = factories.ResultFactory(percent=None)

    assert result.text_score is None
    assert result.scores.get().abstention_code == "too_short"


@pytest.mark.django_db
def test_reviewers_belong_to_the_operator_unless_told_otherwise() -> None:
    organisation = factories.OrganisationFactory()

    assert factories.reviewer().memberships.get().organisation.is_operator
    assert (
        factories.reviewer(organisation=organisation).memberships.get().organisation == organisation
    )
