"""Groups of content, as people say them."""

from __future__ import annotations

import pytest

from detection.reliability import name_of


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("all", "all content together"),
        ("language:sw", "Swahili"),
        ("language:en-KE", "English (Kenya)"),
        ("language:en-ke", "English (Kenya)"),
        ("language:sw-en", "Swahili mixed with English"),  # two languages in one sentence
        ("language:pt-BR", "Portuguese (BR)"),
        ("language:zh-Hant", "Chinese (Hant)"),
        ("language:xx", "xx"),
        ("condition:phone codec", "“phone codec” content"),
    ],
)
def test_a_group_has_a_name(group: str, name: str) -> None:
    assert name_of(group) == name
