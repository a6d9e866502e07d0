"""Finds model folders, refuses the unsafe or altered ones, and builds each detector once.

A model folder is what save_pretrained writes (config.json, model.safetensors, tokenizer) plus
kilinda.json, which says what the model claims, how it was measured, and the hash of every file.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from inference_worker import calibration, reliability
from inference_worker.calibration import Calibration
from inference_worker.errors import ModelUnusable
from inference_worker.trials import Post, Role, Standings, standings
from inference_worker.types import Detector, Modality, Reliability, Transcriber

MANIFEST = "kilinda.json"
WEIGHTS = ".safetensors"
ALLOWED_SUFFIXES = frozenset({WEIGHTS, ".json", ".md", ".txt"})
"""Formats that cannot run code when loaded. Pickles (.bin, .pt, .pkl, ...) and .py can."""

_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
"""A part of a file's path, or a model's name: nothing hidden, nothing that leads elsewhere."""

DETECTORS: Mapping[str, str] = {
    "text": "inference_worker.detectors.text:TextDetector",
    "machine_text": "inference_worker.detectors.machine_text:MachineTextDetector",
    "speech": "inference_worker.detectors.speech:SpeechDetector",
    "image": "inference_worker.detectors.image:ImageDetector",
    "manipulation": "inference_worker.detectors.manipulation:ManipulationDetector",
    "whisper": "inference_worker.detectors.whisper:WhisperTranscriber",
}
"""Detector key in kilinda.json to the class that loads it; imported only when it is needed."""

TRANSCRIPT = "transcript"
"""The task of a model that scores nothing and writes down what is said for the text models."""

LISTENED_TO_BY: Mapping[Modality, frozenset[Modality]] = {
    Modality.TEXT: frozenset({Modality.TEXT}),
    Modality.AUDIO: frozenset({Modality.AUDIO}),
    Modality.IMAGE: frozenset({Modality.IMAGE}),
    Modality.VIDEO: frozenset({Modality.IMAGE, Modality.AUDIO}),
}
"""Which models judge a piece of content: a video is its frames and its sound track."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A verified model folder: where it is, and what kilinda.json says about it."""

    path: Path
    name: str
    version: str
    task: str
    """What a high probability claims: abuse, synthetic_speech, synthetic_image."""
    modality: Modality
    detector: str
    """Key into DETECTORS."""
    labels: tuple[str, ...]
    calibration: Calibration
    threshold: float
    """Calibrated probability from which the model calls its label true."""
    languages: tuple[str, ...]
    """BCP 47 tags it was measured on; empty when language does not matter."""
    gates: Mapping[str, Any]
    """Limits below which the detector abstains, in the detector's own names."""
    metrics: Mapping[str, Any]
    training: Mapping[str, Any]
    files: Mapping[str, str]
    """File name to its sha256, for every file but kilinda.json."""
    reliability: Mapping[str, Reliability] = field(default_factory=dict)
    """Measured reliability by group of content; a group that is missing was not measured."""
    positive: tuple[str, ...] = ()
    """The labels that claim the task, where it has several kinds; else the one named like it."""

    def __post_init__(self) -> None:
        """A task of one kind is its own label."""
        if not self.positive:
            object.__setattr__(self, "positive", (self.task,))

    @classmethod
    def load(cls, path: Path) -> ModelFolder:
        """Read and verify one folder. Raises ModelUnusable, naming the file or field at fault."""
        stated = _read_manifest(path)
        _verify_files(path, stated.get("files"))
        return cls._checked(path, stated)

    @classmethod
    def described(cls, manifest: bytes, place: str) -> ModelFolder:
        """Read a kilinda.json alone; its files are listed but not looked at.

        Raises ModelUnusable for what `load` would refuse without opening the files.
        """
        stated = _parsed(manifest, place)
        names = stated.get("files")
        if not isinstance(names, dict) or not any(name.endswith(WEIGHTS) for name in names):
            raise ModelUnusable(f"{place}: {MANIFEST} lists no {WEIGHTS} weights.")
        for name in names:
            _refuse_unsafe_name(name, place)
        return cls._checked(Path(place), stated)

    @classmethod
    def _checked(cls, path: Path, stated: Mapping[str, Any]) -> ModelFolder:
        try:
            return cls._from(path, stated)
        except KeyError as missing:
            raise ModelUnusable(f"{path.name}/{MANIFEST} lacks {missing}.") from None
        except (TypeError, ValueError) as wrong:
            raise ModelUnusable(f"{path.name}/{MANIFEST} is malformed: {wrong}.") from wrong

    @classmethod
    def _from(cls, path: Path, stated: Mapping[str, Any]) -> ModelFolder:
        return cls(
            path=path,
            name=_plain("name", stated["name"], 100),
            version=_plain("version", stated["version"], 40),
            task=str(stated["task"]),
            modality=Modality(stated["modality"]),
            detector=str(stated["detector"]),
            labels=tuple(stated["labels"]),
            calibration=calibration.read(stated["calibration"]),
            threshold=_within_0_1("threshold", stated["threshold"]),
            languages=tuple(stated.get("languages", ())),
            gates=dict(stated.get("gates", {})),
            metrics=dict(stated["metrics"]),
            training=dict(stated["training"]),
            files=dict(stated["files"]),
            reliability=_reliability(stated),
            positive=tuple(stated.get("positive", ())),
        )

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Registry:
    """The detectors of one process, each with the folder it was built from."""

    entries: tuple[tuple[ModelFolder, Detector], ...]
    posts: tuple[Post, ...] = ()
    """What each is to do; one that has none is active."""

    @property
    def is_on_trial(self) -> bool:
        """Say whether there is a canary or a shadow among them."""
        return any(post.role is not Role.ACTIVE for post in self.posts)

    def drawn(self, draw: float) -> Registry:
        """Return those that look at the job with this draw, 0 <= draw < 1."""
        out = {str(post) for post in self.posts if not post.judges(draw)}
        if not out:
            return self
        return replace(self, entries=tuple(e for e in self.entries if str(e[0]) not in out))

    def standings(self, draw: float) -> Standings:
        """Return what each one's judgement on that job is for; empty when all count."""
        return standings(self.posts, draw) if self.is_on_trial else {}

    @property
    def model_set(self) -> str:
        """A stable name for exactly these models, such as "abuse-text@1.0.0,voice@1.2.0"."""
        return ",".join(sorted(str(folder) for folder, _ in self.entries))

    @property
    def folders(self) -> tuple[ModelFolder, ...]:
        """The verified folders, in order of name."""
        return tuple(folder for folder, _ in self.entries)

    def for_modality(self, modality: Modality) -> tuple[Detector, ...]:
        """Return the detectors that judge content of this kind; empty when none is installed."""
        heard = LISTENED_TO_BY[modality]
        return tuple(
            detector
            for folder, detector in self.entries
            if folder.modality in heard and folder.task != TRANSCRIPT
        )

    @property
    def transcriber(self) -> Transcriber | None:
        """Return the model that writes down speech; None without one, and while it is on trial."""
        for folder, each in self.entries:
            writer: object = each
            if folder.task == TRANSCRIPT and isinstance(writer, Transcriber):
                return writer
        return None

    def for_task(self, task: str) -> tuple[ModelFolder, Detector]:
        """Return the model of one task. Raises ModelUnusable when none is installed."""
        for folder, detector in self.entries:
            if folder.task == task:
                return folder, detector
        installed = ", ".join(sorted(folder.task for folder in self.folders))
        raise ModelUnusable(f"No model for the task {task!r}; installed are: {installed}.")


