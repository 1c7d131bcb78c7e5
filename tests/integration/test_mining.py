"""Mining in a project: what is held back, kept by content, and written for training."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.config import TrainSettings
from reindex.datasets.reading import read_examples
from reindex.errors import ConfigError
from reindex.registry.ledger import Version
from reindex.stages.mining_files import MinedFile, mine_file
from tests.hash_project import DIM, HashWorkspace, hash_project
from tests.loop_fixtures import run, run_json, write_beir
from tests.word_encoder import WordEncoder

pytest.importorskip("bm25s")


class WordWorkspace(HashWorkspace):
    """Its versions know words."""

    def encoder(self, version: Version, **_: Any) -> Any:
        made = WordEncoder(DIM, seed=int(version.name.removeprefix("v")))
        self.encoders.append(made)
        return made


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    write_beir(tmp_path / "data")
    hash_project(tmp_path).close()
    with WordWorkspace.open(tmp_path) as workspace:
        yield workspace


def mine(project: HashWorkspace, *, train: dict[str, Any] | None = None, **given: Any) -> MinedFile:
    negatives = {"sources": "mixed", "model": "v1", "number": 2, **given}
    settings = TrainSettings.model_validate({"negatives": negatives, **(train or {})})
    return mine_file(project, settings, project.settings.root / "mined.jsonl")


def test_the_file_is_what_training_reads(project: HashWorkspace) -> None:
    done = mine(project)
    rows = read_examples(done.path)
    assert len(rows) == done.report.rows == 240
    assert {len(row.negatives) for row in rows} == {2}
    assert not list((project.settings.home / "mined").glob("corpus-*"))


def test_judged_queries_are_held_back(project: HashWorkspace) -> None:
    judgements = [project.judgements(split) for split in ("dev", "test")]
    judged = {query.text for found in judgements if found for query in found.queries}
    pairs = project.settings.root / "pairs.jsonl"
    texts = [*sorted(judged)[:3], "apple of my own"]
    pairs.write_text(
        "".join(json.dumps({"query": t, "positive": "fabric iron"}) + "\n" for t in texts)
    )
    done = mine(project, train={"pairs": pairs})
    assert done.held_out == 3
    assert [row.anchor for row in read_examples(done.path)] == ["apple of my own"]


def test_positives_that_sampling_left_out_are_no_negatives(project: HashWorkspace) -> None:
    pairs = project.settings.root / "pairs.jsonl"
    answers = ["fabric iron", "fabric jacket", "fabric kitchen", "fabric ladder"]
    rows = [{"query": "all of fabric", "positive": text} for text in answers]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = mine(project, train={"pairs": pairs, "max_pairs": 1}, relative_margin=None, number=8)
    (row,) = read_examples(done.path)
    assert set(row.negatives).isdisjoint(answers)


def test_the_same_content_is_mined_once(project: HashWorkspace) -> None:
    first = mine(project)
    rows = first.path.read_text()
    embedded = project.embedded
    again = mine(project)
    assert again.report.cached
    assert again.path.read_text() == rows
    assert project.embedded == embedded
    assert again.report.taken == first.report.taken
    assert again.report.suspects == first.report.suspects


@pytest.mark.parametrize("change", ["corpus", "model", "settings", "pairs"])
def test_other_content_is_mined_anew(project: HashWorkspace, change: str) -> None:
    mine(project)
    given: dict[str, Any] = {}
    if change == "corpus":
        with (project.settings.root / "data" / "corpus.jsonl").open("a") as out:
            out.write(json.dumps({"_id": "new", "title": "", "text": "something new"}) + "\n")
    elif change == "model":
        given = {"model": "v2"}
    elif change == "settings":
        given = {"depth": 49}
    else:
        given = {"train": {"max_pairs": 100}}
    assert not mine(project, **given).report.cached


def test_a_damaged_mining_is_mined_anew(project: HashWorkspace) -> None:
    mine(project)
    (kept,) = (project.settings.home / "mined").glob("*.mined.gz")
    kept.write_bytes(kept.read_bytes()[:200])
    assert not mine(project).report.cached
    assert mine(project).report.cached


def test_kept_minings_stay_within_their_bound(project: HashWorkspace) -> None:
    folder = project.settings.home / "mined"
    mine(project)
    (kept,) = folder.glob("*.mined.gz")
    kept.write_bytes(b"x" * 2_000_000)
    mine(project, depth=20, cache_mb=1)
    assert kept not in set(folder.glob("*.mined.gz"))


def test_only_new_texts_are_embedded_for_another_mining(project: HashWorkspace) -> None:
    mine(project)
    before = project.embedded
    assert before >= 400
    mine(project, depth=20)
    assert project.embedded == before  # vectors are kept by encoding


def test_without_a_source_it_says_what_to_choose(project: HashWorkspace) -> None:
    with pytest.raises(ConfigError, match="No source of negatives"):
        mine(project, sources="none")


def test_the_command_shows_sources_refusals_and_examples(tmp_path: Path) -> None:
    write_beir(tmp_path / "data")
    hash_project(tmp_path).close()
    shown = run(
        tmp_path, "data", "mine", "--negatives", "bm25,random", "--relative-margin", "none",
        "--number", "2", "--output", str(tmp_path / "out.jsonl"),
    ).stdout  # fmt: skip
    assert "240 of 240 pairs, negatives for each: 2" in shown
    assert "random" in shown
    found = run_json(
        tmp_path, "data", "mine", "--negatives", "bm25", "--relative-margin", "none",
        "--output", str(tmp_path / "out.jsonl"),
    )  # fmt: skip
    assert found["report"]["rows"] == 240


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [("--negatives", "bm26", "--negatives"), ("--number", "0", "--number"),
     ("--relative-margin", "2", "--relative-margin")],
)  # fmt: skip
def test_a_wrong_option_is_told_by_its_name(
    tmp_path: Path, option: str, value: str, told: str
) -> None:
    write_beir(tmp_path / "data")
    hash_project(tmp_path).close()
    output = str(tmp_path / "out.jsonl")
    done = run(tmp_path, "data", "mine", "--output", output, option, value, code=2)
    assert told in done.stderr


# -- killed

ROOT = Path(__file__).parents[2]


def start(project: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.kill_mining", str(project)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def embedded(lines: Iterable[str]) -> list[str]:
    return [line.split(" ", 1)[1] for line in lines if line.startswith("embedded")]


def test_a_mining_that_was_killed_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    write_beir(tmp_path / "data")
    hash_project(tmp_path).close()
    first = start(tmp_path)
    assert first.stdout is not None
    seen = []
    for line in first.stdout:
        seen.append(line)
        if len(seen) == 300:  # past the first block, which is kept
            break
    first.kill()
    first.wait()
    first.stdout.close()
    assert not (tmp_path / "mined.jsonl").exists()
    again = start(tmp_path)
    rest, _ = again.communicate(timeout=120)
    assert again.returncode == 0
    assert len(set(embedded(rest.splitlines()))) <= 400 - 256
    rows = (tmp_path / "mined.jsonl").read_text()
    (tmp_path / "fresh").mkdir()
    write_beir(tmp_path / "fresh" / "data")
    hash_project(tmp_path / "fresh").close()
    straight = start(tmp_path / "fresh")
    straight.communicate(timeout=120)
    assert (tmp_path / "fresh" / "mined.jsonl").read_text() == rows
    assert not list((tmp_path / ".reindex" / "mined").glob("corpus-*"))  # the killed one's, too
