"""HTTP in production: gunicorn serves this."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kilinda.settings")

django.setup(set_prefix=False)

from kilinda.servers import WSGI  # noqa: E402 - needs the settings

application = WSGI()