def load_models(root: Path, modalities: Collection[Modality] | None = None) -> Registry:
    """Verify every model folder under `root` and build its detector, once each.

    With `modalities`, only the models that content of those kinds needs are loaded.
    Raises ModelUnusable when a folder is unsafe, a name is taken twice, or nothing is found.
    """
    paths = sorted(manifest.parent for manifest in root.rglob(MANIFEST))
    if not paths:
        raise ModelUnusable(f"No model folder (with a {MANIFEST}) under {root}.")
    folders = sorted((ModelFolder.load(path) for path in paths), key=lambda folder: folder.name)
    _refuse_duplicates(folders)
    writes = any(folder.task == TRANSCRIPT for folder in folders)
    wanted = needed(modalities, writes=writes)
    return Registry(tuple((f, build(f)) for f in folders if f.modality in wanted))


def needed(modalities: Collection[Modality] | None, *, writes: bool = False) -> set[Modality]:
    """Return which models content of these kinds needs, by their modality; None means all.

    `writes`: whether a model writes down what is said, which is then judged as text too.
    """
    kinds = set(Modality) if modalities is None else set(modalities)
    listening = set().union(*(LISTENED_TO_BY[kind] for kind in kinds))
    return listening | {Modality.TEXT} if writes and Modality.AUDIO in listening else listening


