"""A partner with a key, as seen from outside."""

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from kilinda.partners.models import Organisation
from tests import factories


class Partner:
    """Calls the API with one key. Server errors are answers here, as they are outside."""

    def __init__(self, **key: Any) -> None:
        self.api_key, self.secret = factories.api_key(**key)
        self.client = Client(raise_request_exception=False, headers={"X-API-Key": self.secret})

    @property
    def organisation(self) -> Organisation:
        return self.api_key.organisation

    def get(self, path: str, **options: Any) -> HttpResponse:
        return self.client.get(path, **options)

    def post(
        self, path: str, body: Any, content_type: str = "application/json", **headers: str
    ) -> HttpResponse:
        """Post JSON, or bytes as they are. `Idempotency_Key="x"` becomes a header."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic("POST", path, raw, content_type, headers=named)

    def submit(
        self, body: Any, content_type: str = "application/json", **headers: str
    ) -> HttpResponse:
        return self.post("/api/v1/submissions", body, content_type, **headers)

    def upload(
        self, content: bytes, *, name: str = "x", mime: str = "", headers: Any = None, **fields: str
    ) -> HttpResponse:
        body = form(content, name=name, mime=mime, **fields)
        return self.submit(body, FORM, **(headers or {}))


FORM = "multipart/form-data; boundary=edge"


def form(content: bytes, *, name: str = "x", mime: str = "", **fields: str) -> bytes:
    """A multipart body with one file and some fields."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    typed = f"Content-Type: {mime}\r\n" if mime else ""
    head = (
        f'--edge\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n{typed}\r\n'
    )
    return b"".join([*parts, head.encode(), content, b"\r\n--edge--\r\n"])


@pytest.fixture
def partner(db: None) -> Partner:
    return Partner()
