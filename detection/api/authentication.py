"""Who calls the partner API: the holder of an API key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from kilinda.partners import keys
from kilinda.partners.models import APIKey, Organisation

if TYPE_CHECKING:  # the framework's views import this module while they are being imported
    from rest_framework.views import APIView

HEADER = "X-API-Key"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated partner, in the place where Django keeps the user."""

    api_key: APIKey
    is_authenticated: bool = True

    @property
    def organisation(self) -> Organisation:
        """Return the organisation that owns the key."""
        return self.api_key.organisation


class APIKeyAuthentication(BaseAuthentication):
    """Reads the X-API-Key header."""

    def authenticate(self, request: Request) -> tuple[Caller, APIKey] | None:
        """Return the caller, or None without a key. Raises AuthenticationFailed for a wrong one."""
        given = request.headers.get(HEADER, "")
        if not given:
            return None
        key = keys.find(given)
        if key is None:
            raise AuthenticationFailed("This API key is unknown or was revoked.", "invalid_api_key")
        return Caller(key), key

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401, which makes it one."""
        return 'ApiKey realm="kilinda"'


class IsPartner(BasePermission):
    """Any key reads; a read-only key does no more."""

    message = "This API key may only read."
    code = "read_only_key"

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Say whether the caller may use this method."""
        if not isinstance(request.user, Caller):
            return False
        return request.method in SAFE_METHODS or not request.user.api_key.is_read_only
