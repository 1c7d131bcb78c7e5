"""The demo corpus, made from a small package tree."""

from __future__ import annotations

import json
import textwrap
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reindex.config import SourceSettings
from reindex.corpus.docstrings import Docstring, Root, public_name, read_docstrings, split_docstring
from reindex.corpus.judgements import load_judgements, read_qrels, read_queries
from reindex.corpus.masking import mask_names
from reindex.corpus.pydocs import PydocsReport, merge_equal, split_groups, write_pydocs
from reindex.corpus.sources import open_source
from reindex.corpus.twins import components
from reindex.errors import DataError
from tests.corpus_fixtures import Heap

WORDS = [f"{first}{last}" for first in ("amb", "bas", "ced", "del", "emb")
         for last in ("er", "in", "ar", "ta", "ow")]  # fmt: skip


def prose(seed: int, words: int = 30) -> str:
    """Sentences that share few words with those of another seed."""
    step = seed * 7 + 1
    return " ".join(f"{WORDS[(step * i) % 25]}{(seed * 31 + i) % 97}" for i in range(words))


def function(name: str, sentence: str, body: str) -> str:
    return f'def {name}():\n    """{sentence}.\n\n    {body}\n    """\n\n'


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "fake"
    (folder / "_impl").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "__init__.py").write_text("try:\n    from ._impl import sort_rows\nfinally: ...\n")
    (folder / "_impl" / "__init__.py").touch()
    (folder / "_impl" / "core.py").write_text(
        "raise SystemExit('parsed, never imported')\n"
        + function("sort_rows", "Sort the given rows by their keys", prose(1))
        + function("_hidden", "Sort nothing at all in here", prose(2))
    )
    (folder / "tests" / "test_it.py").write_text(function("f", "Test that it works well", prose(3)))
    (folder / "broken.py").write_text("def broken(:\n")
    (folder / "many.py").write_text(
        "".join(
            function(f"f{i}", f"Count the {WORDS[i]} items again", prose(i + 9)) for i in range(24)
        )
    )
    (folder / "same.py").write_text(
        function("long_name", "Join two tables on a column", prose(50))
        + function("short", "Merge two tables on a column", prose(50))
        + function("left", "Split a table in two halves", prose(51))
        + function("right", "Split a  table in two Halves", prose(52))
        + function("near", "Rotate every page of a book", prose(53) + " once")
        + function("twin", "Turn the pages of a volume", prose(53) + " twice")
        + "class Shape:\n"
        + f'    """{prose(54)}"""\n'
        + textwrap.indent(function("area", "Return the area of the shape", prose(55)), "    ")
    )
    return folder


@pytest.fixture
def made(package: Path, tmp_path: Path) -> tuple[Path, PydocsReport]:
    pytest.importorskip("sklearn")
    return tmp_path / "out", write_pydocs(tmp_path / "out", roots=[package])


def rows(file: Path) -> dict[str, dict[str, Any]]:
    return {row["_id"]: row for row in map(json.loads, file.read_text("utf-8").splitlines())}


def all_qrels(folder: Path) -> dict[str, tuple[str, set[str]]]:
    """query -> (split, relevant documents); fails where a query is in two splits."""
    found: dict[str, tuple[str, set[str]]] = {}
    for split in ("train", "dev", "test"):
        for query, documents in read_qrels(folder / "qrels" / f"{split}.tsv").items():
            assert query not in found
            found[query] = (split, set(documents))
    return found


def test_the_folder_is_a_source_with_judgements(made: tuple[Path, PydocsReport]) -> None:
    folder, report = made
    dead = Heap()
    documents = list(open_source(SourceSettings(path=folder), folder).documents(dead))
    assert not dead.rows
    assert len(documents) == report.documents == 24 + 1 + 5 + 1
    assert report.packages == {"fake": report.documents}
    for split, count in report.queries.items():
        judged = load_judgements(
            folder / "queries.jsonl", folder / "qrels" / f"{split}.tsv", max_queries=None, seed=1
        )
        assert len(judged.queries) == count
        assert sum(map(len, judged.qrels.values())) == report.pairs[split]
    assert str(report).startswith("31 documents (fake 31); queries: train ")
    assert "proxy task" in (folder / "README.md").read_text("utf-8")


