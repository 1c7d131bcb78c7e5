"""What happens between training steps: progress, evaluations, checkpoints, Ctrl-C."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from reindex.errors import ModelError
from reindex.protocols import Progress
from reindex.training.libraries import load

SAVE_EVERY = 300.0
"""Seconds between two checkpoints, beside those of the evaluations."""


@dataclass
class Conductor:
    """Decides what the trainer does after each step.

    Args:
        evaluations: how many, spread evenly, the last one after the last step; 0: none.
        progress: told of steps (``train``) and evaluations (``evaluate``).
        on_save: called after each checkpoint.
        save_every: seconds between two checkpoints, beside those of the evaluations; infinite
            where several processes must decide alike.
        on_evaluation: told the step and what was logged after each evaluation; what it raises
            ends the training.
    """

    evaluations: int
    progress: Progress
    on_save: Callable[[], None]
    save_every: float = SAVE_EVERY
    on_evaluation: Callable[[int, Mapping[str, Any]], None] | None = None
    interrupted: bool = False
    evaluating: bool = False
    _evaluate_at: list[int] = field(default_factory=list)
    _saved: float = field(default_factory=time.monotonic)

    def begin(self, step: int, steps: int) -> None:
        """Plan the evaluations of a training of ``steps`` steps."""
        parts = min(self.evaluations, steps)
        self._evaluate_at = [math.ceil(steps * part / parts) for part in range(1, parts + 1)]
        self.progress("train", step, steps)

    def after_step(self, step: int, steps: int, control: Any) -> None:
        """Set what the trainer has to do now.

        A checkpoint also comes one step *before* every evaluation, so that an evaluation can be
        broken off at the cost of one step.
        """
        self.progress("train", step, steps)
        evaluate = step in self._evaluate_at
        due = time.monotonic() - self._saved > self.save_every
        save = evaluate or due or self.interrupted or step + 1 in self._evaluate_at
        control.should_log = control.should_save = save or step == steps
        control.should_evaluate = evaluate
        self.evaluating = evaluate
        if evaluate:
            self.progress("evaluate", self._evaluate_at.index(step), len(self._evaluate_at))
        if self.interrupted:
            control.should_training_stop = True

    def after_evaluation(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Note that the evaluation is over, and what it found."""
        self.evaluating = False
        if self.on_evaluation is not None:
            self.on_evaluation(step, metrics)
        if step in self._evaluate_at:
            self.progress("evaluate", self._evaluate_at.index(step) + 1, len(self._evaluate_at))

    def saved(self) -> None:
        """Note that a checkpoint was written."""
        self._saved = time.monotonic()
        self.on_save()

    def on_interrupt(self, *_: Any) -> None:
        """Ctrl-C: end after this step with a checkpoint; during an evaluation, or again: now."""
        if self.evaluating or self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

    @contextmanager
    def holding_interrupts(self) -> Iterator[None]:
        """Take Ctrl-C over for a while. Only the main thread can: elsewhere nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = signal.signal(signal.SIGINT, self.on_interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)


def make_callbacks(conductor: Conductor, *, patience: int | None) -> list[Any]:
    """The conductor as the trainer's callback, and early stopping where there is a dev set."""
    transformers = load("transformers")

    class Callback(transformers.TrainerCallback):  # type: ignore[misc,name-defined]
        """Passes the trainer's events on."""

        def on_train_begin(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
            conductor.begin(state.global_step, state.max_steps)

        def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> None:
            conductor.after_step(state.global_step, state.max_steps, control)

        def on_evaluate(self, _: Any, state: Any, *__: Any, **given: Any) -> None:
            conductor.after_evaluation(state.global_step, given["metrics"])

        def on_save(self, *_: Any, **__: Any) -> None:
            conductor.saved()

        def on_log(self, _: Any, state: Any, *__: Any, logs: dict[str, Any], **___: Any) -> None:
            _check_loss(logs, state.global_step)

    class EarlyStoppingCallback(transformers.EarlyStoppingCallback):  # type: ignore[misc,name-defined]
        """A training that it had ended ends at once when it is resumed.

        Its state is found by the class's name, and the trainer forgets the order to stop.
        """

        def on_train_begin(self, *given: Any, **more: Any) -> None:
            super().on_train_begin(*given, **more)
            if self.early_stopping_patience_counter >= self.early_stopping_patience:
                given[2].should_training_stop = True

    return [Callback(), *([] if patience is None else [EarlyStoppingCallback(patience)])]


def _check_loss(logs: dict[str, Any], step: int) -> None:
    loss = logs.get("loss")
    if loss is not None and not math.isfinite(loss):
        raise ModelError(
            f"The training diverged: the loss is {loss} at step {step}. Lower "
            "train.learning_rate or raise train.temperature, and start anew."
        )
