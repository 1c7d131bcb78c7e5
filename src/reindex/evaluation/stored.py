"""Comparisons that older releases stored, brought to today's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_ONCE = ("recall", "ndcg", "mrr")  # all that there was, each a field of a baseline's row


def with_cut_offs(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A stored comparison whose metrics have their cut-off: ``recall`` becomes ``recall@10``."""
    k, new = raw["k"], dict(raw)
    new["metric"] = _named(raw["metric"], k)
    new["metrics"] = _rows(raw["metrics"], k)
    new["scores"] = {_named(name, k): values for name, values in raw.get("scores", {}).items()}
    new["variants"] = [{**row, "metrics": _rows(row["metrics"], k)} for row in raw["variants"]]
    new["baselines"] = [_baseline(row, k) for row in raw["baselines"]]
    if subset := raw["subset"]:
        new["subset"] = {**subset, "precision": _rows(subset["precision"], k)}
    return new


def _named(name: str, k: int) -> str:
    return name if "@" in name else f"{name}@{k}"


def _rows(rows: Iterable[Mapping[str, Any]], k: int) -> list[dict[str, Any]]:
    return [{**row, "name": _named(row["name"], k)} for row in rows]


def _baseline(row: Mapping[str, Any], k: int) -> dict[str, Any]:
    if "means" in row:
        return dict(row)
    return {"name": row["name"], "means": {_named(name, k): row[name] for name in _ONCE}}