def build(folder: ModelFolder) -> Detector:
    """Make the folder's detector. Raises ModelUnusable."""
    if folder.detector not in DETECTORS:
        known = ", ".join(sorted(DETECTORS))
        raise ModelUnusable(f"{folder}: unknown detector {folder.detector!r}; known are: {known}.")
    module, _, name = DETECTORS[folder.detector].partition(":")
    detector: Detector = getattr(importlib.import_module(module), name)(folder)
    return detector


def _refuse_duplicates(folders: Collection[ModelFolder]) -> None:
    names = [folder.name for folder in folders]
    for name in names:
        if names.count(name) > 1:
            raise ModelUnusable(f"Two model folders are named {name!r}.")
    if len(writing := [str(f) for f in folders if f.task == TRANSCRIPT]) > 1:
        raise ModelUnusable(f"Only one model may write transcripts, not {' and '.join(writing)}.")


def _read_manifest(path: Path) -> Mapping[str, Any]:
    try:
        return _parsed((path / MANIFEST).read_bytes(), path.name)
    except FileNotFoundError:
        raise ModelUnusable(f"{path.name} has no {MANIFEST}.") from None
    except OSError as wrong:
        raise ModelUnusable(f"{path.name}/{MANIFEST} cannot be read: {wrong}.") from wrong


def _parsed(manifest: bytes, place: str) -> Mapping[str, Any]:
    try:
        stated = json.loads(manifest)
    except ValueError as wrong:
        raise ModelUnusable(f"{place}/{MANIFEST} cannot be read: {wrong}.") from wrong
    if not isinstance(stated, dict):
        raise ModelUnusable(f"{place}/{MANIFEST} is not a JSON object.")
    return stated


def _verify_files(path: Path, stated: object) -> None:
    """Refuse a folder that holds anything unsafe, unlisted, missing or altered."""
    if not isinstance(stated, dict):
        raise ModelUnusable(f"{path.name}/{MANIFEST} lists no files with their sha256.")
    present = {str(f.relative_to(path)) for f in path.rglob("*") if not f.is_dir()} - {MANIFEST}
    for name in sorted(present):
        _refuse_unsafe(path, name)
    _compare_names(path, present, set(stated))
    if not any(name.endswith(WEIGHTS) for name in present):
        raise ModelUnusable(f"{path.name} has no {WEIGHTS} weights.")
    for name in sorted(present):
        if sha256(path / name) != stated[name]:
            raise ModelUnusable(f"{path.name}/{name} does not match its sha256: it was altered.")


def _refuse_unsafe_name(name: str, place: str) -> None:
    if PurePosixPath(name).suffix not in ALLOWED_SUFFIXES:
        allowed = ", ".join(sorted(ALLOWED_SUFFIXES))
        raise ModelUnusable(f"{place}/{name} may not be loaded: allowed are {allowed}.")
    if not all(_PLAIN.fullmatch(part) for part in name.split("/")):
        raise ModelUnusable(
            f"{place}/{name}: a file's name has letters, digits, dots and - _ only."
        )


def _refuse_unsafe(path: Path, name: str) -> None:
    _refuse_unsafe_name(name, path.name)
    if (path / name).is_symlink():
        raise ModelUnusable(f"{path.name}/{name} is a link; a model folder holds plain files.")


def _compare_names(path: Path, present: set[str], listed: set[str]) -> None:
    if unlisted := present - listed:
        raise ModelUnusable(
            f"{path.name} holds files {MANIFEST} does not list: {sorted(unlisted)}."
        )
    if missing := listed - present:
        raise ModelUnusable(f"{path.name} lacks files {MANIFEST} lists: {sorted(missing)}.")


def sha256(path: Path) -> str:
    """Return the hex sha256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _reliability(stated: Mapping[str, Any]) -> dict[str, Reliability]:
    """Return what the folder states; where it states nothing, what follows from its metrics."""
    rows = stated.get("reliability")
    return reliability.read(reliability.rows_of(stated["metrics"]) if rows is None else rows)


def _plain(key: str, value: object, most: int) -> str:
    if not isinstance(value, str) or not _PLAIN.fullmatch(value) or len(value) > most:
        raise ValueError(
            f"{key} must be at most {most} letters, digits, dots and - _, not {value!r}"
        )
    return value


def _within_0_1(field: str, value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{field} must be within 0..1, not {value!r}")
    return float(value)
