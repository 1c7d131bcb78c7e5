"""A text–image model, end to end: pairs of a text and an image, images searched with text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from reindex.artifact import load_manifest
from reindex.config.synthesis import SynthesisSettings
from reindex.corpus.training_sets import TrainingSet
from reindex.datasets.lengths import columns_of
from reindex.datasets.reading import read_examples
from reindex.encoder import OnnxEncoder
from reindex.encoder.images import load_image, preprocess, probe_image
from reindex.errors import ArtifactError, DataError
from reindex.evaluation.baselines import bm25_run
from reindex.evaluation.groups import words as words_of
from reindex.export import export_checkpoint
from reindex.records import (
    Document,
    Query,
    TrainingExample,
    image_path,
    image_reference,
    text_hash,
)
from reindex.synthesis.passages import choose
from reindex.training.base import load_base
from tests.architectures import MAKERS, as_checkpoint, clip
from tests.loop_fixtures import run, run_json
from tests.model_fixtures import LOOSE, recipe

pytestmark = pytest.mark.train

Image = pytest.importorskip("PIL.Image", reason="the [images] extra")

COLOURS = {
    "red": (220, 20, 20), "green": (20, 200, 30), "blue": (20, 30, 220), "white": (240, 240, 240),
    "black": (10, 10, 10), "yellow": (230, 220, 20),
}  # fmt: skip
SIZES = ((64, 64), (90, 40), (40, 90), (20, 24))
SETTINGS = """
[source]
kind = "jsonl"
path = "data/corpus.jsonl"
image_field = "image"
max_bad_rows = 0.5
[evaluation]
queries = "data/queries.jsonl"
qrels = "data/test.tsv"
dev_qrels = "data/test.tsv"
[train]
base = "clip"
pairs = "data/pairs.jsonl"
epochs = 3
batch_size = 6
learning_rate = 1e-3
evaluations = 1
query_prompt = "a picture: "
[export]
min_fp32_cosine = 0.999
min_int8_cosine = 0.5
min_ranking_overlap = 0.0
"""


def paint(file: Path, colour: str, size: tuple[int, int]) -> Path:
    """An image of one colour with a dark bar, so that crops differ."""
    image = Image.new("RGB", size, COLOURS[colour])
    image.paste((60, 60, 60), (0, 0, size[0] // 4, size[1]))
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)
    return file


def lines(file: Path, rows: list[dict[str, str]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def write_project(folder: Path) -> Path:
    """24 images, a caption each; two of the rows name no image that can be read."""
    data = folder / "data"
    rows, pairs, queries, judged = [], [], [], ["query-id\tcorpus-id\tscore"]
    for colour in COLOURS:
        for place, size in enumerate(SIZES):
            name = f"pictures/{colour}-{place}.png"
            paint(data / name, colour, size)
            rows.append({"_id": f"{colour}-{place}", "image": name})
            pairs.append({"query": f"{colour} number {place}", "image": name})
            judged.append(f"q-{colour}\t{colour}-{place}\t1")
        queries.append({"_id": f"q-{colour}", "text": f"something {colour}"})
    (data / "broken.png").write_bytes(b"no image at all")
    rows += [{"_id": "gone", "image": "gone.png"}, {"_id": "broken", "image": "broken.png"}]
    lines(data / "corpus.jsonl", rows)
    lines(data / "pairs.jsonl", pairs)
    lines(data / "queries.jsonl", queries)
    (data / "test.tsv").write_text("\n".join(judged) + "\n", "utf-8")
    (folder / "reindex.toml").write_text(SETTINGS, "utf-8")
    clip(folder / "clip")
    return folder


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    return [image_reference(paint(folder / f"{i}.png", c, s))
            for i, (c, s) in enumerate(zip(COLOURS, SIZES * 2, strict=False))]  # fmt: skip


def test_both_towers_give_the_models_own_vectors(tmp_path: Path, references: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    plain = clip(tmp_path / "plain")
    own = SentenceTransformer(str(plain), device="cpu")
    texts = ["a", "something red", "a text that is far longer than the towers have positions " * 3]
    images = [load_image(Path(image_path(reference))) for reference in references]
    seen = own.encode(images, batch_size=1, normalize_embeddings=True)
    read = own.encode(texts, batch_size=1, normalize_embeddings=True, prompt="a picture: ")

    export_checkpoint(plain, tmp_path / "a", settings=LOOSE, **recipe(query_prompt="a picture: "))
    manifest = load_manifest(tmp_path / "a")
    assert (manifest.dim, manifest.max_length, manifest.format) == (24, 40, 2)
    assert manifest.parity["image_fp32_cosine_min"] > 0.9999
    model = load_base(str(plain), max_length=None)  # as training sees it
    np.testing.assert_allclose(model.encode(references, normalize_embeddings=True), seen, atol=2e-6)
    fp32 = OnnxEncoder(tmp_path / "a", graph="fp32")
    np.testing.assert_allclose(fp32.encode_documents(references), seen, atol=2e-6)
    np.testing.assert_allclose(fp32.encode_queries(texts), read, atol=2e-6)
    int8 = OnnxEncoder(tmp_path / "a")
    mixed = int8.encode_documents([references[0], "a text beside images", *references[1:]])
    alone = np.concatenate([int8.encode_documents([item]) for item in references])
    np.testing.assert_array_equal(mixed[[0, *range(2, len(mixed))]], alone)
    assert (alone * seen).sum(axis=1).min() > 0.97
    assert int8.encoding not in {graph.sha256 for graph in manifest.graphs.values()}


def test_pixels_are_those_of_the_models_own_processor(tmp_path: Path) -> None:
    import transformers

    export_checkpoint(clip(tmp_path / "plain"), tmp_path / "a", settings=LOOSE, **recipe())
    tower = load_manifest(tmp_path / "a").images
    assert tower is not None
    processor = transformers.CLIPImageProcessor.from_pretrained(tmp_path / "plain")
    for size in (*SIZES, (33, 32), (500, 31), (7, 200)):
        image = probe_image().resize(size)
        expected = processor(image, return_tensors="np")["pixel_values"]
        np.testing.assert_allclose(preprocess(image, tower), expected, atol=1e-6)


def test_a_model_of_texts_alone_refuses_images(tmp_path: Path, references: list[str]) -> None:
    checkpoint = as_checkpoint(MAKERS["bert"](tmp_path / "plain"), tmp_path / "checkpoint")
    export_checkpoint(checkpoint, tmp_path / "a", settings=LOOSE, **recipe())
    with pytest.raises(ArtifactError, match="embeds texts alone"):
        OnnxEncoder(tmp_path / "a").encode_documents(references)


def test_an_image_is_known_by_its_content(tmp_path: Path) -> None:
    one = paint(tmp_path / "one.png", "red", (20, 20))
    other = Path(shutil.copy(one, tmp_path / "other.png"))
    assert text_hash(image_reference(one)) == text_hash(image_reference(other))
    before = text_hash(image_reference(other))
    paint(other, "blue", (20, 20))
    assert text_hash(image_reference(other)) != before
    assert image_path("a text that says image:") == ""


def test_pairs_name_images_from_their_own_folder(tmp_path: Path) -> None:
    paint(tmp_path / "pictures/red.png", "red", (20, 20))
    lines(tmp_path / "pairs.jsonl", [{"query": "red", "image": "pictures/red.png"}])
    (example,) = read_examples(tmp_path / "pairs.jsonl")
    assert image_path(example.positive) == str(tmp_path / "pictures/red.png")
    lines(tmp_path / "pairs.jsonl", [{"query": "red", "image": "gone.png"}])
    with pytest.raises(DataError, match="image cannot be read"):
        read_examples(tmp_path / "pairs.jsonl")


def test_an_images_name_is_no_text(references: list[str]) -> None:
    """Not for BM25, not for near-duplicates, not for the lengths of texts, nor as a passage."""
    pytest.importorskip("bm25s")
    texts = {str(at): reference for at, reference in enumerate(references)}
    texts["a"], words = "some png text", Path(image_path(references[0])).parent.name
    queries = [Query("q", f"{words} png"), Query("r", f"{words} 0")]
    assert bm25_run(texts, queries, 3) == {"q": ["a"], "r": []}
    assert bm25_run({"0": references[0]}, queries, 3) == {}
    groups = [sorted(words_of(reference)) for reference in references]
    assert [len(group) for group in groups] == [1] * len(references)
    assert len({group[0] for group in groups}) == len(references)
    rows = [TrainingExample(f"a picture {at}", text) for at, text in texts.items()]
    columns = columns_of(TrainingSet("pairs", rows))
    assert columns["positive"] == ["some png text"]
    documents = [Document(key, text, {}) for key, text in texts.items()]
    found = choose(documents, SynthesisSettings(min_words=1), None, text_of=str)
    assert [passage.document for passage in found.chosen] == ["a"]
    assert found.dropped == {"images": len(references)}


def test_what_a_text_image_model_can_and_cannot_be_trained_with_is_said(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project")
    run(folder, "init")
    needs = run_json(folder, "plan", "--train")
    assert needs["tokens"] == pytest.approx(17 + 14, abs=3)  # 16 patches and one; a caption
    config = (folder / "reindex.toml").read_text("utf-8")
    layers = config.replace('base = "clip"', 'base = "clip"\nmatryoshka = "2d"')
    (folder / "reindex.toml").write_text(layers, "utf-8")
    assert "two towers" in run(folder, "train", code=1).output


@pytest.mark.slow
def test_negatives_among_images_are_found_by_vectors_alone(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project")
    run(folder, "init")
    config = (folder / "reindex.toml").read_text("utf-8")
    mined = config.replace("[train]", '[train.negatives]\nsources = "bm25,dense"\n[train]')
    (folder / "reindex.toml").write_text(mined, "utf-8")
    told = run_json(folder, "train")["version"]["recipe"]["lineage"]["rounds"][0]["mined"][0]
    assert set(told["taken"]) <= {"dense", "fill"}


def test_images_are_trained_on_built_compared_and_searched_with_text(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project")
    run(folder, "init", "--adopt")
    run(folder, "export", "v1")
    built = run_json(folder, "build", "v1")
    assert (built["points"], built["dead"]) == (24, 2)
    run(folder, "promote", "v1")
    run(folder, "train")
    run(folder, "export", "v2")
    run(folder, "build", "v2")
    run(folder, "compare", "v2", code=4)  # six queries show nothing
    hits = run_json(folder, "search", "something red", "-k", "3")["hits"]
    assert [hit["payload"]["image"] for hit in hits if hit["payload"]["image"]] != []
    again = run_json(folder, "build", "v1")
    assert (again["embedded"], again["unchanged"]) == (0, 24)
    paint(folder / "data/pictures/red-0.png", "blue", (50, 50))
    changed = run_json(folder, "build", "v1")
    assert (changed["embedded"], changed["updated"]) == (1, 1)
