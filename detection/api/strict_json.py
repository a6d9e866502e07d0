"""JSON as RFC 8259 means it, and nothing that would break later: what is accepted can be stored."""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1
_MAX_DIGITS = 19


class NotStrictJSON(ValueError):
    """The text is not JSON that can be accepted; `code` and the message say why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def loads(raw: bytes) -> Any:
    """Return the value. Raises NotStrictJSON for anything doubtful, see `parse` and `check`."""
    value = parse(raw)
    check(value)
    return value


def parse(raw: bytes) -> Any:
    """Return the value of UTF-8 JSON without duplicate keys, NaN, or numbers beyond 64 bits."""
    if raw.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise NotStrictJSON("invalid_json", "JSON is UTF-8 without a byte order mark.")
    try:
        return json.loads(
            raw.decode(),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except UnicodeDecodeError as error:
        raise NotStrictJSON("invalid_json", f"Byte {error.start} is not UTF-8.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise NotStrictJSON("invalid_json", f"Not JSON: {error.msg} ({where}).") from error
    except RecursionError as error:
        raise _too_deep() from error


def check(value: Any) -> None:
    """Raise NotStrictJSON for nesting over MAX_DEPTH, NUL characters and lone surrogates."""
    for item, level in _walk(value):
        if level > MAX_DEPTH:
            raise _too_deep()
        if isinstance(item, str):
            _check_text(item)


def depth(value: Any) -> int:
    """Return how deep a value is nested; a plain value is 0."""
    return max(found for _, found in _walk(value))


def _walk(value: Any) -> Iterator[tuple[Any, int]]:
    """Yield every key and value with its depth, without recursion."""
    waiting = [(value, 0)]
    while waiting:
        item, level = waiting.pop()
        yield item, level
        if isinstance(item, dict):
            waiting.extend((key, level) for key in item)
            waiting.extend((inner, level + 1) for inner in item.values())
        elif isinstance(item, list):
            waiting.extend((inner, level + 1) for inner in item)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise NotStrictJSON("nul_character", "Text may not contain the NUL character (\\u0000).")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise NotStrictJSON(
                "lone_surrogate", "Text may not contain half of a surrogate pair (\\ud800-\\udfff)."
            ) from error


def _too_deep() -> NotStrictJSON:
    return NotStrictJSON("too_deep", f"JSON may be nested {MAX_DEPTH} levels deep at most.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise NotStrictJSON("duplicate_key", f"The key {twice[:100]!r} occurs twice.")
    return found


def _refuse_constant(name: str) -> Any:
    raise NotStrictJSON("invalid_number", f"{name} is not a JSON number.")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise NotStrictJSON("invalid_number", f"The number {digits[:40]} is too large.")
    return value


def _integer(digits: str) -> int:
    """Refuse by length first: turning thousands of digits into a number is slow, or an error."""
    if len(digits.lstrip("-")) > _MAX_DIGITS or abs(int(digits)) > MAX_INTEGER:
        raise NotStrictJSON("invalid_number", f"The number {digits[:40]}… is too large.")
    return int(digits)
