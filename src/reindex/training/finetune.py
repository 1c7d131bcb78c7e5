"""Fine-tuning: a base model and training examples -> a checkpoint and its lineage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reindex.protocols import Progress, no_progress
from reindex.records import TrainingExample
from reindex.training import averaging, rotation
from reindex.training.adapters import quantization
from reindex.training.base import load_base
from reindex.training.devset import DevSet
from reindex.training.lighter import check_length
from reindex.training.lineage import fixed_part, trace
from reindex.training.measures import HeldOut
from reindex.training.memory import keep_freed_memory
from reindex.training.objectives import Objective, as_objectives, lay_out, make_batches
from reindex.training.prompts import prompts_of, with_prompts
from reindex.training.ranks import from_leader, leads, processes
from reindex.training.results import TrainResult
from reindex.training.runs import RunFolder
from reindex.training.session import Session

if TYPE_CHECKING:
    from reindex.config import TrainSettings

__all__ = ["TrainResult", "fine_tune"]


def fine_tune(
    settings: TrainSettings,
    examples: Sequence[TrainingExample] | Sequence[Objective],
    held: HeldOut | DevSet | None,
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
        examples: rows with negatives or (often) without, or objectives of any kinds.
        held: a dev set chooses the checkpoint; general sets, beside it, measure forgetting.
            Without dev rows of any kind the last checkpoint is taken.
        run_dir: keeps checkpoints and, in ``model/``, the result.
        base: what `resolve_base` takes.
        progress: stages ``train`` (steps), ``evaluate`` (evaluations), ``average`` (models) and
            ``rotate`` (steps).
        resume: False removes what an earlier training left in ``run_dir``.
        on_evaluation: told the step and the metrics after each evaluation; what it raises ends
            the training.

    Raises:
        DataError: no usable examples, or a loss that does not take its data.
        ConfigError: settings that contradict each other or the data.
        ModelError: the base cannot be had, the training diverged, or ``run_dir`` holds a training
            with other settings or data.
        MissingExtra: the [train] extra is not installed.
        KeyboardInterrupt: Ctrl-C; the message says how to go on.
    """
    settings = with_prompts(settings, base)
    tasks = lay_out(
        as_objectives(examples, settings.loss),
        temperature=settings.temperature,
        phases=settings.negatives.phases,
        batch_size=settings.batch_size,
        processes=processes(),
    )
    held = held if isinstance(held, HeldOut) else HeldOut(held)
    measured = held.dev is not None or any(task.dev is not None for task in tasks)
    averaging.check(settings.averaging, measured=measured, general=bool(held.general))
    batches = make_batches(
        tasks, settings.batch_size, settings.seed, processes(), epochs=settings.epochs
    )
    model = load_base(
        base,
        max_length=settings.max_length,
        prompts=prompts_of(settings, base),
        quantization=quantization(settings.lora),
        pooling=settings.pooling,
    )
    lineage = trace(settings, tasks, held, base, model)
    check_length(settings.training_length, lineage["max_length"])
    if settings.rotate:
        rotation.check(model, lineage["matryoshka_dims"], [task.data for task in tasks])
    run = from_leader(lambda: RunFolder.open(run_dir, fixed_part(lineage), resume=resume))
    run.writes = leads()
    if "result" in run.notes and run.model.is_dir():
        return TrainResult.from_dict(run.notes["result"], run.model)
    if model.device.type == "cpu":
        keep_freed_memory()
    session = Session(settings, run, lineage, progress, on_evaluation)
    trainer = session.train(model, tasks, batches, held.dev)
    return from_leader(lambda: session.finish(trainer, base, held))
