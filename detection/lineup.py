"""The models of one lane in this process, kept in step with the rollout.

The drain asks for the runtime before it claims. When a move was made since the last time, missing
files are fetched by a thread while the models that are there go on judging; then the new ones are
built between two claims, when no job is held. A model that stays is not loaded again.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache

import structlog

from detection import bases, rollout, roster
from detection.versions import ModelVersion
from inference_worker.decoding.decoder import Decoder
from inference_worker.errors import ModelUnusable
from inference_worker.ocr.reader import TextReader
from inference_worker.registry import ModelFolder, Registry, build
from inference_worker.runtime import Runtime
from inference_worker.sources import at
from inference_worker.trials import OnTrial, Post, Role
from inference_worker.types import Detector, Modality, Observer
from inference_worker.watchdog import Watchdog

log = structlog.get_logger(__name__)

TRY_AGAIN_SECONDS = 60.0
"""After a model could not be loaded. A move is followed at once."""

Entry = tuple[ModelFolder, Detector]


def fetch(posts: Sequence[Post]) -> dict[str, str]:
    """Fetch what this machine lacks; return why a model could not be had, by its digest."""
    problems = {}
    for post in posts:
        try:
            bases.shelf().fetch(at(post.source), post.digest)
        except ModelUnusable as error:
            problems[post.digest] = str(error)
    return problems


def prepare(modalities: Collection[Modality]) -> None:
    """Fetch the models that workers for content of these kinds will load."""
    bases.sync()
    _, posts = roster.read(modalities)
    fetch(posts)


class Lineup:
    """One lane's runtime and the models in it. For one thread; fetching alone has its own."""

    def __init__(
        self,
        modalities: Collection[Modality],
        make_decoder: Callable[[], Decoder] | None,
        observe: Observer,
        text_reader: TextReader | None = None,
        watchdog: Watchdog | None = None,
    ) -> None:
        """Load nothing yet: a lane's models are loaded when its runtime is first asked for."""
        self._modalities = frozenset(modalities)
        self._make_decoder = make_decoder
        self._observe = observe
        self._text_reader = text_reader
        self._watchdog = watchdog
        self._runtime: Runtime | None = None
        self._generation = -1
        self._loaded: dict[str, Entry] = {}
        self._problems: dict[str, str] = {}
        self._fetching: threading.Thread | None = None
        self._fetched = -1
        self._try_again_at: float | None = None

    def runtime(self) -> Runtime:
        """Return the runtime, with the models the rollout asks for as far as they can be had.

        Raises ModelUnusable at the start, where an active model cannot be loaded and none that was
        active before can stand in for it.
        """
        if self._runtime is None:
            self._runtime = self._started()
        elif self.is_behind():
            self._follow(self._runtime)
        return self._runtime

    def is_behind(self) -> bool:
        """Say whether there is a move to follow now. Asks for one row."""
        if self._runtime is None or (self._fetching and self._fetching.is_alive()):
            return False
        if self._try_again_at is not None and time.monotonic() > self._try_again_at:
            return True
        return rollout.generation() != self._generation

    def _started(self) -> Runtime:
        prepare(self._modalities)
        generation, posts = roster.read(self._modalities)
        self._problems = fetch(posts)
        registry = self._registry(posts)
        self._generation = generation
        decoder = self._make_decoder() if self._make_decoder else None
        return Runtime(registry, decoder, self._observe, self._text_reader, self._watchdog)

    def _follow(self, runtime: Runtime) -> None:
        generation, posts = roster.read(self._modalities)
        again = generation == self._generation  # then it is time to try what failed once more
        if (again or self._fetched != generation) and self._lacks(posts):
            self._fetched, self._generation, self._try_again_at = generation, -1, None
            self._fetching = threading.Thread(target=self._fetch, args=[posts], name="fetch")
            self._fetching.daemon = True
            self._fetching.start()
            return
        try:
            runtime.registry = self._registry(posts)
        except ModelUnusable as error:
            log.error("models not changed", reason=str(error), models=runtime.registry.model_set)
        self._generation = generation

    def _lacks(self, posts: Sequence[Post]) -> bool:
        return any(bases.shelf().find(post.digest) is None for post in posts)

    def _fetch(self, posts: Sequence[Post]) -> None:
        self._problems = fetch(posts)

    # --- Building ------------------------------------------------------------------------------

    def _registry(self, posts: Sequence[Post]) -> Registry:
        """Build what is new. Raises ModelUnusable where an active model and its kin all fail."""
        began, self._try_again_at = time.monotonic(), None
        taken = {post.digest: (post, entry) for post, entry in self._taken(posts)}
        if not any(post.role is Role.ACTIVE for post, _ in taken.values()):
            kinds = ", ".join(sorted(self._modalities))
            raise ModelUnusable(f"No model is active for {kinds}.")
        self._loaded = {digest: entry for digest, (_, entry) in taken.items()}
        registry = Registry(
            tuple(_in_role(post, entry) for post, entry in taken.values()),
            tuple(post for post, _ in taken.values()),
        )
        # What is loaded stays: without it, collecting garbage costs a tenth of the text lane.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        seconds = round(time.monotonic() - began, 2)
        log.info("models ready", models=registry.model_set, seconds=seconds)
        return registry

    def _taken(self, posts: Sequence[Post]) -> Iterator[tuple[Post, Entry]]:
        """Yield each post with its model, or with the one that stands in for an active model."""
        used: set[str] = set()
        for post in posts:
            if found := next(self._usable(post, used), None):
                used.add(found[0].digest)
                yield found
            elif post.role is Role.ACTIVE:
                raise ModelUnusable(f"{post} cannot be loaded and nothing can stand in for it.")

    def _usable(self, post: Post, used: set[str]) -> Iterator[tuple[Post, Entry]]:
        """Try the post's model, and for an active one those that were active before."""
        kin = post.instead if post.role is Role.ACTIVE else ()
        for each in (post, *kin):
            if each.digest in used:  # stands in for an active model already
                continue
            try:
                yield each, self._loaded.get(each.digest) or self._load(each)
            except ModelUnusable as error:
                self._try_again_at = time.monotonic() + TRY_AGAIN_SECONDS
                log.error("model not loaded", model=str(each), reason=str(error))
                roster.report_failed(each, str(error))

    def _load(self, post: Post) -> Entry:
        if post.digest in self._problems and bases.shelf().find(post.digest) is None:
            raise ModelUnusable(self._problems[post.digest])
        entry = load(post)
        try:
            entry[1].warm_up()
        except Exception as error:
            raise ModelUnusable(f"{post} cannot be run: {error}") from error
        roster.report_loaded(post)
        return entry


def load(post: Post) -> Entry:
    """Verify and build a model, fetched first where it must be. Raises ModelUnusable."""
    bases.shelf().fetch(at(post.source), post.digest)
    folder = bases.shelf().load(post.digest)
    try:
        return folder, build(folder)
    except ModelUnusable:
        raise
    except Exception as error:  # what a folder's files make a library raise cannot be foreseen
        raise ModelUnusable(f"{post} cannot be built: {error}") from error


def _in_role(post: Post, entry: Entry) -> Entry:
    folder, detector = entry
    return (folder, detector) if post.role is Role.ACTIVE else (folder, OnTrial(detector))


@lru_cache(maxsize=1)
def load_version(name: str, version: str) -> Entry:
    """Build a version that is out of use, to explain what it said; the last one is kept.

    Raises ModelUnusable where it was never registered or its files can no longer be had.
    """
    row = ModelVersion.objects.filter(name=name, version=version).first()
    if row is None:
        raise ModelUnusable(f"{name}@{version} is not registered: it cannot be loaded any more.")
    return load(roster.post_of(row))
