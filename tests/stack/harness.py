"""One whole stack, as `make run` starts it, in a folder of its own, with everything to hurt it.

The workers judge with `tests.stack.toys` where a test asks for that, and take sabotage: Python that
is run in a process to break one rule of the platform, so that a test can show that it would notice.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis
from celery import Celery
from psycopg.rows import dict_row

from kilinda.stack import launch
from kilinda.stack.home import free_port

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 90.0
LEASE_SECONDS = 3
INHERITED = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "KILINDA_PORT", "KILINDA_MODELS")
TERMINAL = ("done", "failed", "dead")

SITECUSTOMIZE = """
import os, sys
from pathlib import Path

def sabotage(done=set(), **_):
    for path in (Path(os.environ["KILINDA_HOME"]) / "sabotage").glob("*.py"):
        if path.stem in sys.orig_argv and path not in done:
            done.add(path)
            exec(path.read_text(), {})
            path.with_suffix(f".{os.getpid()}").touch()

if "worker" in sys.orig_argv:
    from celery.signals import worker_process_init
    from tests.stack import toys
    toys.register()
    worker_process_init.connect(sabotage, weak=False)
if "daphne" in sys.orig_argv:
    from django.core.signals import request_started
    request_started.connect(sabotage, weak=False)
"""


def wait_until(
    condition: Callable[[], Any],
    *,
    what: str = "",
    seconds: float = DEADLINE_SECONDS,
    pause_seconds: float = 0.05,
) -> Any:
    """Return the condition's first true value; fail after the deadline."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what or condition}"
        pause.wait(pause_seconds)
    return value


