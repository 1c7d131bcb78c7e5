"""Versions side by side as one: vectors, prefixes, and the whole loop from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import reindex
from reindex.artifact import load_manifest
from reindex.cli import main
from reindex.config import ExportSettings
from reindex.encoder import OnnxEncoder, load_encoder, truncate
from reindex.encoder.ensemble import interleaving, joined_dims
from reindex.encoder.runtime import unit
from reindex.errors import ArtifactError
from reindex.export.ensemble import Part, join_artifacts
from tests.loop_fixtures import LEARNABLE, run, run_json, write_beir
from tests.model_fixtures import make_tiny_artifact, make_tiny_checkpoint
from tests.training_fixtures import tiny_base  # noqa: F401

pytestmark = pytest.mark.train

TEXTS = ("a", "which words go together", "a longer text of many words " * 30)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Part]:
    """Two tiny models of 32 dimensions that pool differently and know other prompts."""
    folder = tmp_path_factory.mktemp("members")
    made = []
    for name, pooling, prompt in (("v1", "mean", ""), ("v3", "cls", "query: ")):
        checkpoint = make_tiny_checkpoint(folder / f"{name}-checkpoint", pooling=pooling)
        artifact = make_tiny_artifact(folder / name, checkpoint, query_prompt=prompt)
        made.append(Part(name, artifact, 0.5))
    return made


def joined(parts: list[Part], target: Path, *weights: float) -> Path:
    chosen = [Part(part.name, part.folder, w) for part, w in zip(parts, weights, strict=True)]
    join_artifacts(chosen, target, settings=ExportSettings())
    return target


def test_similarity_is_the_members_weighted_mean(parts: list[Part], tmp_path: Path) -> None:
    folder = joined(parts, tmp_path / "e", 0.8, 0.6)
    encoder = load_encoder(folder)
    queries, documents = encoder.encode_queries(TEXTS), encoder.encode_documents(TEXTS)
    assert documents.shape == (3, 64)
    members = [OnnxEncoder(part.folder) for part in parts]
    cosines = [m.encode_queries(TEXTS) @ m.encode_documents(TEXTS).T for m in members]
    expected = 0.8**2 * cosines[0] + 0.6**2 * cosines[1]
    np.testing.assert_allclose(queries @ documents.T, expected, atol=1e-6)
    alone = np.concatenate([encoder.encode_documents([text]) for text in TEXTS])
    np.testing.assert_array_equal(documents, alone)
    counts = [m.count_tokens(TEXTS, queries=True) for m in members]  # the second has a prompt
    assert encoder.count_tokens(TEXTS, queries=True) == counts[1] != counts[0]


def test_a_prefix_holds_a_prefix_of_every_member(parts: list[Part], tmp_path: Path) -> None:
    folder = joined(parts, tmp_path / "e", 1, 1)
    manifest = load_manifest(folder)
    assert manifest.matryoshka_dims == (64, 48, 16)
    found = truncate(load_encoder(folder).encode_documents(TEXTS), 16)
    first = [OnnxEncoder(part.folder).encode_documents(TEXTS)[:, :8] for part in parts]
    np.testing.assert_allclose(found, unit(np.concatenate(first, axis=1)), atol=1e-6)


def test_members_with_other_dimensions_are_cut_at_the_same_share() -> None:
    assert joined_dims([(384, 128), (768, 512, 256, 128)]) == (1152, 384)
    order = interleaving([(4, 2), (8, 6, 2)])
    assert order.tolist() == [0, 1, 4, 5, 6, 7, 2, 3, 8, 9, 10, 11]
    assert sorted(interleaving([(384, 128), (768, 512)])) == list(range(1152))


def test_space_and_encoding_follow_members_and_weights(parts: list[Part], tmp_path: Path) -> None:
    made = [
        load_manifest(joined(list(some), tmp_path / f"e{i}", *weights))
        for i, (some, weights) in enumerate(
            [(parts, (1, 1)), (parts, (2, 1)), (parts[::-1], (1, 1))]
        )
    ]
    assert len({manifest.space for manifest in made}) == 3
    assert len({manifest.encoding() for manifest in made}) == 3
    assert made[0].format == 2


def test_a_member_that_was_changed_is_noticed(parts: list[Part], tmp_path: Path) -> None:
    folder = joined(parts, tmp_path / "e", 1, 1)
    config = folder / "members/v3/config.json"
    content = config.read_text("utf-8")
    config.unlink()  # a hard link: what is written into it would be the member's too
    config.write_text(content + " ", "utf-8")
    with pytest.raises(ArtifactError, match=r"config\.json is not the file that was exported"):
        load_encoder(folder)


@pytest.mark.parametrize(
    ("weights", "match"), [((1, 0), "weights above zero"), ((1, float("nan")), "above zero")]
)
def test_weights_that_make_no_sense(
    parts: list[Part], tmp_path: Path, weights: tuple[float, float], match: str
) -> None:
    with pytest.raises(ArtifactError, match=match):
        joined(parts, tmp_path / "e", *weights)
    assert not (tmp_path / "e").exists()


def test_an_ensemble_is_no_member(parts: list[Part], tmp_path: Path) -> None:
    folder = joined(parts, tmp_path / "e", 1, 1)
    with pytest.raises(ArtifactError, match="v4 is an ensemble"):
        join_artifacts([parts[0], Part("v4", folder, 1)], tmp_path / "f", settings=ExportSettings())


@pytest.mark.slow
def test_the_loop_takes_an_ensemble_as_any_version(tmp_path: Path, tiny_base: str) -> None:  # noqa: F811
    folder = tmp_path / "project"
    write_beir(folder / "data")
    (folder / "reindex.toml").write_text(LEARNABLE.format(base=tiny_base), "utf-8")
    run(folder, "init", "--adopt")
    run(folder, "ensemble", "v1", "v1", code=1)
    run(folder, "export", "v1")
    run(folder, "build", "v1")
    run(folder, "promote", "v1")
    run(folder, "train")
    assert "v2 is not exported yet" in run(folder, "ensemble", "v1", "v2", code=1).output
    run(folder, "export", "v2")
    made = run_json(folder, "ensemble", "v1", "v2", "--weights", "0.4,0.9")
    assert (made["name"], made["kind"], made["dim"]) == ("v3", "ensemble", 64)
    assert run_json(folder, "ensemble", "v1", "v2", "--weights", "0.4,0.9")["name"] == "v3"
    run(folder, "ensemble", "v1", "v2", "--weights", "1", code=1)
    assert run_json(folder, "export", "v3")["name"] == "v3"
    assert run_json(folder, "plan", "v3")["documents"] == 400
    assert run_json(folder, "build", "v3")["points"] == 400
    shown = run(folder, "compare", "v3").output
    assert "64 dimensions against 32" in " ".join(shown.split())
    run(folder, "build", "v2")
    beside = CliRunner().invoke(main, ["-c", str(folder), "compare", "v3", "--against", "v2"])
    assert beside.exit_code in (0, 3, 4)  # whatever the verdict, it says what the storage buys
    assert "storage" in beside.output
    run(folder, "promote", "v3")
    assert run_json(folder, "search", "apple engine", "-k", "3")["version"] == "v3"
    run(folder, "rollback", "--reason", "it costs twice")
    assert run_json(folder, "status")["live_version"] == "v1"
    with reindex.open(folder) as project:
        from reindex.registry.lineage import Lineage

        assert Lineage(project.registry).trained("v3") == ["v2"]
        assert project.registry.version("v3").recipe["weights"] == [0.4, 0.9]
