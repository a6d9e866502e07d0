"""Whatever is typed, every character keeps its place in the original, and disguises come off."""
# ruff: noqa: RUF001 - look-alike letters are what is tested

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_worker.detectors.normalisation import normalise
from inference_worker.training.text_obfuscation import DISGUISES, disguised

HIDDEN = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u202a\u202e\u2066\u2069\u0336\u0301\u034f"
PIECES = st.sampled_from(
    [
        *("k i l l", "b1tch", "https://a.b/c", "@you", "RT @me:", "&amp;", "🇰🇪", "🇫 🇺", "ｆｕ"),
        *("ﬁre", "сука", "іdіоt", "ደ ደ ብ", "soooo", "a$$", "\u202e", "🅺🅸🅻🅻", "f.u.c.k"),
    ]
)
TEXTS = st.lists(st.one_of(st.text(max_size=30), PIECES), max_size=8).map(" ".join)
WORDS = st.text(string.ascii_lowercase, min_size=4, max_size=12).filter(
    lambda word: all(3 * letter not in word for letter in word)
)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_every_character_has_an_origin_that_never_goes_back(text):
    found = normalise(text)
    assert len(found.origin) == len(found.text) + 1
    assert found.origin == tuple(sorted(found.origin))
    assert found.origin[-1] == len(text)
    assert all(0 <= at < len(text) for at in found.origin[:-1])


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_spans_lie_within_the_original(text):
    found = normalise(text)
    for start in range(0, len(found.text), 5):
        begin, end = found.span(start, min(start + 3, len(found.text)))
        assert 0 <= begin <= end <= len(text)


@given(st.lists(WORDS, min_size=1, max_size=6), st.data())
@settings(max_examples=200, deadline=None)
def test_hidden_characters_change_nothing(words, data):
    plain = " ".join(words)
    hidden = "".join(
        letter + data.draw(st.text(HIDDEN, max_size=2)) if letter.isalpha() else letter
        for letter in plain
    )
    assert normalise(hidden).text == normalise(plain).text


@given(st.lists(WORDS, min_size=1, max_size=5), st.integers(0, 1000))
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize(
    "disguise",
    sorted(set(DISGUISES) - {"letters for signs", "look-alike letters", "stretched letters"}),
)
def test_these_disguises_come_off_whole(disguise, words, seed):
    plain = ", ".join(words)  # spelt out without a comma between them, two words become one
    assert normalise(disguised(plain, disguise, seed)).text == normalise(plain).text


@given(st.lists(WORDS, min_size=1, max_size=5), st.integers(0, 1000))
@settings(deadline=None)
def test_look_alike_letters_come_off_where_most_letters_are_latin(words, seed):
    plain = "this is what they wrote about us in the paper: " + " ".join(words[:2])
    disguise = disguised(" ".join(words[:2]), "look-alike letters", seed)
    read = normalise("this is what they wrote about us in the paper: " + disguise).text
    assert read == normalise(plain).text


def test_letters_for_signs_come_off_between_letters():
    assert normalise(disguised("stupid idiots", "letters for signs", 0)).text == "stupid idiots"


@given(WORDS, st.integers(0, 1000))
def test_stretched_letters_shrink_to_two(word, seed):
    stretched = normalise(disguised(word, "stretched letters", seed)).text
    assert len(stretched) <= len(word) + 1


@pytest.mark.parametrize(
    "text",
    [
        "The vote in 1990 cost $5 and 100% of covid19 funds",
        "this is a b test of the h and m shop",
        "habari za leo, niko sawa",
        "አንተ ደደብ ነህ",
    ],
)
def test_ordinary_text_is_only_lowered(text):
    assert normalise(text).text == text.lower()


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("k i l l them", "kill them"),
        ("k.i.l.l them", "kill them"),
        ("f-u-c-k", "fuck"),
        ("ደ ደ ብ ነህ", "ደደብ ነህ"),
        ("n1663r", "nigger"),
        ("a$$hole", "asshole"),
        ("🇫 🇺 🇨 🇰", "fuck"),
        ("🅺🅸🅻🅻", "kill"),
        ("ᴋɪʟʟ", "kill"),
        ("I saw a сор here", "i saw a cop here"),
    ],
)
def test_disguises_are_undone(text, read_as):
    assert normalise(text).text == read_as


def test_a_flag_is_no_word():
    assert normalise("Kenya 🇰🇪 votes").text.split() == ["kenya", "votes"]


def test_an_offset_into_a_spelt_out_word_points_at_its_first_letter():
    text = "they say k i l l them"
    found = normalise(text)
    at = found.text.index("kill")
    start, end = found.span(at, at + 4)
    assert text[start:end] == "k i l l"
