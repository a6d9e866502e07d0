from __future__ import annotations

import os
import time

from detection import blobs


def test_remains_of_killed_uploads_are_deleted_and_running_ones_are_not() -> None:
    with blobs.Incoming(limit_bytes=100) as killed, blobs.Incoming(limit_bytes=100) as running:
        long_ago = time.time() - blobs.ABANDONED_AFTER_SECONDS - 60
        os.utime(killed._path, (long_ago, long_ago))
        assert blobs.forget_abandoned() == 1
        assert (killed._path.exists(), running._path.exists()) == (False, True)
        assert blobs.forget_abandoned() == 0
