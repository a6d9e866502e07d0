"""The embedded PostgreSQL: its data folder, its settings and how to tell that it is ready."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from kilinda.stack import binaries, launch
from kilinda.stack.errors import StackError
from kilinda.stack.home import Home, free_port, write_private
from kilinda.stack.service import Service, Tier

USER = "kilinda"
DATABASE = "kilinda"
LAUNCH = Path(launch.__file__)
ORPHAN_PATIENCE_SECONDS = 10.0

LAPTOP = {
    "shared_buffers": "128MB",
    "max_connections": "200",
    "max_wal_size": "512MB",
    "log_line_prefix": "%m [%p] ",
}
PLAIN = {"LC_ALL": "C", "TZ": "UTC"}
# A throwaway database for tests: a crash of the machine may lose it, and it is much faster.
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def service(home: Home, *, throwaway: bool = False) -> tuple[Service, str]:
    """Return the service and the URL of its database. The first call makes the data folder."""
    data = home.path / "postgres"
    if not data.exists():
        _initialise(data, home)
    _own(data)
    port = free_port()
    return Service(
        name="postgres",
        command=_command(data, port, LAPTOP | (THROWAWAY if throwaway else {})),
        tier=Tier.STATE,
        environment=PLAIN,
        prepare=partial(_end_orphan, data),
        problem=partial(_problem, port),
        stop_signal=signal.SIGINT,  # "fast": roll back what is open, write a checkpoint, end
        demoted=_is_root(),
    ), f"postgresql://{USER}:{home.secret('postgres_password')}@127.0.0.1:{port}/{DATABASE}"


def _command(data: Path, port: int, settings: dict[str, str]) -> tuple[str, ...]:
    fixed = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        # A socket's path is limited to 107 bytes, which a deep data folder exceeds.
        "unix_socket_directories": "",
    }
    options = [f"--{name}={value}" for name, value in (fixed | settings).items()]
    return (str(binaries.postgres("postgres")), "-D", str(data), *options)


def _initialise(data: Path, home: Home) -> None:
    """Make the data folder with one database; an interrupted attempt leaves no half of it."""
    draft = data.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    _own(draft)
    password = draft.with_name("postgres_password.init")
    write_private(password, home.secret("postgres_password"))
    _own(password)
    _initdb(draft, password)
    password.unlink()
    _create_database(draft)
    draft.replace(data)


def _initdb(data: Path, password: Path) -> None:
    login = ["-U", USER, "--auth=scram-sha-256", f"--pwfile={password}"]
    _tool("initdb", "-D", str(data), "-E", "UTF8", "--locale=C", "--no-sync", *login)


def _create_database(data: Path) -> None:
    statement = f"CREATE DATABASE {DATABASE}\n"
    _tool("postgres", "--single", "-D", str(data), "postgres", given=statement)


def _tool(program: str, *arguments: str, given: str = "") -> None:
    rights = "DEMOTE" if _is_root() else "KEEP"
    launcher = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(int(signal.SIGKILL))]
    done = subprocess.run(  # noqa: S603 - our own program, no shell
        [*launcher, rights, str(binaries.postgres(program)), *arguments],
        input=given,
        env=_environment(),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(
            f"{program} failed: {(done.stderr or done.stdout).strip()}{_root_advice()}"
        )


def _root_advice() -> str:
    if not _is_root():
        return ""
    return (
        "\nPostgreSQL does not run as root. Where user namespaces are forbidden it runs as the "
        "user nobody, who must be able to enter the data folder: set KILINDA_HOME to such a "
        "folder, or run as an ordinary user."
    )


def _environment() -> dict[str, str]:
    """Return an environment without PGPORT and the like, which would redirect the programs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | PLAIN


def _problem(port: int) -> str:
    """Return nothing once the server accepts connections."""
    probe = [str(binaries.postgres("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(port)]
    done = subprocess.run(probe, env=_environment(), check=False)  # noqa: S603
    return "" if done.returncode == 0 else "it accepts no connections"


def _is_root() -> bool:
    return os.geteuid() == 0


def _own(path: Path) -> None:
    """Give the path to the account that PostgreSQL will run as (only root has a choice)."""
    if not _is_root():
        return
    owner = 0 if _user_namespaces_work() else launch.NOBODY
    if path.stat().st_uid != owner:
        for below in [path, *path.rglob("*")]:
            os.chown(below, owner, owner, follow_symlinks=False)


def _user_namespaces_work() -> bool:
    code = "import sys, launch; sys.exit(not launch.enter_user_namespace())"
    command = [sys.executable, "-S", "-c", code]
    return subprocess.run(command, cwd=LAUNCH.parent, check=False).returncode == 0  # noqa: S603


def _end_orphan(data: Path) -> None:
    """End a server that still holds the data folder; forget one that is gone."""
    lock = data / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError, ProcessLookupError):
        pid = int(lock.read_text().splitlines()[0])
        if str(data) in _command_of(pid):
            _end(pid)
    lock.unlink(missing_ok=True)


def _end(pid: int) -> None:
    deadline = time.monotonic() + ORPHAN_PATIENCE_SECONDS
    while time.monotonic() < deadline:
        os.kill(pid, signal.SIGINT)  # raises ProcessLookupError once it is gone
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)


def _command_of(pid: int) -> str:
    recorded = Path(f"/proc/{pid}/cmdline")
    if recorded.exists():  # Linux, where ps may not be installed
        return recorded.read_bytes().decode(errors="replace")
    asked = ["ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(asked, text=True, capture_output=True, check=False).stdout  # noqa: S603
