"""Sources -> documents, judgements and training pairs.

``sources`` opens what ``[source]`` of the config describes; ``judgements`` reads queries and
qrels; ``pairs`` reads training data; ``pydocs`` makes the demo corpus. Bad rows go to the file of
``dead_letters``.
"""
