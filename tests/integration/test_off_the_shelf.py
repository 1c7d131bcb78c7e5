"""`reindex compare v2 --model …`: models that are no version, judged without a build."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import reindex.project
from reindex.cli import main
from reindex.config import load_settings
from reindex.errors import ComparisonError, ModelError, UnknownVersion
from reindex.evaluation.compare import Comparison
from reindex.off_the_shelf import ModelSpec, load_model
from reindex.registry.judged_uses import JudgedUses
from tests.copying import copy_project
from tests.help_centre import HelpProject, add_twin, help_project
from tests.model_fixtures import make_tiny_checkpoint, tiny_artifact  # noqa: F401


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """v1 is live, v2 built, v3 (which knows what v2 knows) exported and not built."""
    folder = tmp_path_factory.mktemp("project")
    with help_project(folder) as made:
        add_twin(made)
        for version in ("v1", "v2"):
            made.build(version)
        made.promote("v1", force=True, reason="first")
    return folder


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Iterator[HelpProject]:
    with HelpProject.open(copy_project(built, tmp_path / "project")) as made:
        yield made


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model as a sentence-transformers folder."""
    return make_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def command(project: HelpProject, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    project.close()
    monkeypatch.setattr(reindex.project, "open_project", HelpProject.open)
    root = str(project.settings.root)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["--config", root, *arguments])

    return invoke


def test_an_unbuilt_version_is_judged_beside_a_built_twin(project: HelpProject) -> None:
    """v3 embeds as v2 does: its row from embedding is v2's row from stored vectors. Both are of
    one family, and each use of the judged set counts.
    """
    found, report = project.compare_with_models(["v2"], [ModelSpec("v3")])
    live, second, third = report.rows
    assert [(row.name, row.role) for row in report.rows] == [
        ("v1", "live"), ("v2", "version"), ("v3", "model"),
    ]  # fmt: skip
    assert third.means == second.means
    assert third.difference == second.difference
    assert live.difference is None
    assert report.queries == report.of_queries == 150
    assert report.documents == project.store.info("help-centre--v1").points
    ((stored, comparison),) = found  # the subset is everything here, so exact search is the same
    assert live.means["ndcg@10"] == pytest.approx(comparison.judged.mean_live, abs=0.02)
    assert Comparison.from_dict(stored.result).models == report
    assert "help-centre--v3" not in project.store.collections()

    assert comparison.family is not None
    assert third.family is not None
    assert comparison.family.candidates == third.family.candidates == ("v2", "v3")
    assert {comparison.family.place, third.family.place} == {1, 2}
    assert third.judged is not None
    assert third.judged.verdict == "pass"
    assert "among 2 candidates" in third.judged.reason

    assert project.registry.judged_set_uses(stored.judged_set) == 2
    (use,) = JudgedUses(project.registry).of(stored.judged_set)
    assert (use.purpose, use.name) == ("model", "v3")
    assert use.details["means"]["ndcg@10"] > 0
    project.compare_with_models([], [ModelSpec("v3")])
    assert project.registry.judged_set_uses(stored.judged_set) == 3
    assert len(project.registry.comparisons()) == 1  # a model alone is nothing to promote by


