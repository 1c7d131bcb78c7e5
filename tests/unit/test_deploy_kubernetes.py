"""The Kubernetes manifests, rendered: by Kubernetes' schemas, and by what the code is like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.config import Settings, load_settings
from tests.deploy_fixtures import UID, environment_names, mounted, rendered

OVERLAYS = ("embedded", "qdrant", "build")
KUBERNETES = ("1.29", "1.32", "1.34")
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
Manifest = dict[str, Any]


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return rendered(request.param)


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [item for item in manifests if item["kind"] in kinds]


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """(name, pod template) of every workload."""
    for item in of_kind(manifests, "Deployment", "StatefulSet", "Job"):
        yield item["metadata"]["name"], item["spec"]["template"]
    for item in of_kind(manifests, "CronJob"):
        yield item["metadata"]["name"], item["spec"]["jobTemplate"]["spec"]["template"]


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def settings_of(manifests: list[Manifest], folder: Path) -> Settings:
    (config,) = of_kind(manifests, "ConfigMap")
    (folder / "reindex.toml").write_text(config["data"]["reindex.toml"], "utf-8")
    return load_settings(folder)


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_schemas_of_kubernetes(manifests: list[Manifest], version: str) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    for item in manifests:
        validator.validate(item, version, strict=True)


def test_the_schemas_are_really_asked() -> None:
    validator = pytest.importorskip("kubernetes_validate")
    (bad,) = rendered("build")
    bad["spec"]["template"]["spec"]["containers"][0]["imagePullpolicy"] = "Always"
    with pytest.raises(validator.ValidationError, match="imagePullpolicy"):
        validator.validate(bad, KUBERNETES[0], strict=True)


def test_every_pod_is_restricted(manifests: list[Manifest]) -> None:
    """The rules of Kubernetes' "restricted" standard, and a root file system that nobody writes."""
    for name, pod in pods(manifests):
        outer = pod["spec"]["securityContext"]
        assert outer["runAsNonRoot"] is True, name
        assert (outer["runAsUser"], outer["runAsGroup"], outer["fsGroup"]) == (UID, UID, UID)
        assert outer["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in containers(pod):
            inner = container["securityContext"]
            assert inner["allowPrivilegeEscalation"] is False
            assert inner["readOnlyRootFilesystem"] is True
            assert inner["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= set(container["resources"])


def test_every_pod_sits_where_the_registry_is(manifests: list[Manifest]) -> None:
    for name, pod in pods(manifests):
        (rule,) = pod["spec"]["affinity"]["podAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"
        ]
        assert rule["topologyKey"] == "kubernetes.io/hostname"
        wanted = rule["labelSelector"]["matchLabels"]
        # its own labels fit, so that the first one can be scheduled at all
        assert wanted.items() <= pod["metadata"]["labels"].items(), name


def test_images_are_pinned_and_the_same(manifests: list[Manifest]) -> None:
    images = {container["image"] for _, pod in pods(manifests) for container in containers(pod)}
    assert len(images) == 1
    assert images.pop().startswith("reindex:0.")


def test_volumes_and_settings_are_there() -> None:
    """Also those that the build's Job takes from an overlay."""
    for overlay in ("embedded", "qdrant"):
        manifests = rendered(overlay)
        names = {
            "configMap": {item["metadata"]["name"] for item in of_kind(manifests, "ConfigMap")},
            "persistentVolumeClaim": {
                item["metadata"]["name"] for item in of_kind(manifests, "PersistentVolumeClaim")
            },
            "serviceAccount": {
                item["metadata"]["name"] for item in of_kind(manifests, "ServiceAccount")
            },
        }
        for name, pod in pods([*manifests, *rendered("build")]):
            assert pod["spec"]["serviceAccountName"] in names["serviceAccount"]
            volumes = {item["name"]: item for item in pod["spec"]["volumes"]}
            for volume in volumes.values():
                for kind, key in (("configMap", "name"), ("persistentVolumeClaim", "claimName")):
                    assert kind not in volume or volume[kind][key] in names[kind], name
            for container in containers(pod):
                assert {item["name"] for item in container["volumeMounts"]} <= set(volumes), name


@pytest.mark.parametrize("overlay", ["embedded", "qdrant"])
def test_the_settings_are_ours_and_everything_is_kept_in_volumes(
    overlay: str, tmp_path: Path
) -> None:
    manifests = rendered(overlay)
    settings = settings_of(manifests, tmp_path)
    assert settings.store.kind == {"embedded": "embedded", "qdrant": "server"}[overlay]
    for name, pod in pods([*manifests, *rendered("build")]):
        for container in containers(pod):
            mounts = [
                item["mountPath"] for item in container["volumeMounts"] if item["name"] == "home"
            ]
            assert mounted(str(settings.home), mounts), name
            assert mounted(str(settings.source.path), mounts), name
            if overlay == "embedded":
                assert mounted(str(settings.store.path), mounts), name
    (server,) = of_kind(manifests, "Deployment", "StatefulSet")
    grace = server["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > settings.server.drain_timeout + 5  # preStop


@pytest.mark.parametrize("overlay", ["embedded", "qdrant"])
def test_probes_and_ports_are_those_of_the_app(overlay: str, tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    from reindex.server.app import make_app
    from tests.hash_project import hash_project

    manifests = rendered(overlay)
    port = settings_of(manifests, tmp_path).server.port
    with hash_project(tmp_path, versions=0) as project:
        routes = make_app(project).openapi()["paths"]
    (server,) = of_kind(manifests, "Deployment", "StatefulSet")
    pod = server["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": port}]
    paths = {
        kind: container[kind]["httpGet"]["path"]
        for kind in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert paths == {
        "startupProbe": "/health/live", "readinessProbe": "/health/ready",
        "livenessProbe": "/health/live",
    }  # fmt: skip
    notes = pod["metadata"]["annotations"]
    assert set(paths.values()) | {notes["prometheus.io/path"]} <= set(routes)
    assert notes["prometheus.io/port"] == str(port)
    (service,) = of_kind(manifests, "Service")
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    (policy,) = of_kind(manifests, "NetworkPolicy")
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_commands_exist(manifests: list[Manifest]) -> None:
    from reindex.cli import main

    for name, pod in pods(manifests):
        for container in pod["spec"]["containers"]:
            command, *given = container["args"]
            assert command in main.commands, name
            main.commands[command].make_context(command, [*given], resilient_parsing=True)


def test_the_embedded_store_has_one_process_and_a_server_several() -> None:
    embedded, server = rendered("embedded"), rendered("qdrant")
    (one,) = of_kind(embedded, "StatefulSet")
    assert one["spec"]["replicas"] == 1
    assert of_kind(embedded, "PodDisruptionBudget") == []  # it would only hold up whoever drains
    (several,) = of_kind(server, "Deployment")
    assert several["spec"]["replicas"] > 1
    assert several["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    (budget,) = of_kind(server, "PodDisruptionBudget")
    assert 0 < budget["spec"]["minAvailable"] < several["spec"]["replicas"]
    labels = several["spec"]["template"]["metadata"]["labels"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_the_way_to_qdrant_is_open_and_no_other() -> None:
    (policy,) = of_kind(rendered("qdrant"), "NetworkPolicy")
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert ports == {53, 6333, 6334}
    (policy,) = of_kind(rendered("embedded"), "NetworkPolicy")
    assert {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]} == {53}


def test_secrets_are_named_and_never_written(manifests: list[Manifest]) -> None:
    assert of_kind(manifests, "Secret") == []
    for _, pod in pods(manifests):
        for container in containers(pod):
            given = container.get("env", [])
            assert {item["name"] for item in given} <= environment_names()
            (source,) = container["envFrom"]
            assert source["secretRef"]["name"] == "reindex-secrets"


def test_clock_work_never_runs_twice_at_once() -> None:
    for item in of_kind(rendered("qdrant"), "CronJob"):
        assert item["spec"]["concurrencyPolicy"] == "Forbid"
        assert item["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 0
