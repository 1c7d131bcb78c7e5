"""Encoder: an artifact turns texts into unit vectors, with onnxruntime and tokenizers only."""

from reindex.encoder.load import load_encoder
from reindex.encoder.onnx import OTHER_HOST_COSINE, SAME_HOST_TOLERANCE, OnnxEncoder, truncate

__all__ = ["OTHER_HOST_COSINE", "SAME_HOST_TOLERANCE", "OnnxEncoder", "load_encoder", "truncate"]