@dataclass
class Load:
    """What a partner got who kept submitting."""

    accepted: list[str] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)
    slowest_seconds: float = 0.0

    def grows_by(self, count: int) -> None:
        """Wait until so many more submissions were accepted."""
        enough = len(self.accepted) + count
        wait_until(lambda: len(self.accepted) >= enough, what=f"{count} more are accepted")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; `status` 0 means that the connection broke."""

    status: int
    body: Any


class Stack:
    """A running `python -m kilinda.stack run`."""

    def __init__(self, home: Path, *, puppets: bool, **environment: str) -> None:
        home.mkdir(parents=True)
        self.home, self.port = home, free_port()
        kept = {name: value for name, value in os.environ.items() if name not in INHERITED}
        self.environment = kept | {"KILINDA_HOME": str(home), "KILINDA_PORT": str(self.port)}
        self.environment |= environment
        if puppets:
            self.environment |= self._with_puppets()
        with (home / "run.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*with_us(signal.SIGINT), sys.executable, "-m", "kilinda.stack", "run"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _with_puppets(self) -> dict[str, str]:
        site = self.home / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(SITECUSTOMIZE)
        models = self.home / "models"
        for modality, task in (
            ("text", "abuse"),
            ("audio", "synthetic_speech"),
            ("image", "synthetic_image"),
        ):
            make_model(models / modality, modality, task)
        return {
            "PYTHONPATH": f"{site}{os.pathsep}{ROOT}",
            "KILINDA_MODELS": str(models),
            "KILINDA_LEASE_SECONDS": str(LEASE_SECONDS),
        }

    # --- Life ------------------------------------------------------------------------------------

    def ready(self) -> Stack:
        """Wait until `make run` would show the accounts."""
        wait_until(self._has_started, what="the stack is started", seconds=240)
        credentials = json.loads(self.manage("credentials", "--json"))
        self.api_key, self.people = credentials["api_key"], credentials
        self.facts = json.loads((self.home / "stack.json").read_text())
        return self

    def _has_started(self) -> bool:
        assert self.process.poll() is None, f"the stack ended early:\n{self.log()}"
        return "Ctrl-C ends it" in self.log()

    def log(self, name: str = "run") -> str:
        folder = self.home if name == "run" else self.home / "logs"
        return (folder / f"{name}.log").read_text(errors="replace")

    def manage(self, *command: str) -> str:
        """Run a management command beside the stack; return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=self.environment | {"SECRET_KEY": (self.home / "secret_key").read_text()},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stop(self) -> int:
        """Press Ctrl-C; return the exit code once everything has ended."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(90)
        finally:
            self.process.kill()

    # --- As a partner ----------------------------------------------------------------------------

    def call(
        self, path: str, body: Any = None, *, mime: str = "application/json", **headers: str
    ) -> Answer:
        """GET, or POST a body: bytes as they are, anything else as JSON."""
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", raw)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"X-API-Key": self.api_key, "Content-Type": mime, **named}.items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return Answer(response.status, json.load(response))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, json.load(error))
        except OSError:
            return Answer(0, None)

    def submit(self, text: str, **fields: Any) -> str:
        """Submit a text; return the submission's id."""
        answer = self.call("/api/v1/submissions", {"text": text, **fields})
        assert answer.status == 202, answer
        return str(answer.body["id"])

    def submit_batch(self, texts: Collection[str]) -> list[str]:
        answer = self.call("/api/v1/submissions/batch", [{"text": text} for text in texts])
        assert answer.status == 202, answer
        assert answer.body["refused"] == 0, answer
        return [item["id"] for item in answer.body["items"]]

    @contextmanager
    def load(self, text: str = "one of many") -> Iterator[Load]:
        """Submit the text again and again, from another thread, while the block runs."""
        load, over = Load(), threading.Event()

        def submit() -> None:
            while not over.wait(0.02):
                began = time.monotonic()
                answer = self.call("/api/v1/submissions", {"text": text})
                load.slowest_seconds = max(load.slowest_seconds, time.monotonic() - began)
                load.statuses.add(answer.status)
                if answer.status == 202:
                    load.accepted.append(answer.body["id"])

        thread = threading.Thread(target=submit)
        thread.start()
        try:
            load.grows_by(3)
            yield load
        finally:
            over.set()
            thread.join()

    def read(self, submission: str) -> dict[str, Any]:
        answer = self.call(f"/api/v1/submissions/{submission}")
        assert answer.status == 200, answer
        return dict(answer.body)

    def finished(self, submission: str) -> dict[str, Any]:
        """Wait for the end of a submission, good or bad; return what the partner reads then."""

        def ended() -> dict[str, Any] | None:
            found = self.read(submission)
            return found if found["status"] in TERMINAL else None

        return dict(wait_until(ended, what=f"{submission} has ended"))

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the partner's whole event log, page by page."""
        after, has_more = 0, True
        while has_more:
            answer = self.call(f"/api/v1/events?after_seq={after}")
            assert answer.status == 200, answer
            yield from answer.body["items"]
            after, has_more = answer.body["next_after_seq"], answer.body["has_more"]

    # --- Behind the scenes -----------------------------------------------------------------------

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Ask the database, on a connection of its own: the last one may have been killed."""
        with psycopg.connect(
            self.facts["database_url"], autocommit=True, connect_timeout=5, row_factory=dict_row
        ) as connection:
            return connection.execute(query, values).fetchall()

    def job(self, submission: str) -> dict[str, Any]:
        (row,) = self.rows("SELECT * FROM analysis_jobs WHERE submission_id = %s", submission)
        return row

    def pids_that_judged(self, submission: str) -> list[int]:
        """Return the worker process of each detector score of the submission."""
        scores = self.rows(
            "SELECT raw FROM detection_detectorscore score"
            " JOIN analysis_results result ON result.id = score.result_id"
            " JOIN analysis_jobs job ON job.id = result.job_id WHERE submission_id = %s",
            submission,
        )
        return [int(score["raw"]) for score in scores]

    def all_ended(self) -> bool:
        return not self.rows(
            "SELECT 1 FROM analysis_jobs WHERE state IN ('queued', 'running') LIMIT 1"
        )

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.facts["redis_url"], socket_timeout=5)

    def ring(self, task: str, times: int = 1) -> None:
        """Send a task as the platform would."""
        with Celery(broker=self.facts["redis_url"]) as app:
            for _ in range(times):
                app.send_task(f"detection.tasks.{task}", queue=QUEUES.get(task, "default"))

    # --- Hurting it ------------------------------------------------------------------------------

    def process_of(self, name: str) -> int:
        """Return the process id of a supervised process, waiting for it to be up again."""

        def found() -> int | None:
            return next((pid for pid in children(self.process.pid) if marked(pid, name)), None)

        return int(wait_until(found, what=f"{name} runs"))

    def pool_children(self, name: str) -> set[int]:
        """Return the processes in which a worker runs its tasks."""
        return set(
            wait_until(lambda: _pool_children(self.process_of(name)), what=f"{name}'s children")
        )

    def arrived(self, gate: str, *, but: Collection[int] = ()) -> int:
        """Wait for a worker to stand at a gate; return its process id."""
        folder = self.home / "gates" / gate

        def first() -> int | None:
            there = {int(path.name) for path in folder.glob("*") if path.name.isdigit()}
            return next(iter(there - set(but)), None)

        return int(wait_until(first, what=f"a worker at {gate}"))

    def open(self, gate: str, pid: int) -> None:
        (self.home / "gates" / gate / f"{pid}.open").touch()

    @contextmanager
    def second_worker(self, lane: str = "screen") -> Iterator[int]:
        """Run another worker beside the stack's own; give its process id."""
        with (self.home / "logs" / "second.log").open("ab") as log:
            worker = subprocess.Popen(
                [
                    *with_us(signal.SIGKILL),
                    sys.executable,
                    "-m",
                    *SECOND_WORKER.format(lane=lane).split(),
                ],
                cwd=ROOT,
                env=self.environment | {"SECRET_KEY": (self.home / "secret_key").read_text()},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until(lambda: _pool_children(worker.pid), what="the second worker's child")
            yield worker.pid
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()

    @contextmanager
    def sabotaged(self, name: str, code: str) -> Iterator[None]:
        """Run code in the pool children of a worker, and give it fresh children afterwards."""
        path = self.plant(name, code)
        try:
            for child in self.renew_children(name):
                wait_until(path.with_suffix(f".{child}").exists, what=f"{name} is sabotaged")
            yield
        finally:
            path.unlink()
            self.renew_children(name)

    def plant(self, name: str, code: str) -> Path:
        """Have a supervised process run this code: a worker in its next pool child, web at its next
        request."""
        path = self.home / "sabotage" / f"{word_of(name)}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
        return path

    def renew_children(self, name: str) -> set[int]:
        """Kill a worker's idle pool children; return those that took their places."""
        before = self.pool_children(name)
        for child in before:
            os.kill(child, signal.SIGKILL)

        def all_new() -> set[int] | None:
            now = self.pool_children(name)
            return now if len(now) == len(before) and not now & before else None

        return set(wait_until(all_new, what="new pool children"))


SECOND_WORKER = "celery -A kilinda worker -Q {lane} -n second@%h -c 1 --loglevel INFO"
QUEUES = {"drain_screen": "screen", "drain_media": "media"}


def make_model(folder: Path, modality: str, task: str) -> None:
    """Write a model folder that the registry accepts and `tests.stack.toys` judges."""
    folder.mkdir(parents=True)
    weights = folder / "model.safetensors"
    weights.write_bytes(modality.encode())
    stated = {
        "name": f"puppet-{modality}",
        "version": "1",
        "task": task,
        "modality": modality,
        "detector": "puppet",
        "labels": ["fine", "bad"],
        "calibration": {"slope": 1.0, "offset": 0.0},
        "threshold": 0.5,
        "metrics": {},
        "training": {},
        "files": {weights.name: hashlib.sha256(weights.read_bytes()).hexdigest()},
    }
    (folder / "kilinda.json").write_text(json.dumps(stated))


def with_us(last: signal.Signals) -> list[str]:
    """Return a launcher whose program gets this signal when we end, however that may be."""
    return [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), str(int(last)), "KEEP"]


# --- Processes -----------------------------------------------------------------------------------


def process_ids() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def parent_and_state(pid: int) -> tuple[int, str]:
    """Return the parent's id and the state letter; (0, "Z") for a process that is gone."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return 0, "Z"
    return int(parent), state


def is_alive(pid: int) -> bool:
    return parent_and_state(pid)[1] != "Z"


def children(pid: int) -> list[int]:
    return sorted(each for each in process_ids() if parent_and_state(each)[0] == pid)


def family(pid: int) -> set[int]:
    """Return the process and everything that descends from it."""
    return {pid}.union(*(family(child) for child in children(pid)))


def marked(pid: int, name: str) -> bool:
    """Say whether this is the supervised process of that name."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return word_of(name) in line and "launch.py" not in line  # not the program yet


def word_of(name: str) -> str:
    """Return the word of a supervised process's command line by which it is known."""
    words = {"web": "daphne", "valkey": "valkey-server"}
    return words.get(name, f"{name}@%h")


def _pool_children(worker: int) -> list[int]:
    return [pid for pid in children(worker) if is_alive(pid)]
