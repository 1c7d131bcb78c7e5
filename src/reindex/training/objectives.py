"""Objectives: a set of training data, the loss that is lowered on it, and how often it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from reindex.corpus.training_sets import RowKind, TrainingSet, texts_of
from reindex.errors import DataError
from reindex.losses import Choice, choose_loss
from reindex.records import LabelledPair, LabelledText, ScoredPair, TrainingExample, query_hash
from reindex.training import data
from reindex.training.batching import Keys, NoDuplicateBatches
from reindex.training.phases import PhasedBatches, in_phases
from reindex.training.sampling import Batches, ClassBatches, InterleavedBatches
from reindex.training.uneven import groups_of


@dataclass(frozen=True, slots=True)
class Objective:
    """What a training lowers on one set of data.

    Attributes:
        data: rows of one kind.
        loss: a name of `reindex.losses.LOSSES`; None: the one for this kind of data.
        weight: how often an epoch goes through the data: 1: once, 0.5: through half of it.
        dev: rows of the same kind that measure it, never trained on.
        teacher: digest of the model whose scores the rows bring, where it is known.
    """

    data: TrainingSet
    loss: str | None = None
    weight: float = 1.0
    dev: TrainingSet | None = None
    teacher: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """An objective, checked and laid out.

    Attributes:
        name: unlike those of the others.
        columns: texts by column, in the loss's order, then ``label`` where it wants one.
        keys: per row, what must not be twice in a batch; empty where nothing must.
        groups: per row its class, where a batch needs several rows of a class.
        classes: the labels, in the order of their numbers.
        phases: of a curriculum: the columns hold every row so often, see `in_phases`.
        teacher: as the objective says.
    """

    name: str
    choice: Choice
    data: TrainingSet
    columns: dict[str, list[Any]]
    keys: Sequence[Keys]
    weight: float = 1.0
    dev: TrainingSet | None = None
    groups: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    phases: int = 1
    teacher: str = ""

    @property
    def rows(self) -> int:
        """That an epoch goes through."""
        return len(self.keys) // self.phases

    @property
    def negatives(self) -> int:
        """Per row."""
        return sum(column.startswith("negative_") for column in self.columns)


def as_objectives(
    given: Sequence[TrainingExample] | Sequence[Objective], loss: str | None
) -> list[Objective]:
    """Objectives as they are; plain examples as the only one.

    ``loss`` is what objectives get that name none.
    """
    examples = [item for item in given if isinstance(item, TrainingExample)]
    objectives = [item for item in given if isinstance(item, Objective)]
    if examples and objectives:
        raise DataError("Expected training examples or objectives, got both in one list.")
    if objectives:
        return [replace(item, loss=item.loss or loss) for item in objectives]
    kind: RowKind = "triplets" if any(item.negatives for item in examples) else "pairs"
    return [Objective(TrainingSet(kind, tuple(examples)), loss)]


def lay_out(
    objectives: Sequence[Objective],
    *,
    temperature: float,
    phases: int = 1,
    batch_size: int = 64,
    processes: int = 1,
) -> list[Task]:
    """Choose every objective's loss, check that it fits its data, and lay the data out.

    Rows with unequal numbers of negatives become a task for each number, see `groups_of`.
    ``phases``: of a curriculum; of several objectives those with negatives take part in it.

    Raises:
        DataError: no rows, a loss that does not take its data, or rows it cannot use.
    """
    names = _names(objectives)
    tasks: list[Task] = []
    for name, objective in zip(names, objectives, strict=True):
        if phases > 1 and _grows(objective, objectives):
            tasks.append(_lay_out(name, objective, temperature, phases))
        else:
            tasks += _evened(name, objective, temperature, (batch_size, processes))
    return tasks


def _names(objectives: Sequence[Objective]) -> list[str]:
    """Each set's own name or its kind; numbered where two are alike."""
    wanted = [item.data.name or item.data.kind for item in objectives]
    return [
        name if wanted.count(name) == 1 else f"{name} ({wanted[:place].count(name) + 1})"
        for place, name in enumerate(wanted)
    ]


def _grows(objective: Objective, all_of_them: Sequence[Objective]) -> bool:
    return len(all_of_them) == 1 or objective.data.kind == "triplets"


