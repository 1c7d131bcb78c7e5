"""Places that hold artifacts: folders, and object storage through fsspec."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from reindex.artifact import MANIFEST_NAME
from reindex.diskspace import disk_full, is_disk_full
from reindex.errors import ArtifactError, ConfigError, MissingExtra, ReindexError
from reindex.transport.address import scrubbed

Same = Callable[[str, BinaryIO], bool]
"""Whether what a place holds under a name already is what shall be there."""

Sent = Callable[[str, bool], None]
"""Told of each file that is there: its name, and whether it had to be sent."""


class Place(Protocol):
    """Where an artifact lies, or shall lie. ``shown`` is its address, without secrets."""

    shown: str

    def sizes(self) -> dict[str, int]:
        """Every file by its name below the place, with its bytes; empty where nothing is."""

    def read(self, name: str, start: int = 0) -> BinaryIO:
        """A file's content from a byte on, to be closed. Raises FileNotFoundError."""

    def write(self, files: Mapping[str, Path], same: Same, sent: Sent) -> None:
        """Put files there, the manifest last; those that are the same already are left alone."""


class _OneByOne:
    """Writes file after file; without its manifest, which comes last, an artifact is none."""

    shown: str

    def write(self, files: Mapping[str, Path], same: Same, sent: Sent) -> None:
        """As `Place.write`. Another manifest is taken away first: no mixture looks whole."""
        there = self.sizes()
        if MANIFEST_NAME in there and not self._is(MANIFEST_NAME, files, there, same):
            self._remove(MANIFEST_NAME)
            del there[MANIFEST_NAME]
        for name in sorted(files, key=lambda name: (name == MANIFEST_NAME, name)):
            known = name in there and self._is(name, files, there, same)
            if not known:
                self._put(name, files[name])
            sent(name, not known)

    def _is(self, name: str, files: Mapping[str, Path], there: dict[str, int], same: Same) -> bool:
        if there[name] != files[name].stat().st_size:
            return False
        with self.read(name) as stream:
            return same(name, stream)

    def sizes(self) -> dict[str, int]:
        raise NotImplementedError

    def read(self, name: str, start: int = 0) -> BinaryIO:
        raise NotImplementedError

    def _put(self, name: str, file: Path) -> None:
        raise NotImplementedError

    def _remove(self, name: str) -> None:
        raise NotImplementedError


class FolderPlace(_OneByOne):
    """A folder of this host, a mounted share included."""

    def __init__(self, folder: Path) -> None:
        self.shown, self._folder = str(folder), folder

    def sizes(self) -> dict[str, int]:
        """As `Place.sizes`. Raises ArtifactError: there is a link, or a file in place of it."""
        self._check_folder()
        found = {}
        for root, folders, files in os.walk(self._folder):
            for name in [*folders, *files]:
                item = Path(root, name)
                if item.is_symlink():
                    raise ArtifactError(
                        f"{item} is a link, and may lead anywhere. Copy what it stands for: "
                        "cp -rL FROM TO"
                    )
                if name in files and not name.endswith(".part"):
                    found[item.relative_to(self._folder).as_posix()] = item.stat().st_size
        return found

    def read(self, name: str, start: int = 0) -> BinaryIO:
        """As `Place.read`."""
        self._check_folder()
        try:
            stream = (self._folder / name).open("rb")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ArtifactError(f"{self.shown}/{name} cannot be read: {error.strerror}.") from None
        stream.seek(start)
        return stream

    def _check_folder(self) -> None:
        if self._folder.is_file():
            raise ArtifactError(
                f"{self.shown} is a file. An artifact is a folder; archives are not unpacked."
            )

    def _put(self, name: str, file: Path) -> None:
        target = self._folder / name
        draft = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with file.open("rb") as source, draft.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
                sink.flush()
                os.fsync(sink.fileno())
            draft.replace(target)
        except OSError as error:
            draft.unlink(missing_ok=True)
            if is_disk_full(error):
                raise disk_full("The artifact", target, error) from error
            raise ArtifactError(f"{target} cannot be written: {error.strerror}.") from None

    def _remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)


class FsspecPlace(_OneByOne):
    """A folder in object storage, or whatever else fsspec reaches.

    An object comes to be when all of it was sent, so a write that is cut leaves none.
    """

    def __init__(self, address: str) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise MissingExtra("push", "fsspec") from error
        self.shown = address.rstrip("/")
        try:
            self._fs, root = fsspec.core.url_to_fs(address, use_listings_cache=False)
        except ImportError as error:
            raise MissingExtra("push", _package(error)) from error
        except ValueError as error:
            raise ConfigError(f"{self.shown}: {scrubbed(str(error))}") from None
        self._root = root.rstrip("/")

    def sizes(self) -> dict[str, int]:
        """As `Place.sizes`."""
        with self._asked("be listed"):
            self._fs.invalidate_cache()
            try:
                found: dict[str, Any] = self._fs.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
        if set(found) == {self._root}:
            raise ArtifactError(
                f"{self.shown} is a file. An artifact is a folder; archives are not unpacked."
            )
        start = len(self._root) + 1
        return {path[start:]: int(facts["size"] or 0) for path, facts in found.items()}

    def read(self, name: str, start: int = 0) -> BinaryIO:
        """As `Place.read`."""
        with self._asked(f"be read ({name})"):
            stream: Any = self._fs.open(f"{self._root}/{name}", "rb")
            stream.seek(start)
        return _Told(stream, self._asked)  # type: ignore[return-value]

    def _put(self, name: str, file: Path) -> None:
        with self._asked(f"be written ({name})", writing=True):
            self._fs.put_file(str(file), f"{self._root}/{name}")

    def _remove(self, name: str) -> None:
        with self._asked(f"be written ({name})", writing=True):
            self._fs.rm_file(f"{self._root}/{name}")

    @contextmanager
    def _asked(self, what: str, *, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except ReindexError:
            raise
        except Exception as error:  # every kind of storage raises its own
            if isinstance(error, FileNotFoundError) and not writing:
                raise
            raise ArtifactError(
                f"{self.shown} cannot {what}: {type(error).__name__}: {scrubbed(str(error))}. "
                "Check the address, the network and the credentials, then run the same command "
                "again: it goes on from there."
            ) from None


class _Told:
    """A stream whose errors are told as the place tells its own."""

    def __init__(self, stream: Any, asked: Callable[[str], Any]) -> None:
        self._stream, self._asked = stream, asked

    def read(self, size: int = -1) -> bytes:
        with self._asked("be read"):
            content: bytes = self._stream.read(size)
        return content

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> _Told:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _package(error: ImportError) -> str:
    return error.name or str(error).rpartition(" ")[2]
