# Two commands: `make run` starts everything, `make test` proves it. See README.md.
PYTHON ?= python3
PYTEST_ARGS ?=

VENV := .venv/bin
SETUP := @$(PYTHON) kilinda/stack/bootstrap.py
STACK := $(VENV)/python -m kilinda.stack
REPORTS := $(abspath $(or $(KILINDA_HOME),.kilinda))/reports
PACKAGES := kilinda detection review scans inference_worker

# What a production machine would set, so that the deployment check judges settings, not gaps.
PRODUCTION := KILINDA_HTTPS=true KILINDA_HOSTS=kilinda.example \
	KILINDA_ORIGINS=https://kilinda.example KILINDA_FETCH_ALLOW= \
	SECRET_KEY=for-this-check-only-3f9c1d7a5b2e8046c1a9d3f7b5e2084c6a1d9f3b7e5c

.PHONY: run test check check-django bench fault lock

run:
	$(SETUP) run
	@$(STACK) run

test:
	$(SETUP) dev
	$(SETUP) servers
	@$(STACK) up --ephemeral -- $(VENV)/python -m pytest $(PYTEST_ARGS)

check:
	$(SETUP) dev
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/lint-imports
	@$(STACK) up --ephemeral -- $(MAKE) --no-print-directory check-django

# Needs DATABASE_URL and REDIS_URL, so `check` runs it beside the embedded servers.
check-django:
	$(VENV)/mypy $(PACKAGES)
	$(VENV)/python manage.py makemigrations --check --dry-run
	$(PRODUCTION) $(VENV)/python manage.py check --deploy --fail-level WARNING

# Some figures only: make bench GROUPS="http queue texts lanes detectors live"
bench:
	$(SETUP) dev
	@$(STACK) up -- $(VENV)/python -m tests.bench $(GROUPS)

fault:
	$(SETUP) dev
	@KILINDA_REPORTS=$(REPORTS) $(STACK) up --ephemeral -- \
		$(VENV)/python -m pytest -m fault $(PYTEST_ARGS)

# Pins every requirement for all platforms. torch stays out of the lock (on Linux it would bring
# gigabytes of CUDA packages); so does setuptools, which every environment already has.
UV_PIN := uv pip compile --quiet --universal --python-version 3.11
lock:
	$(UV_PIN) requirements/base.in -o requirements/base.txt
	$(UV_PIN) requirements/inference.in -o requirements/inference.txt
	sed -i.bak '/^setuptools==/,/^    # via/d' requirements/inference.txt
	printf '\n# %s\ntorch==2.13.0\n' 'Kept out of the lock: its CUDA packages would come with it.' \
		>> requirements/inference.txt
	$(UV_PIN) requirements/dev.in -o requirements/dev.txt
	$(UV_PIN) requirements/servers.in -o requirements/servers.txt
	rm -f requirements/*.bak
