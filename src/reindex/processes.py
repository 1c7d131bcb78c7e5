"""Whether another process still runs, and whether it is still the same one."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess
from pathlib import Path

_PROC = Path("/proc")


def process_alive(pid: int) -> bool:
    """Whether a process of this number runs on this host; True where that cannot be asked."""
    if os.name != "posix":  # there, signal 0 would not be a question
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def process_started(pid: int) -> str | None:
    """When process ``pid`` of this host started; None where it has ended or that cannot be told.

    An opaque text, equal for the same process and no other: numbers are used again, also after a
    restart of the machine or in a container, but never with the same start. A process that was
    killed and that nobody has waited for yet has ended.
    """
    if (_PROC / "self" / "stat").exists():
        return _from_proc(pid)
    return _from_ps(pid)


def same_process(pid: int, started: str | None) -> bool:
    """Whether the process that had the number ``pid`` and `process_started` still runs here."""
    if started is None:
        return process_alive(pid)
    return process_started(pid) == started


@functools.cache
def process_place() -> str:
    """Where a process number means what it means here: this host, since its boot, this container.

    Two processes of the same place can look each other up by number.
    """
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        namespace = os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()} {boot} {namespace}"


def _from_proc(pid: int) -> str | None:
    """Boot id and start in clock ticks after it: field 22 of ``/proc/<pid>/stat``, see proc(5)."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the second, the name, may hold anything
    state, ticks = fields[0], fields[19]
    return None if state in "ZX" else f"{boot}:{ticks}"


def _from_ps(pid: int) -> str | None:
    """The start as ``ps`` tells it, to the second (macOS and the BSDs)."""
    ps = shutil.which("ps")
    if ps is None:
        return None
    command = [ps, "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    state, _, started = found.stdout.strip().partition(" ")
    return started.strip() or None if not state.startswith("Z") else None
