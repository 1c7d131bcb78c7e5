"""`reindex restore` in a process that is killed at one point: POINT ARGUMENTS."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from reindex.cli import main
from reindex.registry import backups, replacing, restoring


def die(*_: Any, **__: Any) -> None:
    """As nothing can be caught."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_name(wanted: str) -> None:
    """When a file is about to be given that name."""
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        if target.name.startswith(wanted):
            die()
        return replace(self, target)

    Path.replace = watched  # type: ignore[method-assign,assignment]


POINTS = {
    "before the commit": lambda: setattr(replacing, "_go_on_counting", die),
    "before the copy of what is here": lambda: setattr(replacing, "back_up", die),
    "before the logs are set aside": lambda: setattr(restoring, "sync_to_disk", die),
    "before the damaged one is set aside": lambda: die_at_name("registry.db.damaged"),
    "before it gets its name": lambda: die_at_name("registry.db"),
    "before the backup gets its name": lambda: setattr(backups, "sync_to_disk", die),
}

if __name__ == "__main__":
    POINTS[sys.argv[1]]()
    main(sys.argv[2:], prog_name="reindex")
