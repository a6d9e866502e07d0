"""The bundled abuse detector: gates, windows, offsets, order of obvious cases, bounded cost."""
# ruff: noqa: RUF001 - look-alike letters are what is tested

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from inference_worker.detectors.device import choose_precision
from inference_worker.detectors.text import LONGEST_WINDOW, TextDetector
from inference_worker.registry import load_models
from inference_worker.types import Abstention, Modality, Passage, Prepared, Score

MODELS = Path(__file__).parents[2] / "inference_worker" / "models"


@pytest.fixture(scope="module")
def detector() -> TextDetector:
    (found,) = load_models(MODELS / "abuse-text", [Modality.TEXT]).for_modality(Modality.TEXT)
    assert isinstance(found, TextDetector)
    return found


def judge(detector, text, language=None):
    prepared = detector.prepare(Passage(text, language))
    if isinstance(prepared, Abstention):
        return prepared
    return detector.interpret(prepared, detector.forward(prepared.windows[: detector.batch_size]))


def probability(detector, text):
    score = judge(detector, text)
    assert isinstance(score, Score), score
    return score.probability


# English, then Swahili and Sheng: (abusive, harmless on the same subject)
PAIRS = [
    ("You are a fucking idiot, shut up", "You are a kind friend, thank you"),
    ("These people are rats and must be killed", "These people are guests and must be fed"),
    ("go back to your country you filthy pig", "The clinic in Nakuru opens at nine tomorrow"),
    ("that stupid bitch should die", "that wise woman should win"),
    ("Wewe ni mjinga sana, mbwa wewe", "Wewe ni rafiki yangu, karibu sana"),
    ("hawa watu ni wapumbavu wauawe wote", "hawa watu ni wageni wakaribishwe wote"),
    ("wewe malaya mbaya nenda zako", "mkutano wa kijiji utaanza saa nne asubuhi"),
]


@pytest.mark.parametrize(("abusive", "harmless"), PAIRS)
def test_the_abusive_one_of_two_like_sentences_scores_higher(detector, abusive, harmless):
    assert probability(detector, abusive) > probability(detector, harmless)


@pytest.mark.parametrize("text", ["", "   ", "ok", "!!!", "😀😀😀", "\u200b\u202e", "12345"])
def test_a_text_without_letters_enough_is_too_short(detector, text):
    refusal = judge(detector, text)
    assert isinstance(refusal, Abstention)
    assert refusal.code == "too_short"
    assert "at least 3" in refusal.reason


@pytest.mark.parametrize(
    "text",
    [
        "Bonjour, comment allez-vous aujourd'hui mes amis ?",
        "Você é um idiota e eu odeio você",
        "Eres un idiota y te odio mucho, vete de aquí",
        "Ina kwana, yaya aiki da gida yau",
        "Waxaan ahay nin reer Soomaaliya ah oo jooga magaalada",
        "مرحبا كيف حالك اليوم",
        "你好世界今天",
        "Привет, как твои дела",
    ],
)
def test_a_language_never_measured_is_not_judged(detector, text):
    refusal = judge(detector, text)
    assert isinstance(refusal, Abstention)
    assert refusal.code == "language_not_measured"
    assert "en, sw, am" in refusal.reason


@pytest.mark.parametrize(
    "text",
    [
        "yo this guy is so dumb lol",
        "niaje msee uko wapi leo",
        "manze buda si u come tukule form ya jioni",
        "habari ya asubuhi ndugu yangu",
        "Niko sawa boss, si mtu ameiba simu",
        "አንተ ደደብ ነህ ከዚህ ውጣ ዛሬ",
        "idiot",
        "mjinga",
    ],
)
def test_measured_languages_and_their_mix_are_judged(detector, text):
    assert isinstance(judge(detector, text), Score)


@pytest.mark.parametrize(
    ("hint", "judged"),
    [("en", True), ("sw-KE", True), ("und", True), (None, True), ("fr", False), ("so-SO", False)],
)
def test_the_submitters_language_hint_is_believed(detector, hint, judged):
    found = judge(detector, "The weather is lovely and the market is open", hint)
    assert isinstance(found, Score) is judged


LONG = "The county council met on Monday to discuss water and roads. " * 30
INSULT = "You are a fucking idiot and a filthy pig, go and die you stupid bitch. " * 3


@pytest.mark.parametrize(
    ("text", "hint", "groups"),
    [
        ("Habari za asubuhi ndugu zangu, mkutano utaanza saa nne leo.", None, ["language:sw"]),
        ("Good morning, the county office opens at nine today.", None, ["language:en"]),
        ("Good morning, the county office opens at nine today.", "en-KE", ["language:en-KE"]),
        (
            "Sasa bro hiyo meeting ya leo iko wapi because sijui place",
            "sw",
            ["language:sw", "language:sw-en"],  # the mix is recognised whatever the hint says
        ),
        ("Niaje", None, []),  # too short to tell
    ],
)
def test_the_reliability_asked_for_is_that_of_the_texts_language(detector, text, hint, groups):
    prepared = detector.prepare(Passage(text, hint))
    assert prepared.notes["groups"] == groups


