"""The processes of one machine, as a table. Production runs the same under its own supervisor."""

from __future__ import annotations

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

PROCESSES = {
    "web": "daphne -b 127.0.0.1 -p {port} kilinda.asgi:application",
    "worker": f"{_WORKER} -Q default -n worker@%h -c 2",
    "screen": f"{_WORKER} -Q screen -n screen@%h -c 1",
    "media": f"{_WORKER} -Q media -n media@%h -c 1",
    "beat": "celery -A kilinda beat --loglevel INFO --pidfile= "
    "-S django_celery_beat.schedulers:DatabaseScheduler",
}


def services(port: int) -> list[Service]:
    """Return the processes in the order of their start."""
    ready = {"web": partial(answers, f"http://127.0.0.1:{port}/health/ready")}
    return [
        Service(
            name=name,
            command=(sys.executable, "-m", *line.format(port=port).split()),
            is_ready=ready.get(name, lambda: True),
            ready_within_seconds=180.0,  # models load from a cold disk
        )
        for name, line in PROCESSES.items()
    ]


def answers(url: str) -> bool:
    """Say whether the URL answers with 200."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=PROBE_TIMEOUT_SECONDS) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
