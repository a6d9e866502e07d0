"""The loop of an inference worker: claim, decode, prepare, forward, write, all at once.

One thread claims and prepares, the calling thread runs the models, one thread writes. Nothing waits
for a batch to fill: whatever is ready goes, sorted by length so that little padding is computed.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from inference_worker.decoding.decoder import Decoder
from inference_worker.errors import DecoderLost, Undecodable
from inference_worker.listening import speech_in, written_down
from inference_worker.looks import Judged, Look, Sense, add_up, facts_of, look_at, look_at_text
from inference_worker.ocr.reader import TextReader
from inference_worker.registry import Registry
from inference_worker.trials import Standings
from inference_worker.types import (
    Abstention,
    Content,
    Detector,
    Footage,
    FoundText,
    Judgement,
    Modality,
    Observer,
    Origin,
    Passage,
    Prepared,
    Recording,
    Window,
)
from inference_worker.watchdog import Watchdog

log = logging.getLogger(__name__)

J = TypeVar("J")

WRITE_AT = 64
"""Finished items are written in groups of about this many: one write for each forward pass costs
too much, one for each claim keeps every result waiting."""
AHEAD = 2
"""Lots of prepared items waiting for the models; bounds memory and how much one worker hoards."""


@dataclass(frozen=True, slots=True)
class Work(Generic[J]):
    """One claimed job. `job` is the source's own value and comes back as it was."""

    job: J
    modality: Modality
    passage: Passage | None = None
    """The content of a text."""
    path: Path | None = None
    """Where the bytes of media lie."""
    language: str | None = None
    """The submitter's BCP 47 hint for what is said in media; a text carries its own."""
    draw: float = 0.0
    """The job's place in 0..1, the same at every try: a canary judges those below its share."""


@dataclass(frozen=True, slots=True)
class Analysed(Generic[J]):
    """A finished job: what the detectors say, and facts about the content."""

    job: J
    judged: Sequence[Judged]
    facts: dict[str, Any]
    standings: Standings = field(default_factory=dict)
    """What the judgement of each version is for, where some are on trial."""


class Source(Protocol[J]):
    """Where jobs come from and results go to. Each method runs in one thread at a time."""

    def claim(self) -> Sequence[Work[J]]:
        """Return jobs; nothing when there are none or no more should be taken."""

    def finish(self, analysed: Sequence[Analysed[J]]) -> None:
        """Write results; those whose lease was lost are discarded by the source."""

    def fail(self, job: J, code: str, reason: str) -> None:
        """Record that the job can never succeed; `reason` is for a person."""

    def retry(self, job: J, code: str, reason: str) -> None:
        """Record that the job should be tried again later."""


@dataclass(eq=False, slots=True)
class Item(Generic[J]):
    """One job between preparation and result: its looks, and the logits they still wait for."""

    job: J
    content: Content
    looks: list[Look]
    registry: Registry
    """The models that were drawn for it."""
    standings: Standings
    speech: Prepared | Abstention | None = None
    """What is to be written down; None without a transcriber or without sound."""
    heard: FoundText | None = None
    logits: list[list[Any]] = field(default_factory=list)
    """By look, one row a window: what forward() said of it."""
    missing: int = 0

    def __post_init__(self) -> None:
        """Make room for one row a window."""
        self._expect(self.looks)

    def hear(self, heard: FoundText) -> None:
        """Take what was said, and look at it as a text."""
        looks = look_at_text(heard, self.registry)
        self.heard, self.looks = heard, self.looks + looks
        self._expect(looks)

    def _expect(self, looks: list[Look]) -> None:
        self.logits += [[0.0] * look.window_count for look in looks]
        self.missing += sum(look.window_count for look in looks)

    def analysed(self) -> Analysed[J]:
        """Return what the detectors say, now that every window has its logit."""
        judged: list[tuple[Look, Judgement]] = [
            (look, look.judge(np.array(rows, np.float32)))
            for look, rows in zip(self.looks, self.logits, strict=True)
        ]
        said = add_up(self.content, judged)
        if isinstance(self.speech, Abstention):
            said.append(Judged(Sense.TEXT, self.speech, Origin.SPEECH))
        return Analysed(self.job, said, facts_of(self.content, self.heard), self.standings)


@dataclass(frozen=True, slots=True)
class Slot(Generic[J]):
    """One window on its way through a forward pass, and where its logit belongs."""

    item: Item[J]
    look: int
    place: int
    window: Window
    detector: Detector


