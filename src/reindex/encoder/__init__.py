"""Encoder: an artifact turns texts into unit vectors, with onnxruntime and tokenizers only."""

from reindex.encoder.onnx import SAME_HOST_TOLERANCE, OnnxEncoder, truncate

__all__ = ["SAME_HOST_TOLERANCE", "OnnxEncoder", "truncate"]
