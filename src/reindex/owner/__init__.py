"""The owner of an embedded project: one process has the store open, others ask it for work.

See docs/owner.md for what is promised and for the protocol.
"""
