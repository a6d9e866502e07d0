"""The Celery app. Its messages are doorbells and ids; content and state live in PostgreSQL."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kilinda.settings")

app = Celery("kilinda")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
