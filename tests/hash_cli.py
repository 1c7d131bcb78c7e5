"""The command line over a project whose models are hash encoders, as a process: ARGUMENTS.

``REINDEX_TEST_KILL_AFTER`` kills the process, as nothing can be caught, once so many texts have
been embedded.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import reindex.project
from reindex.cli import main
from reindex.project import Project
from reindex.protocols import Progress, no_progress
from reindex.records import Vector
from reindex.registry.ledger import Version
from tests.hash_encoder import HashEncoder
from tests.hash_project import DIM


class DeadlyEncoder(HashEncoder):
    """Ends the process after some texts."""

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        vectors = super().encode_documents(texts)
        if self.texts > int(os.environ.get("REINDEX_TEST_KILL_AFTER") or sys.maxsize):
            os.kill(os.getpid(), signal.SIGKILL)
        return vectors


class HashProject(Project):
    """A `Project` whose versions embed by hash."""

    def encoder(self, version: Version, **_: Any) -> Any:
        return DeadlyEncoder(DIM, seed=version.number)


def open_project(path: str | Path = ".", *, progress: Progress = no_progress) -> HashProject:
    return HashProject.open(path, progress=progress)


if __name__ == "__main__":
    reindex.project.open_project = open_project
    main(sys.argv[1:])
