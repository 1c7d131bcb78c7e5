"""Dashboard and alerts name nothing that the server does not export."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from reindex.registry.control import Beat, Control
from reindex.registry.jobs import JobBook
from reindex.server.app import make_app
from tests.deploy_fixtures import DEPLOY, load_yaml
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.http_fixtures import key

MONITORING = DEPLOY / "monitoring"
SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Name of a sample -> its labels, of a server on which everything has happened once."""
    folder = tmp_path_factory.mktemp("project")
    write_documents(folder, [f"text {n}" for n in range(30)])
    with hash_project(folder) as project:
        for version in ("v1", "v2"):
            project.build(version)
        project.promote("v1", force=True, reason="the first")
        return _scrape(project)


def _scrape(project: HashWorkspace) -> dict[str, set[str]]:
    project.canary("v2", weight=0.5)
    control = Control(project.registry)
    run = control.begin("build", "v2", [], "me")
    control.beat(run.id, Beat("embed", 3, 10))
    JobBook(project.registry).add("build", {"name": "v2"}, "me")
    with TestClient(make_app(project), raise_server_exceptions=False) as client:
        writer = key(project, "write")
        body = {"documents": [{"id": "new", "text": "a new one"}]}
        assert client.post("/v1/documents", json=body, headers=writer).status_code == 200
        assert client.post("/v1/search", json={"query": "text 3"}).json()["hits"]
        nothing = {"query": "text 3", "where": {"title": "there is none"}}
        assert client.post("/v1/search", json=nothing).json()["hits"] == []
        text = client.get("/metrics").text
    control.end(run.id, "done", {})
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of every panel, variable and rule."""
    dashboard = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']!r}", target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]
    for group in load_yaml(MONITORING / "rules.yml")["groups"]:
        for rule in group["rules"]:
            yield f"rule {rule.get('alert') or rule['record']}", rule["expr"]


def used(expression: str) -> tuple[set[str], dict[str, set[str]]]:
    """(labels that the expression groups or joins by, metric -> labels that it selects by)."""
    plain = re.sub(r"\[[^\]]*\]|\boffset \w+", "", expression)
    selectors: dict[str, set[str]] = {}
    for metric, _, inside in re.findall(r"([a-zA-Z_:][\w:]*)(\{([^}]*)\})?", _no_strings(plain)):
        if metric.startswith("reindex") or metric == "up":
            selectors.setdefault(metric, set()).update(
                re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside)
            )
    grouped = re.findall(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)", plain)
    labels = {label.strip() for item in grouped for label in item.split(",")}
    return labels, selectors


def _no_strings(expression: str) -> str:
    return re.sub(r'"[^"]*"', '""', expression)


def _recorded() -> set[str]:
    groups = load_yaml(MONITORING / "rules.yml")["groups"]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def test_every_metric_and_label_is_exported(exported: dict[str, set[str]]) -> None:
    exported = exported | {"up": set()} | {name: {"route", "status"} for name in _recorded()}
    seen = 0
    for where, expression in expressions():
        grouped, selectors = used(expression)
        assert selectors, where
        for metric, labels in selectors.items():
            assert metric in exported, f"{where}: {metric}"
            unknown = labels - exported[metric] - SCRAPED
            assert not unknown, f"{where}: {metric} has no label {unknown}"
        together = set().union(*(exported[metric] for metric in selectors))
        assert grouped <= together | SCRAPED, f"{where}: {grouped - together}"
        seen += 1
    assert seen > 25


def test_everything_that_is_exported_is_shown(exported: dict[str, set[str]]) -> None:
    shown = {name for _, text in expressions() for name in used(text)[1]}
    families = {re.sub(r"_(bucket|count|sum|created|total)$", "", name) for name in exported}
    told = {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in shown}
    assert families <= told


def test_a_wrong_name_would_be_found(exported: dict[str, set[str]]) -> None:
    _, selectors = used('sum by (version) (rate(reindex_answer_total{versoin="v1"}[5m]))')
    assert selectors == {"reindex_answer_total": {"versoin"}}
    assert "reindex_answer_total" not in exported


def test_legends_name_labels_that_the_query_keeps() -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            labels, _ = used(target["expr"])
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert named <= labels, panel["title"]


def test_the_dashboard_is_what_its_program_writes() -> None:
    file = MONITORING / "make_dashboard.py"
    spec = importlib.util.spec_from_file_location("make_dashboard", file)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
    assert written == module.dashboard(), f"run: python {file}"
    panels = written["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_promtool_takes_rules_alerts_and_every_query(tmp_path: Path) -> None:
    """The alerts' own tests, and every panel's query as PromQL."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("asks promtool (Debian's package: prometheus)")
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$__rate_interval", "5m", text)}
        for number, (where, text) in enumerate(expressions())
        if where.startswith("panel")
    ]
    panels = tmp_path / "panels.json"  # JSON is YAML
    panels.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), "utf-8")
    for command in (
        ["check", "rules", str(MONITORING / "rules.yml")],
        ["check", "rules", str(panels)],
        ["test", "rules", str(MONITORING / "rules_test.yml")],
    ):
        done = subprocess.run(
            [promtool, *command], capture_output=True, text=True, check=False, cwd=MONITORING
        )
        assert done.returncode == 0, done.stdout + done.stderr
