"""One call of a training: from its run's last checkpoint to its end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reindex.corpus.training_sets import TrainingSet
from reindex.errors import ModelError
from reindex.protocols import Progress
from reindex.training import adapters
from reindex.training.averaging import Average, Averaged, average
from reindex.training.base import load_base, save_checkpoint
from reindex.training.callbacks import SAVE_EVERY, Conductor, make_callbacks
from reindex.training.devset import DevSet
from reindex.training.freezing import freeze
from reindex.training.libraries import load, quiet
from reindex.training.lighter import cut_at, set_dropout
from reindex.training.lineage import weights_hash
from reindex.training.losses import Needs, is_cached, make_loss
from reindex.training.measures import HeldOut, Measures, measure_of, retrieval
from reindex.training.objectives import Task
from reindex.training.passes import Passes, passes_of
from reindex.training.ranks import from_leader, leads, processes
from reindex.training.results import TrainResult
from reindex.training.rotation import Rotated, rotate
from reindex.training.runs import RunFolder
from reindex.training.sampling import Batches
from reindex.training.speed import Speed, clock
from reindex.training.trainer import compile_layers, frozen, has_bf16, make_trainer

if TYPE_CHECKING:
    from reindex.config import TrainSettings


@dataclass
class Session:
    """One call of `fine_tune`."""

    settings: TrainSettings
    run: RunFolder
    lineage: dict[str, Any]
    progress: Progress
    on_evaluation: Callable[[Mapping[str, float]], None] | None = None

    def __post_init__(self) -> None:
        self._started = time.monotonic()
        self._earlier = float(self.run.notes.get("seconds", 0.0))
        self._measures = Measures(())
        self._speed = Speed()
        self._sets: list[TrainingSet] = []

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
        settings = self.settings
        self._sets = [task.data for task in tasks]
        load("transformers").set_seed(settings.seed)  # of weights that losses and adapters have
        if settings.lora.rank:
            adapters.attach(model, settings.lora)
        if settings.freeze_layers is not None:
            freeze(model, settings.freeze_layers)
        self._speed = Speed(model.device)
        losses = self._losses(model, tasks, self._passes(model, tasks))
        self._measures = self._measured_by(tasks, losses, dev, model.device.type)
        self._measure_base(model)
        if settings.dropout is not None:
            set_dropout(model, settings.dropout)
        if settings.compile and model.device.type == "cuda":  # packed layers run one by one
            compile_layers(model)
        measured = bool(self._measures.parts)
        conductor = Conductor(
            evaluations=settings.evaluations if measured else 0,
            progress=self.progress,
            on_save=lambda: self.run.note(seconds=self.seconds),
            save_every=SAVE_EVERY if processes() == 1 else math.inf,
            on_evaluation=self._evaluated,
        )
        last = from_leader(self.run.last_checkpoint)
        with quiet(), cut_at(model, settings.training_length):
            trainer = make_trainer(
                model,
                losses,
                [task.columns for task in tasks],
                batches,
                settings=settings,
                folder=self.run.path,
                measures=self._measures,
                callbacks=[
                    *make_callbacks(conductor, patience=settings.patience if measured else None),
                    clock(self._speed, settings.batch_size * processes()),
                ],
            )
            self._run(trainer, conductor, last)
        return trainer

    def _measured_by(
        self, tasks: Sequence[Task], losses: Sequence[Any], dev: DevSet | None, device: str
    ) -> Measures:
        """Judged queries first: they choose the checkpoint where there are any."""
        rows, length = _rows(device), self.lineage["max_length"]
        parts = [] if dev is None else [retrieval(dev, batch_size=rows)]
        for task, loss in zip(tasks, losses, strict=True):
            if task.dev is not None:
                head = (loss, task.classes) if task.choice.loss.name == "softmax" else None
                parts.append(measure_of(task.dev, name=task.name, batch_size=rows, head=head))
        return Measures(tuple(parts), length)

    def _evaluated(self, step: int, logged: Mapping[str, Any]) -> None:
        if self.on_evaluation is not None:
            self.on_evaluation({"step": step, **self._measures.read(logged)})

    def _passes(self, model: Any, tasks: Sequence[Task]) -> Passes:
        """What fits at once, the same in all processes; told in the lineage."""
        settings, texts = self.settings, max(2 + task.negatives for task in tasks)
        with cut_at(model, settings.training_length):
            passes = from_leader(
                lambda: passes_of(
                    model, texts, settings.batch_size, half=has_bf16(model.device.type)
                )
            )
        cached = [
            task.name
            for task in tasks
            if is_cached(task.choice.loss, settings, task.negatives, passes)
        ]
        self.lineage["passes"] = {"rows": passes.rows, "cached": cached}
        return passes

    def _losses(self, model: Any, tasks: Sequence[Task], passes: Passes) -> list[Any]:
        made = []
        for task in tasks:
            needs = Needs(
                model,
                self.lineage["matryoshka_dims"],
                negatives=task.negatives,
                classes=len(task.classes),
                guide=self._guide,
                passes=passes,
            )
            made.append(make_loss(task.choice.loss, needs, self.settings))
        return made

    def _guide(self) -> Any:
        """What tells false negatives; of the same weights as when this training began."""
        spec = self.settings.guide or self.lineage["base"]
        guide = frozen(self._load(spec))
        digest = weights_hash(guide)
        if self.run.notes.get("guide_sha256", digest) != digest:
            raise ModelError(
                f"The guide {spec!r} has other weights than when this training began. Give it the "
                f"old ones to go on, or remove {self.run.path} to start anew."
            )
        self.run.note(guide_sha256=digest)
        self.lineage["guide_sha256"] = digest
        return guide

    def _load(self, spec: str) -> Any:
        """A model with the texts' length and the prompts of this training."""
        length, (query, document) = self.lineage["max_length"], self.lineage["prompts"]
        pooling = None if spec == self.settings.guide else self.settings.pooling
        return load_base(spec, max_length=length, prompts=(query, document), pooling=pooling)

    def _run(self, trainer: Any, conductor: Conductor, last: Path | None) -> None:
        try:
            with conductor.holding_interrupts(), self._speed.watching():
                trainer.train(resume_from_checkpoint=None if last is None else str(last))
            if conductor.interrupted:
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"Interrupted at training step {trainer.state.global_step} of "
                f"{trainer.state.max_steps}. The same command goes on from the last checkpoint "
                f"in {self.run.path}."
            ) from None

    def _measure_base(self, model: Any) -> None:
        if leads() and self._measures.parts and "before" not in self.run.notes:
            self.progress("evaluate", 0, None)
            self.run.note(before=self._measures.figures(model, untrained=True))

    def finish(self, trainer: Any, base: str, held: HeldOut) -> TrainResult:
        """Save the best model, then write the result down, then drop the checkpoints."""
        before = self.run.notes.get("before", {})
        history = self._history(trainer.state.log_history)
        best = max((entry for entry in history if self._chooses in entry), key=self._score,
                   default={})  # fmt: skip
        best_is_base = bool(before) and self._score(before) >= self._score(best)
        model = self._load(base) if best_is_base else self._trained(base, self._checkpoint(best))
        averaged = self._averaged(model, base, held, best_is_base=best_is_base)
        rotated = self._rotate(model)
        save_checkpoint(model, self.run.model)
        after = {name: best[name] for name in self._measures.names if name in best}
        if averaged is not None and averaged.chosen.dev and not best_is_base:
            after |= averaged.chosen.dev
        fixed = {name: self.lineage[name] for name in ("dim", "max_length", "examples")}
        result = TrainResult(
            **fixed,
            checkpoint=self.run.model,
            matryoshka_dims=tuple(self.lineage["matryoshka_dims"]),
            steps=trainer.state.global_step,
            seconds=round(self.seconds, 3),
            metrics_before=before,
            metrics_after=before if best_is_base else after,
            history=history,
            lineage=self.lineage,
            best_is_base=best_is_base,
            averaging={} if averaged is None else averaged.as_dict(),
            speed=self._speed.figures(),
            rotation={} if rotated is None else rotated.as_dict(),
        )
        self.run.note(result=result.as_dict(), seconds=result.seconds)
        self.run.drop_checkpoints()
        return result

    def _trained(self, base: str, checkpoint: Path) -> Any:
        """A checkpoint's model, its adapters merged into the base."""
        if not self.settings.lora.rank:
            return self._load(str(checkpoint))
        return adapters.merged(self._load(base), self.settings.lora, checkpoint)

    def _averaged(
        self, model: Any, base: str, held: HeldOut, *, best_is_base: bool
    ) -> Averaged | None:
        original = held.original or base
        if not best_is_base:
            return self._average(model, original, held.general)
        if original != base:  # an earlier round's model, which was averaged and measured then
            return None
        return self._kept(model, held.general)

    def _average(
        self, model: Any, base: str, general: Mapping[str, DevSet | TrainingSet]
    ) -> Averaged | None:
        """Average with the base as asked; None where neither that nor a general set is asked."""
        how = self.settings.averaging
        if how.base_weight == 0 and not general:
            return None
        known = Measures(tuple(part for part in self._measures.parts if not part.trained))
        return average(
            frozen(model),
            frozen(self._load(base)),
            how,
            dev=known if how.base_weight != 0 else Measures(()),
            general=general_measures(general, model.device.type),
            progress=self.progress,
        )

    def _rotate(self, model: Any) -> Rotated | None:
        """Turn the vectors for their prefixes, if asked."""
        settings, dims = self.settings, self.lineage["matryoshka_dims"]
        if not settings.rotate:
            return None
        with cut_at(model, settings.training_length):
            return rotate(model, self._sets, dims, seed=settings.seed, progress=self.progress)

    def _kept(self, base: Any, general: Mapping[str, DevSet | TrainingSet]) -> Averaged | None:
        """What the base scores in general, where it was kept: it forgot nothing."""
        if not general:
            return None
        figures = general_measures(general, base.device.type).figures(frozen(base), untrained=True)
        chosen = Average(1.0, {}, figures)
        return Averaged(chosen, (chosen,), figures, kept=True)

    def _checkpoint(self, best: Mapping[str, float]) -> Path:
        """The checkpoint of the best evaluation; the last one where there was none."""
        folder = self.run.last_checkpoint()
        if best:
            folder = self.run.path / f"checkpoint-{best['step']}"
        if folder is None or not folder.is_dir():
            raise ModelError(
                f"Expected the best checkpoint at {folder}, found none. Did something else clean "
                f"{self.run.path}? Remove that folder to start anew."
            )
        return folder

    @property
    def _chooses(self) -> str:
        return self._measures.names[0] if self._measures.parts else ""

    def _score(self, figures: Mapping[str, float]) -> float:
        return figures.get(self._chooses, float("-inf"))

    def _history(self, log: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], ...]:
        """The trainer's log, evaluations and losses, in our words."""
        entries = []
        for item in log:
            entry = {"step": item["step"], "epoch": round(float(item.get("epoch") or 0.0), 4)}
            if figures := self._measures.read(item):
                entries.append(entry | figures)
            elif "loss" in item:
                entries.append(entry | {"loss": float(item["loss"])})
        return tuple(entries)


def _rows(device: str) -> int:
    """Texts per forward pass of an evaluation."""
    return 32 if device == "cpu" else 256


def general_measures(general: Mapping[str, DevSet | TrainingSet], device: str) -> Measures:
    """What measures forgetting: retrieval or scored pairs, each under its name."""
    return Measures(
        tuple(
            retrieval(data, batch_size=_rows(device), name=name)
            if isinstance(data, DevSet)
            else measure_of(data, name=name, batch_size=_rows(device))
            for name, data in general.items()
        )
    )
