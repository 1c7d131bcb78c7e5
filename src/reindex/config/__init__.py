"""``reindex.toml`` -> `Settings`. Every key has its default and its meaning here.

Secrets never stand in the file: they come from the environment, whose variable the file names.
"""

from reindex.config.corpus import ProjectSettings, SourceSettings
from reindex.config.distributed import DistributedSettings
from reindex.config.judging import EvaluationSettings, GateSettings
from reindex.config.models import EmbedSettings, ExportSettings, TrainSettings
from reindex.config.rollout import RolloutSettings, WatchSettings
from reindex.config.settings import CONFIG_NAME, Settings, load_settings
from reindex.config.stores import (
    BuildSettings,
    OwnerSettings,
    QdrantSettings,
    RetentionSettings,
    ServingSettings,
    StoreSettings,
)

__all__ = [
    "CONFIG_NAME",
    "BuildSettings",
    "DistributedSettings",
    "EmbedSettings",
    "EvaluationSettings",
    "ExportSettings",
    "GateSettings",
    "OwnerSettings",
    "ProjectSettings",
    "QdrantSettings",
    "RetentionSettings",
    "RolloutSettings",
    "ServingSettings",
    "Settings",
    "SourceSettings",
    "StoreSettings",
    "TrainSettings",
    "WatchSettings",
    "load_settings",
]
