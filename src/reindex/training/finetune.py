"""Fine-tuning: a base model and training examples -> a checkpoint and its lineage."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reindex.errors import ModelError
from reindex.protocols import Progress, no_progress
from reindex.records import TrainingExample
from reindex.training.base import load_base, save_checkpoint
from reindex.training.callbacks import SAVE_EVERY, Conductor, make_callbacks
from reindex.training.devset import METRICS, DevSet, evaluate, make_evaluator, read_metrics
from reindex.training.libraries import load, quiet
from reindex.training.lighter import check_length, cut_at, set_dropout
from reindex.training.lineage import fixed_part, trace
from reindex.training.losses import Needs, make_loss
from reindex.training.memory import keep_freed_memory
from reindex.training.objectives import Objective, Task, as_objectives, lay_out, make_batches
from reindex.training.ranks import from_leader, leads, processes
from reindex.training.runs import RunFolder
from reindex.training.sampling import Batches
from reindex.training.trainer import frozen, make_trainer

if TYPE_CHECKING:
    from reindex.config import TrainSettings


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training gave.

    ``checkpoint`` is a sentence-transformers folder: the best model by nDCG@10 on dev, or the
    last one without a dev set; ``best_is_base`` says that no checkpoint beat the base, so that
    the base itself was kept. ``history`` has an entry per evaluation (``step``, ``epoch`` and the
    metrics) and, with ``loss``, per logged stretch. ``lineage`` is all that decides the result.
    """

    checkpoint: Path
    dim: int
    matryoshka_dims: tuple[int, ...]
    max_length: int
    examples: int
    steps: int
    seconds: float
    metrics_before: Mapping[str, float]
    metrics_after: Mapping[str, float]
    history: tuple[Mapping[str, float], ...]
    lineage: Mapping[str, Any]
    best_is_base: bool

    def as_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {**values, "checkpoint": str(self.checkpoint)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], checkpoint: Path) -> TrainResult:
        """Back from JSON; ``checkpoint`` as it lies now."""
        lists = {name: tuple(content[name]) for name in ("matryoshka_dims", "history")}
        return cls(**{**content, **lists, "checkpoint": checkpoint})


def fine_tune(
    settings: TrainSettings,
    examples: Sequence[TrainingExample] | Sequence[Objective],
    dev: DevSet | None,
    run_dir: Path,
    *,
    base: str,
    progress: Progress = no_progress,
    resume: bool = True,
    on_evaluation: Callable[[Mapping[str, float]], None] | None = None,
) -> TrainResult:
    """Fine-tune ``base`` on ``examples``: each set's loss in MatryoshkaLoss, best by dev.

    A training that was killed or interrupted goes on from its last checkpoint when called again
    with the same arguments, through the same batches; a finished one is returned as it is.

    Args:
        settings: the ``[train]`` section.
        examples: rows with equal numbers of negatives (often none), or objectives of any kinds.
        dev: chooses the checkpoint; None: the last one is taken.
        run_dir: keeps checkpoints and, in ``model/``, the result.
        base: what `resolve_base` takes.
        progress: stages ``train`` (steps) and ``evaluate`` (evaluations).
        resume: False removes what an earlier training left in ``run_dir``.
        on_evaluation: told the step and the metrics after each evaluation; what it raises ends
            the training.

    Raises:
        DataError: no usable examples, rows with different numbers of negatives, or a loss that
            does not take its data.
        ModelError: the base cannot be had, the training diverged, or ``run_dir`` holds a training
            with other settings or data.
        MissingExtra: the [train] extra is not installed.
        KeyboardInterrupt: Ctrl-C; the message says how to go on.
    """
    tasks = lay_out(as_objectives(examples, settings.loss), temperature=settings.temperature)
    batches = make_batches(tasks, settings.batch_size, settings.seed, processes())
    model = load_base(
        base,
        max_length=settings.max_length,
        prompts=(settings.query_prompt, settings.document_prompt),
    )
    lineage = trace(settings, tasks, dev, base, model)
    check_length(settings.training_length, lineage["max_length"])
    run = from_leader(lambda: RunFolder.open(run_dir, fixed_part(lineage), resume=resume))
    run.writes = leads()
    if "result" in run.notes and run.model.is_dir():
        return TrainResult.from_dict(run.notes["result"], run.model)
    if model.device.type == "cpu":
        keep_freed_memory()
    session = _Session(settings, run, lineage, progress, on_evaluation)
    trainer = session.train(model, tasks, batches, dev)
    return from_leader(lambda: session.finish(trainer, base))


