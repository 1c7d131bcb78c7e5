"""sentence-transformers' trainer, set up the way this project trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reindex.training import adapters, heads
from reindex.training.batching import PackedForward
from reindex.training.libraries import load
from reindex.training.measures import Measures
from reindex.training.packing import pack
from reindex.training.sampling import Batches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reindex.config import TrainSettings

PACKED_ROWS = 16
"""Rows per part on a CPU; see `PackedForward`."""

_NEVER = 10**9  # the conductor decides when to evaluate and to save


def has_bf16(device: str) -> bool:
    """Whether bfloat16 autocast pays: native on the GPU, or AVX-512-BF16 or AMX on the CPU."""
    torch = load("torch")
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu":
        return False
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in checks)


def make_trainer(
    model: Any,
    losses: Sequence[Any],
    columns: Sequence[dict[str, list[Any]]],
    batches: Batches,
    *,
    settings: TrainSettings,
    folder: Path,
    measures: Measures,
    callbacks: list[Any],
) -> Any:
    """The trainer; where nothing is measured the last checkpoint is the best.

    There are as many ``losses`` as sets of ``columns``, and ``batches`` are drawn from all sets.
    On the CPU the model's forward pass is packed, as `packing` explains, or as `PackedForward`
    does where the architecture is not known there; short queries are never padded to the
    documents' length, because the collator pads each column apart.
    """
    library = load("torch", "transformers", "accelerate", "datasets", "sentence_transformers")
    if model.device.type == "cpu" and settings.matryoshka != "2d" and not pack(model):
        model.forward = PackedForward(model.forward, PACKED_ROWS)  # 2D looks into the layers
    model.model_card_data.local_files_only = True

    class Trainer(library.SentenceTransformerTrainer):  # type: ignore[misc,name-defined]
        """Takes its batches from us, keeps losses' own weights, writes no model card."""

        def get_batch_sampler(self, *_: Any, **__: Any) -> Any:
            return batches

        def get_multi_dataset_batch_sampler(self, *_: Any, **__: Any) -> Any:
            return batches

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            target = Path(output_dir or folder)
            target.mkdir(parents=True, exist_ok=True)
            if settings.lora.rank:
                adapters.save(model, target)
            else:
                super()._save(output_dir, state_dict)
            heads.save(losses, model, target)

        def _load_from_checkpoint(self, checkpoint: str) -> None:
            if settings.lora.rank:
                adapters.restore(model, Path(checkpoint))
            else:
                super()._load_from_checkpoint(checkpoint)
            heads.restore(losses, model, Path(checkpoint))

        def add_model_card_callback(self, *_: Any) -> None:
            pass

    trainer = Trainer(
        model=model,
        args=_arguments(library, settings, folder, device=model.device.type, measures=measures),
        train_dataset=_by_objective([load("datasets").Dataset.from_dict(item) for item in columns]),
        loss=_by_objective(losses),
        evaluator=measures.evaluator() if measures.parts else None,
        callbacks=[*callbacks, heads.clear_gradients(losses, model)],
    )
    trainer.remove_callback(load("transformers").PrinterCallback)  # it prints to stdout
    return trainer


def compile_layers(model: Any, backend: str = "inductor") -> None:
    """Let torch.compile fuse what the transformer computes; its weights keep their names.

    Lengths vary from batch to batch, so it compiles for any (``dynamic``).
    """
    model[0].auto_model.compile(dynamic=True, backend=backend)


def frozen(model: Any) -> Any:
    """A model that is asked and not trained, its forward pass packed like the trained one's."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    if model.device.type == "cpu":
        model.forward = PackedForward(model.forward, PACKED_ROWS)
    return model.eval()


def _by_objective(items: Sequence[Any]) -> Any:
    """The only item, or all of them under names that torch takes."""
    if len(items) == 1:
        return items[0]
    return {f"objective_{place}": item for place, item in enumerate(items)}


def _arguments(
    library: Any, settings: TrainSettings, folder: Path, *, device: str, measures: Measures
) -> Any:
    choose = {
        "eval_strategy": "steps",
        "eval_steps": _NEVER,
        "load_best_model_at_end": True,
        "metric_for_best_model": f"eval_{measures.names[0]}" if measures.parts else None,
        "greater_is_better": True,
    }
    return library.SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup_ratio=settings.warmup_ratio,
        lr_scheduler_type="cosine",
        seed=settings.seed,
        bf16=has_bf16(device),
        use_cpu=device == "cpu",
        prompts=column_prompts(settings),
        save_strategy="steps",
        save_steps=_NEVER,
        save_total_limit=2,  # the best and the last
        restore_callback_states_from_checkpoint=True,  # early stopping counts on
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        **(choose if measures.parts else {}),
    )


def column_prompts(settings: TrainSettings) -> dict[str, str]:
    """Column -> prompt, for the prompts that are set. 64 negatives are more than anybody has.

    Scored and labelled texts are likened to each other, so all take the prompt of queries, as E5
    does for symmetric tasks (Wang et al. 2022, arXiv:2212.03533).
    """
    query, document = settings.query_prompt or "", settings.document_prompt or ""
    prompts = {"anchor": query, "positive": document}
    prompts |= dict.fromkeys(("first", "second", "text"), query)
    prompts |= {f"negative_{place}": document for place in range(1, 65)}
    return {column: prompt for column, prompt in prompts.items() if prompt}
