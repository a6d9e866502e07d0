"""Disguises come off, and every character still knows where it came from."""
# ruff: noqa: RUF001 - look-alike letters are what is tested

from __future__ import annotations

import pytest

from inference_worker.detectors.normalisation import normalise


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("Ｆｕｃｋ ﬁre", "fuck fire"),  # compatibility forms
        ("id\u200bi\u00adot", "idiot"),  # invisible characters
        ("\u202eidiot\u202c", "idiot"),  # direction overrides
        ("i\u0334\u031bd\u034fiot", "idiot"),  # stacked marks
        ("b1tch f@ck", "bitch fack"),  # digits and signs between letters
        ("born in 1990", "born in 1990"),  # but not numbers
        ("іdіоt", "idiot"),  # Cyrillic letters in a Latin word
        ("привет", "привет"),  # but not a Cyrillic word
        ("soooooo", "soo"),
        ("ሠላም ዐለም", "ሰላም አለም"),  # Amharic letters of one sound
    ],
)
def test_disguises_are_undone(text, read_as):
    assert normalise(text).text == read_as


def test_links_mentions_and_entities_are_masked():
    masked = normalise("RT @someone: see https://t.co/abc &amp; go").text
    assert masked.split() == ["user", "see", "url", "go"]


@pytest.mark.parametrize("text", ["", "plain", "a ﬁne @user x", "ሠላም\u200b ok", "e\u0301é"])
def test_every_character_has_an_origin_in_the_text(text):
    found = normalise(text)
    assert len(found.origin) == len(found.text) + 1
    assert list(found.origin) == sorted(found.origin)
    assert found.origin[-1] == len(text)


def test_spans_point_at_the_original_characters():
    text = "@someone you ﬁlthy rat"
    found = normalise(text)
    at = found.text.index("filthy")
    start, end = found.span(at, at + len("filthy"))
    assert text[start:end] == "ﬁlthy"
