from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reindex.artifact import (
    Graph,
    Manifest,
    Probes,
    compute_space,
    default_matryoshka_dims,
    first_stage_guess,
    hash_files,
    load_manifest,
    save_manifest,
    space_of,
    tokenizer_hash,
    torch_encoding,
    verify_files,
)
from reindex.errors import ArtifactError

VECTORS = np.random.default_rng(3).normal(size=(2, 24)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An artifact whose graphs are no graphs: enough for all that reads manifest and hashes."""
    (tmp_path / "onnx").mkdir()
    for name in ("onnx/a.onnx", "onnx/b.onnx", "onnx/b.onnx_data", "tokenizer.json"):
        (tmp_path / name).write_text(f"content of {name}")
    b = [tmp_path / "onnx/b.onnx", tmp_path / "onnx/b.onnx_data"]
    manifest = Manifest(
        base="base",
        dim=24,
        matryoshka_dims=(24, 16, 8),
        prefix_dim=8,
        pooling="mean",
        normalize=True,
        query_prompt="query: ",
        document_prompt="",
        max_length=64,
        weights="w",
        tokenizer="t",
        space="",
        graphs={
            "int8": Graph("onnx/a.onnx", hash_files([tmp_path / "onnx/a.onnx"])),
            "fp32": Graph("onnx/b.onnx", hash_files(b), ("onnx/b.onnx_data",)),
        },
        files={"tokenizer.json": hash_files([tmp_path / "tokenizer.json"])},
        probes=Probes(("a", "ü"), {"int8": Probes.pack(VECTORS)}, "cpu", "1.0"),
        certified=(("int8", "fp32"),),
    )
    save_manifest(tmp_path, replace(manifest, space=space_of(manifest)))
    return tmp_path


def edit(folder: Path, **changes: object) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("dim", "expected"),
    [
        (384, (384, 256, 128, 64)),
        (768, (768, 512, 256, 128)),
        (1024, (1024, 680, 344, 168)),
        (32, (32, 24, 8)),
        (8, (8,)),
        (4, (4,)),
    ],
)
def test_default_dims_are_thirds_rounded_to_eights(dim: int, expected: tuple[int, ...]) -> None:
    assert default_matryoshka_dims(dim) == expected


@pytest.mark.parametrize(("dims", "expected"), [((384, 256, 128, 64), 128), ((8,), 8)])
def test_first_stage_without_judgements_is_near_a_third(
    dims: tuple[int, ...], expected: int
) -> None:
    assert first_stage_guess(dims) == expected


def test_a_manifest_survives_the_disk(folder: Path) -> None:
    manifest = load_manifest(folder)
    save_manifest(folder, manifest)
    assert load_manifest(folder) == manifest
    assert manifest.graphs["fp32"].external_data == ("onnx/b.onnx_data",)
    np.testing.assert_array_equal(manifest.probes.matrix("int8"), VECTORS)


def test_all_files_as_exported_pass(folder: Path) -> None:
    verify_files(folder, load_manifest(folder))


@pytest.mark.parametrize(
    "name", ["onnx/a.onnx", "onnx/b.onnx", "onnx/b.onnx_data", "tokenizer.json"]
)
def test_a_changed_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).write_text("other content")
    with pytest.raises(ArtifactError, match="not the file that was exported"):
        verify_files(folder, load_manifest(folder))


@pytest.mark.parametrize("name", ["onnx/a.onnx", "onnx/b.onnx_data", "tokenizer.json"])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match="cannot be read"):
        verify_files(folder, load_manifest(folder))


def test_only_the_graph_in_use_is_hashed(folder: Path) -> None:
    (folder / "onnx/b.onnx").write_text("other content")
    verify_files(folder, load_manifest(folder), ["int8"])
    with pytest.raises(ArtifactError):
        verify_files(folder, load_manifest(folder), ["fp32"])


def test_no_manifest_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="not a complete artifact"):
        load_manifest(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": "1"}', '{"format": 1}', '{"format": 1, "graphs": []}', "{"],
)
def test_a_malformed_manifest_is_an_artifact_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ArtifactError):
        load_manifest(tmp_path)


def test_a_newer_format_is_refused_and_not_guessed_at(folder: Path) -> None:
    edit(folder, format=3)
    with pytest.raises(ArtifactError, match=r"format 3.*reads up to 2.*Upgrade"):
        load_manifest(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"pooling": "cls"},
        {"query_prompt": "q: "},
        {"document_prompt": "passage: "},
        {"max_length": 65},
        {"normalize": False},
        {"matryoshka_dims": [24, 8]},
        {"weights": "v"},
        {"tokenizer": "s"},
        {"space": "0" * 64},
    ],
)
def test_an_edit_that_moves_texts_does_not_add_up_to_the_space(
    folder: Path, changes: dict[str, object]
) -> None:
    edit(folder, **changes)
    with pytest.raises(ArtifactError, match="It was edited"):
        load_manifest(folder)


def test_an_unknown_pooling_is_refused(folder: Path) -> None:
    edit(folder, pooling="attention")
    with pytest.raises(ArtifactError, match="found 'attention'"):
        load_manifest(folder)


def test_prompts_do_not_run_into_each_other_in_the_space() -> None:
    def space(prompts: tuple[str, str]) -> str:
        return compute_space(
            weights="w", tokenizer="t", pooling="mean", normalize=True,
            prompts=prompts, max_length=8, dims=(8,),
        )  # fmt: skip

    assert space(("ab", "c")) != space(("a", "bc"))
    assert space(("ab", "c")) == space(("ab", "c"))


def test_certified_pairs_are_of_the_encodings(folder: Path) -> None:
    manifest = load_manifest(folder)
    int8, fp32 = manifest.encoding("int8"), manifest.encoding("fp32")
    torch = {torch_encoding(manifest.weights, dtype) for dtype in ("float16", "float32")}
    assert set(manifest.certified_with(int8)) == {int8, fp32, *torch}
    assert replace(manifest, certified=()).certified_with(int8) == (int8,)
    assert manifest.certified_with("unknown") == ("unknown",)


def test_a_graph_it_does_not_have(folder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no graph 'fp16'.*fp32, int8"):
        load_manifest(folder).encoding("fp16")


def test_the_tokenizer_hash_ignores_what_the_encoder_sets_itself(tmp_path: Path) -> None:
    def hashed(**content: object) -> str:
        file = tmp_path / "tokenizer.json"
        file.write_text(json.dumps({"model": {"vocab": {"a": 0}}} | content))
        return tokenizer_hash(file)

    plain = hashed()
    assert hashed(truncation={"max_length": 128}, padding={"pad_id": 0}) == plain
    assert hashed(model={"vocab": {"b": 0}}) != plain
