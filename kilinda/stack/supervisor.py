"""Starts services, restarts those that crash, and ends all of them, whatever happens to itself.

One thread and no timers: the loop sleeps in select() until a child ends or a signal arrives.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType

from kilinda.stack import guardian, launch
from kilinda.stack.errors import NotReady, StepFailed, Stopped
from kilinda.stack.home import Home
from kilinda.stack.progress import say
from kilinda.stack.service import Service, Tier

FIRST_BACKOFF_SECONDS = 0.25
LAST_BACKOFF_SECONDS = 30.0
STEADY_SECONDS = 30.0  # a service that ran this long has recovered: the back-off starts anew
FIRST_POLL_SECONDS = 0.05  # how often readiness is asked for
LAST_POLL_SECONDS = 0.5


@dataclass
class _Running:
    """One service as it is now: its process, or the time of its next start."""

    service: Service
    process: subprocess.Popen[bytes]
    started: float
    backoff: float = FIRST_BACKOFF_SECONDS
    restart_at: float | None = None


@dataclass
class Supervisor:
    """The services of one data folder. Use it as a context manager in the main thread.

    `environment` is what every service and step gets; `lock` is the descriptor of the held data
    folder, shared with the guardian so that nobody enters the folder before all have ended.
    """

    home: Home
    environment: dict[str, str]
    lock: int
    _running: dict[str, _Running] = field(default_factory=dict)
    _signals: int = 0  # how often the operator asked for the end
    _last_signal: int = 0

    def __enter__(self) -> Supervisor:
        """Take the signals over and start the guardian."""
        self.environment[guardian.MARK] = f"{os.getpid()}-{time.time_ns()}"
        self._wake, wake_up = os.pipe()
        for end in (self._wake, wake_up):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_up, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_stop_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake the loop
        self._start_guardian()
        return self

    def __exit__(self, *error: object) -> None:
        """End every service, then let the guardian look for strays."""
        self.stop()
        self._guardian.communicate()

    # Starting

    def start(self, service: Service) -> None:
        """Start a service; from now on it is restarted whenever it ends."""
        self._running[service.name] = _Running(service, self._spawn(service), time.monotonic())

    def wait_ready(self, service: Service) -> None:
        """Watch over all services until this one is ready. Raises NotReady with its log's end."""
        within, pause = service.ready_within_seconds, FIRST_POLL_SECONDS
        deadline = time.monotonic() + within
        while problem := self._problem(service):
            if time.monotonic() > deadline:
                log = self.tail(service.name)
                raise NotReady(f"{service.name} not ready in {within:g} s: {problem}\n{log}")
            self._watch(pause)
            self._raise_if_stopped()
            pause = min(1.5 * pause, LAST_POLL_SECONDS)

    def run_step(self, name: str, command: list[str]) -> str:
        """Run a set-up command to its end while watching the services; return what it printed.

        Raises StepFailed with the end of its log.
        """
        log = self.home.log(name)
        with log.open("ab") as errors:
            step = subprocess.Popen(  # noqa: S603 - our own command, no shell
                self._launched(command, signal.SIGKILL),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        with self._guarded(step):
            output = self._read_to_end(step)
        if step.wait() != 0:
            raise StepFailed(f"{' '.join(command[1:])} failed:\n{output}{self.tail(name)}")
        return output

    def run_in_foreground(self, command: list[str]) -> int:
        """Run a command on the terminal; return its exit code, 128 + N for signal N."""
        process = subprocess.Popen(  # noqa: S603 - the operator's own command, no shell
            self._launched(command, signal.SIGKILL), env=self.environment
        )
        asked = 0
        while (code := process.poll()) is None:
            self._watch(None)
            # Ctrl-C reaches the command from the terminal; a signal sent to us alone does not.
            if self._signals > asked:
                asked = self._signals
                process.terminate() if self._last_signal != signal.SIGINT else None
        return code if code >= 0 else 128 - code

    def run_forever(self) -> None:
        """Watch over the services until the operator asks for the end."""
        while not self._signals:
            self._watch(None)

    def tail(self, name: str, lines: int = 20) -> str:
        """Return the end of a service's log."""
        text = self.home.log(name).read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    # Watching

    def _watch(self, timeout: float | None) -> None:
        """Sleep until a child ends, a signal arrives, a restart is due or the time is over."""
        due = [r.restart_at - time.monotonic() for r in self._running.values() if r.restart_at]
        if timeout is not None:
            due.append(timeout)
        select.select([self._wake], [], [], max(0.0, min(due)) if due else None)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)
        if self._guardian.poll() is not None:
            self._start_guardian()
        for running in self._running.values():
            self._look_after(running)

    def _look_after(self, running: _Running) -> None:
        now = time.monotonic()
        if running.restart_at is None and running.process.poll() is not None:
            self._note_crash(running, now)
        elif running.restart_at is not None and running.restart_at <= now:
            running.process = self._spawn(running.service)
            running.started, running.restart_at = now, None

    def _note_crash(self, running: _Running, now: float) -> None:
        self._end_group(running.process.pid)
        steady = now - running.started > STEADY_SECONDS
        wait = FIRST_BACKOFF_SECONDS if steady else running.backoff
        running.restart_at = now + wait
        running.backoff = min(2 * wait, LAST_BACKOFF_SECONDS)
        say(
            f"{running.service.name} ended ({_ending(running.process.returncode)}), "
            f"restart in {wait:g} s; its log: {self.home.log(running.service.name)}"
        )

    def _problem(self, service: Service) -> str:
        running = self._running[service.name]
        if running.restart_at is not None or running.process.poll() is not None:
            return "it does not run"
        return service.problem()

    # Ending

    def stop(self) -> None:
        """End all services, the highest tier first. Another signal meanwhile kills them at once."""
        asked = self._signals
        for tier in sorted(Tier, reverse=True):
            self._stop_tier(tier, lambda: self._signals > asked)
        self._running.clear()

    def _stop_tier(self, tier: Tier, is_urgent: Callable[[], bool]) -> None:
        leaving = [
            running
            for running in reversed(self._running.values())
            if running.service.tier == tier and running.process.poll() is None
        ]
        for running in leaving:
            # Only the leader: a worker's own children must finish what they began.
            running.process.send_signal(running.service.stop_signal)
        started = time.monotonic()
        for running in leaving:
            deadline = started + running.service.stop_within_seconds
            if not self._ends(running.process, deadline, is_urgent):
                say(f"{running.service.name} does not end, killing it")
            self._end_group(running.process.pid)
            running.process.wait()

    def _ends(
        self, process: subprocess.Popen[bytes], deadline: float, is_urgent: Callable[[], bool]
    ) -> bool:
        while process.poll() is None:
            if is_urgent() or time.monotonic() > deadline:
                return False
            time.sleep(FIRST_POLL_SECONDS)
        return True

    def _on_stop_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self._last_signal = number

    def _raise_if_stopped(self) -> None:
        if self._signals:
            raise Stopped("stopped")

    # Processes

    def _spawn(self, service: Service) -> subprocess.Popen[bytes]:
        service.prepare()
        with self.home.log(service.name).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                self._launched(service.command, signal.SIGKILL, demoted=service.demoted),
                env=self.environment | dict(service.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a process group of its own, out of reach of Ctrl-C
            )
        self._tell_guardian("+", process.pid)
        return process

    def _launched(
        self,
        command: tuple[str, ...] | list[str],
        on_our_death: signal.Signals,
        *,
        demoted: bool = False,
    ) -> list[str]:
        launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid())]
        return [*launcher, str(int(on_our_death)), "DEMOTE" if demoted else "KEEP", *command]

    def _end_group(self, group: int) -> None:
        """Kill what is left of a process group whose leader has ended or must end."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        self._tell_guardian("-", group)

    @contextlib.contextmanager
    def _guarded(self, step: subprocess.Popen[bytes]) -> Iterator[None]:
        self._tell_guardian("+", step.pid)
        try:
            yield
        finally:
            self._end_group(step.pid)

    def _read_to_end(self, step: subprocess.Popen[bytes]) -> str:
        assert step.stdout is not None
        os.set_blocking(step.stdout.fileno(), False)
        output = b""
        while step.poll() is None:
            self._watch(FIRST_POLL_SECONDS)
            output += step.stdout.read() or b""
            self._raise_if_stopped()
        return (output + (step.stdout.read() or b"")).decode(errors="replace")

    def _start_guardian(self) -> None:
        self._guardian = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", guardian.__file__],
            env=self.environment,
            stdin=subprocess.PIPE,
            bufsize=0,
            pass_fds=(self.lock,),
            start_new_session=True,
        )
        for running in self._running.values():
            self._tell_guardian("+", running.process.pid)

    def _tell_guardian(self, sign: str, group: int) -> None:
        with contextlib.suppress(BrokenPipeError):  # it is restarted and told again
            assert self._guardian.stdin is not None
            self._guardian.stdin.write(f"{sign}{group}\n".encode())


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
