"""A whole project whose models are hash encoders: the real stages, registry and embedded store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from reindex.config import Settings, load_settings
from reindex.config.template import render_config
from reindex.project import Project
from reindex.registry import REGISTRY_NAME, Registry
from reindex.registry.ledger import Version
from tests.hash_encoder import HashEncoder

DIM, PREFIX = 32, 16


def encoder_of(version: str) -> HashEncoder:
    """Each version lies in a space of its own."""
    encoder = HashEncoder(DIM, seed=int(version.removeprefix("v")))
    encoder.version = version
    return encoder


def _elsewhere(version: str, _threads: int) -> HashEncoder:
    return encoder_of(version)


class HashWorkspace(Project):
    """A project whose versions embed by hash, so that no model is needed.

    ``encoders`` are all that were asked for, with their counts.
    """

    def __init__(self, settings: Settings, **given: Any) -> None:
        super().__init__(settings, **given)
        self.encoders: list[HashEncoder] = []

    def encoder(self, version: Version, **_: Any) -> Any:
        """The version's hash encoder."""
        self.encoders.append(encoder_of(version.name))
        return self.encoders[-1]

    @property
    def embedded(self) -> int:
        """Texts that were embedded so far."""
        return sum(encoder.texts for encoder in self.encoders)

    def encoder_maker(self, encoder: Any) -> Any:
        """Makes the same hash encoder elsewhere."""
        return partial(_elsewhere, encoder.version)


def write_documents(folder: Path, texts: Sequence[str], *, name: str = "corpus.jsonl") -> None:
    """A BEIR corpus: one document per text."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    rows = (json.dumps({"_id": f"d{i}", "title": "", "text": text}) for i, text in enumerate(texts))
    (data / name).write_text("\n".join(rows) + "\n", "utf-8")


def hash_project(folder: Path, *, versions: int = 2, **values: dict[str, Any]) -> HashWorkspace:
    """A new project with ``versions`` exported versions, nothing built."""
    (folder / "reindex.toml").write_text(
        render_config({**values, "source": {"path": Path("data"), **values.get("source", {})}}),
        "utf-8",
    )
    settings = load_settings(folder)
    registry = Registry(settings.home / REGISTRY_NAME, create=True)
    for _ in range(versions):
        version = registry.add_version(base="hash", kind="base", recipe={})
        encoder = encoder_of(version.name)
        registry.update_version(
            version.name, state="exported", artifact="none", space=encoder.space,
            encoding=encoder.encoding, dim=DIM, report={"prefix_dim": PREFIX},
        )  # fmt: skip
    registry.close()
    return HashWorkspace(settings)
