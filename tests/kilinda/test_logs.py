import io
import json
import logging
from collections.abc import Iterator
from uuid import uuid4

import pytest
import structlog
from django.core.exceptions import ImproperlyConfigured

from kilinda import logs
from kilinda.celery import app


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the JSON handler writes while the test runs."""
    yield from _capture("json")


@pytest.fixture
def written_for_people() -> Iterator[io.StringIO]:
    yield from _capture("console")


def _capture(line_format: str) -> Iterator[io.StringIO]:
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logs._formatter(line_format))
    logging.getLogger().addHandler(handler)
    structlog.contextvars.clear_contextvars()
    yield handler.stream
    logging.getLogger().removeHandler(handler)


def entries(written: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_request_is_one_line_with_pattern_status_and_duration(client, written):
    typed = uuid4()
    response = client.get(f"/admin/detection/submission/{typed}/change/")
    [line] = entries(written)
    assert line["event"] == "request answered"
    assert (line["method"], line["status"]) == ("GET", 302)
    assert line["endpoint"] == "admin/detection/submission/<path:object_id>/change/"
    assert line["duration_ms"] >= 0
    assert line["request_id"] == response["X-Request-ID"]
    assert str(typed) not in written.getvalue()


def test_a_sane_request_id_is_kept(client):
    response = client.get("/health/live", headers={"X-Request-ID": "trace-7.b_1"})
    assert response["X-Request-ID"] == "trace-7.b_1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "id\x1b[31m", "<script>"])
def test_any_other_request_id_is_replaced(client, given):
    made = client.get("/health/live", headers={"X-Request-ID": given})["X-Request-ID"]
    assert made != given
    assert len(made) == 32


async def test_requests_under_asgi_have_ids_of_their_own(async_client):
    first = await async_client.get("/health/live")
    second = await async_client.get("/health/live")
    assert first["X-Request-ID"] != second["X-Request-ID"]


def test_probes_do_not_drown_the_log(client, written):
    client.get("/health/live")
    client.get("/metrics", REMOTE_ADDR="8.8.8.8")
    assert entries(written) == []


def test_content_cannot_forge_a_json_line(written):
    logging.getLogger("partner").warning("said %s", 'x\n{"event": "forged"}\r\x1b[2J')
    [line] = entries(written)
    assert line["event"] == 'said x\n{"event": "forged"}\r\x1b[2J'


def test_content_cannot_forge_a_console_line(written_for_people):
    structlog.get_logger("partner").warning("said", text="x\nforged\x1b[2J", key="\u2028")
    assert len(written_for_people.getvalue().splitlines()) == 1
    assert "\x1b" not in written_for_people.getvalue()


def test_a_traceback_is_part_of_its_line(written):
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger("kilinda").exception("task failed")
    [line] = entries(written)
    assert "ValueError: broken" in line["exception"]


def test_lines_of_a_task_carry_its_name_id_and_jobs(written):
    @app.task(name="tests.say")
    def say() -> None:
        logs.name_the_jobs(["job-1", "job-2"])
        logging.getLogger("worker").warning("hello")

    result = say.apply()
    logging.getLogger("worker").warning("between tasks")
    inside, after = [line for line in entries(written) if line["logger"] == "worker"]
    assert (inside["task"], inside["task_id"]) == ("tests.say", result.id)
    assert inside["job_ids"] == ["job-1", "job-2"]
    assert "task" not in after


@pytest.mark.parametrize(
    ("config", "variable"),
    [
        ({"format": "xml", "level": "INFO"}, "KILINDA_LOG_FORMAT"),
        ({"format": "json", "level": "LOUD"}, "KILINDA_LOG_LEVEL"),
    ],
)
def test_a_bad_setting_stops_the_start_with_its_name(config, variable):
    with pytest.raises((ImproperlyConfigured, ValueError)) as stopped:
        logs.configure(config)
    assert variable in f"{stopped.value} {stopped.value.__cause__}"
