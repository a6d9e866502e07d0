"""The processes of one machine, as a table. Production runs the same under its own supervisor."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from functools import partial

from kilinda.stack.service import Service

PROBE_TIMEOUT_SECONDS = 3.0

# No gossip, mingle or heartbeat: workers learn nothing from each other, PostgreSQL holds the state.
_WORKER = (
    "celery -A kilinda worker --loglevel INFO --without-gossip --without-mingle --without-heartbeat"
)

# -v 0: Daphne's own access lines would repeat ours, in another format and with what clients typed.
PROCESSES = {
    "web": "daphne -v 0 -b 127.0.0.1 -p {port} kilinda.asgi:application",
    "worker": f"{_WORKER} -Q default -n worker@%h -c 2",
    "screen": f"{_WORKER} -Q screen -n screen@%h -c 2",
    "media": f"{_WORKER} -Q media -n media@%h -c 1",
    "beat": "celery -A kilinda beat --loglevel INFO --pidfile= "
    "-S django_celery_beat.schedulers:DatabaseScheduler",
}


def services(port: int) -> list[Service]:
    """Return the processes in the order of their start."""
    problems = {"web": partial(problem, f"http://127.0.0.1:{port}/health/ready")}
    return [
        Service(
            name=name,
            command=(sys.executable, "-m", *line.format(port=port).split()),
            problem=problems.get(name, lambda: ""),
            ready_within_seconds=180.0,  # models load from a cold disk
        )
        for name, line in PROCESSES.items()
    ]


def problem(url: str) -> str:
    """Return nothing once the health page answers 200, else which of its checks fail."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=PROBE_TIMEOUT_SECONDS):
            return ""
    except urllib.error.HTTPError as answer:
        return f"{url} answers {answer.code}: {failed_checks(answer.read())}"
    except OSError:
        return f"{url} does not answer"


def failed_checks(body: bytes) -> str:
    """Return the names of the failed checks, or the body itself where it names none."""
    try:
        return "failing " + ", ".join(json.loads(body)["failed"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:200]
