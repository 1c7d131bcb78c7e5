"""Training examples + a corpus -> the same examples with hard negatives.

The data's way: ``snapshot`` (the corpus on disk), ``lexical`` and ``nearest`` (candidates),
``judging`` (their scores beside the positive's), ``selecting`` (margins, duplicates, how many),
``miner`` (all of it), ``kept`` (what was mined before). PyTorch is not needed for any of it.
"""
