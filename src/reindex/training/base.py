"""Base models: what ``train.base`` may name, and how it becomes a model in memory."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from reindex.errors import ModelError, ReindexError
from reindex.training.architecture import is_ranker, positions, prepare
from reindex.training.hub import without_hub
from reindex.training.libraries import load, quiet

LONGEST_DEFAULT = 256
"""Tokens per text where nothing else is asked: what CPUs afford and most passages need."""

_PACKAGE = "package:"
_HUB_ID = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?")
_MARKERS = ("modules.json", "config.json")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "*.safetensors.index.json")
_FORMS = (
    "A base model is one of three: a Hub id (sentence-transformers/all-MiniLM-L6-v2), a local "
    "folder that holds config.json, or package:NAME for a model that an installed Python package "
    "carries."
)


def resolve_base(spec: str) -> str:
    """Where to load a base model from: a folder's path, or a Hub id as it is.

    ``package:NAME`` takes the import name or the distribution's name of an installed package and
    looks for the model at most two folders down; the package is not imported.

    Raises:
        ModelError: there is no such package, no model in it, or no such folder.
    """
    if spec.startswith(_PACKAGE):
        return str(_packaged_model(spec.removeprefix(_PACKAGE)))
    folder = Path(spec).expanduser()
    if spec and folder.is_dir():
        if not any((folder / name).is_file() for name in _MARKERS):
            raise ModelError(f"The folder {folder} holds no config.json, so no model. {_FORMS}")
        return str(folder)
    if not _HUB_ID.fullmatch(spec):
        raise ModelError(f"There is no folder {spec!r}, and it is no Hub id. {_FORMS}")
    return spec


def _packaged_model(name: str) -> Path:
    roots = [root for module in _modules(name) for root in _folders(module)]
    if not roots:
        raise ModelError(
            f"Expected an installed package {name!r}, found none. Install it, e.g. with "
            f"`pip install {name.replace('_', '-')}`. {_FORMS}"
        )
    for pattern in (".", "*", "*/*"):
        for root in roots:
            for folder in sorted(root.glob(pattern)) if pattern != "." else [root]:
                if _holds_model(folder):
                    return folder
    raise ModelError(
        f"The package {name!r} carries no model: no folder with config.json and weights at most "
        f"two levels down in {', '.join(map(str, roots))}. {_FORMS}"
    )


def _modules(name: str) -> list[str]:
    """Import names that may belong to ``name``: itself, and what its distribution installs."""
    own = re.sub(r"[-.]+", "_", name)
    try:
        listed = (metadata.distribution(name).read_text("top_level.txt") or "").split()
    except (metadata.PackageNotFoundError, ValueError):
        listed = []
    return list(dict.fromkeys([own, own.lower(), *listed]))


def _folders(module: str) -> list[Path]:
    """The folders of a top-level package, without importing it."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return []
    return [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []


def _holds_model(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(
        next(folder.glob(pattern), None) is not None for pattern in _WEIGHTS
    )


def load_base(
    base: str,
    *,
    max_length: int | None,
    prompts: tuple[str, str] | None = ("", ""),
    longest: int | None = LONGEST_DEFAULT,
    quantization: Any = None,
    pooling: str | None = None,
) -> Any:
    """Load a sentence-transformers model in float32, never running code from the model's folder.

    Args:
        base: what `resolve_base` takes.
        max_length: tokens per text; None: the model's own, at most ``longest``.
        prompts: put before every query and before every document; kept in the checkpoint. None:
            the model's own.
        longest: None: as long as the model itself says.
        quantization: of the weights, as transformers takes it.
        pooling: how token vectors become one; None: the model's own, and for a decoder without
            one its last token.

    Raises:
        ModelError: it cannot be found, fetched or loaded, or ``max_length`` or ``pooling`` does
            not fit it.
        MissingExtra: the [train] extra is not installed.
    """
    place = resolve_base(base)
    library = load("torch", "transformers", "sentence_transformers")
    local = without_hub(place)
    try:
        with quiet():
            model = library.SentenceTransformer(
                place,
                trust_remote_code=False,
                local_files_only=local,
                model_kwargs={"quantization_config": quantization} if quantization else None,
            ).float()
            refuse_ranker(base, place, local)
            plain = not _has_modules(place)
            prepare(model, name=f"The base model {base!r}", plain=plain, pooling=pooling)
    except ReindexError:
        raise
    except Exception as error:  # whatever the hub, transformers, safetensors or tokenizers raise
        verb = "loaded" if Path(place).is_dir() else "fetched"
        raise ModelError(
            f"The base model {base!r} cannot be {verb} ({type(error).__name__}: "
            f"{_first_line(error)}). {_FORMS}"
        ) from error
    model.max_seq_length = _length(base, model, max_length, longest)
    if prompts is not None:
        model.prompts = {"query": prompts[0], "document": prompts[1]}
        model.default_prompt_name = None
    return model


def refuse_ranker(base: str, place: str, local: bool) -> None:
    """Raise ModelError for a cross-encoder, which loads as if it embedded texts.

    Its head is dropped then, and its tokens pooled. Classifiers of several labels pass, for
    encoders of a domain are published as such.

    Args:
        base: what errors call it.
        place: what `resolve_base` returns.
        local: without asking the Hub, see `without_hub`.
    """
    if is_ranker(place, local):
        raise ModelError(
            f"The base model {base!r} is a cross-encoder: it scores a query and a document that it "
            "reads together, and embeds neither. Take a model that embeds texts, or the encoder "
            "that it was made from. A cross-encoder can be train.teacher, or judge mined negatives "
            "(train.negatives.cross_encoder)."
        )


def _length(base: str, model: Any, asked: int | None, longest: int | None) -> int:
    limit = positions(model)
    if asked is not None and limit is not None and asked > limit:
        raise ModelError(
            f"max_length = {asked}, but the base model {base!r} takes at most {limit} tokens. "
            "Lower train.max_length, or choose another base."
        )
    own = min(int(model.max_seq_length or LONGEST_DEFAULT), limit or sys.maxsize)
    return asked or (own if longest is None else min(own, longest))


def _has_modules(place: str) -> bool:
    """Whether a folder, or a repository that was just fetched, has sentence-transformers' form."""
    if Path(place).is_dir():
        return (Path(place) / "modules.json").is_file()
    hub = importlib.import_module("huggingface_hub")
    return isinstance(hub.try_to_load_from_cache(place, "modules.json"), str)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:300]


def save_checkpoint(model: Any, target: Path) -> Path:
    """Save a model as a sentence-transformers folder that appears whole or not at all."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    with quiet():
        model.save_pretrained(str(partial), create_model_card=False)
    if target.exists():
        shutil.rmtree(target)
    return partial.rename(target)


def copy_base(
    spec: str,
    target: Path,
    *,
    max_length: int | None = None,
    query_prompt: str = "",
    document_prompt: str = "",
    pooling: str | None = None,
) -> Path:
    """Save a base model as a checkpoint folder, untrained; an existing folder is replaced.

    Raises:
        ModelError: see `load_base`.
        MissingExtra: the [train] extra is not installed.
    """
    prompts = query_prompt, document_prompt
    model = load_base(spec, max_length=max_length, prompts=prompts, pooling=pooling)
    return save_checkpoint(model, target)
