"""Real servers of others, started on loopback for a test: an MLflow registry and an S3 storage."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kilinda.stack.home import free_port
from tests.stack.harness import ROOT, wait_until, with_us

BIN = ROOT / ".venv-servers" / "bin"

needs_servers = pytest.mark.skipif(
    not (BIN / "mlflow").exists(), reason="no .venv-servers: `make test` makes it"
)

REGISTER = """
import sys
from mlflow import MlflowClient
server, folder, name, alias, below = sys.argv[1:]
client = MlflowClient(tracking_uri=server)
run = client.create_run("0")
client.log_artifacts(run.info.run_id, folder, f"model/{below}".rstrip("/"))
if not client.search_registered_models(filter_string=f"name='{name}'"):
    client.create_registered_model(name)
made = client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
client.set_registered_model_alias(name, alias, made.version)
print(made.version)
"""


@contextmanager
def served(command: list[str], probe: str, folder: Path) -> Iterator[None]:
    """Run a server in `folder` until the block ends; it answers at `probe` from the start on."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*with_us(signal.SIGKILL), *command],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(
            lambda: _answers(process, probe, folder), what=f"{command[0]} answers", seconds=180
        )
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(process: subprocess.Popen[bytes], probe: str, folder: Path) -> bool:
    assert process.poll() is None, (folder / "server.log").read_text()
    try:
        with urllib.request.urlopen(probe, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Run `mlflow server` with SQLite and local artifacts; give its address."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", "sqlite:///mlflow.db", "--workers", "1"]
    command += ["--artifacts-destination", "./artifacts"]
    with served(command, f"{address}/health", folder):
        yield address


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Run moto's S3 server; give its address."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with served(command, address, folder):
        yield address


def register(server: str, folder: Path, name: str, alias: str, below: str = "") -> str:
    """Register a folder with MLflow's own client; return the number of the version."""
    done = subprocess.run(
        [str(BIN / "python"), "-c", REGISTER, server, str(folder), name, alias, below],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]
