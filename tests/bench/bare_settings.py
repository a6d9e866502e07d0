"""Django with nothing but DRF: the floor for HTTP figures."""

from kilinda.settings import *  # noqa: F403

ROOT_URLCONF = "tests.bench.bare_urls"
WSGI_APPLICATION = None
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]  # sets Content-Length
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
