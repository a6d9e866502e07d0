"""Real starts of the embedded servers, with everything that may end them early."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from kilinda.stack import guardian, launch

pytestmark = pytest.mark.stack

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 60.0
INHERITED = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "KILINDA_PORT")
WAIT_FOR_EOF = (sys.executable, "-c", "import sys; sys.stdin.read()")


def wait_until(condition: Callable[[], Any]) -> Any:
    """Return the condition's first true value; fail after the deadline."""
    deadline, pause = time.monotonic() + DEADLINE_SECONDS, threading.Event()
    while not (value := condition()):
        assert time.monotonic() < deadline, f"never became true: {condition}"
        pause.wait(0.05)
    return value


class Stack:
    """One `kilinda.stack up` in a data folder of its own, running until stop() or kill()."""

    def __init__(self, home: Path, *, prefix: tuple[str, ...] = ()) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "kilinda.stack", "up", "--", *WAIT_FOR_EOF],
            cwd=ROOT,
            env=environment(home),
            stdin=subprocess.PIPE,
        )

    def ready(self) -> Stack:
        self.note = wait_until(self._read_note)
        return self

    def _read_note(self) -> dict[str, Any] | None:
        assert self.process.poll() is None, "the stack ended early"
        try:
            note = json.loads((self.home / "stack.json").read_text())
        except FileNotFoundError:
            return None
        return note if note["pid"] == self.process.pid else None

    def database(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.note["database_url"], autocommit=True, connect_timeout=5)

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.note["redis_url"], socket_timeout=5)

    def postmaster(self) -> int:
        return int((self.home / "postgres" / "postmaster.pid").read_text().split()[0])

    def family(self) -> set[int]:
        """Return every process that descends from the supervisor, whatever session it is in."""
        return {self.process.pid} | descendants(self.process.pid)

    def stop(self) -> int:
        self.process.communicate()
        return self.process.returncode


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in INHERITED}
    return kept | {"KILINDA_HOME": str(home)}


def descendants(pid: int) -> set[int]:
    parents = {child: parent_of(child) for child in process_ids()}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def process_ids() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def connect_again(stack: Stack) -> psycopg.Connection[Any] | None:
    try:
        return stack.database()
    except psycopg.OperationalError:
        return None


