"""HTTP and WebSockets in one process: all of `make run`, and `/ws/` in production."""

import os

import django
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kilinda.settings")

django.setup(set_prefix=False)

from kilinda.servers import ASGI  # noqa: E402 - needs the settings
from review.ws_urls import websocket_urlpatterns  # noqa: E402 - needs the app registry

application = ProtocolTypeRouter(
    {
        "http": ASGI(),
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter(websocket_urlpatterns))
        ),
    }
)
