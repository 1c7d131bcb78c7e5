"""A repository of the Hugging Face Hub. One push is one commit, which is there whole or not at all.

The token is huggingface_hub's own (``HF_TOKEN``, or ``hf auth login``), as is ``HF_ENDPOINT``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from reindex.artifact import MANIFEST_NAME
from reindex.errors import ArtifactError, ConfigError, MissingExtra, ReindexError
from reindex.transport.address import FORMS, scrubbed
from reindex.transport.places import Same, Sent

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationCopy, HfApi

_ADDRESS = re.compile(
    r"hf://(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})"
    r"(@(?P<revision>[A-Za-z0-9][\w./-]{0,120}))?/?"
)


class HubPlace:
    """A model repository at a revision: a branch, a tag or a commit."""

    def __init__(self, repo: str, revision: str | None) -> None:
        self.shown = f"hf://{repo}{f'@{revision}' if revision else ''}"
        self._repo, self._revision = repo, revision or "main"
        self._commit: str | None = None

    @classmethod
    def parse(cls, address: str) -> Self:
        """From ``hf://org/name[@revision]``. Raises ConfigError: it is of another form."""
        found = _ADDRESS.fullmatch(address)
        if found is None or ".." in address:
            raise ConfigError(f"{address!r} is no repository of the Hub. {FORMS}")
        return cls(found["repo"], found["revision"])

    @cached_property
    def _api(self) -> HfApi:
        try:
            from huggingface_hub import HfApi
        except ImportError as error:
            raise MissingExtra("push", "huggingface_hub") from error
        return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, library_name="reindex")

    def sizes(self) -> dict[str, int]:
        """As `Place.sizes`, at the commit that the revision names now."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        with self._asked("be listed"):
            try:
                info = self._api.model_info(self._repo, revision=self._revision)
                self._commit = info.sha
                tree = self._api.list_repo_tree(self._repo, revision=info.sha, recursive=True)
                return {item.path: item.size for item in tree if hasattr(item, "size")}
            except (RepositoryNotFoundError, RevisionNotFoundError):
                return {}

    def read(self, name: str, start: int = 0) -> BinaryIO:
        """As `Place.read`; all files are of one commit, that of the first request."""
        from huggingface_hub import HfFileSystem

        if self._commit is None and not self.sizes():
            raise FileNotFoundError(name)
        with self._asked(f"be read ({name})"):
            files = HfFileSystem(endpoint=self._api.endpoint, token=self._api.token)
            stream: Any = files.open(f"{self._repo}@{self._commit}/{name}", "rb")
            stream.seek(start)
        found: BinaryIO = stream
        return found

    def write(self, files: Mapping[str, Path], same: Same, sent: Sent) -> None:  # noqa: ARG002
        """One commit. What the Hub has by checksum it does not ask for again; files of the manifest
        that was there are removed, others stay.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        there = self.sizes()
        gone = [name for name in self._before(there) if name in there and name not in files]
        changes: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
            *(CommitOperationAdd(name, str(file)) for name, file in files.items()),
            *(CommitOperationDelete(name) for name in gone),
        ]
        with self._asked("be written"):
            self._api.create_repo(self._repo, exist_ok=True, private=True)
            if self._revision != "main":
                self._api.create_branch(self._repo, branch=self._revision, exist_ok=True)
            done = self._api.create_commit(
                self._repo, changes, commit_message="Push an artifact", revision=self._revision
            )
        self._commit = done.oid
        for name in files:
            sent(name, True)

    def _before(self, there: Mapping[str, int]) -> list[str]:
        """Names that the manifest at this revision has; none where it has none that is ours."""
        from reindex.transport.contents import listed
        from reindex.transport.fetch import read_manifest

        if MANIFEST_NAME not in there:
            return []
        try:
            return list(listed(read_manifest(self)[1]))
        except ArtifactError:
            return []

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        try:
            yield
        except (ReindexError, FileNotFoundError):
            raise
        except Exception as error:  # huggingface_hub, requests and their own
            raise ArtifactError(
                f"{self.shown} cannot {what}: {type(error).__name__}: {scrubbed(str(error))}. "
                "Check the name, the network and HF_TOKEN, then run the same command again."
            ) from None
