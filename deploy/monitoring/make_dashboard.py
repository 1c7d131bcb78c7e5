"""Writes dashboard.json: `python deploy/monitoring/make_dashboard.py`. A test compares the two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("dashboard.json")
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
HERE = 'job=~"$job", instance=~"$instance"'

Query = tuple[str, str]
"""(PromQL, legend)"""


def _rate(metric: str, by: str, *, where: str = "") -> str:
    labels = f"{HERE}, {where}" if where else HERE
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def _quantile(share: float, metric: str, by: str = "", *, where: str = "") -> str:
    inner = _rate(f"{metric}_bucket", f"le, {by}" if by else "le", where=where)
    return f"histogram_quantile({share}, {inner})"


SEARCH = 'route=~"/v1/search.*"'
ROWS: tuple[tuple[str, tuple[tuple[str, str, str, str, tuple[Query, ...]], ...]], ...] = (
    (
        "What serves",
        (
            ("Live version", "What the registry and the alias say. More than one: servers that "
             "have not followed a flip.", "stat", "none",
             ((f"count by (version) (reindex_live{{{HERE}}})", "{{version}}"),)),
            ("Servers that answer", "Scraped in time; and those whose store answers them.", "stat",
             "none", ((f"sum(up{{{HERE}}})", "servers"),
                      (f"sum(reindex_store_up{{{HERE}}})", "with their store"))),
            ("Canary", "Share of the keys on its side. Nothing: there is none.", "stat",
             "percentunit",
             ((f"max by (version) (reindex_canary_weight{{{HERE}}})", "{{version}}"),)),
            ("Points", "At the end of each collection's last build.", "stat", "short",
             ((f"max by (collection) (reindex_collection_points{{{HERE}}})", "{{collection}}"),)),
        ),
    ),
    (
        "Requests",
        (
            ("Requests a second", "By route.", "timeseries", "reqps",
             ((_rate("reindex_request_seconds_count", "route"), "{{route}}"),)),
            ("Failures", "Share of all requests answered 5xx.", "timeseries", "percentunit",
             ((_rate("reindex_request_seconds_count", "status", where='status=~"5.."')
               + " / ignoring (status) group_left "
               + f"sum(rate(reindex_request_seconds_count{{{HERE}}}[$__rate_interval]))",
               "{{status}}"),)),
            ("Search latency", "Over HTTP, waiting included.", "timeseries", "s",
             ((_quantile(0.5, "reindex_request_seconds", where=SEARCH), "p50"),
              (_quantile(0.95, "reindex_request_seconds", where=SEARCH), "p95"),
              (_quantile(0.99, "reindex_request_seconds", where=SEARCH), "p99"))),
            ("Latency by route", "p99.", "timeseries", "s",
             ((_quantile(0.99, "reindex_request_seconds", "route"), "{{route}}"),)),
        ),
    ),
    (
        "Searches",
        (
            ("Stages", "p99 of encoding the query and of searching the collection.", "timeseries",
             "s", ((_quantile(0.99, "reindex_stage_seconds", "stage"), "{{stage}}"),)),
            ("Answers a second", "By the version that answered, and its side in a rollout.",
             "timeseries", "reqps",
             ((_rate("reindex_answers_total", "version, side"), "{{version}} {{side}}"),)),
            ("Empty answers", "Share of a version's answers without a hit.", "timeseries",
             "percentunit",
             ((_rate("reindex_empty_answers_total", "version") + " / "
               + _rate("reindex_answers_total", "version"), "{{version}}"),)),
            ("Writes", "Documents a second, by kind.", "timeseries", "wps",
             ((_rate("reindex_written_documents_total", "kind"), "{{kind}}"),)),
        ),
    ),
    (
        "Runs",
        (
            ("Progress", "Of builds and syncs that run, in whatever process of the project.",
             "timeseries", "percentunit",
             ((f"max by (kind, version) (reindex_run_done{{{HERE}}}) / "
               f"max by (kind, version) (reindex_run_total{{{HERE}}} > 0)",
               "{{kind}} {{version}}"),)),
            ("Documents a second", "Of the same.", "timeseries", "short",
             ((f"max by (kind, version) (deriv(reindex_run_done{{{HERE}}}[5m]))",
               "{{kind}} {{version}}"),)),
            ("Jobs", "Asked for over HTTP, that wait or run.", "timeseries", "short",
             ((f"max by (kind, state) (reindex_jobs{{{HERE}}})", "{{kind}} {{state}}"),)),
            ("Live", "1 where a server says that the version is live: a flip is where the lines "
             "change.", "timeseries", "none",
             ((f"max by (version) (reindex_live{{{HERE}}})", "{{version}}"),)),
        ),
    ),
)  # fmt: skip


def _variables() -> list[dict[str, Any]]:
    def query(name: str, label: str, of: str) -> dict[str, Any]:
        return {
            "name": name, "label": label, "type": "query", "datasource": SOURCE, "refresh": 2,
            "query": f"label_values({of}, {name})", "definition": f"label_values({of}, {name})",
            "includeAll": True, "multi": True, "allValue": ".*", "sort": 1,
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        }  # fmt: skip

    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
         "refresh": 1, "current": {"text": "Prometheus", "value": "prometheus"}},
        query("job", "Job", "reindex_request_seconds_count"),
        query("instance", "Server", 'reindex_request_seconds_count{job=~"$job"}'),
    ]  # fmt: skip


def _panel(number: int, place: dict[str, int], panel: Any) -> dict[str, Any]:
    title, about, kind, unit, queries = panel
    options: dict[str, Any] = {
        "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "value_and_name",
                 "colorMode": "none"},
        "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"},
                       "tooltip": {"mode": "multi", "sort": "desc"}},
    }[kind]  # fmt: skip
    defaults: dict[str, Any] = {"unit": unit, "min": 0}
    if unit == "percentunit":
        defaults["max"] = 1
    return {
        "id": number, "type": kind, "title": title, "description": about, "gridPos": place,
        "datasource": SOURCE, "options": options,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expression,
             "legendFormat": legend, "range": True}
            for index, (expression, legend) in enumerate(queries)
        ],
    }  # fmt: skip


def dashboard() -> dict[str, Any]:
    """All of it, as Grafana provisions it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS:
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "panels": [],
             "collapsed": False, "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}}
        )  # fmt: skip
        height = 4 if row[0][2] == "stat" else 8
        for index, panel in enumerate(row):
            place = {"x": 6 * index, "y": top + 1, "w": 6, "h": height}
            panels.append(_panel(len(panels) + 1, place, panel))
        top += 1 + height
    return {
        "uid": "reindex", "title": "reindex", "tags": ["reindex"], "timezone": "utc",
        "schemaVersion": 39, "version": 1, "editable": False, "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"}, "annotations": {"list": []},
        "templating": {"list": _variables()}, "panels": panels,
    }  # fmt: skip


def main() -> None:
    """Write the file."""
    FILE.write_text(json.dumps(dashboard(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
