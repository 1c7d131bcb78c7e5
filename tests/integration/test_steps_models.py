"""Faults planted in a real model's export and first stage are named by a comparison."""

from __future__ import annotations

import email
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reindex.artifact import GRAPH_FILES, Probes, hash_files, load_manifest, save_manifest
from reindex.config import GateSettings, SourceSettings
from reindex.corpus.dead_letters import IgnoredLetters
from reindex.corpus.judgements import load_judgements
from reindex.corpus.pydocs import write_pydocs
from reindex.corpus.sources import open_source
from reindex.encoder import OnnxEncoder
from reindex.evaluation.compare import Side
from reindex.evaluation.results_steps import Steps
from reindex.protocols import Encoder
from reindex.records import Judgements
from reindex.stores.edge import EdgeStore
from reindex.testing.catalog import MemoryCatalog
from tests.comparison_fixtures import World
from tests.model_fixtures import copy_artifact, minilm_artifact  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.train]

PACKAGES = ("asyncio", "email", "logging", "importlib", "http", "tkinter", "xml", "unittest")
DOCUMENTS = 400


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Documentation of a few standard packages, and all of its queries."""
    folder = tmp_path_factory.mktemp("pydocs")
    library = Path(email.__file__).parent.parent
    write_pydocs(folder, limit=DOCUMENTS, roots=[library / name for name in PACKAGES])
    source = open_source(SourceSettings(kind="beir", path=folder), folder)
    parts = [
        load_judgements(folder / "queries.jsonl", folder / "qrels" / f"{split}.tsv")
        for split in ("train", "dev", "test")
    ]
    queries = tuple(query for part in parts for query in part.queries)
    qrels = {query: grades for part in parts for query, grades in part.qrels.items()}
    store = EdgeStore(tmp_path_factory.mktemp("store"), MemoryCatalog())
    return World(store, list(source.documents(IgnoredLetters())), Judgements(queries, qrels))


def per_tensor(source: Path, folder: Path) -> Path:
    """The artifact with an int8 graph whose weights are quantized per tensor, to 7 bits."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    copy_artifact(source, folder)
    fp32, int8 = (folder / GRAPH_FILES[name] for name in ("fp32", "int8"))
    quantize_dynamic(
        str(fp32), str(int8), per_channel=False, reduce_range=True, weight_type=QuantType.QInt8
    )
    manifest = load_manifest(folder)
    graphs = {
        **manifest.graphs, "int8": replace(manifest.graphs["int8"], sha256=hash_files([int8]))
    }  # fmt: skip
    found = OnnxEncoder(folder, verify=False).encode_documents(manifest.probes.texts)
    vectors = {**manifest.probes.vectors, "int8": Probes.pack(found)}
    save_manifest(
        folder, replace(manifest, graphs=graphs, probes=replace(manifest.probes, vectors=vectors))
    )
    return folder


def fp32_of(folder: Path) -> Callable[[], Encoder]:
    return lambda: OnnxEncoder(folder, graph="fp32")


@pytest.fixture(scope="module")
def live(world: World, minilm_artifact: Path) -> Side:  # noqa: F811
    side = world.build("v1", OnnxEncoder(minilm_artifact), prefix=128, dims=(384, 128))
    return replace(side, fp32=fp32_of(minilm_artifact))


def steps_of(world: World, live: Side, candidate: Side) -> Steps:
    found = world.compare(
        live, candidate, subset_documents=2 * DOCUMENTS, gate=GateSettings(metric="ndcg")
    )
    assert found.steps is not None
    return found.steps


def test_per_tensor_quantization_is_named(
    world: World, live: Side, minilm_artifact: Path, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    folder = per_tensor(minilm_artifact, tmp_path / "per-tensor")
    side = world.build("damaged", OnnxEncoder(folder), prefix=128, dims=(384, 128))
    found = steps_of(world, live, replace(side, fp32=fp32_of(folder)))
    assert [step.name for step in found.candidate.blamed] == ["quantization"]
    assert not found.live.blamed
    assert not found.candidate.estimated
    assert found.cause.name == "quantization"
    model = next(part for part in found.parts if part.name == "model")
    assert model.change == pytest.approx(0, abs=1e-6)  # it is the same model


@pytest.mark.parametrize(("prefix", "oversampling"), [(128, 1), (8, 4)])
def test_a_starved_first_stage_is_named(
    world: World, live: Side, prefix: int, oversampling: int
) -> None:
    """Too few candidates of a good prefix; enough of one that is too short."""
    side = world.build(
        f"starved-{prefix}", live.encoder, prefix=prefix, oversampling=oversampling, dims=(384,)
    )
    found = steps_of(world, live, side)
    assert [step.name for step in found.candidate.blamed] == ["truncation"]
    assert not found.live.blamed
