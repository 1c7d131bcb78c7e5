"""A project with a candidate that is ready to be a canary, and looks into what it records."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from reindex.registry.interactions import INTERACTIONS_NAME
from reindex.rollout.retriever import RollingRetriever
from reindex.stages.building import build
from reindex.stages.promoting import promote
from reindex.stages.searching import open_retriever
from tests.hash_project import HashWorkspace, hash_project, write_documents

TEXTS = [f"the text of document number {number}" for number in range(200)]
KEYS = [f"user-{number}" for number in range(300)]


def make_template(folder: Path) -> Path:
    """A project with two built versions of which v1 is live, and v3 that is not built."""
    write_documents(folder, TEXTS)
    with hash_project(folder, versions=3) as workspace:
        for name in ("v1", "v2"):
            build(workspace, name)
        promote(workspace, "v1")
    return folder


def ready(workspace: HashWorkspace) -> RollingRetriever:
    """The live retriever, once it has seen the canary."""
    retriever = open_retriever(workspace)
    retriever.wait_until_settled()
    return retriever


def rows(workspace: HashWorkspace, sql: str) -> list[Any]:
    workspace.recorder.flush()
    with closing(sqlite3.connect(workspace.settings.home / INTERACTIONS_NAME)) as found:
        return found.execute(sql).fetchall()