class Runtime:
    """Drains sources through the models of one process. Make one a process and keep it."""

    def __init__(
        self,
        registry: Registry,
        decoder: Decoder | None,
        observe: Observer | None = None,
        text_reader: TextReader | None = None,
        watchdog: Watchdog | None = None,
    ) -> None:
        """`decoder` may be None for a worker that only judges text, `text_reader` for one that
        does not read what is written in pictures. `watchdog` watches every drain."""
        self.registry = registry
        self.decoder = decoder
        self._text_reader = text_reader
        self._tell = observe or (lambda label, seconds: None)
        self._watchdog = watchdog or Watchdog(math.inf)
        self._taker = ThreadPoolExecutor(1, "take-in")
        self._writer = ThreadPoolExecutor(1, "write")
        self._decode_slots = len(decoder.pids) if decoder else 1
        self._readers = ThreadPoolExecutor(self._decode_slots, "decode")

    def warm_up(self) -> None:
        """Run every model once on its common shapes."""
        for _, detector in self.registry.entries:
            detector.warm_up()

    def close(self) -> None:
        """End the threads and the decoder."""
        for pool in (self._taker, self._readers, self._writer):
            pool.shutdown()
        if self.decoder:
            self.decoder.close()

    def drain(self, source: Source[J]) -> int:
        """Work until the source has no more; return how many items went through the models."""
        ready: queue.Queue[list[Item[J]] | None] = queue.Queue(AHEAD)
        stop = threading.Event()
        taking = self._taker.submit(self._take_in, source, ready, stop)
        writes = _Writes(source, self._writer)
        done = 0
        with self._watchdog.watching():
            try:
                for items in _whatever_is_ready(ready):
                    done += len(items)
                    self._run(items, source, writes)
            finally:
                stop.set()
                _empty(ready, taking)
            writes.settle()
            taking.result()
        return done

    def _observe(self, label: str, seconds: float) -> None:
        self._watchdog.tick()
        self._tell(label, seconds)

    # --- take in: claim, decode, prepare -------------------------------------------------------

    def _take_in(
        self, source: Source[J], ready: queue.Queue[list[Item[J]] | None], stop: threading.Event
    ) -> None:
        reading: deque[Future[Item[J] | None]] = deque()
        try:
            while not stop.is_set() and (works := source.claim()):
                if items := list(self._prepared_texts(works, source)):
                    ready.put(items)
                reading.extend(
                    self._readers.submit(self._read, work, work.path, source)
                    for work in works
                    if work.path is not None
                )
                _hand_on(reading, ready, keep=self._decode_slots)
            _hand_on(reading, ready, keep=0)
        finally:
            ready.put(None)

    def _prepared_texts(self, works: Sequence[Work[J]], source: Source[J]) -> Iterator[Item[J]]:
        for work in works:
            if work.passage is not None and (item := self._prepared(work, work.passage, source)):
                yield item

    def _read(self, work: Work[J], path: Path, source: Source[J]) -> Item[J] | None:
        assert self.decoder is not None, "this worker was started without a decoder"
        try:
            content = self.decoder.decode(path, work.modality)
        except Undecodable as refused:
            source.fail(work.job, refused.code, str(refused))
            return None
        except DecoderLost as lost:
            source.retry(work.job, "decoder_lost", str(lost))
            return None
        finally:
            self._watchdog.tick()
        return self._prepared(work, _hinted(content, work.language), source)

    def _prepared(self, work: Work[J], content: Content, source: Source[J]) -> Item[J] | None:
        try:
            registry = self.registry.drawn(work.draw)
            read = self._text_reader.read(content) if self._text_reader else content
            looks = look_at(read, registry)
            standings = registry.standings(work.draw)
            speech = speech_in(read, registry.transcriber)
            return Item(work.job, read, looks, registry, standings, speech)
        except Exception:
            log.exception("preparing failed")
            source.retry(
                work.job, "detector_error", "A detector failed while it prepared this content."
            )
            return None

    # --- forward -------------------------------------------------------------------------------

    def _run(self, items: list[Item[J]], source: Source[J], writes: _Writes[J]) -> None:
        items = self._listened(items, source)
        for item in items:
            if item.missing == 0:
                writes.add(item.analysed())
        for batch in _batches(items):
            try:
                self._forward(batch)
            except Exception:
                log.exception("forward pass failed; running its items one by one")
                self._forward_alone(batch, source)
            for item in {id(slot.item): slot.item for slot in batch}.values():
                if item.missing == 0:
                    writes.add(item.analysed())
        writes.flush()

    def _listened(self, items: list[Item[J]], source: Source[J]) -> list[Item[J]]:
        """Have what is said written down and looked at as text; return the items that go on."""
        transcriber = self.registry.transcriber
        speaking = [(each, each.speech) for each in items if isinstance(each.speech, Prepared)]
        if transcriber is None or not speaking:
            return items
        found = written_down(transcriber, [speech for _, speech in speaking], self._observe)
        failed = {
            id(item)
            for (item, _), text in zip(speaking, found, strict=True)
            if not self._hear(item, text)
        }
        for item in items:
            if id(item) in failed:
                source.retry(item.job, "detector_error", "What is said could not be written down.")
        return [item for item in items if id(item) not in failed]

    def _hear(self, item: Item[J], found: FoundText | Abstention | None) -> bool:
        if isinstance(found, Abstention):
            item.speech = found
        elif found is not None:
            try:
                item.hear(found)
            except Exception:
                log.exception("preparing a transcript failed")
                return False
        return found is not None

    def _forward(self, batch: Sequence[Slot[J]]) -> None:
        began = time.perf_counter()
        detector = batch[0].detector
        logits = detector.forward([slot.window for slot in batch])
        for slot, logit in zip(batch, logits, strict=True):
            slot.item.logits[slot.look][slot.place] = logit
            slot.item.missing -= 1
        self._observe(detector.label, time.perf_counter() - began)

    def _forward_alone(self, batch: Sequence[Slot[J]], source: Source[J]) -> None:
        failed: set[int] = set()
        for slot in batch:
            if id(slot.item) in failed or slot.item.missing < 0:
                continue
            try:
                self._forward([slot])
            except Exception:
                log.exception("forward pass failed for one item")
                failed.add(id(slot.item))
                slot.item.missing = -1
                source.retry(slot.item.job, "detector_error", "A detector failed on this content.")


