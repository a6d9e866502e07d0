"""People and items that most review tests start from."""

from pathlib import Path

import pytest

from kilinda.partners.models import Role, User
from review import claims
from review.models import ReviewItem
from tests import factories


@pytest.fixture
def amina(db: None) -> User:
    """A reviewer of the operator, who sees every item."""
    return factories.reviewer(username="amina")


@pytest.fixture
def brian(db: None) -> User:
    """Another one."""
    return factories.reviewer(username="brian")


@pytest.fixture
def senior(db: None) -> User:
    """A senior reviewer of the operator."""
    return factories.reviewer(username="wanjiru", role=Role.SENIOR_REVIEWER)


@pytest.fixture
def item(db: None) -> ReviewItem:
    """An open item of a text."""
    return factories.ItemFactory()


@pytest.fixture
def claimed(item: ReviewItem, amina: User) -> ReviewItem:
    """The item, claimed by Amina."""
    return claims.claim(item_id=item.pk, reviewer=amina)


@pytest.fixture(autouse=True)
def own_files(settings: object, tmp_path: Path) -> None:
    """Keep what a test stores out of the next one's sight."""
    settings.MEDIA_ROOT = tmp_path / "files"