@dataclass
class _Session:
    """One call of `fine_tune`: from the run's last checkpoint to its end."""

    settings: TrainSettings
    run: RunFolder
    lineage: dict[str, Any]
    progress: Progress
    on_evaluation: Callable[[Mapping[str, float]], None] | None = None

    def __post_init__(self) -> None:
        self._started = time.monotonic()
        self._earlier = float(self.run.notes.get("seconds", 0.0))

    @property
    def seconds(self) -> float:
        """Of work on this run so far, over all calls."""
        return self._earlier + time.monotonic() - self._started

    def train(
        self,
        model: Any,
        tasks: Sequence[Task],
        batches: Batches,
        dev: DevSet | None,
    ) -> Any:
        """Train to the end (or to Ctrl-C) and return the trainer."""
        rows, length = 32 if model.device.type == "cpu" else 256, self.lineage["max_length"]
        evaluator = None if dev is None else make_evaluator(dev, batch_size=rows, length=length)
        self._measure_base(model, evaluator)
        if self.settings.dropout is not None:
            set_dropout(model, self.settings.dropout)
        conductor = Conductor(
            evaluations=0 if dev is None else self.settings.evaluations,
            progress=self.progress,
            on_save=lambda: self.run.note(seconds=self.seconds),
            save_every=SAVE_EVERY if processes() == 1 else math.inf,
            on_evaluation=self.on_evaluation,
        )
        last = from_leader(self.run.last_checkpoint)
        with quiet(), cut_at(model, self.settings.training_length):
            trainer = make_trainer(
                model,
                self._losses(model, tasks),
                [task.columns for task in tasks],
                batches,
                settings=self.settings,
                folder=self.run.path,
                evaluator=evaluator,
                callbacks=make_callbacks(
                    conductor, patience=None if dev is None else self.settings.patience
                ),
            )
            self._run(trainer, conductor, last)
        return trainer

    def _losses(self, model: Any, tasks: Sequence[Task]) -> list[Any]:
        load("transformers").set_seed(self.settings.seed)  # of weights that losses have
        made = []
        for task in tasks:
            needs = Needs(
                model,
                self.lineage["matryoshka_dims"],
                negatives=task.negatives,
                classes=len(task.classes),
                guide=self._guide,
            )
            made.append(make_loss(task.choice.loss, needs, self.settings))
        return made

    def _guide(self) -> Any:
        """The model that tells false negatives: as long texts and the same prompts as ours."""
        length, (query, document) = self.lineage["max_length"], self.lineage["prompts"]
        spec = self.settings.guide or self.lineage["base"]
        return frozen(load_base(spec, max_length=length, prompts=(query, document)))

    def _run(self, trainer: Any, conductor: Conductor, last: Path | None) -> None:
        try:
            with conductor.holding_interrupts():
                trainer.train(resume_from_checkpoint=None if last is None else str(last))
            if conductor.interrupted:
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"Interrupted at training step {trainer.state.global_step} of "
                f"{trainer.state.max_steps}. The same command goes on from the last checkpoint "
                f"in {self.run.path}."
            ) from None

    def _measure_base(self, model: Any, evaluator: Any) -> None:
        if leads() and evaluator is not None and "before" not in self.run.notes:
            self.progress("evaluate", 0, None)
            self.run.note(before=evaluate(model, evaluator))

    def finish(self, trainer: Any, base: str) -> TrainResult:
        """Save the best model, then write the result down, then drop the checkpoints."""
        before = self.run.notes.get("before", {})
        history = _history(trainer.state.log_history)
        best = max((entry for entry in history if METRICS[0] in entry), key=_score, default={})
        best_is_base = bool(before) and _score(before) >= _score(best)
        self._save(base if best_is_base else self._checkpoint(best))
        fixed = {name: self.lineage[name] for name in ("dim", "max_length", "examples")}
        result = TrainResult(
            **fixed,
            checkpoint=self.run.model,
            matryoshka_dims=tuple(self.lineage["matryoshka_dims"]),
            steps=trainer.state.global_step,
            seconds=round(self.seconds, 3),
            metrics_before=before,
            metrics_after=before if best_is_base else _metrics(best),
            history=history,
            lineage=self.lineage,
            best_is_base=best_is_base,
        )
        self.run.note(result=result.as_dict(), seconds=result.seconds)
        self.run.drop_checkpoints()
        return result

    def _checkpoint(self, best: Mapping[str, float]) -> str:
        """The checkpoint of the best evaluation; the last one where there was none."""
        folder = self.run.last_checkpoint()
        if best:
            folder = self.run.path / f"checkpoint-{best['step']}"
        if folder is None or not folder.is_dir():
            raise ModelError(
                f"Expected the best checkpoint at {folder}, found none. Did something else clean "
                f"{self.run.path}? Start anew (resume=False)."
            )
        return str(folder)

    def _save(self, source: str) -> None:
        length, (query, document) = self.lineage["max_length"], self.lineage["prompts"]
        save_checkpoint(
            load_base(source, max_length=length, prompts=(query, document)), self.run.model
        )


def _score(metrics: Mapping[str, float]) -> float:
    return metrics.get(METRICS[0], float("-inf"))


def _metrics(entry: Mapping[str, float]) -> dict[str, float]:
    return {name: entry[name] for name in METRICS if name in entry}


def _history(log: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], ...]:
    """The trainer's log, evaluations and losses, in our words."""
    entries = []
    for item in log:
        entry = {"step": item["step"], "epoch": round(float(item.get("epoch") or 0.0), 4)}
        if f"eval_cosine_{METRICS[0]}" in item:
            entries.append(entry | read_metrics(item, "eval_"))
        elif "loss" in item:
            entries.append(entry | {"loss": float(item["loss"])})
    return tuple(entries)
