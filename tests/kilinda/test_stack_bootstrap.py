"""When the set-up installs, what it installs, and what it says when it cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kilinda.stack import bootstrap


@pytest.fixture
def pins(tmp_path: Path) -> list[Path]:
    files = [tmp_path / "base.txt", tmp_path / "inference.txt"]
    files[0].write_text("celery==5.6.3\n")
    files[1].write_text("numpy==2.4.6\ntorch==2.13.0\n")
    return files


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    return tmp_path


def test_the_same_pins_give_the_same_fingerprint(pins: list[Path]) -> None:
    assert bootstrap.fingerprint(pins) == bootstrap.fingerprint(pins)


def test_a_changed_pin_changes_the_fingerprint(pins: list[Path]) -> None:
    before = bootstrap.fingerprint(pins)
    pins[0].write_text("celery==5.7.0\n")
    assert bootstrap.fingerprint(pins) != before


def test_a_line_that_moves_to_another_file_changes_the_fingerprint(pins: list[Path]) -> None:
    before = bootstrap.fingerprint(pins)
    pins[0].write_text("celery==5.6.3\nnumpy==2.4.6\n")
    pins[1].write_text("torch==2.13.0\n")
    assert bootstrap.fingerprint(pins) != before


def test_a_stamp_of_the_same_pins_needs_no_install(venv: Path, pins: list[Path]) -> None:
    stamp = venv / ".installed-run"
    stamp.write_text(bootstrap.fingerprint(pins))
    assert bootstrap.is_current(stamp, bootstrap.fingerprint(pins))


def test_a_stamp_of_other_pins_needs_an_install(venv: Path, pins: list[Path]) -> None:
    stamp = venv / ".installed-run"
    stamp.write_text("another fingerprint")
    assert not bootstrap.is_current(stamp, bootstrap.fingerprint(pins))


def test_a_missing_stamp_needs_an_install(venv: Path, pins: list[Path]) -> None:
    assert not bootstrap.is_current(venv / ".installed-run", bootstrap.fingerprint(pins))


def test_a_stamp_beside_a_removed_interpreter_needs_an_install(
    venv: Path, pins: list[Path]
) -> None:
    stamp = venv / ".installed-run"
    stamp.write_text(bootstrap.fingerprint(pins))
    (venv / "bin" / "python").unlink()
    assert not bootstrap.is_current(stamp, bootstrap.fingerprint(pins))


def test_a_python_in_the_range_is_taken_as_it_is() -> None:
    assert bootstrap.suitable_python() == sys.executable


def test_an_old_python_without_a_newer_one_is_refused_with_the_range(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(bootstrap.SetupError, match=r"Python 3\.11 to 3\.13 is needed"):
        bootstrap.suitable_python()


def test_an_old_python_gives_way_to_a_newer_one_on_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    newer = tmp_path / "python3.12"
    newer.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bootstrap.suitable_python() == str(newer)


def test_a_missing_venv_module_is_answered_with_the_package_to_install() -> None:
    advice = bootstrap.venv_advice(sys.executable, "ensurepip is not available")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"sudo apt install python{version}-venv" in advice


def test_another_venv_failure_is_shown_as_it_is() -> None:
    assert "No space left" in bootstrap.venv_advice(sys.executable, "No space left on device")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one build of torch")
def test_without_a_gpu_torch_comes_from_the_cpu_index_in_one_short_try(
    monkeypatch: pytest.MonkeyPatch, pins: list[Path]
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(bootstrap, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(bootstrap, "pip", lambda *words: asked.append(words) or 0)
    assert bootstrap.install_torch_for_cpu(pins)
    assert asked[0][-1] == "torch==2.13.0"
    assert asked[0][1:3] == ("--extra-index-url", bootstrap.TORCH_CPU_INDEX)
    assert asked[0][3:7] == ("--retries", "0", "--timeout", "5")


def test_with_a_gpu_torch_is_left_to_the_ordinary_pins(
    monkeypatch: pytest.MonkeyPatch, pins: list[Path]
) -> None:
    monkeypatch.setattr(bootstrap, "has_nvidia_gpu", lambda: True)
    monkeypatch.setattr(bootstrap, "pip", lambda *words: pytest.fail(f"pip was run: {words}"))
    assert bootstrap.install_torch_for_cpu(pins)


def test_an_unreachable_cpu_index_falls_back_to_the_ordinary_one(
    monkeypatch: pytest.MonkeyPatch, pins: list[Path]
) -> None:
    asked: list[tuple[str, ...]] = []

    def pip(*words: str) -> int:
        asked.append(words)
        return 1 if bootstrap.TORCH_CPU_INDEX in words else 0

    monkeypatch.setattr(bootstrap, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(bootstrap, "pip", pip)
    bootstrap.install(pins)
    assert asked[-1] == ("install", "-r", str(pins[0]), "-r", str(pins[1]))


def test_the_script_starts_without_the_project_on_its_path() -> None:
    script = Path(bootstrap.__file__)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import runpy; runpy.run_path({str(script)!r})"],
        capture_output=True,
        text=True,
        cwd="/",
    )
    assert (done.returncode, done.stderr) == (0, "")
