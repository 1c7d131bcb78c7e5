"""The folder of one training: what it was begun with, its checkpoints, its result."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reindex.errors import ModelError
from reindex.training.adapters import FILE as ADAPTERS

_STATE = "trainer_state.json"
_NEEDED = ("optimizer.pt", "scheduler.pt")
_MODEL = ("modules.json", ADAPTERS)


@dataclass
class RunFolder:
    """``run.json`` (recipe, baseline, seconds so far), ``checkpoint-N/``, at the end ``model/``.

    ``run.json`` gains its ``result`` as the last write of a training. Without ``writes`` the notes
    stay in memory: one process of several writes.
    """

    path: Path
    recipe: Mapping[str, Any]
    notes: dict[str, Any] = field(default_factory=dict)
    writes: bool = True

    @classmethod
    def open(cls, path: Path, recipe: Mapping[str, Any], *, resume: bool) -> RunFolder:
        """Open the folder to go on in it, or begin it.

        Without ``resume`` everything that an earlier training left there is removed.

        Raises:
            ModelError: it was begun with another recipe: those checkpoints may be hours of work,
                so they are neither continued nor removed unasked.
        """
        recipe = json.loads(json.dumps(recipe))
        file = path / "run.json"
        if not resume and path.exists():
            _clear(path)
        if file.is_file():
            notes = _read_json(file) or {}
            if differences := _differences(notes.get("recipe", {}), recipe):
                raise ModelError(
                    f"{path} holds a training with other settings or data:\n"
                    + "\n".join(f"  {line}" for line in differences)
                    + "\nPut back what it was begun with to go on. To start anew remove the folder "
                    "(in a library: resume=False)."
                )
            return cls(path, recipe, notes)
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, recipe)
        run.note(recipe=recipe)
        return run

    def note(self, **changes: Any) -> None:
        """Write ``changes`` into ``run.json`` in one atomic step."""
        self.notes.update(changes)
        if not self.writes:
            return
        partial = self.path / "run.json.partial"
        with partial.open("w", encoding="utf-8") as out:
            json.dump(self.notes, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(self.path / "run.json")

    @property
    def model(self) -> Path:
        """Where the final checkpoint goes."""
        return self.path / "model"

    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint that was written to its end; half-written ones are removed.

        The trainer writes its state last, so a checkpoint with a readable state of its own step
        is whole.
        """
        whole = []
        for folder in self.path.glob("checkpoint-*"):
            state = _read_json(folder / _STATE) or {}
            step = folder.name.removeprefix("checkpoint-")
            if str(state.get("global_step")) == step and _complete(folder):
                whole.append((int(step), folder))
            else:
                shutil.rmtree(folder)
        return max(whole)[1] if whole else None

    def drop_checkpoints(self) -> None:
        """Remove the checkpoints of a finished training: each is four times the model."""
        for pattern in ("checkpoint-*", "eval"):
            for folder in self.path.glob(pattern):
                shutil.rmtree(folder)


def _complete(folder: Path) -> bool:
    needed = all((folder / name).is_file() for name in _NEEDED)
    model = any((folder / name).is_file() for name in _MODEL)
    return needed and model and any(folder.glob("rng_state*.pth"))


def _clear(path: Path) -> None:
    for name in ("run.json", "run.json.partial"):
        (path / name).unlink(missing_ok=True)
    for pattern in ("checkpoint-*", "model", "model.partial", "eval"):
        for folder in path.glob(pattern):
            shutil.rmtree(folder)


def _read_json(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [
        f"{key}: {old.get(key)!r} there, {new.get(key)!r} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
