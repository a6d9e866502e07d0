"""Wiring: settings, URLs, ASGI, WSGI and the Celery app."""

from kilinda.celery import app as celery_app

__all__ = ["celery_app"]
