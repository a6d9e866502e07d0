#!/usr/bin/env python
"""Django's command line."""

import os
import sys

from django.core.management import execute_from_command_line

WITHOUT_SERVERS = {"evaluate"}
"""Commands that need neither database nor broker, and so no DATABASE_URL or REDIS_URL."""

if __name__ == "__main__":
    offline = len(sys.argv) > 1 and sys.argv[1] in WITHOUT_SERVERS
    settings = "kilinda.settings_offline" if offline else "kilinda.settings"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings)
    execute_from_command_line(sys.argv)
