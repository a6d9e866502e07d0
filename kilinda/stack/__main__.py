"""The stack's command line: `python -m kilinda.stack {run,up,env}`."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kilinda.stack import dotenv, postgres, processes, valkey
from kilinda.stack.errors import PortTaken, StackError, Stopped
from kilinda.stack.home import Home, free_port, is_free
from kilinda.stack.progress import say
from kilinda.stack.service import Service
from kilinda.stack.supervisor import Supervisor

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_PORT = 8000
MANAGE = [sys.executable, str(ROOT / "manage.py")]


def main() -> int:
    """Run the command; print a known error as one line."""
    os.chdir(ROOT)
    try:
        dotenv.load(ROOT / ".env")
        options = _parser().parse_args()
        code: int = options.command(options)
    except Stopped:
        say("stopped before the start was complete")
        return 0
    except StackError as error:
        sys.stderr.write(f"kilinda: {error}\n")
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kilinda.stack", description=__doc__)
    commands = parser.add_subparsers(required=True)
    run_parser = commands.add_parser("run", help="everything on this machine, until Ctrl-C")
    run_parser.set_defaults(command=run)
    up_parser = commands.add_parser("up", help="PostgreSQL and Valkey while a command runs")
    up_parser.add_argument("--ephemeral", action="store_true", help="fast, throwaway data folder")
    up_parser.add_argument("program", nargs="+", metavar="COMMAND", help="after --")
    up_parser.set_defaults(command=up)
    env_parser = commands.add_parser(
        "env", help="print exports that point a shell at the running stack"
    )
    env_parser.set_defaults(command=env)
    return parser


def run(_options: argparse.Namespace) -> int:
    """Start everything, show what the operator needs, and watch over it until Ctrl-C."""
    port = _web_port()
    with _stack(_home(), port=port) as supervisor:
        _step(supervisor, "migrate", "--no-input")
        services = processes.services(port)
        for service in services:
            supervisor.start(service)
        say(f"started {', '.join(service.name for service in services)}")
        _step(supervisor, "demo")
        for service in services:
            supervisor.wait_ready(service)
        say("ready")
        _step(supervisor, "demo", "--submit")
        sys.stdout.write(_step(supervisor, "credentials"))
        sys.stdout.write(f"\nKilinda-Sauti: http://127.0.0.1:{port}   (Ctrl-C ends it)\n")
        sys.stdout.flush()
        supervisor.run_forever()
        say("stopping: workers finish what they began; Ctrl-C again kills them")
    say("stopped")
    return 0


def up(options: argparse.Namespace) -> int:
    """Run a command beside the state services and return its exit code."""
    with contextlib.ExitStack() as stack:
        home = _home()
        if options.ephemeral:
            home = Home.at(
                Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kilinda-")))
            )
        supervisor = stack.enter_context(_stack(home, throwaway=options.ephemeral))
        return supervisor.run_in_foreground(options.program)


def env(_options: argparse.Namespace) -> int:
    """Print export lines for a shell: eval "$(python -m kilinda.stack env)"."""
    home = _home()
    facts = home.running()
    if not facts:
        raise StackError(f"no stack is running in {home.path}: start one with `make run`")
    names = {"DATABASE_URL": "database_url", "REDIS_URL": "redis_url", "KILINDA_PORT": "port"}
    exports = {name: facts[key] for name, key in names.items() if facts[key]}
    exports |= {"KILINDA_HOME": str(home.path), "SECRET_KEY": _secret_key(home)}
    for name, value in exports.items():
        sys.stdout.write(f"export {name}={shlex.quote(str(value))}\n")
    return 0


@contextlib.contextmanager
def _stack(home: Home, *, port: int | None = None, throwaway: bool = False) -> Iterator[Supervisor]:
    """Hold the data folder and run the state services in it."""
    lock = home.lock()
    try:
        state, urls = _state_services(home, throwaway=throwaway)
        environment = (
            os.environ
            | urls
            | {
                "KILINDA_HOME": str(home.path),
                "SECRET_KEY": _secret_key(home),
                "PYTHONUNBUFFERED": "1",
            }
        )
        if port is not None:
            environment |= {
                "KILINDA_PORT": str(port),
                "PROMETHEUS_MULTIPROC_DIR": str(home.empty_metrics()),
            }
        with Supervisor(home, environment, lock) as supervisor:
            _start_state(supervisor, state)
            home.publish(
                database_url=urls["DATABASE_URL"],
                redis_url=urls["REDIS_URL"],
                port=port,
                pid=os.getpid(),
            )
            yield supervisor
    finally:
        home.withdraw()
        os.close(lock)


def _state_services(home: Home, *, throwaway: bool) -> tuple[list[Service], dict[str, str]]:
    """Return the embedded servers to start and the URLs of all, outside ones included."""
    services, urls = [], {}
    for name, embedded in (("DATABASE_URL", postgres.service), ("REDIS_URL", valkey.service)):
        if url := dotenv.given(name):
            urls[name] = url
        else:
            service, urls[name] = embedded(home, throwaway=throwaway)
            services.append(service)
    return services, urls


def _start_state(supervisor: Supervisor, services: list[Service]) -> None:
    for service in services:
        supervisor.start(service)
    for service in services:
        supervisor.wait_ready(service)
        say(f"{service.name} ready")


def _step(supervisor: Supervisor, command: str, *options: str) -> str:
    """Run a management command and return what it printed."""
    output = supervisor.run_step(command, [*MANAGE, command, *options])
    say(f"{' '.join([command, *options])} done")
    return output


def _home() -> Home:
    return Home.at(Path(dotenv.given("KILINDA_HOME") or ROOT / ".kilinda"))


def _secret_key(home: Home) -> str:
    return dotenv.given("SECRET_KEY") or home.secret("secret_key")


def _web_port() -> int:
    """Return KILINDA_PORT. Raises PortTaken with a free one to use instead."""
    value = dotenv.given("KILINDA_PORT") or str(DEFAULT_PORT)
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise StackError(f"KILINDA_PORT must be a number from 1 to 65535, not {value!r}")
    if not is_free(int(value)):
        raise PortTaken(
            f"port {value} is in use. Set KILINDA_PORT to another one, "
            f"for example: KILINDA_PORT={free_port()} make run"
        )
    return int(value)


if __name__ == "__main__":
    sys.exit(main())