def up(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kilinda.stack", "up", "--", *command],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    started: list[Stack] = []

    def start(name: str = "home", **options: Any) -> Stack:
        started.append(Stack(tmp_path / name, **options))
        return started[-1].ready()

    yield start
    for stack in started:
        stack.stop()


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One running stack for the tests that do it no harm."""
    stack = Stack(tmp_path_factory.mktemp("calm") / "home").ready()
    yield stack
    assert stack.stop() == 0


def test_a_second_start_keeps_the_rows_of_the_first(start: Callable[..., Stack]) -> None:
    first = start()
    with first.database() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'ngapi — 🇰🇪'::text AS word")
        encoding = connection.execute("SHOW server_encoding").fetchone()
    assert first.stop() == 0
    with start().database() as connection:
        assert connection.execute("SELECT word FROM kept").fetchone() == ("ngapi — 🇰🇪",)
    assert encoding == ("UTF8",)


def test_the_database_offers_pgvector(calm: Stack) -> None:
    with calm.database() as connection:
        connection.execute("CREATE EXTENSION vector")
        distance = connection.execute("SELECT '[1,2]'::vector <-> '[1,5]'::vector").fetchone()
    assert distance == (3.0,)


def test_both_servers_refuse_a_client_without_the_password(calm: Stack) -> None:
    without = calm.note["database_url"].replace("kilinda:", "kilinda:wrong", 1)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(without)
    port = redis.Redis.from_url(calm.note["redis_url"]).connection_pool.connection_kwargs["port"]
    with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_secrets_can_be_read_by_their_owner_only(calm: Stack) -> None:
    home = calm.home
    secret = [
        "stack.json",
        "secret_key",
        "postgres_password",
        "valkey_password",
        "valkey/valkey.conf",
    ]
    assert {name: (home / name).stat().st_mode & 0o777 for name in secret} == dict.fromkeys(
        secret, 0o600
    )


def test_two_copies_run_side_by_side(calm: Stack, start: Callable[..., Stack]) -> None:
    one, other = calm, start()
    one.redis().set("whose", "one's")
    assert other.redis().get("whose") is None
    assert one.note["database_url"] != other.note["database_url"]


def test_a_second_copy_in_the_same_folder_is_told_who_is_there(calm: Stack) -> None:
    second = up(calm.home, "true")
    assert second.returncode == 1
    assert f"already running in {calm.home} (process {calm.process.pid})" in second.stderr


def test_a_clean_stop_leaves_no_process_and_no_note(start: Callable[..., Stack]) -> None:
    stack = start()
    family = stack.family()
    assert stack.stop() == 0
    assert [pid for pid in family if is_alive(pid)] == []
    assert not (stack.home / "stack.json").exists()


def test_kill_9_of_the_supervisor_leaves_no_process(start: Callable[..., Stack]) -> None:
    stack = start()
    family = stack.family()
    assert len(family) >= 7  # supervisor, guardian, command, Valkey, PostgreSQL and its own
    stack.process.kill()
    wait_until(lambda: not any(map(is_alive, family)))


def test_a_killed_stack_starts_again_with_its_rows(start: Callable[..., Stack]) -> None:
    stack = start()
    with stack.database() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    stack.process.kill()
    stack.process.wait()
    with start().database() as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_a_crash_of_postgres_keeps_every_acknowledged_row(start: Callable[..., Stack]) -> None:
    stack = start()
    with stack.database() as connection:
        connection.execute("CREATE TABLE accepted (number int)")
    killer = threading.Timer(0.5, os.kill, (stack.postmaster(), signal.SIGKILL))
    killer.start()
    acknowledged = insert_until_the_connection_breaks(stack)
    assert acknowledged > 0
    with wait_until(lambda: connect_again(stack)) as connection:
        kept = connection.execute("SELECT count(*) FROM accepted").fetchone()[0]
    assert kept in {acknowledged, acknowledged + 1}  # the last one may lack only its answer


def insert_until_the_connection_breaks(stack: Stack) -> int:
    with stack.database() as connection:
        for acknowledged in itertools.count():
            try:
                connection.execute("INSERT INTO accepted VALUES (%s)", (acknowledged,))
            except psycopg.OperationalError:
                return acknowledged
    raise AssertionError("unreachable: the loop has no end")


def test_a_crash_of_valkey_is_repaired_with_its_keys(start: Callable[..., Stack]) -> None:
    stack = start()
    client = stack.redis()
    client.set("kept", "yes")
    before = client.info("server")["process_id"]
    wait_until(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0)
    os.kill(before, signal.SIGKILL)

    def process_id() -> int | None:
        try:
            return client.info("server")["process_id"]
        except redis.ConnectionError:
            return None

    assert wait_until(process_id) != before
    assert client.get("kept") == b"yes"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("raise SystemExit(0)", 0),
        ("raise SystemExit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 128 + signal.SIGTERM),
    ],
)
def test_up_ends_with_the_exit_code_of_its_command(tmp_path: Path, script: str, code: int) -> None:
    assert up(tmp_path / "home", sys.executable, "-c", script).returncode == code


def test_up_says_when_its_command_does_not_exist(tmp_path: Path) -> None:
    done = up(tmp_path / "home", "no-such-program")
    assert done.returncode == 1
    assert "no-such-program: No such file or directory" in done.stderr


def test_sigterm_to_the_supervisor_ends_its_command_too(start: Callable[..., Stack]) -> None:
    stack = start()
    family = stack.family()
    stack.process.terminate()
    assert stack.process.wait(DEADLINE_SECONDS) == 128 + signal.SIGTERM
    assert [pid for pid in family if is_alive(pid)] == []


def test_env_points_a_shell_at_the_running_stack(calm: Stack) -> None:
    show = "import os; print(os.environ['DATABASE_URL'], os.environ['REDIS_URL'])"
    script = f"""eval "$({sys.executable} -m kilinda.stack env)" && {sys.executable} -c "{show}" """
    shown = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=environment(calm.home),
        capture_output=True,
        text=True,
    )
    assert shown.stdout.split() == [calm.note["database_url"], calm.note["redis_url"]]


def test_run_names_a_free_port_when_the_web_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = subprocess.run(
            [sys.executable, "-m", "kilinda.stack", "run"],
            cwd=ROOT,
            env=environment(tmp_path / "home") | {"KILINDA_PORT": port},
            capture_output=True,
            text=True,
        )
    assert run.returncode == 1
    assert f"port {port} is in use. Set KILINDA_PORT to another one" in run.stderr


def test_a_stale_pid_file_of_another_program_is_forgotten(start: Callable[..., Stack]) -> None:
    stack = start()
    stack.stop()
    # Our own id: alive, but no PostgreSQL. It must neither block the start nor be ended.
    (stack.home / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    with start().database() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_child_in_a_session_of_its_own_ends_with_the_stack(start: Callable[..., Stack]) -> None:
    stack = start()
    stray = subprocess.Popen(
        WAIT_FOR_EOF,
        env=os.environ | {guardian.MARK: mark_of(stack)},
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    with stray:
        stack.process.kill()
        assert stray.wait(DEADLINE_SECONDS) == -signal.SIGKILL


def mark_of(stack: Stack) -> str:
    entry = f"{guardian.MARK}=".encode()
    environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in stack.family()]
    entries = [part for content in environments for part in content.split(b"\0")]
    return next(part for part in entries if part.startswith(entry)).decode().partition("=")[2]


@pytest.mark.skipif(os.geteuid() != 0, reason="already an ordinary user")
def test_an_ordinary_user_starts_it_too(start: Callable[..., Stack]) -> None:
    # In a user namespace we are nobody, and still the owner of the files.
    stack = start(prefix=(sys.executable, launch.__file__, str(os.getpid()), "9", "DEMOTE"))
    assert namespace_of(stack.postmaster()) == namespace_of(stack.process.pid)
    with stack.database() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def namespace_of(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/user").readlink())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is demoted")
def test_postgres_does_not_run_as_root(start: Callable[..., Stack]) -> None:
    mapping = Path(f"/proc/{start().postmaster()}/uid_map").read_text().split()
    assert mapping == [str(launch.NOBODY), "0", "1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its user")
def test_where_namespaces_are_forbidden_nobody_still_enters_a_closed_folder(
    tmp_path: Path,
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "file").write_text("content")
    show = "import os; print(os.getuid(), open('closed/file').read())"
    become = "from kilinda.stack import launch; import os, sys; launch.become_nobody(); "
    become += "os.execv(sys.executable, [sys.executable, '-c', os.environ['SHOW']])"
    done = subprocess.run(
        [sys.executable, "-c", become],
        env=os.environ | {"SHOW": show, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [str(launch.NOBODY), "content"], done.stderr
