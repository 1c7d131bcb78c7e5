"""Whether another process still runs."""

import os


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
