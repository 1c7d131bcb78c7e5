"""Taking over collections that the frameworks' own classes wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from reindex.corpus.frameworks import StoredText
from reindex.errors import AdoptionRefused, CollectionNotFound, ConfigError
from reindex.stages.adopting import AdoptionRequest, adopt
from reindex.stages.building import build
from reindex.stages.upkeep import history, status
from tests.adoption_fixtures import TEXTS, Written, assert_same, points_of, project_over, written_by
from tests.foreign_fixtures import FRAMEWORKS, NAME, Foreign
from tests.hash_project import DIM, encoder_of, hash_project


@pytest.fixture(params=[(name, hybrid) for name in FRAMEWORKS for hybrid in (False, True)])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Written]:
    name, hybrid = request.param
    yield from written_by(name, hybrid, tmp_path)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Written]:
    yield from written_by("langchain", False, tmp_path)


def test_a_framework_s_collection_becomes_the_live_version(written: Written) -> None:
    workspace, foreign = written
    before = points_of(foreign)
    done = adopt(workspace, AdoptionRequest(NAME, "v1"))
    assert (done.agreement.share, done.agreement.text.preset) == (1.0, foreign.preset)
    assert (done.adoption.vector, done.config) == (foreign.vector, ()) or foreign.preset == (
        "haystack"
    )
    assert workspace.store.aliases() == {"support-live": NAME}
    hits = workspace.retriever().search(foreign.embedded[7], k=3)
    assert (hits.version, hits.collection) == ("v1", NAME)
    assert hits[0].score == pytest.approx(1, abs=1e-4)
    assert StoredText(foreign.preset)(hits[0].payload) == foreign.embedded[7]
    (flip,) = history(workspace)
    assert (flip.kind, flip.reason, flip.to_collection) == ("promote", "adopted", NAME)
    assert status(workspace).differences == ()
    assert_same(points_of(foreign), before)  # nothing was written into them


def test_the_one_line_of_each_framework_gives_its_documents(written: Written) -> None:
    workspace, foreign = written
    adopt(workspace, AdoptionRequest(NAME, "v1"))
    retriever, query = workspace.retriever(), foreign.embedded[7]
    number = {"langchain": _langchain, "llamaindex": _llamaindex, "haystack": _haystack}
    assert number[foreign.preset](retriever, query) == (TEXTS[7], 7)


def _langchain(retriever: Any, query: str) -> tuple[str, int]:
    from langchain_core.documents import Document

    docs = [Document(**hit.payload) for hit in retriever.search(query, k=4)]
    return docs[0].page_content, docs[0].metadata["number"]


def _llamaindex(retriever: Any, query: str) -> tuple[str, int]:
    from llama_index.core.vector_stores.utils import metadata_dict_to_node

    nodes = [metadata_dict_to_node(hit.payload) for hit in retriever.search(query, k=4)]
    return nodes[0].get_content(), nodes[0].metadata["number"]


def _haystack(retriever: Any, query: str) -> tuple[str, int]:
    from haystack import Document

    docs = [Document.from_dict(hit.payload) for hit in retriever.search(query, k=4)]
    return str(docs[0].content), docs[0].meta["number"]


def test_again_changes_nothing(plain: Written) -> None:
    workspace, _ = plain
    first = adopt(workspace, AdoptionRequest(NAME, "v1"))
    again = adopt(workspace, AdoptionRequest(NAME, "v1"))
    assert first.promotion is not None
    assert again.promotion is None
    assert len(history(workspace)) == 1
    built = workspace.registry.collection(NAME)
    assert built is not None
    assert workspace.store.info(NAME).metadata["build"] == built.build


def test_another_model_is_refused_with_figures_and_changes_nothing(plain: Written) -> None:
    workspace, _ = plain
    with pytest.raises(AdoptionRefused, match=r"0\.0% of 60 points agree.*\n.*\nAnother model"):
        adopt(workspace, AdoptionRequest(NAME, "v2"))
    assert workspace.store.aliases() == {}
    assert workspace.store.describe(NAME).metadata == {}  # type: ignore[attr-defined]
    assert workspace.registry.collection(NAME) is None
    assert history(workspace) == []


def test_a_mixture_is_refused_unless_it_is_accepted(tmp_path: Path) -> None:
    foreign = FRAMEWORKS["langchain"](TEXTS[:45], encoder_of("v1"))
    other = FRAMEWORKS["langchain"](TEXTS[45:], encoder_of("v2"))
    points = [models.PointStruct(**dict(record)) for record in _structs(other)]
    foreign.client.upsert(NAME, points)
    with project_over(tmp_path, foreign) as workspace:
        with pytest.raises(AdoptionRefused, match=r"75\.0% of 60.*(\n.*)*Part of it agrees"):
            adopt(workspace, AdoptionRequest(NAME, "v1"))
        done = adopt(workspace, AdoptionRequest(NAME, "v1", min_agreement=0.7))
        assert done.agreement.share == 0.75
        assert len(done.agreement.strangers) == 3


def _structs(foreign: Foreign) -> Iterator[dict[str, Any]]:
    for record in points_of(foreign):
        yield {"id": record.id, "payload": record.payload, "vector": record.vector}


def test_a_typing_error_names_the_nearest(plain: Written) -> None:
    workspace, _ = plain
    with pytest.raises(CollectionNotFound, match="Did you mean 'support'"):
        adopt(workspace, AdoptionRequest("suport", "v1"))
    with pytest.raises(CollectionNotFound, match="There is 'support'"):
        adopt(workspace, AdoptionRequest("zzz", "v1"))


def test_an_empty_collection_is_refused(tmp_path: Path) -> None:
    foreign = FRAMEWORKS["langchain"](TEXTS[:1], encoder_of("v1"))
    foreign.client.delete(NAME, models.Filter(must=[]))
    with (
        project_over(tmp_path, foreign) as workspace,
        pytest.raises(AdoptionRefused, match="is empty"),
    ):
        adopt(workspace, AdoptionRequest(NAME, "v1"))


def test_a_collection_of_ours_is_refused(plain: Written) -> None:
    workspace, _ = plain
    workspace.store.set_metadata(NAME, {"project": NAME, "version": "v1", "build": "b"})
    with pytest.raises(AdoptionRefused, match="reindex promote v1"):
        adopt(workspace, AdoptionRequest(NAME, "v1"))
    workspace.store.set_metadata(NAME, {"project": "other"})
    with pytest.raises(AdoptionRefused, match="project 'other'"):
        adopt(workspace, AdoptionRequest(NAME, "v1"))


def test_an_alias_cannot_have_the_collection_s_name(tmp_path: Path) -> None:
    foreign = FRAMEWORKS["langchain"](TEXTS, encoder_of("v1"))
    with (
        project_over(tmp_path, foreign, project={"name": NAME}) as workspace,
        pytest.raises(ConfigError, match=r"name of a collection.*support-live"),
    ):
        adopt(workspace, AdoptionRequest(NAME, "v1"))


def test_an_alias_that_is_in_use_is_left(plain: Written) -> None:
    workspace, foreign = plain
    foreign.client.create_collection(
        "other", models.VectorParams(size=DIM, distance=models.Distance.COSINE)
    )
    workspace.store.point_alias("support-live", "other")
    with pytest.raises(AdoptionRefused, match="points at other already"):
        adopt(workspace, AdoptionRequest(NAME, "v1"))


def test_the_application_s_own_alias_may_be_taken(plain: Written) -> None:
    workspace, _ = plain
    workspace.store.point_alias("support-live", NAME)
    done = adopt(workspace, AdoptionRequest("support-live", "v1"))
    assert done.adoption.collection == NAME
    assert done.promotion is not None


@pytest.mark.parametrize("distance", [models.Distance.DOT, models.Distance.EUCLID])
def test_other_distances(distance: models.Distance, tmp_path: Path) -> None:
    foreign = FRAMEWORKS["langchain"](TEXTS, encoder_of("v1"), distance=distance)
    with project_over(tmp_path, foreign) as workspace:
        if distance is models.Distance.EUCLID:
            with pytest.raises(AdoptionRefused, match="by Euclid"):
                adopt(workspace, AdoptionRequest(NAME, "v1"))
            return
        adopt(workspace, AdoptionRequest(NAME, "v1"))
        hits = workspace.retriever().search(TEXTS[3])
        assert hits[0].payload["page_content"] == TEXTS[3]


def test_a_named_text_key_and_vector(tmp_path: Path) -> None:
    foreign = FRAMEWORKS["langchain"](
        TEXTS, encoder_of("v1"), vector_name="dense", content_payload_key="body"
    )
    with project_over(tmp_path, foreign, source={"kind": "collection"}) as workspace:
        with pytest.raises(AdoptionRefused, match=r"'dense' \(32 dims\).*a dense vector 'dens'"):
            adopt(workspace, AdoptionRequest(NAME, "v1", vector="dens"))
        with pytest.raises(AdoptionRefused, match="Not one of the sampled"):
            adopt(workspace, AdoptionRequest(NAME, "v1", text=StoredText("plain", ("title",))))
        done = adopt(workspace, AdoptionRequest(NAME, "v1"))
        assert done.agreement.text == StoredText("plain", ("body",))
        assert done.config == (
            '[source] payload = "plain"', "[source] text_fields = ['body']"
        )  # fmt: skip


def test_one_of_several_dense_vectors(tmp_path: Path) -> None:
    foreign = FRAMEWORKS["langchain"](TEXTS[:1], encoder_of("v1"))
    client, rows = foreign.client, encoder_of("v1").encode_documents(TEXTS)
    given = models.VectorParams(size=DIM, distance=models.Distance.COSINE)
    image = models.VectorParams(size=4, distance=models.Distance.COSINE)
    client.delete_collection(NAME)
    client.create_collection(NAME, {"text": given, "image": image})
    client.upsert(NAME, [
        models.PointStruct(
            id=n, payload={"text": text},
            vector={"text": rows[n].tolist(), "image": [1.0, n, 0.0, 0.0]},
        )
        for n, text in enumerate(TEXTS)
    ])  # fmt: skip
    source = {"kind": "collection", "text_fields": ["text"]}
    with project_over(tmp_path, foreign, source=source) as workspace:
        with pytest.raises(AdoptionRefused, match="which one the model made"):
            adopt(workspace, AdoptionRequest(NAME, "v1"))
        done = adopt(workspace, AdoptionRequest(NAME, "v1", vector="text"))
        assert (done.unowned, done.config) == (("image",), ())
        assert workspace.retriever().search(TEXTS[5])[0].point_id == 5
        assert build(workspace, "v2").inserted == 60
        new: Any = client.retrieve(f"{NAME}--v2", [5], with_vectors=["image"])[0].vector
        np.testing.assert_allclose(new["image"], np.array([1, 5, 0, 0]) / 26**0.5, atol=1e-6)


def test_payloads_without_text_say_which_fields_there_are(tmp_path: Path) -> None:
    foreign = FRAMEWORKS["langchain"](TEXTS[:1], encoder_of("v1"))
    foreign.client.overwrite_payload(NAME, {"number": 1}, models.Filter(must=[]))
    with (
        project_over(tmp_path, foreign) as workspace,
        pytest.raises(AdoptionRefused, match=r"Their fields: number\. .*--text-key"),
    ):
        adopt(workspace, AdoptionRequest(NAME, "v1"))


def test_the_embedded_store_has_no_foreign_collections(tmp_path: Path) -> None:
    with (
        hash_project(tmp_path) as workspace,
        pytest.raises(ConfigError, match='Set kind = "server"'),
    ):
        adopt(workspace, AdoptionRequest(NAME, "v1"))
