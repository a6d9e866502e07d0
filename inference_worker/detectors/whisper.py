"""Writes down what is said in a recording: windows of at most 30 s, each believed or left out."""

from __future__ import annotations

import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForSpeechSeq2Seq, AutoTokenizer, LogitsProcessor

from inference_worker.detectors.device import bearable_batch, choose_device
from inference_worker.detectors.hearing import VOICE_FRAME, voice_activity
from inference_worker.detectors.standard import SoundExtractor
from inference_worker.errors import ModelUnusable
from inference_worker.registry import ModelFolder
from inference_worker.types import (
    SAMPLE_RATE,
    Abstention,
    FoundText,
    Heard,
    Line,
    Origin,
    Prepared,
    Recording,
    Window,
)

TIMESTAMP_SECONDS = 0.02
"""Between one timestamp token and the next."""
MOST_SECONDS_A_RECORDING = 60.0
"""Of model time spent on one recording; on a slow machine fewer of its windows are heard."""
GATES = ("most_windows", "most_tokens", "least_log_probability", "most_repetition")


class WhisperTranscriber:
    """Transcribes a Recording with a Whisper model."""

    def __init__(self, folder: ModelFolder) -> None:
        """Load the model. Raises ModelUnusable when its files do not fit together."""
        self.name, self.version, self.label = folder.name, folder.version, folder.task
        self._folder = folder
        if missing := [gate for gate in GATES if gate not in folder.gates]:
            raise ModelUnusable(f"{folder}: its gates lack {', '.join(missing)}.")
        self._extractor = SoundExtractor(folder)
        self._load(folder)
        self._device = choose_device()
        is_cuda = self._device.type == "cuda"
        # Generation is bound by memory on CUDA, where half the bytes are half the time; on the CPU
        # float32 is never worse, and nothing has to be checked against it.
        self._model.to(self._device, torch.bfloat16 if is_cuda else torch.float32).eval()
        seconds = self._seconds_a_window()
        self.batch_size = bearable_batch(seconds, 16 if is_cuda else 4)
        self._most_windows = min(
            int(folder.gates["most_windows"]), max(1, int(MOST_SECONDS_A_RECORDING / seconds))
        )

    def _load(self, folder: ModelFolder) -> None:
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                folder.path, local_files_only=True, trust_remote_code=False
            )
            self._model: Any = AutoModelForSpeechSeq2Seq.from_pretrained(
                folder.path, local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError) as wrong:
            raise ModelUnusable(f"{folder} cannot be loaded: {wrong}") from wrong
        settings = self._model.generation_config
        if self._model.config.model_type != "whisper" or not self._extractor.fixed_seconds:
            raise ModelUnusable(f"{folder} is not a Whisper model.")
        if not hasattr(settings, "no_timestamps_token_id"):
            raise ModelUnusable(f"{folder}: generation_config.json lacks no_timestamps_token_id.")
        self._first_timestamp = int(settings.no_timestamps_token_id) + 1
        tokens: dict[str, int] = getattr(settings, "lang_to_id", None) or {}
        self._languages = {token: name.strip("<|>") for name, token in tokens.items()}
        self._window_seconds = self._extractor.fixed_seconds

    def prepare(self, content: Recording) -> Prepared | Abstention:
        """Cut into windows of the model's length and keep those with a voice, evenly if too many.

        Features hold the language hint too, which spares the model a guess.
        """
        spoken = [span for span in self._spans(content) if _has_voice(span[1])]
        if not spoken:
            return self._abstain("no_speech", "No one is heard to speak.")
        places = np.linspace(0, len(spoken) - 1, min(len(spoken), self._most_windows))
        hint = self._known(content.language)
        chosen = (spoken[int(place)] for place in places.round())
        windows = [self._window(start, samples, hint) for start, samples in chosen]
        return Prepared(tuple(windows), {"windows_with_speech": len(spoken)})

    @torch.inference_mode()
    def transcribe(self, windows: Sequence[Window]) -> list[Heard]:
        """Write down each window; those with a language hint and those without go apart."""
        heard: dict[int, Heard] = {}
        hints = [window.features["language"] for window in windows]
        for hint in dict.fromkeys(hints):
            places = [place for place, each in enumerate(hints) if each == hint]
            found = self._generated([windows[place] for place in places], hint)
            heard |= dict(zip(places, found, strict=True))
        return [heard[place] for place in range(len(windows))]

    def interpret(self, prepared: Prepared, heard: Sequence[Heard]) -> FoundText | Abstention:
        """Join the windows that can be believed; abstain when there is none."""
        believed = [each for each in heard if self._is_believable(each)]
        lines = tuple(line for each in believed for line in each.lines)
        if not lines:
            reason = "The transcript is too uncertain or repeats itself too much to be believed."
            return self._abstain("no_transcript", reason)
        spoken = Counter(each.language for each in believed).most_common(1)
        return FoundText(Origin.SPEECH, f"{self.name}@{self.version}", lines, spoken[0][0])

    def warm_up(self) -> None:
        """Write down one window of nothing."""
        self.transcribe([self._quiet()])

    def _spans(self, content: Recording) -> Iterator[tuple[float, npt.NDArray[np.float32]]]:
        size = int(self._window_seconds * SAMPLE_RATE)
        for begin, samples in content.parts():
            for start in range(0, len(samples), size):
                yield begin + start / SAMPLE_RATE, samples[start : start + size]

    def _window(self, start: float, samples: npt.NDArray[np.float32], hint: str | None) -> Window:
        features = {**self._extractor.inputs(samples), "language": hint}
        end = start + len(samples) / SAMPLE_RATE
        return Window(features, 1, start, end)

    def _known(self, hint: str | None) -> str | None:
        """Return the submitter's language when the model has it, else None: it then listens."""
        primary = (hint or "").lower().replace("_", "-").partition("-")[0]
        return primary if primary in self._languages.values() else None

    def _generated(self, windows: Sequence[Window], hint: str | None) -> Iterator[Heard]:
        inputs = np.stack([window.features["input_features"] for window in windows])
        sureness = _Sureness()
        sequences = self._model.generate(
            torch.from_numpy(inputs).to(self._device, self._model.dtype),
            attention_mask=torch.ones(len(inputs), inputs.shape[-1], device=self._device),
            logits_processor=[sureness],
            max_length=int(self._folder.gates["most_tokens"]),
            num_beams=1,
            do_sample=False,
            return_timestamps=True,
            return_dict_in_generate=True,
            force_unique_generate_call=True,
            **self._spoken(hint),
        ).sequences.tolist()
        steps = sureness.by_sequence()
        for window, tokens, sure in zip(windows, sequences, steps, strict=True):
            yield self._heard(window, tokens, sure, hint)

    def _spoken(self, hint: str | None) -> dict[str, Any]:
        """Return what generate() must be told of languages: nothing where there is only one."""
        if not self._languages:
            return {}
        return {"task": "transcribe", "language": hint}

    def _heard(
        self, window: Window, tokens: list[int], sure: list[float], hint: str | None
    ) -> Heard:
        prompt, written = tokens[: -len(sure)], tokens[-len(sure) :]
        end = self._model.generation_config.eos_token_id
        written = written[: written.index(end)] if end in written else written
        lines = tuple(self._lines(window, written))
        text = " ".join(line.text for line in lines).encode()
        detected = next((self._languages[t] for t in prompt if t in self._languages), None)
        return Heard(
            lines=lines,
            language=hint or detected or ("en" if not self._languages else None),
            log_probability=float(np.mean(sure[: len(written) + 1])),
            repetition=len(text) / len(zlib.compress(text)) if text else 0.0,
        )

    def _lines(self, window: Window, tokens: Iterable[int]) -> Iterator[Line]:
        """Cut at the timestamps; a line that has none begins or ends with its window."""
        start, words = window.start, list[int]()
        for token in tokens:
            if token < self._first_timestamp:
                words.append(token)
                continue
            moment = window.start + (token - self._first_timestamp) * TIMESTAMP_SECONDS
            moment = min(max(moment, start), window.end)
            yield from self._line(words, start, moment)
            start, words = moment, []
        yield from self._line(words, start, window.end)

    def _line(self, words: list[int], start: float, end: float) -> Iterator[Line]:
        text = str(self._tokenizer.decode(words, skip_special_tokens=True))
        if text := " ".join(text.split()):
            yield Line(text, start, end)

    def _is_believable(self, heard: Heard) -> bool:
        gates = self._folder.gates
        return heard.log_probability >= float(
            gates["least_log_probability"]
        ) and heard.repetition <= float(gates["most_repetition"])

    def _seconds_a_window(self) -> float:
        """Time one window of noise. Raises ModelUnusable when nobody could wait for a recording."""
        window = self._quiet()
        began = time.perf_counter()
        self.transcribe([window])
        seconds = time.perf_counter() - began
        if seconds > MOST_SECONDS_A_RECORDING:
            raise ModelUnusable(
                f"{self._folder} takes {seconds:.0f} s for one window on this machine; "
                f"at most {MOST_SECONDS_A_RECORDING:g} are allowed."
            )
        return seconds

    def _quiet(self) -> Window:
        noise = np.random.default_rng(0).normal(0, 0.01, int(self._window_seconds * SAMPLE_RATE))
        return self._window(0.0, noise.astype(np.float32), None)

    def _abstain(self, code: str, reason: str) -> Abstention:
        return Abstention(self.name, self.version, self.label, code, reason)


def _has_voice(samples: npt.NDArray[np.float32]) -> bool:
    return len(samples) >= VOICE_FRAME and voice_activity(samples).voiced_seconds > 0


class _Sureness(LogitsProcessor):
    """Notes the log probability of each token that greedy decoding takes, and changes nothing."""

    def __init__(self) -> None:
        self._steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._steps.append(scores.float().log_softmax(dim=-1).amax(dim=-1))
        return scores

    def by_sequence(self) -> list[list[float]]:
        """Return the log probabilities of each sequence's tokens."""
        found: list[list[float]] = torch.stack(self._steps, dim=1).cpu().tolist()
        return found
