"""Keeping freed memory: on a CPU the allocator can cost a third of the training time."""

import ctypes
import sys
from pathlib import Path

# glibc's mallopt(3): one arena (the backward pass runs in another thread and must find what the
# forward pass freed), never give memory back, never map large blocks apart, grow in big steps
_OPTIONS = {-8: 1, -1: 2**31 - 1, -3: 2**30, -4: 0, -2: 2**26}


def keep_freed_memory() -> bool:
    """Let the process keep the memory that one step frees for the next one.

    By default glibc maps every large tensor afresh, so that each step touches gigabytes of new
    pages: measured on two cores, 12.8 s against 18.1 s for the same three steps of 32 × 200 tokens.
    Returns whether the C library took it (Linux with glibc only).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return False
    taken = [mallopt(option, value) for option, value in _OPTIONS.items()]
    return 0 not in taken


def anonymous_bytes() -> int:
    """Memory of this process that no file backs; 0 where the system does not say."""
    return _kilobytes("/proc/self/status", "RssAnon:") or 0


def available_bytes() -> int | None:
    """What this machine can still give; None where the system does not say."""
    return _kilobytes("/proc/meminfo", "MemAvailable:")


def _kilobytes(file: str, key: str) -> int | None:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(key)]
    return int(found[0]) * 1024 if found else None
