"""The compose file and what it mounts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reindex.config import load_settings
from reindex.server.app import make_app
from tests.deploy_fixtures import DEPLOY, UID, dockerfile, environment_names, load_yaml, mounted

COMPOSE = DEPLOY / "compose"
OURS = ("setup", "reindex", "sync")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = load_yaml(COMPOSE / "compose.yaml")["services"]
    return found


def targets(service: dict[str, Any]) -> list[str]:
    """Where its volumes are mounted."""
    return [volume.removesuffix(":ro").rpartition(":")[2] for volume in service["volumes"]]


def test_docker_reads_it() -> None:
    """The real check, where there is the real thing."""
    plugin = shutil.which("docker") and subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    )
    if not plugin or plugin.returncode:
        pytest.skip("reads it with docker compose")
    given = {**os.environ, "QDRANT_API_KEY": "a", "GRAFANA_PASSWORD": "b"}
    command = ["docker", "compose", "-f", str(COMPOSE / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    without = subprocess.run(
        command, env={**given, "QDRANT_API_KEY": ""}, capture_output=True, text=True, check=False
    )
    assert "QDRANT_API_KEY" in without.stderr


def test_images_are_pinned(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name


def test_files_that_are_mounted_are_there(services: dict[str, Any]) -> None:
    declared = set(load_yaml(COMPOSE / "compose.yaml")["volumes"])
    for name, service in services.items():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (COMPOSE / source).exists(), f"{name}: {source}"
            elif not source.startswith("${"):
                assert source in declared, f"{name}: {source}"


def test_ours_have_no_rights_that_they_do_not_need(services: dict[str, Any]) -> None:
    for name in OURS:
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["user"] == f"{UID}:{UID}"
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_volumes_belong_to_the_images_user(services: dict[str, Any]) -> None:
    """A new volume takes its owner from the folder of the image; without one it is root's."""
    (made,) = [rest for word, rest in dockerfile() if "install --directory" in rest]
    theirs = made.partition("--mode=0750")[2].partition("&&")[0].split()
    for name in OURS:
        for volume in services[name]["volumes"]:
            source, target = volume.split(":")[:2]
            if source.isalpha():
                assert target in theirs, f"{name}: {target}"


def test_ports_are_this_machines_alone(services: dict[str, Any]) -> None:
    for service in services.values():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")


def test_the_settings_are_ours_and_everything_is_kept_in_volumes(services: dict[str, Any]) -> None:
    settings = load_settings(COMPOSE)
    mounts = targets(services["reindex"])
    assert mounted(str(settings.home), mounts)
    assert mounted(str(settings.source.path), mounts)
    assert settings.qdrant.url == "http://qdrant:6333"
    assert "qdrant" in services
    assert services["reindex"]["ports"][0].endswith(f":{settings.server.port}")
    assert settings.server.host == "0.0.0.0"
    grace = services["reindex"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > settings.server.drain_timeout
    assert str(settings.home / "registry.db") in services["setup"]["entrypoint"][-1]


def test_what_is_given_in_the_environment_is_read(services: dict[str, Any]) -> None:
    for name in OURS:
        assert set(services[name]["environment"]) <= environment_names()


def test_every_variable_is_explained() -> None:
    text = (COMPOSE / "compose.yaml").read_text("utf-8")
    example = (COMPOSE / ".env.example").read_text("utf-8")
    required = set(re.findall(r"\$\{(\w+):\?", text))
    assert required == {"QDRANT_API_KEY", "GRAFANA_PASSWORD"}
    assert [name for name in required if f"{name}=\n" not in example] == []  # none has a default


def test_prometheus_scrapes_what_is_served_and_reads_the_rules(
    services: dict[str, Any], tmp_path: Path
) -> None:
    config = load_yaml(COMPOSE / "prometheus.yml")
    (scrape,) = config["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": ["reindex:8080"]}]
    assert scrape["job_name"] == "reindex"  # the rules name it
    from tests.hash_project import hash_project

    with hash_project(tmp_path, versions=0) as project:
        paths = make_app(project).openapi()["paths"]
    assert scrape["metrics_path"] in paths
    mounts = targets(services["prometheus"])
    assert config["rule_files"][0] in mounts
    command = services["prometheus"]["command"]
    assert f"--config.file={mounts[0]}" in command


def test_grafana_finds_its_source_and_its_dashboard(services: dict[str, Any]) -> None:
    provisioned = COMPOSE / "grafana" / "provisioning"
    (source,) = load_yaml(provisioned / "datasources" / "prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = load_yaml(provisioned / "dashboards" / "reindex.yml")["providers"]
    mounts = targets(services["grafana"])
    assert mounted(mounts[1], [provider["options"]["path"]])
    assert mounts[0] == "/etc/grafana/provisioning"