def test_names_bodies_and_sentences(made: tuple[Path, PydocsReport]) -> None:
    documents = rows(made[0] / "corpus.jsonl")
    assert documents["fake.sort_rows"] == {
        "_id": "fake.sort_rows",
        "title": "fake.sort_rows",
        "text": prose(1),
        "package": "fake",
        "aliases": [],
    }
    assert "fake.same.Shape.area" in documents
    assert not any("hidden" in name or "test" in name for name in documents)


def test_equal_bodies_merge_under_the_shortest_name(made: tuple[Path, PydocsReport]) -> None:
    documents = rows(made[0] / "corpus.jsonl")
    assert documents["fake.same.short"]["aliases"] == ["fake.same.long_name"]
    assert "fake.same.long_name" not in documents
    texts = {query.text: query.id for query in read_queries(made[0] / "queries.jsonl")}
    qrels = all_qrels(made[0])
    for sentence in ("Join two tables on a column", "Merge two tables on a column"):
        assert qrels[texts[sentence]][1] == {"fake.same.short"}


def test_a_shared_sentence_is_one_query_for_all_its_documents(
    made: tuple[Path, PydocsReport],
) -> None:
    queries = read_queries(made[0] / "queries.jsonl")
    shared = [query for query in queries if query.text.casefold() == "split a table in two halves"]
    assert len(shared) == 1
    assert all_qrels(made[0])[shared[0].id][1] == {"fake.same.left", "fake.same.right"}


def test_near_equal_bodies_are_one_group_in_one_split(made: tuple[Path, PydocsReport]) -> None:
    queries = {query.text: query for query in read_queries(made[0] / "queries.jsonl")}
    near, twin = queries["Rotate every page of a book"], queries["Turn the pages of a volume"]
    qrels = all_qrels(made[0])
    assert near.group == twin.group
    assert qrels[near.id][0] == qrels[twin.id][0]
    assert qrels[near.id][1] != qrels[twin.id][1]


def test_no_group_and_no_document_is_in_two_splits(made: tuple[Path, PydocsReport]) -> None:
    groups = {query.id: query.group for query in read_queries(made[0] / "queries.jsonl")}
    of_group, of_document = defaultdict(set), defaultdict(set)
    for query, (split, documents) in all_qrels(made[0]).items():
        of_group[groups[query]].add(split)
        for document in documents:
            of_document[document].add(split)
    assert {len(splits) for splits in [*of_group.values(), *of_document.values()]} == {1}
    assert set.union(*of_group.values()) == {"train", "dev", "test"}


def test_masked_queries_keep_their_ids(made: tuple[Path, PydocsReport]) -> None:
    plain, masked = (rows(made[0] / f"queries{part}.jsonl") for part in ("", "-masked"))
    assert plain.keys() == masked.keys()
    texts = {plain[id]["text"]: masked[id]["text"] for id in plain}
    assert texts["Sort the given rows by their keys"] == "… the given … by their keys"


