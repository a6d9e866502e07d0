"""Logs: one JSON object a line, each with the request, task and job it belongs to."""

from __future__ import annotations

import logging.config
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from celery import Task, signals
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from kilinda import routes
from kilinda.ids import uuid7

REQUEST_ID_HEADER = "X-Request-ID"
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_QUIET = {
    # Each request has its own line; these repeat it, with the path as the client typed it.
    "django.request": "ERROR",
    "django.channels.server": "WARNING",
    "daphne.http_protocol": "WARNING",
    "daphne.ws_protocol": "WARNING",
    # Schedules run every few seconds; the line that tells the outcome stays.
    "celery.worker.strategy": "WARNING",
    "celery.beat": "WARNING",
    "httpx": "WARNING",
    "botocore": "WARNING",
}

log = structlog.get_logger("kilinda.request")


# --- Configuration -------------------------------------------------------------------------------


def configure(config: Mapping[str, str]) -> None:
    """Send every logger's lines to standard error. `config`: format (json or console) and level.

    Raises ImproperlyConfigured for an unknown format or level.
    """
    level = config["level"].upper()
    if level not in logging.getLevelNamesMapping():
        raise ImproperlyConfigured(f"KILINDA_LOG_LEVEL must be a level such as INFO, not {level!r}")
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": _formatter, "format": config["format"]}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {name: {"level": floor} for name, floor in _QUIET.items()},
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.UnicodeDecoder(),
    ]


def _formatter(format: str) -> logging.Formatter:
    endings: dict[str, list[Processor]] = {
        "json": [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        "console": [_on_one_line, structlog.dev.ConsoleRenderer(colors=False)],
    }
    if format not in endings:
        raise ImproperlyConfigured(f"KILINDA_LOG_FORMAT must be json or console, not {format!r}")
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared(), structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *endings[format]],
    )


def _on_one_line(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Escape control characters, so that logged content cannot forge a line or move the cursor.

    The JSON format needs no such step: JSON escapes them.
    """
    return {key: _escaped(value) for key, value in event.items()}


def _escaped(value: object) -> object:
    if not isinstance(value, str):
        return value
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), value)


# --- Requests ------------------------------------------------------------------------------------


def request_id() -> str:
    """Return the id of the request being answered, or nothing outside of one."""
    return str(get_contextvars().get("request_id", ""))


class RequestLogMiddleware:
    """Gives each request an id, answers with it, and logs one line when it was answered."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if self.is_async:
            return self._answer_async(request)
        began = _begin(request)
        response: HttpResponse = self.get_response(request)
        return _finish(request, response, began)

    async def _answer_async(self, request: HttpRequest) -> HttpResponse:
        began = _begin(request)
        response: HttpResponse = await self.get_response(request)
        return _finish(request, response, began)


def _begin(request: HttpRequest) -> float:
    """Start a clean context, since server threads are used again; return the time."""
    clear_contextvars()
    given = request.headers.get(REQUEST_ID_HEADER, "")
    sane = _SANE_REQUEST_ID.fullmatch(given)
    bind_contextvars(request_id=given if sane else uuid7().hex)
    return time.perf_counter()


def _finish(request: HttpRequest, response: HttpResponse, began: float) -> HttpResponse:
    response[REQUEST_ID_HEADER] = request_id()
    log.log(
        logging.DEBUG if routes.is_routine(request) else logging.INFO,
        "request answered",
        method=routes.method(request),
        endpoint=routes.endpoint(request),
        status=response.status_code,
        duration_ms=round((time.perf_counter() - began) * 1000, 1),
    )
    return response


# --- Celery tasks --------------------------------------------------------------------------------


@signals.setup_logging.connect
def keep_our_configuration(**_: Any) -> None:
    """Configure as in the web processes; that anything listens here stops Celery doing its own."""
    configure(settings.LOGGING)


@signals.task_prerun.connect
def name_the_task(task_id: str, task: Task[Any, Any], **_: Any) -> None:
    """Put the task's name and id on every line logged while it runs."""
    clear_contextvars()
    bind_contextvars(task=task.name, task_id=task_id)


@signals.task_postrun.connect
def forget_the_task(**_: Any) -> None:
    """Lines between tasks belong to none."""
    clear_contextvars()


def name_the_jobs(job_ids: list[str]) -> None:
    """Put the ids of the analysis jobs being worked on onto every later line of this task."""
    bind_contextvars(job_ids=job_ids)
