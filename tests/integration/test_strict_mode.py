"""A server's strict mode: `plan` names what it forbids, and writes keep to its batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from reindex.stages.adopting import AdoptionRequest, adopt
from reindex.stages.building import build
from reindex.stages.planning import plan
from tests.adoption_fixtures import project_over
from tests.foreign_fixtures import NAME, langchain
from tests.hash_project import HashWorkspace, encoder_of
from tests.remembering_client import RememberingClient

TEXTS = [f"the text of document number {number}" for number in range(60)]


class Counting(RememberingClient):
    """Notes how many points each upsert had."""

    upserts: list[int]

    def upsert(self, collection_name: str, points: Any, *args: Any, **kwargs: Any) -> Any:
        self.upserts.append(len(points))
        return super().upsert(collection_name, points, *args, **kwargs)


Project = tuple[HashWorkspace, Counting]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """LangChain's collection, adopted; its server remembers settings."""
    written = langchain(TEXTS, encoder_of("v1"))
    client: Any = written.client
    client.__class__, client.given, client.indexes, client.upserts = Counting, {}, {}, []
    with project_over(tmp_path, written) as workspace:
        adopt(workspace, AdoptionRequest(NAME, "v1"))
        yield workspace, client


def limit(client: RememberingClient, **limits: Any) -> None:
    strict = models.StrictModeConfig(**{"enabled": True, **limits})
    client.given[NAME] = {"strict_mode_config": strict}


@pytest.mark.parametrize(
    ("limits", "severity", "what"),
    [
        ({"max_points_count": 59}, "error", "max_points_count is 59; needed: 60 points"),
        ({"max_collection_vector_size_bytes": 11_000}, "error",
         "needed: 11,520 bytes of vectors"),
        ({"max_collection_payload_size_bytes": 100}, "error", "bytes of payloads"),
        ({"max_payload_index_count": 2}, "error",
         "max_payload_index_count is 2; needed: 3 payload indexes"),
        ({"max_query_limit": 100}, "error", "needed: 1,000 points per scroll or search"),
        ({"filter_max_conditions": 3}, "error", "conditions in a filter"),
        ({"condition_max_size": 10}, "error", "needed: 1,000 ids in a condition"),
        ({"search_allow_exact": False}, "error", "forbids exact search"),
        ({"unindexed_filtering_update": False}, "warning", "fields without an index"),
        ({"write_rate_limit": 600}, "warning", "600 writes a minute"),
    ],
)  # fmt: skip
def test_a_limit_that_would_be_broken_is_named(
    project: Project, limits: dict[str, Any], severity: str, what: str
) -> None:
    workspace, client = project
    client.create_payload_index(NAME, "metadata.topic", "keyword")
    assert plan(workspace, "v2").findings == ()
    limit(client, **limits)
    (finding,) = plan(workspace, "v2").findings
    assert finding.severity == severity
    assert finding.what.startswith(f"{NAME}: strict mode")
    assert what in finding.what
    limit(client, **limits, enabled=False)
    assert plan(workspace, "v2").findings == ()


def test_limits_that_are_wide_enough_are_not_named(project: Project) -> None:
    workspace, client = project
    limit(
        client, max_points_count=60, max_payload_index_count=2, max_query_limit=1000,
        condition_max_size=1000, filter_max_conditions=20, search_allow_exact=True,
        upsert_max_batchsize=7,
    )  # fmt: skip
    assert plan(workspace, "v2").findings == ()


def test_writes_keep_to_the_largest_batch_that_is_carried_over(project: Project) -> None:
    workspace, client = project
    limit(client, upsert_max_batchsize=7)
    assert build(workspace, "v2").inserted == 60
    assert max(client.upserts) == 7
    limit(client, max_points_count=10)  # the new collection's own limits count from now on
    assert plan(workspace, "v2").findings == ()