def _evened(
    name: str, objective: Objective, temperature: float, batches: tuple[int, int]
) -> list[Task]:
    """A task for each number of negatives; dev rows measure them all, once."""
    rows = [row for row in objective.data.rows if isinstance(row, TrainingExample)]
    choice = _choice(objective)
    if len({len(row.negatives) for row in rows}) < 2 or choice.loss.name == "triplet":
        return [_lay_out(name, objective, temperature, 1)]
    made: list[Task] = []
    for group in groups_of(rows, *batches, required=choice.loss.negatives == "required"):
        data = replace(objective.data, rows=group.rows, lines=(), weights=())
        part = replace(objective, data=data, dev=None if made else objective.dev)
        called = f"{name}, {group.negatives} negatives" if made else name
        task = _lay_out(called, part, temperature, 1)
        made.append(_told(task, group.told))
    return made


def _told(task: Task, what: str) -> Task:
    """The task with something more for people to know."""
    reason = f"{task.choice.reason}; {what}"
    return replace(task, choice=replace(task.choice, reason=reason))


def _choice(objective: Objective) -> Choice:
    data = objective.data
    if not data.rows:
        raise DataError("Expected training examples, got none.")
    return choose_loss(data.kind, objective.loss, scored=_has_scores(data.rows), name=data.name)


def _lay_out(name: str, objective: Objective, temperature: float, phases: int) -> Task:
    rows = objective.data.rows
    choice = _choice(objective)
    task = Task(
        name, choice, objective.data, {}, [frozenset()] * len(rows), objective.weight,
        objective.dev, teacher=objective.teacher,
    )  # fmt: skip
    if examples := [row for row in rows if isinstance(row, TrainingExample)]:
        laid = in_phases(examples, phases)
        return replace(_retrieval(task, laid, temperature), phases=phases)
    return _LAYOUTS[type(rows[0])](task)


def _has_scores(rows: Sequence[Any]) -> bool:
    return all(isinstance(row, TrainingExample) and bool(row.scores) for row in rows)


# -- queries with documents


def _retrieval(task: Task, rows: list[TrainingExample], temperature: float) -> Task:
    loss = task.choice.loss
    if loss.name == "triplet":
        bare = sum(not row.negatives for row in rows)
        task = _told(task, f"{bare:,} rows had no negative and were left out") if bare else task
        rows = [
            TrainingExample(row.anchor, row.positive, (negative,))
            for row in rows
            for negative in row.negatives
        ]
    columns: dict[str, list[Any]] = dict(data.to_columns(rows))
    if loss.teacher:
        columns["label"] = teacher_scores(rows, loss.name, temperature)
    keys: Sequence[Keys] = [frozenset()] * len(rows)
    if loss.in_batch:
        keys = data.row_keys(rows)
    return replace(task, columns=columns, keys=keys)


def teacher_scores(
    rows: Sequence[TrainingExample], loss: str, temperature: float
) -> list[list[float]]:
    """A teacher's scores in the unit that a loss compares: cosine, or logits for ``kl``.

    Scores that all lie in -1…1 are taken for similarities, others for logits, as cross-encoders
    give them; one is the other times the temperature, as in the softmax of in-batch training.

    Raises:
        DataError: a row has not a score for its positive and each of its negatives.
    """
    wrong = next((row for row in rows if len(row.scores) != 1 + len(row.negatives)), None)
    if wrong is not None:
        raise DataError(
            f"Expected a teacher's score for the positive and each negative "
            f"({1 + len(wrong.negatives)}), got {len(wrong.scores)} for {wrong.anchor[:80]!r}."
        )
    similar = all(abs(score) <= 1 for row in rows for score in row.scores)
    wanted = "logits" if loss == "kl" else "cosine"
    factor = {("logits", True): 1 / temperature, ("cosine", False): temperature}.get(
        (wanted, similar), 1.0
    )
    return [[score * factor for score in row.scores] for row in rows]


