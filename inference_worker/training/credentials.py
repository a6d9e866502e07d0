"""Check the reading of content credentials on files whose state is known; print a table.

    python -m inference_worker.training.credentials --data DIR

DIR holds files/ and manifest.csv with the columns file, c2pa_python_validation_state (Valid,
Invalid, Trusted or no-manifest/err) and status_codes (the codes, or what c2pa's reader said).
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from inference_worker.decoding.decoder import Decoder
from inference_worker.decoding.sniff import HEAD_BYTES, sniff
from inference_worker.provenance import observe
from inference_worker.types import Credential, Provenance

_EXPECTED = {
    "Trusted": Credential.VALID,
    "Valid": Credential.UNTRUSTED,
    "Invalid": Credential.INVALID,
}
_WITHOUT = {"ManifestNotFound": Credential.NONE, "Remote": Credential.REMOTE}


def expected(row: Mapping[str, str]) -> Credential:
    """Return the state that a row of the manifest stands for."""
    if state := _EXPECTED.get(row["c2pa_python_validation_state"]):
        return state
    return _WITHOUT.get(row["status_codes"].partition(":")[0], Credential.UNREADABLE)


def _read(decoder: Decoder, path: Path) -> Provenance:
    with path.open("rb") as file:
        sniffed = sniff(file.read(HEAD_BYTES))
    assert sniffed is not None, f"{path.name} is of no accepted type"
    content = decoder.decode(path, sniffed.modality)
    assert content.provenance is not None
    return content.provenance


def rows(data: Path) -> Iterator[tuple[str, Credential, Provenance]]:
    """Yield each file's name, the state it should have, and what was read."""
    with (data / "manifest.csv").open() as manifest, Decoder(slots=1) as decoder:
        for row in csv.DictReader(manifest):
            yield row["file"], expected(row), _read(decoder, data / "files" / row["file"])


def main() -> None:
    """Print the table and how many states agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    agreed = total = 0
    print("| file | expected | read | finding | declared | what failed |")
    print("|---|---|---|---|---|---|")
    for name, wanted, seen in rows(parser.parse_args().data):
        total, agreed = total + 1, agreed + (seen.state is wanted)
        finding = observe(seen)
        failed = [code for code in seen.codes if not code.endswith(".untrusted")]
        cells = (
            name,
            wanted.value,
            seen.state.value,
            f"`{finding.code}` {finding.severity}" if finding else "",
            ", ".join((*seen.sources, *seen.parts)),
            ", ".join(failed),
        )
        print(f"| {' | '.join(cells)} |")
    print(f"\n{agreed} of {total} states as expected.")


if __name__ == "__main__":
    main()
