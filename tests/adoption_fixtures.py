"""Projects over collections that the frameworks' own classes wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from reindex.stores.server import ServerStore
from tests.foreign_fixtures import FRAMEWORKS, NAME, Foreign
from tests.hash_project import HashWorkspace, encoder_of, hash_project

TEXTS = [f"the text of document number {number}" for number in range(60)]
Written = tuple[HashWorkspace, Foreign]


def project_over(
    folder: Path, written: Foreign, *, versions: int = 2, **values: Any
) -> HashWorkspace:
    given = {"project": {"name": NAME, "alias": "support-live"}, "store": {"kind": "server"},
             "source": {"kind": "collection", "payload": written.preset}, **values}  # fmt: skip
    folder.mkdir(exist_ok=True)
    workspace = hash_project(folder, versions=versions, **given)
    workspace.__dict__["store"] = ServerStore(written.client, attempts=1)
    workspace.sleep = lambda _: None  # a flip waits for other services, of which there are none
    return workspace


def written_by(name: str, hybrid: bool, folder: Path) -> Iterator[Written]:
    """A project over the collection that a framework wrote, while it is needed."""
    foreign = FRAMEWORKS[name](TEXTS, encoder_of("v1"), hybrid=hybrid)
    with project_over(folder, foreign) as workspace:
        yield workspace, foreign


def assert_same(found: Any, before: Any) -> None:
    assert [(p.id, p.payload) for p in found] == [(p.id, p.payload) for p in before]
    for one, other in zip(found, before, strict=True):
        mine, theirs = (v if isinstance(v, dict) else {"": v} for v in (one.vector, other.vector))
        assert mine.keys() == theirs.keys()
        for name, vector in mine.items():
            if hasattr(vector, "indices"):
                assert vector == theirs[name]
            else:  # the local mode rounds vectors once they were searched
                np.testing.assert_allclose(vector, theirs[name], atol=1e-6)


def points_of(foreign: Foreign) -> Any:
    return foreign.client.scroll(NAME, limit=1000, with_vectors=True)[0]
