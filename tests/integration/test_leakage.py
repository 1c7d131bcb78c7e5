"""A leak planted in the training lineage is found, named, and stops a promotion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from reindex.config import GateSettings
from reindex.evaluation.figures import figures
from reindex.gate.defaults import default_conditions
from reindex.records import Judgements, Query, TrainingExample, query_hash
from reindex.registry.lineage import Lineage
from reindex.stages.building import build
from reindex.stages.leaking import leakage, near_judged, sketches_of
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.made_comparison import made_comparison, steps

TEXTS = [f"the whole long text of the document with the number {number}" for number in range(30)]
JUDGED = Judgements(
    tuple(
        Query(f"q{number}", f"which one of them holds the famous number {number} then")
        for number in range(10)
    ),
    {f"q{number}": {f"d{number}": 1} for number in range(10)},
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    """v1 and v2 are built; v3 is fine-tuned from v4, which is fine-tuned from v1."""
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        for base in ("v4", "v1"):
            workspace.registry.add_version(base=base, kind="fine-tuned", recipe={})
        yield workspace


def trained(
    project: HashWorkspace, version: str, pairs: Sequence[tuple[str, str]], *, hashes: bool = True
) -> None:
    examples = [TrainingExample(*pair) for pair in [*pairs, ("something else", "entirely")]]
    for role, sketches in sketches_of(examples).items():
        Lineage(project.registry).record(version, role, sketches)
    if hashes:
        project.registry.record_training_queries(
            version, [query_hash(item.anchor) for item in examples]
        )


def test_the_same_query_a_near_one_and_an_answer_are_told_apart(project: HashWorkspace) -> None:
    near = JUDGED.queries[1].text.replace("which one", "WHICH, one") + "?"
    trained(
        project,
        "v3",
        [(JUDGED.queries[0].text, "a"), (near, "b"), ("who knows", TEXTS[2]), ("x", "y")],
    )
    trained(project, "v4", [])
    found = leakage(project, "v3", JUDGED, "docs--v1")
    assert found.versions == ("v3", "v4")
    assert [leak.query for leak in found.exact] == ["q0"]
    assert found.near is not None
    assert [leak.query for leak in found.near] == ["q1"]
    assert found.positives is not None
    assert [leak.query for leak in found.positives] == ["q2"]


def test_what_a_base_was_trained_on_counts(project: HashWorkspace) -> None:
    trained(project, "v3", [])
    trained(project, "v4", [(JUDGED.queries[4].text, "a")])
    (leak,) = leakage(project, "v3", JUDGED, "docs--v1").exact
    assert (leak.query, leak.version) == ("q4", "v4")


def test_a_query_that_a_training_had_as_an_answer_is_a_leak(project: HashWorkspace) -> None:
    trained(project, "v3", [("a title", JUDGED.queries[5].text)])
    trained(project, "v4", [])
    found = leakage(project, "v3", JUDGED, "docs--v1")
    assert found.near is not None
    assert [leak.query for leak in found.near] == ["q5"]


def test_a_model_that_was_not_trained_here_leaks_nothing(project: HashWorkspace) -> None:
    found = leakage(project, "v1", JUDGED, "docs--v1")
    assert (found.versions, found.exact, found.near, found.positives) == ((), (), (), ())


def test_a_lineage_without_sketches_tells_the_exact_ones_alone(project: HashWorkspace) -> None:
    project.registry.record_training_queries("v3", [query_hash(JUDGED.queries[0].text)])
    found = leakage(project, "v3", JUDGED, "docs--v1")
    assert len(found.exact) == 1
    assert (found.near, found.positives) == (None, None)


def test_a_leak_stops_a_promotion_and_is_named(project: HashWorkspace) -> None:
    trained(project, "v3", [(JUDGED.queries[1].text + " then then", TEXTS[2])])
    trained(project, "v4", [])
    report = leakage(project, "v3", JUDGED, "docs--v1")
    made = made_comparison(*steps(40, 4), leakage=report)
    gate = GateSettings(max_leaked_positives=0.05)
    told = {item.name: item for item in default_conditions(gate, figures(made))}
    assert told["near leakage"].verdict == "fail"
    assert JUDGED.queries[1].text in told["near leakage"].figure
    assert told["leaked answers"].verdict == "fail"
    assert told["leaked answers"].figure.startswith("10.0 %.")
    lenient = {
        item.name: item.verdict for item in default_conditions(GateSettings(), figures(made))
    }
    assert lenient["leaked answers"] == "pass"


def test_training_leaves_near_duplicates_of_judged_queries_out() -> None:
    near = "Then: which one of them holds the famous number 3"
    examples = [TrainingExample(near, "a"), TrainingExample("which number", "b")]
    assert near_judged(examples, {query.text for query in JUDGED.queries}) == {near}
