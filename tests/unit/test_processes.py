"""Telling a process from another one with its number."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from reindex import processes
from reindex.processes import process_started, same_process


def test_a_process_is_the_same_until_it_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        started = process_started(child.pid)
        assert started is not None
        assert same_process(child.pid, started)
        assert process_started(child.pid) == started
        assert not same_process(child.pid, f"{started}0"), "the number was used again"
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert process_started(child.pid) is None, "killed, not waited for yet"
        assert not same_process(child.pid, started)
    assert process_started(child.pid) is None


def test_two_processes_differ() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert process_started(child.pid) != process_started(os.getpid())
        child.kill()


def test_without_proc_the_start_comes_from_ps() -> None:
    own = processes._from_ps(os.getpid())
    assert own is None or str(time.localtime().tm_year) in own  # None: there is no ps here
    assert processes._from_ps(2**22 + 1) is None