def test_a_folder_is_embedded_once_and_kept_by_its_content(
    project: HelpProject, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors are found again under another path, and not for another prompt."""
    embedded: list[str] = []
    from reindex.off_the_shelf.torch_model import TorchModel

    plain = TorchModel.encode_documents

    def counting(self: TorchModel, texts: list[str]) -> object:
        embedded.extend(texts)
        return plain(self, texts)

    monkeypatch.setattr(TorchModel, "encode_documents", counting)
    _, first = project.compare_with_models([], [ModelSpec(str(tiny))])
    assert len(embedded) == first.documents + 1  # and one text to learn the dimension
    embedded.clear()
    moved = shutil.copytree(tiny, tmp_path / "moved")
    _, second = project.compare_with_models([], [ModelSpec(str(moved))])
    assert embedded == ["dimension"]
    assert second.models()[0].means == first.models()[0].means
    _, other = project.compare_with_models([], [ModelSpec(str(tiny), ("ask: ", "say: "))])
    assert len(embedded) == first.documents + 2
    assert other.models()[0].prompts == ("ask: ", "say: ")


def test_onnx_without_torch_gives_the_same_vectors(
    tiny_artifact: Path,  # noqa: F811
    tiny: Path,
    tmp_path: Path,
) -> None:
    """An artifact, its files without the manifest, and torch's checkpoint of the same weights."""
    texts = ["reset a password", "an invoice is late", ""]
    artifact = load_model(ModelSpec("a"), str(tiny_artifact), max_length=None, threads=1)
    folder = Path(shutil.copytree(tiny_artifact, tmp_path / "plain"))
    (folder / "manifest.json").unlink()
    plain = load_model(ModelSpec("b"), str(folder), max_length=None, threads=1)
    torch = load_model(ModelSpec("c"), str(tiny), max_length=None, threads=1)
    assert type(plain.encoder).__name__ == "OnnxFolder"
    assert artifact.max_length == plain.max_length == torch.max_length == 64
    exact = torch.encoder.encode_documents(texts)
    np.testing.assert_allclose(plain.encoder.encode_documents(texts), exact, atol=1e-5)
    assert (artifact.encoder.encode_documents(texts) * exact).sum(axis=1).min() > 0.5  # int8


def test_an_onnx_folder_that_does_not_say_how_it_pools_is_refused(
    tiny_artifact: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = Path(shutil.copytree(tiny_artifact, tmp_path / "plain"))
    (folder / "manifest.json").unlink()
    shutil.rmtree(folder / "1_Pooling")
    with pytest.raises(ModelError, match="how token vectors become one"):
        load_model(ModelSpec("b"), str(folder), max_length=None, threads=1)


def test_prompts_that_a_model_declares_are_used(tiny: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path / "declaring"))
    file = folder / "config_sentence_transformers.json"
    declared = {"query": "query: ", "passage": "passage: "}
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"prompts": declared}))
    loaded = load_model(ModelSpec("e"), str(folder), max_length=None, threads=None)
    assert loaded.prompts == ("query: ", "passage: ")
    same = load_model(
        ModelSpec("e", ("query: ", "passage: ")), str(tiny), max_length=None, threads=None
    )
    np.testing.assert_allclose(
        loaded.encoder.encode_documents(["a"]), same.encoder.encode_documents(["a"]), atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("./nowhere", ModelError, "no folder './nowhere'"),
        ("package:no-such-package", ModelError, "found none"),
        ("v7", UnknownVersion, "no version 'v7'"),
        ("v1", ComparisonError, "compared as it is built"),
        ("v2", ComparisonError, "compared as it is built"),
    ],
)
def test_wrong_names_fail_before_anything_is_searched(
    project: HelpProject, name: str, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        project.compare_with_models(["v2"], [ModelSpec(name)])
    assert not project.registry.comparisons()


def test_beside_an_owner_the_models_are_judged_there(project: HelpProject, tiny: Path) -> None:
    """Also a folder, and with the same errors; nothing is embedded by whoever asks."""
    alone = project.compare_with_models([], [ModelSpec("v3"), ModelSpec(str(tiny))])[1]
    with project.own(), HelpProject(load_settings(project.settings.root)) as client:
        seen: list[str] = []
        client.progress = lambda stage, done, total: seen.append(stage)
        ((stored, comparison),), report = client.compare_with_models(
            ["v2"], [ModelSpec("v3"), ModelSpec(str(tiny), ("ask: ", "say: "))]
        )
        assert client.encoders == []
        assert Comparison.from_dict(stored.result).models == comparison.models == report
        assert [row.role for row in report.rows] == ["live", "version", "model", "model"]
        assert report.rows[2].means == alone.rows[1].means
        assert report.rows[3].prompts == ("ask: ", "say: ")
        assert any(stage.startswith("embedding with") for stage in seen)
        with pytest.raises(ModelError, match=r"no folder '\./nowhere'"):
            client.compare_with_models([], [ModelSpec("./nowhere")])
        with pytest.raises(ComparisonError, match="compared as it is built"):
            client.compare_with_models(["v2"], [ModelSpec("v2")])


def test_the_command(command: Callable[..., Result], tiny: Path) -> None:
    shown = command("compare", "v2", "--model", "v3", "--model", str(tiny))
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.output.split())
    for part in (
        "on a subset, exactly", "upper bound", "v1 (live)", "v2 (version)",
        "cannot be promoted", "reindex build v3", "--base /", "used 3 time(s)",
    ):  # fmt: skip
        assert part in text, part
    alone = command("compare", "--model", "v3", "--json")
    document = json.loads(alone.stdout)
    assert document["comparisons"] == []
    assert [row["role"] for row in document["models"]["rows"]] == ["live", "model"]
    assert alone.exit_code == 0
    assert document["judged_set_uses"] == 4


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Name a VERSION"),
        (("v2", "--model", "v3", "--model", "v4", *["--model-prompts", "a", "b"] * 3), "3 times"),
    ],
)
def test_wrong_usage(command: Callable[..., Result], arguments: tuple[str, ...], told: str) -> None:
    shown = command("compare", *arguments)
    assert shown.exit_code == 2
    assert told in shown.output