def _hinted(content: Content, language: str | None) -> Content:
    """Return content whose sound is said to be in `language`, where it has sound."""
    match content:
        case Recording():
            return replace(content, language=language)
        case Footage(sound=Recording() as sound):
            return replace(content, sound=replace(sound, language=language))
        case _:
            return content


def _hand_on(
    reading: deque[Future[Item[J] | None]],
    ready: queue.Queue[list[Item[J]] | None],
    *,
    keep: int,
) -> None:
    """Pass on read items in order, until only `keep` are still being read."""
    while len(reading) > keep:
        if item := reading.popleft().result():
            ready.put([item])


def _whatever_is_ready(ready: queue.Queue[list[Item[J]] | None]) -> Iterator[list[Item[J]]]:
    """Yield items as they come, merging all that is there; never wait for more than one."""
    ended = False
    while not ended:
        lots = [ready.get()]
        while not ready.empty():
            lots.append(ready.get())
        ended = lots[-1] is None
        if items := [item for lot in lots if lot for item in lot]:
            yield items


def _empty(ready: queue.Queue[list[Item[J]] | None], taking: Future[None]) -> None:
    """Let a blocked producer finish after the consumer stopped early."""
    while not taking.done():
        try:
            ready.get(timeout=0.05)
        except queue.Empty:
            continue


def _batches(items: Iterable[Item[J]]) -> Iterator[list[Slot[J]]]:
    """Group all windows by detector and length, at most the detector's batch size together."""
    slots: dict[int, list[Slot[J]]] = {}
    for item in items:
        for look_number, look in enumerate(item.looks):
            if look.window_count:
                slots.setdefault(id(look.detector), []).extend(_slots(item, look_number, look))
    for waiting in slots.values():
        waiting.sort(key=lambda slot: slot.window.length)
        size = waiting[0].detector.batch_size
        for start in range(0, len(waiting), size):
            yield waiting[start : start + size]


def _slots(item: Item[J], look_number: int, look: Look) -> Iterator[Slot[J]]:
    assert isinstance(look.prepared, Prepared), "an abstention has no windows"
    for place, window in enumerate(look.prepared.windows):
        yield Slot(item, look_number, place, window, look.detector)


class _Writes(Generic[J]):
    """Collects finished items and writes them in the writer's thread, one group at a time."""

    def __init__(self, source: Source[J], writer: ThreadPoolExecutor) -> None:
        self._source = source
        self._writer = writer
        self._waiting: list[Analysed[J]] = []
        self._under_way: Future[None] | None = None

    def add(self, analysed: Analysed[J]) -> None:
        """Take one finished item; write when enough have come together."""
        self._waiting.append(analysed)
        if len(self._waiting) >= WRITE_AT:
            self.flush()

    def flush(self) -> None:
        """Start writing what has come together."""
        if self._waiting:
            self.settle()
            self._under_way = self._writer.submit(self._source.finish, self._waiting)
            self._waiting = []

    def settle(self) -> None:
        """Wait for the write under way; raise what it raised."""
        if self._under_way:
            self._under_way.result()
            self._under_way = None
