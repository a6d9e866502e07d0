"""Ending a runtime whose threads have used the database."""

from __future__ import annotations

from django.db import connections

from inference_worker.runtime import Runtime


def end(runtime: Runtime) -> None:
    """Close the threads' database connections, then the runtime."""
    for pool in (runtime._taker, runtime._writer):
        pool.submit(connections.close_all).result()
    runtime.close()
