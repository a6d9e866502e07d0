"""Settings from the environment: what is read, and what stops the start."""

from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from kilinda import env
from tests.signing import authority

URL = "postgresql://kilinda:s%40crown@db.example:5433/kilinda"


def test_a_database_url_becomes_a_databases_entry() -> None:
    entry = env.database(URL)

    assert (entry["HOST"], entry["PORT"], entry["NAME"]) == ("db.example", "5433", "kilinda")
    assert (entry["USER"], entry["PASSWORD"]) == ("kilinda", "s@crown")
    assert entry["OPTIONS"] == {}


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("sslmode=verify-full", {"sslmode": "verify-full"}),
        ("sslmode=require&connect_timeout=9", {"sslmode": "require", "connect_timeout": "9"}),
        # escaped, as libpq reads it: a plus sign stays one
        ("options=-c%20statement_timeout%3D5000", {"options": "-c statement_timeout=5000"}),
        ("application_name=a+b&", {"application_name": "a+b"}),
    ],
)
def test_what_follows_the_question_mark_goes_to_libpq(query: str, options: dict[str, str]) -> None:
    assert env.database(f"{URL}?{query}")["OPTIONS"] == options


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://kilinda@db.example/kilinda", "must look like"),
        ("postgresql://kilinda@db.example/", "must look like"),
        ("postgresql://kilinda@db.example:many/kilinda", "port"),
        (f"{URL}?sslmode", "sslmode has no value"),
        (f"{URL}?sslmode=", "sslmode has no value"),
        (f"{URL}?sslmode=sure", "sslmode must be one of disable"),
        (f"{URL}?connect_timeout=soon", "connect_timeout must be whole seconds"),
        (f"{URL}?pool=true", "no option 'pool'"),
        (f"{URL}?host=elsewhere", "host belongs before"),
    ],
)
def test_a_bad_database_url_is_named_without_its_password(url: str, says: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL") as raised:
        env.database(url)

    assert says in str(raised.value)
    assert "crown" not in str(raised.value)


def test_a_connection_is_not_waited_for_without_end() -> None:
    assert int(settings.DATABASES["default"]["OPTIONS"]["connect_timeout"]) > 0


def test_a_trust_list_is_the_path_of_a_file_with_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = tmp_path / "trusted.pem"
    pem.write_text(authority().root)
    monkeypatch.setenv("KILINDA_C2PA_TRUST", str(pem))

    assert env.certificates("KILINDA_C2PA_TRUST") == pem
    monkeypatch.delenv("KILINDA_C2PA_TRUST")
    assert env.certificates("KILINDA_C2PA_TRUST") is None


def test_a_trust_list_that_cannot_be_used_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILINDA_C2PA_TRUST", str(tmp_path / "none.pem"))
    with pytest.raises(ImproperlyConfigured, match=r"KILINDA_C2PA_TRUST: cannot read"):
        env.certificates("KILINDA_C2PA_TRUST")

    (tmp_path / "none.pem").write_text("trust me")
    with pytest.raises(ImproperlyConfigured, match="holds no PEM certificates"):
        env.certificates("KILINDA_C2PA_TRUST")