def test_the_same_seed_gives_the_same_bytes(
    made: tuple[Path, PydocsReport], package: Path, tmp_path: Path
) -> None:
    write_pydocs(tmp_path / "again", roots=[package])
    write_pydocs(tmp_path / "other", roots=[package], seed=14)
    files = [file.relative_to(made[0]) for file in made[0].rglob("*") if file.is_file()]
    assert len(files) == 7
    for file in files:
        assert (made[0] / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    assert all_qrels(made[0]) != all_qrels(tmp_path / "other")


def test_the_limit_takes_what_shares_a_sentence_as_a_whole(package: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    for seed in range(5):
        report = write_pydocs(tmp_path / "out", roots=[package], limit=12, seed=seed)
        taken = rows(tmp_path / "out" / "corpus.jsonl").keys()
        assert 11 <= report.documents <= 12
        assert len(taken & {"fake.same.left", "fake.same.right"}) in (0, 2)


def test_nothing_found(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no docstrings"):
        write_pydocs(tmp_path / "out", roots=[tmp_path])


def test_a_folder_without_init_is_a_folder_of_modules(tmp_path: Path) -> None:
    (tmp_path / "mod.py").write_text(function("go", "Walk all the way home", prose(1)))
    found = list(read_docstrings(Root("stdlib", tmp_path)))
    assert found == [Docstring("mod.go", "stdlib", "Walk all the way home", prose(1))]


EXPORTS = {("np", "reshape"): "np._core", ("sp.signal", "butter"): "sp.signal._filters"}


@pytest.mark.parametrize(
    ("name", "module", "expected"),
    [
        ("np._core.shapes.reshape", "np._core.shapes", "np.reshape"),
        ("np.other.reshape", "np.other", "np.other.reshape"),
        ("np._core.shapes.Grid.reshape", "np._core.shapes", "np.shapes.Grid.reshape"),
        ("sp.signal._filters.butter", "sp.signal._filters", "sp.signal.butter"),
        ("_pydecimal.Decimal", "_pydecimal", "decimal.Decimal"),
        ("np._core.shapes", "np._core.shapes", "np.shapes"),
    ],
)
def test_public_names(name: str, module: str, expected: str) -> None:
    assert public_name(name, module, EXPORTS) == expected


BODY = "It keeps the order of equal elements, and it needs no memory beyond that of its input."


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f"Sort a list in place. {BODY}", ("Sort a list in place", BODY)),
        (f"Sort a list\nin place\n\n{BODY}", ("Sort a list in place", BODY)),
        (
            f"Apply :func:`~os.path.join` to ``x``, e.g. Paths. {BODY}",
            ("Apply os.path.join to x, e.g. Paths", BODY),
        ),
        (f"Sort it.\n\n{BODY}", None),
        ("Sort a list in place.", None),
        ("Sort a list in place.\n\nVery fast.", None),
        (f"sort(a, key) -> list of them\n\n{BODY}", None),
        (f">>> sort a list now\n\n{BODY}", None),
        (f"Sort a list in place.\n\nTo sort a list in place is fast. {BODY}", None),
        (f".. deprecated:: since a long time\n\n{BODY}", None),
    ],
)
def test_splitting_a_docstring(text: str, parts: tuple[str, str] | None) -> None:
    assert split_docstring(text) == parts


def test_equal_bodies_with_other_white_space_merge() -> None:
    merged = merge_equal(
        [Docstring("a.long", "a", "One thing", "x  y\n z"), Docstring("a.b", "a", "Two", "x y z")]
    )
    assert [(entry.name, entry.aliases) for entry in merged] == [("a.b", ("a.long",))]
    assert set(merged[0].sentences.values()) == {"One thing", "Two"}


@pytest.mark.parametrize(
    ("query", "names", "masked"),
    [
        ("Sorted arrays of a Table", ["np.sort_array"], "… … of a Table"),
        ("Fit the gaussian-mixture model", ["sk.GaussianMixture.fit"], "… the …-… model"),
        ("Compute derivatives", ["x.derivative"], "Compute …"),
        ("Parse an HTTP request", ["web.HTTPParser"], "… an … request"),
        ("Map entries to classes", ["a.Class.get_entry"], "Map … to …"),
        ("Stop the running server", ["a.stop", "b.run"], "… the … server"),
        ("Nothing in common here", ["a.b"], "Nothing in common here"),
    ],
)
def test_masking_names(query: str, names: list[str], masked: str) -> None:
    assert mask_names(query, names) == masked


EDGES = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=25)


@given(EDGES)
def test_components_partition_and_never_part_an_edge(edges: list[tuple[int, int]]) -> None:
    found = components(20, edges)
    assert sorted(node for component in found for node in component) == list(range(20))
    of = {node: i for i, component in enumerate(found) for node in component}
    assert all(of[left] == of[right] for left, right in edges)
    assert len(found) >= 20 - len({edge for edge in edges if edge[0] != edge[1]})


@given(st.lists(st.integers(1, 9), max_size=300), st.integers(0, 9))
def test_splits_keep_their_shares(sizes: list[int], seed: int) -> None:
    splits = split_groups(sizes, seed)
    assert splits == split_groups(sizes, seed)
    total = sum(sizes)
    for split, share in (("test", 0.30), ("dev", 0.10)):
        filled = sum(size for size, of in zip(sizes, splits, strict=True) if of == split)
        assert filled <= share * total


def test_splits_of_many_groups_are_filled() -> None:
    splits = split_groups([1] * 1_000 + [200], 13)
    assert splits[-1] == "train"
    assert (splits.count("test"), splits.count("dev")) == (360, 120)
