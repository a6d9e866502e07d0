"""`python -m tests.bench`: measures the product beside its floors and writes bench.json.

Run it on a quiet machine. Every figure is a ratio to a floor measured in the same run, the two
taking turns, because the speed of a shared machine drifts.
"""

from __future__ import annotations

import argparse
import os
import sys

from tests.bench import database


def main() -> int:
    """Run the chosen groups of measurements against a database of their own."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument(
        "groups", nargs="*", help="http queue texts lanes detectors live; all when none is named"
    )
    chosen = parser.parse_args().groups
    with database.fresh() as url:
        os.environ["DATABASE_URL"] = url
        os.environ["DJANGO_SETTINGS_MODULE"] = "kilinda.settings"
        return _run(chosen)


def _run(chosen: list[str]) -> int:
    import django

    django.setup()
    from django.core.management import call_command

    from tests.bench import detectors, http, lanes, live, queueing, report, texts

    call_command("migrate", verbosity=0)
    groups = {
        "http": http.measure,
        "queue": queueing.measure,
        "texts": texts.measure,
        "lanes": lanes.measure,
        "detectors": detectors.measure,
        "live": live.measure,
    }
    lines: list[report.Line] = []
    for name in chosen or groups:
        print(f"… {name}", file=sys.stderr)
        lines += groups[name]()
        report.publish(lines, "bench")
    return 0


if __name__ == "__main__":
    sys.exit(main())
