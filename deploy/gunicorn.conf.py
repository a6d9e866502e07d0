"""Gunicorn's settings for the process `web`: `gunicorn -c deploy/gunicorn.conf.py`.

Options on the command line win, for example `--bind 0.0.0.0:8000 --workers 4`.
"""

import os

wsgi_app = "kilinda.wsgi:application"
bind = f"127.0.0.1:{os.environ.get('KILINDA_PORT', '8000')}"

workers = 2  # one for each processor core is a good start
worker_class = "gthread"
threads = 4  # a request mostly waits for PostgreSQL; each thread keeps one connection to it

# Longer than the proxy keeps an idle connection to us (nginx: 60 s). The proxy must be the one that
# closes, else it sends a request into a connection that is just ending.
keepalive = 75

# A worker whose main loop is silent this long is killed and replaced. Threads that serve a slow
# upload do not count: with gthread the main loop goes on.
timeout = 60

# After SIGTERM, requests under way may finish. Below the supervisor's own patience.
graceful_timeout = 25

accesslog = None  # kilinda.logs writes one JSON line for each request
errorlog = "-"

# Gunicorn 27 would put a socket for its own command line into the home folder; nothing uses it.
control_socket_disable = True
