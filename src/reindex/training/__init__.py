"""Base model + training examples -> a fine-tuned checkpoint with its lineage.

The data's way through this package: ``data`` and ``devset`` (rows), ``base`` (the model),
``batching`` (batches), ``trainer`` and ``callbacks`` (the steps), ``runs`` (what survives a kill),
``finetune`` (all of it). PyTorch and its relatives are imported when a function needs them.
"""
