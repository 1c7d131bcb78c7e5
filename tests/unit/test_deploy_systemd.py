"""The systemd units."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reindex.cli import main
from reindex.config import load_settings
from tests.deploy_fixtures import DEPLOY, mounted

UNITS = DEPLOY / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))


def parsed(file: Path) -> dict[str, dict[str, list[str]]]:
    """section -> key -> values, in their order."""
    found: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in file.read_text("utf-8").splitlines():
        if head := re.fullmatch(r"\[(\w+)\]", line):
            section = found.setdefault(head[1], {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return found


def test_systemd_reads_them(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("reads them with systemd-analyze")
    for file in [*SERVICES, *UNITS.glob("*.timer")]:  # the program is elsewhere here
        text = file.read_text("utf-8").replace("/opt/reindex/bin/reindex", sys.executable)
        (tmp_path / file.name).write_text(text, "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "reindex" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.parametrize("file", SERVICES, ids=lambda file: file.name)
def test_systemd_calls_them_hardened(file: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("asks systemd-analyze")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", file],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "--offline" in done.stderr:
        pytest.skip("this systemd-analyze reads no files")
    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize("file", SERVICES, ids=lambda file: file.name)
def test_they_write_where_the_project_is_and_nowhere_else(file: Path) -> None:
    service = parsed(file)["Service"]
    assert service["NoNewPrivileges"] == ["yes"]
    assert service["ProtectSystem"] == ["strict"]
    writable = service["ReadWritePaths"][0].split()
    settings = load_settings(UNITS)
    assert mounted(str(settings.home), writable)
    assert mounted(str(settings.store.path), writable)
    (command,) = service["ExecStart"]
    program, name, *given = command.split()
    assert program == "/opt/reindex/bin/reindex"
    main.commands[name].make_context(name, given, resilient_parsing=True)
    for word in given:
        assert not word.startswith("/") or mounted(word, writable)
    if "TimeoutStopSec" in service:
        assert int(service["TimeoutStopSec"][0]) > settings.server.drain_timeout


def test_every_timer_has_its_service() -> None:
    for timer in UNITS.glob("*.timer"):
        assert timer.with_suffix(".service") in SERVICES


def test_the_user_and_the_folders_are_made() -> None:
    assert (UNITS / "reindex.sysusers").read_text().splitlines()[-1].startswith("u reindex ")
    folder = (UNITS / "reindex.tmpfiles").read_text().splitlines()[-1].split()[1]
    assert folder in parsed(UNITS / "reindex-backup.service")["Service"]["ExecStart"][0]


def test_litestream_copies_this_registry() -> None:
    from tests.deploy_fixtures import load_yaml

    config = load_yaml(DEPLOY / "litestream" / "litestream.yml")
    paths = [item["path"] for item in config["dbs"]]
    assert paths == [str(load_settings(UNITS).home / "registry.db")]
    assert config["secret-access-key"] == "${LITESTREAM_SECRET_ACCESS_KEY}"
