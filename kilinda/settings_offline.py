"""Settings of the commands that use no server: they read and write files, and run models.

No database, no broker, no secret: nothing here can reach a running installation.
"""

from __future__ import annotations

import os

from kilinda import env

os.environ.setdefault("TQDM_DISABLE", "1")  # loading takes a moment; its bars hide the figures

BASE_DIR = env.BASE_DIR
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "kilinda.partners",
    "kilinda.audit",
    "detection",
]
AUTH_USER_MODEL = "partners.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
KILINDA_MODELS = env.text("KILINDA_MODELS", str(BASE_DIR / "inference_worker" / "models"))
