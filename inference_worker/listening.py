"""Has what is said in recordings and videos written down, many at once, before it is judged."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from itertools import islice

from inference_worker.types import (
    Abstention,
    Content,
    Footage,
    FoundText,
    Heard,
    Observer,
    Prepared,
    Recording,
    Transcriber,
    Window,
)

log = logging.getLogger(__name__)


def speech_in(content: Content, transcriber: Transcriber | None) -> Prepared | Abstention | None:
    """Prepare the sound of the content; None without a transcriber or without sound."""
    sound = content.sound if isinstance(content, Footage) else content
    if transcriber is None or not isinstance(sound, Recording):
        return None
    return transcriber.prepare(sound)


def written_down(
    transcriber: Transcriber, items: Sequence[Prepared], observe: Observer
) -> list[FoundText | Abstention | None]:
    """Write down all items, their windows sharing passes; None for one that breaks the model."""
    try:
        return _together(transcriber, items, observe)
    except Exception:
        log.exception("transcribing failed; running its items one by one")
        return [_alone(transcriber, item, observe) for item in items]


def _alone(
    transcriber: Transcriber, item: Prepared, observe: Observer
) -> FoundText | Abstention | None:
    try:
        return _together(transcriber, [item], observe)[0]
    except Exception:
        log.exception("transcribing failed for one item")
        return None


def _together(
    transcriber: Transcriber, items: Sequence[Prepared], observe: Observer
) -> list[FoundText | Abstention | None]:
    windows = [window for item in items for window in item.windows]
    heard = iter(list(_heard(transcriber, windows, observe)))
    return [transcriber.interpret(item, list(islice(heard, len(item.windows)))) for item in items]


def _heard(
    transcriber: Transcriber, windows: Sequence[Window], observe: Observer
) -> Iterator[Heard]:
    for start in range(0, len(windows), transcriber.batch_size):
        began = time.perf_counter()
        yield from transcriber.transcribe(windows[start : start + transcriber.batch_size])
        observe(transcriber.label, time.perf_counter() - began)
