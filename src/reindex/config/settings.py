"""All of ``reindex.toml``: reading it, and saying what is wrong with it."""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from reindex.config.advice import AdviceSettings
from reindex.config.corpus import ProjectSettings, SourceSettings
from reindex.config.distributed import DistributedSettings
from reindex.config.judging import EvaluationSettings, GateSettings
from reindex.config.models import EmbedSettings, ExportSettings, TrainSettings
from reindex.config.notify import NotifySettings
from reindex.config.rollout import RolloutSettings, WatchSettings
from reindex.config.section import Section
from reindex.config.server import ServerSettings
from reindex.config.stores import (
    BuildSettings,
    OwnerSettings,
    QdrantSettings,
    RetentionSettings,
    ServingSettings,
    StoreSettings,
)
from reindex.config.synthesis import SynthesisSettings
from reindex.config.trials import TrialSettings
from reindex.errors import ConfigError

CONFIG_NAME = "reindex.toml"


class Settings(Section):
    """All of ``reindex.toml``. ``root`` is the folder that relative paths start from."""

    project: ProjectSettings = ProjectSettings()
    source: SourceSettings = SourceSettings()
    store: StoreSettings = StoreSettings()
    qdrant: QdrantSettings = QdrantSettings()
    synthesis: SynthesisSettings = SynthesisSettings()
    train: TrainSettings = TrainSettings()
    trials: TrialSettings = TrialSettings()
    advice: AdviceSettings = AdviceSettings()
    export: ExportSettings = ExportSettings()
    embed: EmbedSettings = EmbedSettings()
    build: BuildSettings = BuildSettings()
    distributed: DistributedSettings = DistributedSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    gate: GateSettings = GateSettings()
    notify: NotifySettings = NotifySettings()
    retention: RetentionSettings = RetentionSettings()
    serving: ServingSettings = ServingSettings()
    rollout: RolloutSettings = RolloutSettings()
    watch: WatchSettings = WatchSettings()
    owner: OwnerSettings = OwnerSettings()
    server: ServerSettings = ServerSettings()
    root: Path = Field(Path(), exclude=True)

    @model_validator(mode="after")
    def _alias_is_no_collection(self) -> Settings:
        if self.alias.startswith(f"{self.project.name}--v"):
            raise ValueError(
                f"project.alias {self.alias!r} looks like a collection of this project; "
                "an alias cannot have a collection's name. Choose another."
            )
        return self

    @property
    def alias(self) -> str:
        """The alias that searches use."""
        return self.project.alias or self.project.name

    @property
    def home(self) -> Path:
        """Absolute folder of the registry, the artifacts and the runs."""
        return self.resolve(self.project.home)

    def resolve(self, path: Path) -> Path:
        """``path`` as seen from the config file's folder."""
        return path if path.is_absolute() else self.root / path

    def collection(self, version: str) -> str:
        """The collection's name of a version: ``<project>--v2``."""
        return f"{self.project.name}--{version}"

    def qdrant_api_key(self) -> str | None:
        """The API key from the environment, or None."""
        return os.environ.get(self.qdrant.api_key_env) or None


def load_settings(path: Path) -> Settings:
    """Read ``reindex.toml`` (or the folder that holds it).

    Raises:
        ConfigError: the file is missing, is no TOML, or has a wrong or unknown key; the message
            names every wrong key and the nearest right one.
    """
    file = path / CONFIG_NAME if path.is_dir() else path
    try:
        raw = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"There is no {file}. Run `reindex init` to make one, or pass --config PATH."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}.") from None
    if "root" in raw:
        raise ConfigError(f"{file}: unknown key 'root'.")
    try:
        return Settings.model_validate({**raw, "root": file.resolve().parent})
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors()]
        raise ConfigError(f"{file}:\n" + "\n".join(f"  {line}" for line in lines)) from None


def _explain(item: Any) -> str:
    """One pydantic error as one line that says what to do."""
    location = [str(part) for part in item["loc"]]
    key = ".".join(location)
    if item["type"] != "extra_forbidden":
        return f"{key or 'config'}: {item['msg']} (got {item.get('input')!r})."
    nearest = difflib.get_close_matches(location[-1], _known(location[:-1]), n=1, cutoff=0.4)
    hint = f" Did you mean '{'.'.join([*location[:-1], nearest[0]])}'?" if nearest else ""
    return f"unknown key '{key}'.{hint}"


def _known(section: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for name in section:
        if name.isdecimal():  # a table of a list
            continue
        annotation = model.model_fields[name].annotation
        annotation = next(iter(get_args(annotation)), annotation)
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return [name for name, info in model.model_fields.items() if not info.exclude]
