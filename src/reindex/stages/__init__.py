"""The stages in the order in which data walks through them: train, export, build, compare, promote.

Each module takes a `reindex.workspace.Workspace`, does one stage and records it in the registry.
"""
