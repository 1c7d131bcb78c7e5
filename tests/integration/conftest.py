"""What several modules need and takes seconds to make; copy it before you write into it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.help_centre import compared, with_everything
from tests.rollout_fixtures import make_template

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell's background job ignores Ctrl-C, and so would every process that a test interrupts
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def help_centre(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project with v2 compared to v1, which is live; see `tests.help_centre`."""
    folder = tmp_path_factory.mktemp("help-centre")
    compared(folder, note=f"Made up. {'very-long-word-without-a-break' * 12}").close()
    return folder


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project whose report of v2 has every section."""
    folder = tmp_path_factory.mktemp("everything")
    with_everything(folder).close()
    return folder


@pytest.fixture(scope="session")
def rollout_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project of hash encoders in which v1 is live and v2 built."""
    return make_template(tmp_path_factory.mktemp("rollout"))