def nli_examples(rows: Sequence[LabelledPair]) -> list[TrainingExample]:
    """Entailed texts as positives of their premise, contradicted ones as hard negatives.

    As sentence-transformers trains on AllNLI (after Gao et al. 2021, SimCSE, arXiv:2104.08821).
    Where half of the entailments or more have a contradiction to go with, the others are left
    out, because every row brings as many negatives; else none brings any.

    Raises:
        DataError: nothing is entailed.
    """
    against: dict[str, list[str]] = {}
    for row in rows:
        if row.label == "contradiction":
            against.setdefault(row.first, []).append(row.second)
    made: list[TrainingExample] = []
    for row in rows:
        if row.label == "entailment":
            found = against.get(row.first, [])
            negatives = (found[len(made) % len(found)],) if found else ()
            made.append(TrainingExample(row.first, row.second, negatives))
    if not made:
        raise DataError(
            "Expected rows of label 'entailment' to make pairs of, got none. The loss softmax "
            "takes any labels."
        )
    triplets = [row for row in made if row.negatives]
    if 2 * len(triplets) >= len(made):
        return triplets
    return [TrainingExample(row.anchor, row.positive) for row in made]


# -- pairs and texts with scores or labels


def _scored(task: Task) -> Task:
    rows = [row for row in task.data.rows if isinstance(row, ScoredPair)]
    return replace(task, columns=_pair_columns(rows) | {"label": [row.score for row in rows]})


def _pair_columns(rows: Sequence[ScoredPair] | Sequence[LabelledPair]) -> dict[str, list[Any]]:
    return {"first": [row.first for row in rows], "second": [row.second for row in rows]}


def _labelled(task: Task) -> Task:
    rows = [row for row in task.data.rows if isinstance(row, LabelledPair)]
    name = task.choice.loss.name
    if name not in ("softmax", "contrastive"):
        return _retrieval(task, nli_examples(rows), 1.0)
    labels = _classes([row.label for row in rows])
    if name == "contrastive" and not {*labels} <= {"0", "1"}:
        raise DataError(
            f"The loss contrastive wants the labels 0 and 1, got {', '.join(labels[:5])}. "
            "The loss softmax takes any."
        )
    numbers = _numbers([row.label for row in rows], labels)
    return replace(task, columns=_pair_columns(rows) | {"label": numbers}, classes=labels)


def _classed(task: Task) -> Task:
    rows = [row for row in task.data.rows if isinstance(row, LabelledText)]
    labels = _classes([row.label for row in rows])
    numbers = _numbers([row.label for row in rows], labels)
    columns: dict[str, list[Any]] = {"text": [row.text for row in rows], "label": numbers}
    return replace(task, columns=columns, classes=labels, groups=tuple(row.label for row in rows))


def _classes(found: Sequence[str]) -> tuple[str, ...]:
    labels = tuple(sorted(set(found)))
    if len(labels) < 2:
        raise DataError(f"Expected at least two labels to tell apart, got only {labels[0]!r}.")
    return labels


def _numbers(found: Sequence[str], labels: Sequence[str]) -> list[int]:
    number_of = {label: number for number, label in enumerate(labels)}
    return [number_of[label] for label in found]


_LAYOUTS = {ScoredPair: _scored, LabelledPair: _labelled, LabelledText: _classed}


# -- all of them together


def query_hashes(tasks: Sequence[Task]) -> list[str]:
    """`query_hash` of every text that may be a judged query, sorted: for leakage checks."""
    return sorted(
        {
            query_hash(text)
            for task in tasks
            for row in task.data.rows
            for text in ([row.anchor] if isinstance(row, TrainingExample) else texts_of(row))
        }
    )


def make_batches(
    tasks: Sequence[Task], batch_size: int, seed: int, processes: int, *, epochs: float = 1.0
) -> Batches:
    """The batches of all tasks: the only task's own, or those of several, mixed by weight.

    ``epochs``: of the whole training, for those that have phases.

    Raises:
        DataError: a task's rows make no batch.
    """
    made = [_batches(task, batch_size, seed, processes, epochs) for task in tasks]
    if len(made) == 1:
        return made[0]
    weighted = [(batches, task.weight) for batches, task in zip(made, tasks, strict=True)]
    sizes = [len(task.keys) for task in tasks]
    return InterleavedBatches(weighted, sizes, seed, processes=processes)


def _batches(task: Task, batch_size: int, seed: int, processes: int, epochs: float) -> Batches:
    if task.phases > 1:
        passes = epochs * task.weight
        return PhasedBatches(
            task.keys, batch_size, seed, phases=task.phases, epochs=passes, processes=processes
        )
    if task.groups:
        return ClassBatches(task.groups, batch_size, seed, processes=processes)
    return NoDuplicateBatches(task.keys, batch_size, seed, processes=processes)
