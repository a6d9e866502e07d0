import hashlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from kilinda import health


@pytest.fixture(autouse=True)
def fresh_report(settings, tmp_path) -> None:
    """No report of an earlier test, and media in a folder of the test's own."""
    health._last_report.clear()
    settings.MEDIA_ROOT = tmp_path / "files"


@pytest.fixture(autouse=True)
def model_folder(settings, tmp_path) -> Path:
    """A model folder that verifies, as the only one installed."""
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    manifest = {
        "name": "tiny",
        "version": "1",
        "task": "abuse",
        "modality": "text",
        "detector": "text",
        "labels": ["abuse"],
        "calibration": {"slope": 1, "offset": 0},
        "threshold": 0.5,
        "metrics": {},
        "training": {},
        "files": {"model.safetensors": hashlib.sha256(b"weights").hexdigest()},
    }
    (folder / "kilinda.json").write_text(json.dumps(manifest))
    settings.KILINDA_MODELS = str(folder.parent)
    return folder


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def problems(response) -> dict[str, str]:
    return {
        name: check["problem"]
        for name, check in response.json()["checks"].items()
        if check["status"] != "ok"
    }


def test_live_answers_without_touching_the_database(client):
    # No django_db mark: a query would fail the test.
    assert client.get("/health/live").json() == {"status": "ok"}


@pytest.mark.django_db
def test_ready_when_every_server_answers(client):
    response = client.get("/health/ready")
    assert (response.status_code, response.json()["failed"]) == (200, [])
    assert set(response.json()["checks"]) == {"database", "broker", "storage", "models"}


@pytest.mark.django_db
def test_a_database_that_is_away_is_named(client, monkeypatch, closed_port):
    monkeypatch.setitem(connection.settings_dict, "PORT", str(closed_port))
    response = client.get("/health/ready")
    assert response.status_code == 503
    assert problems(response) == {"database": "OperationalError"}


@pytest.mark.django_db
def test_a_missing_migration_is_named(client):
    facts = connection.settings_dict
    with psycopg.connect(
        host=facts["HOST"],
        port=facts["PORT"],
        user=facts["USER"],
        password=facts["PASSWORD"],
        dbname=facts["NAME"],
        autocommit=True,
    ) as outside:
        newest = "app = 'audit' AND name = '0002_append_only'"
        outside.execute(f"UPDATE django_migrations SET app = 'away' WHERE {newest}")
        try:
            response = client.get("/health/ready")
        finally:
            outside.execute("UPDATE django_migrations SET app = 'audit' WHERE app = 'away'")
    assert problems(response) == {"database": "migrations not applied: audit.0002_append_only"}


@pytest.mark.django_db
def test_a_broker_that_is_away_is_named(client, settings, closed_port):
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{closed_port}/0"
    assert list(problems(client.get("/health/ready"))) == ["broker"]


@pytest.mark.django_db
def test_a_storage_that_takes_nothing_is_named(client, settings, tmp_path):
    (tmp_path / "a file").touch()
    settings.MEDIA_ROOT = tmp_path / "a file"
    assert list(problems(client.get("/health/ready"))) == ["storage"]


@pytest.mark.django_db
def test_the_probe_leaves_nothing_in_the_storage(client, settings):
    client.get("/health/ready")
    assert [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()] == []


@pytest.mark.django_db
def test_a_model_altered_after_it_was_verified_is_named(client, model_folder):
    assert client.get("/health/ready").status_code == 200
    (model_folder / "model.safetensors").write_bytes(b"others")
    health._last_report.clear()
    assert "was altered" in problems(client.get("/health/ready"))["models"]


@pytest.mark.django_db
def test_no_models_at_all_is_not_ready(client, settings, tmp_path):
    settings.KILINDA_MODELS = str(tmp_path / "nothing")
    assert problems(client.get("/health/ready")) == {"models": "no model folder is installed"}


@pytest.mark.django_db
def test_black_holes_are_named_within_two_seconds(client, settings, monkeypatch, black_hole):
    monkeypatch.setitem(connection.settings_dict, "PORT", str(black_hole))
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{black_hole}/0"
    began = time.monotonic()
    response = client.get("/health/ready")
    assert time.monotonic() - began < 2
    assert set(problems(response)) == {"database", "broker"}
    assert problems(response)["database"] == "no answer within 1.5 s"


@pytest.mark.django_db
def test_probes_in_the_same_second_share_one_report(client, settings, tmp_path):
    assert client.get("/health/ready").status_code == 200
    settings.KILINDA_MODELS = str(tmp_path / "nothing")
    assert client.get("/health/ready").status_code == 200


@pytest.mark.django_db
def test_without_workers_the_platform_is_degraded_but_ready(client, clean_redis):
    response = client.get("/health")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert problems(response) == {"workers": "no live worker in lane screen, media"}


@pytest.mark.django_db
def test_a_heartbeat_in_every_lane_makes_it_whole(client, clean_redis):
    for lane in health.LANES:
        health.beat(lane)
    assert client.get("/health").json()["status"] == "ok"


@pytest.mark.parametrize(
    ("told", "shown"),
    [("tesseract 5.3.0 (eng)", "tesseract 5.3.0 (eng)"), ("", "off: tesseract is not installed")],
)
def test_it_says_what_reads_the_text_in_pictures(client, clean_redis, told, shown):
    assert client.get("/health").json()["text_in_pictures"].startswith("unknown")
    health.beat("media", told)
    assert client.get("/health").json()["text_in_pictures"].startswith(shown)


def test_a_heartbeat_does_not_outlive_its_worker(clean_redis):
    health.beat("screen")
    [key] = clean_redis.keys("kilinda:beat:*")
    assert 0 < clean_redis.ttl(key) <= health.BEAT_LIFETIME_SECONDS


def test_a_heartbeat_survives_a_broker_that_is_away(settings, closed_port):
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{closed_port}/0"
    health.beat("screen")