def test_the_worst_window_of_a_long_text_points_at_the_abuse(detector):
    text = LONG + INSULT + LONG
    score = judge(detector, text)
    worst = max(score.segments, key=lambda segment: segment.probability)
    assert worst.start < len(LONG) + len(INSULT)
    assert worst.end > len(LONG)
    assert score.probability == worst.probability > probability(detector, LONG)


def test_windows_cover_the_whole_text_and_overlap(detector):
    text = LONG + "été " * 50
    windows = detector.prepare(Passage(text)).windows
    assert windows[0].start == 0
    assert windows[-1].end == len(text.rstrip())
    assert all(window.length <= LONGEST_WINDOW for window in windows)
    assert all(b.start < a.end for a, b in pairwise(windows))


def test_offsets_are_into_the_original_text(detector):
    text = "@someone \u200b\u200b&amp; you ﬁlthy   rat \u202e"
    (window,) = detector.prepare(Passage(text)).windows
    assert text[int(window.start) : int(window.end)].endswith("rat")


def test_a_batch_gives_what_single_windows_give(detector):
    texts = [
        sentence
        for pair in PAIRS
        if isinstance(pair, tuple) and len(pair) == 2
        for sentence in pair
    ]
    windows = [detector.prepare(Passage(text)).windows[0] for text in texts]
    together = detector.forward(windows)
    alone = [row for window in windows for row in detector.forward([window]).ravel().tolist()]
    spread = 0.05 * float(together.std()) + 0.02
    assert together.ravel().tolist() == pytest.approx(alone, abs=spread)


def test_an_abusive_text_is_said_to_be_insult_or_hate(detector):
    kinds = judge(detector, "You are a stupid, worthless idiot").notes["kinds"]
    assert set(kinds) == {"insult", "hate"}
    assert sum(kinds.values()) == pytest.approx(1, abs=0.001)
    assert list(kinds.values()) == sorted(kinds.values(), reverse=True)


def test_a_disguised_insult_scores_like_the_plain_one(detector):
    plain = judge(detector, "you fucking bitch").raw
    for disguised in ("you fu\u200bcking b1tch", "ｙｏｕ fuckіng bitch", "you fuck\u0336ing bitch"):
        assert judge(detector, disguised).raw == pytest.approx(plain, abs=1e-3)


@pytest.mark.parametrize(
    "text",
    [
        "you are an idiot " * 62_000,
        "a" * 1_000_000,
        "i\u0334\u031b\u0354d\u034f" * 200_000,
        "\u202eidiot\u202c " * 110_000,
        "@a " * 350_000,
        "you 👨‍👩‍👧‍👦 idiot " * 60_000,
    ],
    ids=["words", "one word", "stacked marks", "direction overrides", "mentions", "emoji"],
)
def test_a_megabyte_costs_a_bounded_amount(detector, text):
    began = time.perf_counter()
    prepared = detector.prepare(Passage(text))
    assert time.perf_counter() - began < 3
    if isinstance(prepared, Prepared):
        assert len(prepared.windows) < 250
        assert prepared.notes["judged_characters"] < prepared.notes["characters"] == len(text)


def test_the_explanation_points_at_the_insult(detector):
    text = "Good morning neighbour, you are a bitch and the bus leaves at noon"
    words = detector.explain(Passage(text), judge(detector, text)).words
    heaviest = max(words, key=lambda word: word.weight)
    assert text[heaviest.start : heaviest.end] == "bitch"
    assert len(words) == len(text.split())


def test_warm_up_runs_every_common_length(detector):
    detector.warm_up()


def test_the_precision_probe_keeps_a_format_that_agrees(detector):
    chosen = next(t for t in detector.precision.trials if t.dtype == detector.precision.dtype)
    assert chosen.agrees
    assert chosen.seconds == min(t.seconds for t in detector.precision.trials if t.agrees)


def test_the_precision_probe_refuses_a_format_that_disagrees():
    import torch

    class Fickle(torch.nn.Module):
        """Answers something else in bfloat16."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))
            self.dtype = torch.float32

        def to(self, dtype):
            self.dtype = dtype
            return self

        def forward(self, x):
            sign = 1 if self.dtype == torch.float32 else -1
            return type("Output", (), {"logits": sign * x.float()})()

    batch = {"x": torch.arange(4.0)[:, None]}
    precision = choose_precision(Fickle(), batch)
    assert precision.dtype == torch.float32
    assert [trial.agrees for trial in precision.trials] == [True, False]
