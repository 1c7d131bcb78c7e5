"""What to do about a retrieval system's quality: evidence, a learning curve, rules, a verdict.

The data's way: ``evidence`` (what each way of searching finds), ``curve`` (what more training
pairs would bring), ``rules`` (what follows), all into ``findings`` (records). Nothing here reads
files or trains: `reindex.stages.advising` does.
"""
