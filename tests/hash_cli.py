"""The command line over a project whose models are hash encoders, as a process: ARGUMENTS.

In the environment: ``REINDEX_TEST_KILL_AFTER`` kills the process, as nothing can be caught, once
so many texts have been embedded; ``REINDEX_TEST_PACE`` is the seconds that a batch takes.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

import reindex.project
from reindex.cli import main
from reindex.records import Vector
from reindex.registry.ledger import Version
from tests.hash_encoder import HashEncoder
from tests.hash_project import DIM, HashWorkspace

KILL_AFTER = int(os.environ.get("REINDEX_TEST_KILL_AFTER") or sys.maxsize)
PACE = float(os.environ.get("REINDEX_TEST_PACE") or 0)


class TestEncoder(HashEncoder):
    """Takes its time, and ends the process after some texts."""

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        time.sleep(PACE)
        vectors = super().encode_documents(texts)
        if self.texts > KILL_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        return vectors


class TestProject(HashWorkspace):
    """A project over such encoders."""

    def encoder(self, version: Version, **_: Any) -> Any:
        return TestEncoder(DIM, seed=version.number)


if __name__ == "__main__":
    reindex.project.open_project = TestProject.open
    main(prog_name="reindex")
