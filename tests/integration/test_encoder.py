from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reindex.artifact import Probes, load_manifest
from reindex.config import Settings
from reindex.encoder import OnnxEncoder
from reindex.encoder.runtime import TextTokenizer
from reindex.encoder.tuning import confirm_threads, faster
from reindex.errors import ArtifactError, ProbeMismatch
from reindex.workspace import Workspace
from tests.model_fixtures import (  # noqa: F401
    copy_artifact,
    edit_manifest,
    make_tiny_artifact,
    make_tiny_checkpoint,
    minilm_artifact,
    tiny_artifact,
)

pytestmark = pytest.mark.train  # the artifacts are exported here

TEXTS = (
    "a",
    "",
    "  \n\t ",
    "What changes when the model changes?",
    "Ein längerer Satz über Vektoren, die nicht mehr zueinander passen. " * 3,
    "数据库中的向量",
    "nul \0 inside",
    "lone surrogate \ud83d here",
    "🙂" * 40,
    "long " * 2000,
)


@pytest.fixture(scope="module")
def minilm(minilm_artifact: Path) -> OnnxEncoder:  # noqa: F811
    return OnnxEncoder(minilm_artifact, threads=3)


@pytest.fixture(scope="module")
def alone(minilm: OnnxEncoder) -> dict[str, np.ndarray]:
    return {text: minilm.encode_documents([text])[0] for text in TEXTS}


def test_vectors_are_float32_and_unit(minilm: OnnxEncoder) -> None:
    vectors = minilm.encode_documents(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_nothing_gives_an_empty_matrix(minilm: OnnxEncoder) -> None:
    assert minilm.encode_documents([]).shape == (0, 384)
    assert minilm.encode_queries(()).shape == (0, 384)


def test_the_meaning_is_there(minilm: OnnxEncoder) -> None:
    query = minilm.encode_queries(["How do I flatten a nested list?"])[0]
    found = minilm.encode_documents(
        ["The capital of France is Paris.", "chain.from_iterable turns a list of lists into one."]
    )
    assert found[1] @ query > found[0] @ query + 0.2


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(mates=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=12))
def test_the_same_text_gives_the_same_vector_in_any_batch(
    minilm: OnnxEncoder, alone: dict[str, np.ndarray], mates: list[str]
) -> None:
    for text, vector in zip(mates, minilm.encode_documents(mates), strict=True):
        np.testing.assert_array_equal(vector, alone[text])


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("graph", ["int8", "fp32"])
def test_the_same_text_gives_the_same_vector_at_any_thread_count(
    minilm_artifact: Path,  # noqa: F811
    graph: str,
    threads: int,
) -> None:
    with (
        OnnxEncoder(minilm_artifact, graph=graph, threads=1) as reference,
        OnnxEncoder(minilm_artifact, graph=graph, threads=threads) as encoder,
    ):
        np.testing.assert_array_equal(
            encoder.encode_documents(TEXTS), reference.encode_documents(TEXTS)
        )


def test_callers_may_share_an_encoder(minilm: OnnxEncoder, alone: dict[str, np.ndarray]) -> None:
    batches = [TEXTS[i:] + TEXTS[:i] for i in range(len(TEXTS))]
    with ThreadPoolExecutor(4) as pool:
        for batch, vectors in zip(batches, pool.map(minilm.encode_documents, batches), strict=True):
            np.testing.assert_array_equal(vectors, [alone[text] for text in batch])


def test_tuning_measures_both_ways_and_changes_no_vector(
    minilm_artifact: Path,  # noqa: F811
    alone: dict[str, np.ndarray],
) -> None:
    with OnnxEncoder(minilm_artifact, threads=2) as encoder:
        report = confirm_threads(encoder, seconds=0.3)
        assert min(report.one_each, report.together) > 0
        assert report.chosen == faster(report.one_each, report.together)
        found = encoder.encode_documents(TEXTS)
    np.testing.assert_allclose(found, [alone[text] for text in TEXTS], atol=1e-6)


def test_both_ways_of_using_the_cores_are_exact(
    minilm_artifact: Path,  # noqa: F811
    alone: dict[str, np.ndarray],
) -> None:
    from reindex.encoder.runtime import open_session

    with OnnxEncoder(minilm_artifact, threads=2) as encoder:
        encoder.use_session(open_session(encoder.file, 3), 1)
        found = encoder.encode_documents(TEXTS)
    np.testing.assert_allclose(found, [alone[text] for text in TEXTS], atol=1e-6)


def test_a_lone_query_on_several_cores_gets_the_same_vector(
    minilm_artifact: Path,  # noqa: F811
    alone: dict[str, np.ndarray],
) -> None:
    with OnnxEncoder(minilm_artifact, threads=2, lone_threads=3) as encoder:
        one_by_one = [encoder.encode_documents([text])[0] for text in TEXTS]
        with ThreadPoolExecutor(4) as pool:
            at_once = list(pool.map(lambda text: encoder.encode_documents([text])[0], TEXTS * 3))
    expected = [alone[text] for text in TEXTS]
    np.testing.assert_allclose(one_by_one, expected, atol=1e-6)
    np.testing.assert_allclose(at_once, expected * 3, atol=1e-6)


def test_an_encoder_works_after_close(minilm: OnnxEncoder) -> None:
    before = minilm.encode_documents(TEXTS[:4])
    minilm.close()
    np.testing.assert_array_equal(minilm.encode_documents(TEXTS[:4]), before)


def test_what_lies_behind_the_maximum_length_does_not_matter(minilm: OnnxEncoder) -> None:
    text = "some words of a passage " * 200
    ends = minilm.encode_documents([text + "one end", text + "another end", text])
    np.testing.assert_array_equal(ends[0], ends[1])
    np.testing.assert_array_equal(ends[0], ends[2])


