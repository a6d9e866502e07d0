"""Reading the environment. A bad or missing value stops the start with the variable's name."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import make_conninfo

BASE_DIR = Path(__file__).resolve().parent.parent

T = TypeVar("T")


def text(name: str, default: str | None = None) -> str:
    """Return the variable, or the content of the file named by `<name>_FILE`, or the default."""
    if value := os.environ.get(name, ""):
        return value
    if path := os.environ.get(f"{name}_FILE", ""):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(
                f"{name}_FILE: cannot read {path}: {error.strerror}"
            ) from error
    if default is None:
        raise ImproperlyConfigured(f"{name} is not set (see .env.example)")
    return default


def _parsed(name: str, default: T, parse: Callable[[str], T], expects: str) -> T:
    raw = text(name, "")
    if not raw:
        return default
    try:
        return parse(raw)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be {expects}, not {raw!r}") from error


def integer(name: str, default: int) -> int:
    """Return the variable as a whole number."""
    return _parsed(name, default, int, "a whole number")


def number(name: str, default: float) -> float:
    """Return the variable as a number."""
    return _parsed(name, default, float, "a number")


def flag(name: str, default: bool) -> bool:
    """Return the variable as a yes or no."""

    def parse(raw: str) -> bool:
        if raw.lower() in {"1", "true", "yes", "on"}:
            return True
        if raw.lower() in {"0", "false", "no", "off"}:
            return False
        raise ValueError(raw)

    return _parsed(name, default, parse, "true or false")


def names(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """Return a comma-separated variable as a list."""
    return [part.strip() for part in text(name, ",".join(default)).split(",") if part.strip()]


def home() -> Path:
    """Return the data folder, KILINDA_HOME."""
    return Path(text("KILINDA_HOME", str(BASE_DIR / ".kilinda"))).resolve()


def certificates(name: str) -> Path | None:
    """Return the PEM file that the variable names, once it has been seen to hold certificates."""
    path = text(name, "")
    if not path:
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise ImproperlyConfigured(f"{name}: {path} holds no PEM certificates") from error
    except OSError as error:
        raise ImproperlyConfigured(f"{name}: cannot read {path}: {error.strerror}") from error
    return Path(path).resolve()


def service_url(name: str, key: str) -> str:
    """Return a server's URL: the variable, else that of the stack running in KILINDA_HOME."""
    if url := text(name, ""):
        return url
    try:
        running: dict[str, str] = json.loads((home() / "stack.json").read_text())
        return running[key]
    except (OSError, KeyError, ValueError) as error:
        raise ImproperlyConfigured(
            f"{name} is not set and no stack is running in {home()}: start one with `make run`"
        ) from error


def secret_key() -> str:
    """Return SECRET_KEY; where it is unset, the one the embedded stack keeps in KILINDA_HOME."""
    if key := text("SECRET_KEY", ""):
        return key
    try:
        return (home() / "secret_key").read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"SECRET_KEY is not set and {home()} holds none: start a stack with `make run`"
        ) from error


def database(url: str) -> dict[str, Any]:
    """Return Django's DATABASES entry for a postgresql:// URL; what follows a ? goes to libpq."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise ImproperlyConfigured(
            "DATABASE_URL must look like postgresql://user:password@host:port/name"
        )
    try:
        port = parts.port or 5432
    except ValueError as error:
        raise ImproperlyConfigured("DATABASE_URL: the port must be a number up to 65535") from error
    return {
        "ENGINE": "django_prometheus.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(port),
        "OPTIONS": dict(_libpq_option(part) for part in parts.query.split("&") if part),
    }


SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_IN_THE_URL_ITSELF = {"host", "port", "user", "password", "dbname"}


def _libpq_option(written: str) -> tuple[str, str]:
    """Return name and value of `name=value`. No message shows a value: it may be a password."""
    name, separator, raw = written.partition("=")
    value = unquote(raw)  # as libpq does, which leaves a plus sign alone
    if not separator or not value:
        raise ImproperlyConfigured(f"DATABASE_URL: {name} has no value, write {name}=VALUE")
    if name in _IN_THE_URL_ITSELF:
        raise ImproperlyConfigured(f"DATABASE_URL: {name} belongs before the question mark")
    if name == "sslmode" and value not in SSL_MODES:
        raise ImproperlyConfigured(f"DATABASE_URL: sslmode must be one of {', '.join(SSL_MODES)}")
    if name == "connect_timeout" and not value.isdecimal():
        raise ImproperlyConfigured("DATABASE_URL: connect_timeout must be whole seconds")
    try:
        make_conninfo(**{name: value})
    except psycopg.ProgrammingError as error:
        raise ImproperlyConfigured(f"DATABASE_URL: PostgreSQL knows no option {name!r}") from error
    return name, value
