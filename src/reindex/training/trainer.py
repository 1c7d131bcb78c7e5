"""sentence-transformers' trainer, set up the way this project trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reindex.training.batching import NoDuplicateBatches, PackedForward
from reindex.training.devset import METRICS
from reindex.training.libraries import load, sentence_transformers_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reindex.config import TrainSettings

CACHED_ABOVE = 128
"""Above this batch size gradients are cached (GradCache, Gao et al. 2021), so memory is bounded."""

CACHED_ROWS = 32
"""Rows per forward pass with cached gradients."""

PACKED_ROWS = 16
"""Rows per part on a CPU; see `PackedForward`."""

BEST = f"eval_cosine_{METRICS[0]}"
_NEVER = 10**9  # the conductor decides when to evaluate and to save


def has_bf16(device: str) -> bool:
    """Whether bfloat16 autocast pays: native on the GPU, or AVX-512-BF16 or AMX on the CPU."""
    torch = load("torch")
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device != "cpu":
        return False
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in checks)


def make_loss(model: Any, settings: TrainSettings, dims: Sequence[int]) -> Any:
    """In-batch softmax (MNRL, van den Oord et al. 2018) at every Matryoshka dimension.

    Kusupati et al. 2022 (arXiv:2205.13147); each dimension weighs the same, as there.
    """
    losses = sentence_transformers_part("losses")
    scale = 1 / settings.temperature
    if settings.batch_size > CACHED_ABOVE:
        ranking = losses.CachedMultipleNegativesRankingLoss(
            model, scale=scale, mini_batch_size=CACHED_ROWS
        )
    else:
        ranking = losses.MultipleNegativesRankingLoss(model, scale=scale)
    return losses.MatryoshkaLoss(model, ranking, list(dims))


def make_trainer(
    model: Any,
    loss: Any,
    columns: dict[str, list[str]],
    batches: NoDuplicateBatches,
    *,
    settings: TrainSettings,
    folder: Path,
    evaluator: Any,
    callbacks: list[Any],
) -> Any:
    """The trainer; ``evaluator`` is None where there is no dev set.

    On the CPU the model's forward pass is packed, which `PackedForward` explains; short queries
    are never padded to the documents' length, because the collator pads each column apart.
    """
    library = load("torch", "transformers", "accelerate", "datasets", "sentence_transformers")
    datasets = load("datasets")
    if model.device.type == "cpu":
        model.forward = PackedForward(model.forward, PACKED_ROWS)
    model.model_card_data.local_files_only = True

    class Trainer(library.SentenceTransformerTrainer):  # type: ignore[misc,name-defined]
        """Takes its batches from us, and spends no time on a model card."""

        def get_batch_sampler(self, *_: Any, **__: Any) -> Any:
            return batches

        def add_model_card_callback(self, *_: Any) -> None:
            pass

    trainer = Trainer(
        model=model,
        args=_arguments(library, settings, folder, device=model.device.type, dev=evaluator),
        train_dataset=datasets.Dataset.from_dict(columns),
        loss=loss,
        evaluator=evaluator,
        callbacks=callbacks,
    )
    trainer.remove_callback(load("transformers").PrinterCallback)  # it prints to stdout
    return trainer


def _arguments(
    library: Any, settings: TrainSettings, folder: Path, *, device: str, dev: Any
) -> Any:
    choose = {
        "eval_strategy": "steps",
        "eval_steps": _NEVER,
        "load_best_model_at_end": True,
        "metric_for_best_model": BEST,
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
        **(choose if dev is not None else {}),
    )


def column_prompts(settings: TrainSettings) -> dict[str, str]:
    """Column -> prompt, for the prompts that are set. 64 negatives are more than anybody has."""
    prompts = {"anchor": settings.query_prompt, "positive": settings.document_prompt}
    prompts |= {f"negative_{place}": settings.document_prompt for place in range(1, 65)}
    return {column: prompt for column, prompt in prompts.items() if prompt}
