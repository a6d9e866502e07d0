"""What every test needs: cheap passwords, and the policy that a transactional test flushed away."""

from __future__ import annotations

import pytest
from django.conf import settings

from tests import factories

# Here, since tests elsewhere start processes with the harness too.
pytest.register_assert_rewrite("tests.stack.harness", "tests.stack.invariants")


def pytest_configure() -> None:
    """Hash passwords cheaply, since the tests make hundreds of people."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _active_policy(request: pytest.FixtureRequest) -> None:
    """Put the first policy back; Django empties all tables after a transactional test."""
    marker = request.node.get_closest_marker("django_db")
    if marker is not None:
        is_transactional = marker.kwargs.get("transaction", False)
        request.getfixturevalue("transactional_db" if is_transactional else "db")
        factories.active_policy()
