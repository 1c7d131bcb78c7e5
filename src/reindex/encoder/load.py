"""The encoder of an artifact's folder, whatever kind it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reindex.artifact import load_manifest
from reindex.encoder.ensemble import EnsembleEncoder
from reindex.encoder.onnx import OnnxEncoder


def load_encoder(folder: Path, **how: Any) -> OnnxEncoder:
    """An encoder of one model, or of an ensemble; the arguments are `OnnxEncoder`'s."""
    manifest = load_manifest(folder)
    if manifest.members:
        return EnsembleEncoder(folder, manifest=manifest, **how)
    return OnnxEncoder(folder, **how)
