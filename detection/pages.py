"""The main text of a web page, without its menus, comments and advertisements."""

from __future__ import annotations

from dataclasses import dataclass

import trafilatura
from lxml.etree import LxmlError
from trafilatura.settings import Document

from detection.errors import FetchRefused

MAX_PAGE_BYTES = 5_000_000
_MAX_TITLE = 300


@dataclass(frozen=True, slots=True)
class Page:
    """What a web page says. `title` may be empty."""

    text: str
    title: str


def read_page(html: bytes) -> Page:
    """Return a page's main text. Raises FetchRefused when it has none or is too large."""
    if len(html) > MAX_PAGE_BYTES:
        raise FetchRefused("too_large", f"The page has more than {MAX_PAGE_BYTES} bytes.")
    try:
        found = trafilatura.bare_extraction(html, include_comments=False, with_metadata=True)
    except (LxmlError, ValueError, RecursionError) as error:
        raise FetchRefused("unreadable_page", "The page's HTML could not be read.") from error
    text = (found.text or "").strip() if isinstance(found, Document) else ""
    if not isinstance(found, Document) or not text:
        raise FetchRefused("no_text", "The page has no text that could be judged.")
    return Page(text, (found.title or "").strip()[:_MAX_TITLE])
