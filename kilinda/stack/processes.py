"""The processes of one machine, as a table. Production runs the same under its own supervisor."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from functools import partial

from kilinda.stack.service import Service

PROBE_TIMEOUT_SECONDS = 3.0
NOT_AWAITED = {"rollout"}
"""Checks that fail while everything is judged: an older model stands in for one that is broken."""

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
    """Return the processes in the order of their start. Workers are ready when their models are."""
    health = f"http://127.0.0.1:{port}/health"
    problems = {
        "web": partial(problem, f"{health}/ready"),
        "screen": partial(problem, health),
        "media": partial(problem, health),
    }
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
    """Return nothing once every check of the health page holds, else which of them fail."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=PROBE_TIMEOUT_SECONDS) as answer:
            failed = failed_checks(answer.read())
            return f"{url} says: {failed}" if failed else ""
    except urllib.error.HTTPError as answer:
        return f"{url} answers {answer.code}: {failed_checks(answer.read())}"
    except OSError:
        return f"{url} does not answer"


def failed_checks(body: bytes) -> str:
    """Return the names of the failed checks, or the body itself where it has no list of them."""
    try:
        failed = ", ".join(name for name in json.loads(body)["failed"] if name not in NOT_AWAITED)
        return f"failing {failed}" if failed else ""
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:200]
