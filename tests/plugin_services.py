"""Gives every test run real PostgreSQL and Valkey servers.

Loaded by `-p` in pyproject.toml: Django's settings want their URLs before any conftest is read.
Under `make test` the URLs are set already; a plain `pytest` starts an embedded pair for itself.
Parallel processes (xdist) share one pair: a PostgreSQL database each by pytest-django, a numbered
Redis database and a data folder each by this module.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import redis

from kilinda import env

STACK_UP = (sys.executable, "-m", "kilinda.stack", "up", "--ephemeral")
PASSED_ON = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "KILINDA_HOME")
# Prints where the servers are, then lives exactly as long as our end of its standard input.
TELL_AND_WAIT = (
    "import json, os, sys; "
    f"print(json.dumps({{name: os.environ[name] for name in {PASSED_ON!r}}}), flush=True); "
    "sys.stdin.read()"
)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    if not (os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")):
        _start_servers(early_config)
    os.environ["REDIS_URL"] = _with_own_database(os.environ["REDIS_URL"])
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        os.environ["KILINDA_HOME"] = str(env.home() / worker)


def _start_servers(config: pytest.Config) -> None:
    stack = subprocess.Popen(
        [*STACK_UP, "--", sys.executable, "-c", TELL_AND_WAIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=config.rootpath,
        start_new_session=True,  # Ctrl-C is for pytest, which then closes the pipe
    )
    config.add_cleanup(stack.communicate)
    assert stack.stdout is not None
    facts = stack.stdout.readline()
    if not facts:
        raise pytest.UsageError("the embedded servers did not start, see the message above")
    os.environ.update(json.loads(facts))


def _with_own_database(url: str) -> str:
    """Return the URL with the number of this xdist worker, from 1, as its database."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    return urlsplit(url)._replace(path=f"/{int(worker) + 1}").geturl() if worker else url


@pytest.fixture
def clean_redis() -> Iterator[redis.Redis]:
    """Return a client of this process's Redis database, empty before and after the test."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.flushdb()
        yield client
        client.flushdb()