words = st.text(st.characters(codec="utf-8"), max_size=30)


@pytest.fixture(scope="module")
def tokenizers(minilm_artifact: Path) -> tuple[TextTokenizer, Any]:  # noqa: F811
    """Ours, and the plain one that tokenises all of a text."""
    from tokenizers import Tokenizer

    file = minilm_artifact / "tokenizer.json"
    plain = Tokenizer.from_file(str(file))
    plain.enable_truncation(32)
    return TextTokenizer(file, 32), plain


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(parts=st.lists(words, min_size=1, max_size=6), times=st.integers(1, 400))
def test_cutting_long_texts_first_changes_no_token(
    tokenizers: tuple[TextTokenizer, Any], parts: list[str], times: int
) -> None:
    ours, plain = tokenizers
    text = " ".join(parts * times)
    assert ours([text]) == [plain.encode(text).ids]


def test_prompts_are_put_before_texts(tmp_path: Path) -> None:
    checkpoint = make_tiny_checkpoint(tmp_path / "checkpoint")
    with_prompts = make_tiny_artifact(
        tmp_path / "with", checkpoint, query_prompt="query: ", document_prompt="passage: "
    )
    without = make_tiny_artifact(tmp_path / "without", checkpoint)
    prompted, plain = OnnxEncoder(with_prompts), OnnxEncoder(without)
    assert prompted.space != plain.space
    assert prompted.encoding == plain.encoding
    np.testing.assert_array_equal(
        prompted.encode_queries(["one", "two"]),
        plain.encode_queries(["query: one", "query: two"]),
    )
    np.testing.assert_array_equal(
        prompted.encode_documents(["one"]), plain.encode_documents(["passage: one"])
    )


def test_long_texts_wait_for_attention_memory(
    tiny_artifact: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [f"{i} " * (i % 40 + 1) for i in range(60)]
    with OnnxEncoder(tiny_artifact, threads=4) as encoder:
        expected = encoder.encode_documents(texts)
    monkeypatch.setattr("reindex.encoder.onnx.ATTENTION_BUDGET", 3 * 4 * 4 * 40**2)
    with OnnxEncoder(tiny_artifact, threads=4) as encoder:
        np.testing.assert_array_equal(encoder.encode_documents(texts), expected)


# -- what must be refused


@pytest.fixture
def copy(tiny_artifact: Path, tmp_path: Path) -> Path:  # noqa: F811
    return copy_artifact(tiny_artifact, tmp_path / "copy")


@pytest.mark.parametrize("name", ["onnx/model_qint8.onnx", "tokenizer.json", "config.json"])
def test_a_tampered_file_is_refused(copy: Path, name: str) -> None:
    with (copy / name).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(ArtifactError, match="not the file that was exported"):
        OnnxEncoder(copy)


@pytest.mark.parametrize("name", ["onnx/model_qint8.onnx", "tokenizer.json", "manifest.json"])
def test_a_missing_file_is_refused(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ArtifactError):
        OnnxEncoder(copy)


def test_a_tampered_manifest_is_refused(copy: Path) -> None:
    edit_manifest(copy, query_prompt="query: ")
    with pytest.raises(ArtifactError, match="It was edited"):
        OnnxEncoder(copy)


def test_an_unloadable_graph_is_an_artifact_error(copy: Path) -> None:
    (copy / "onnx/model_qint8.onnx").write_bytes(b"no graph")
    with pytest.raises(ArtifactError, match="cannot load"):
        OnnxEncoder(copy, verify=False)


def shift_probes(folder: Path, noise: float, **changes: str) -> None:
    """Make the manifest's probe vectors differ by ``noise`` from what the graph computes."""
    probes = load_manifest(folder).probes
    vectors = probes.matrix("int8")
    shifted = vectors + np.random.default_rng(0).normal(size=vectors.shape) * noise
    shifted /= np.linalg.norm(shifted, axis=1, keepdims=True)
    content = json.loads((folder / "manifest.json").read_text())["probes"] | changes
    content["vectors"]["int8"] = Probes.pack(shifted.astype(np.float32))
    edit_manifest(folder, probes=content)


def test_the_same_host_must_compute_the_same_vectors(copy: Path) -> None:
    shift_probes(copy, 1e-4)
    with pytest.raises(ProbeMismatch, match=r"difference of at most 1e-06.*Install that"):
        OnnxEncoder(copy)


@pytest.mark.parametrize("other", [{"cpu": "another"}, {"onnxruntime": "1.0"}])
def test_another_host_may_round_differently_but_not_more(copy: Path, other: dict[str, str]) -> None:
    shift_probes(copy, 1e-4, **other)
    OnnxEncoder(copy)
    shift_probes(copy, 0.05, **other)
    with pytest.raises(ProbeMismatch, match=r"cosine of at least 0.999, found"):
        OnnxEncoder(copy)


def test_an_unknown_graph_is_refused(tiny_artifact: Path) -> None:  # noqa: F811
    with pytest.raises(ArtifactError, match="no graph 'fp16'"):
        OnnxEncoder(tiny_artifact, graph="fp16")


def test_a_worker_loads_the_same_encoder(tiny_artifact: Path) -> None:  # noqa: F811
    here = OnnxEncoder(tiny_artifact, graph="fp32")
    maker = pickle.loads(pickle.dumps(Workspace(Settings()).encoder_maker(here)))
    there = maker(1)
    assert (there.space, there.encoding) == (here.space, here.encoding)
    np.testing.assert_array_equal(there.encode_documents(["a"]), here.encode_documents(["a"]))
