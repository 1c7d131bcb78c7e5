"""An artifact comes from its place into a folder here: whole, verified, or not at all.

It is fetched into a draft that is named for its manifest's digest, so a fetch that was killed goes
on where it was, and renamed at the end. Nothing of it is loaded before every file was held against
its checksum and looked through.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from reindex.artifact import (
    MANIFEST_NAME,
    TOKENIZER_NAME,
    Manifest,
    hash_files,
    load_manifest,
    parse_manifest,
    tokenizer_hash,
    verify_files,
)
from reindex.diskspace import disk_full, is_disk_full
from reindex.errors import ArtifactError
from reindex.protocols import Progress, no_progress
from reindex.transport.contents import check_contents, check_manifest, listed
from reindex.transport.places import Place

LARGEST_MANIFEST = 16_000_000
"""Bytes. Probe vectors of 8,192 dimensions take under one."""
LARGEST = 20 * 10**9
"""Bytes of an artifact, unless more is asked for: models of some billion parameters in fp32."""
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Fetched:
    """An artifact that is here. ``digest`` is its manifest's sha256; ``moved`` bytes came now."""

    folder: Path
    manifest: Manifest
    digest: str
    moved: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What of an artifact is wanted.

    ``digest``: its manifest's sha256, None: whichever is there. ``graphs``: None for all that it
    came with. ``extras``: what no encoder reads, too.
    """

    digest: str | None = None
    graphs: tuple[str, ...] | None = None
    extras: bool = True
    largest: int = LARGEST


def fetch(place: Place, into: Path, wish: Wish | None = None, progress: Progress = no_progress
          ) -> Fetched:  # fmt: skip
    """Fetch the artifact at ``place`` into a folder of ``into`` that its digest names.

    Raises:
        ArtifactError: there is none, it is not complete, is not the one that was asked for, a file
            is not what the manifest says, or it holds what no artifact may.
        DiskFull: what came so far is kept.
    """
    wish = wish or Wish()
    content, manifest, digest = read_manifest(place, wish.digest)
    name = "-".join([digest, *(wish.graphs or ()), *(() if wish.extras else ("bare",))])
    target, draft = into / name, into / f".{name}.part"
    graphs = manifest.present if wish.graphs is None else wish.graphs
    with _alone(into, name):
        if _is_good(target, manifest, graphs, wish):
            return Fetched(target, manifest, digest, 0)
        moved = _Download(place, draft, progress).all(manifest, graphs, wish)
        try:
            verify(draft, manifest, graphs, extras=wish.extras)
        except ArtifactError:
            shutil.rmtree(draft)  # of a graph in parts it cannot be said which one is wrong
            raise
        (draft / MANIFEST_NAME).write_bytes(content)
        draft.rename(target)
    return Fetched(target, manifest, digest, moved)


def _is_good(target: Path, manifest: Manifest, graphs: Sequence[str], wish: Wish) -> bool:
    """Whether it was fetched before; one that is damaged by now is removed."""
    if not (target / MANIFEST_NAME).exists():
        return False
    try:
        verify(target, manifest, graphs, extras=wish.extras)
    except ArtifactError:
        shutil.rmtree(target)
        return False
    return True


def read_manifest(place: Place, digest: str | None = None) -> tuple[bytes, Manifest, str]:
    """The manifest at a place: its bytes, what it says, and its sha256.

    Raises:
        ArtifactError: there is none, another one than ``digest`` says, or it is malformed or names
            what no artifact may hold.
    """
    try:
        with place.read(MANIFEST_NAME) as stream:
            content = stream.read(LARGEST_MANIFEST + 1)
    except FileNotFoundError:
        raise ArtifactError(
            f"There is no complete artifact at {place.shown}: no {MANIFEST_NAME}. A push "
            "writes it last, so one that was cut leaves none; push the version again."
        ) from None
    if len(content) > LARGEST_MANIFEST:
        raise ArtifactError(f"{place.shown}/{MANIFEST_NAME} has over {LARGEST_MANIFEST:,} bytes.")
    found = hashlib.sha256(content).hexdigest()
    if digest is not None and digest.removeprefix("sha256:").lower() != found:
        raise ArtifactError(
            f"{place.shown} holds another artifact than the one asked for: expected the digest "
            f"{digest}, found sha256:{found}. Nothing was fetched."
        )
    manifest = parse_manifest(content, Path(place.shown, MANIFEST_NAME))
    check_manifest(manifest)
    return content, manifest, found


def verify(folder: Path, manifest: Manifest, graphs: Sequence[str], *, extras: bool) -> None:
    """Every file against its checksum, then through `check_contents`. Raises ArtifactError."""
    verify_files(folder, manifest, graphs)
    for name, expected in manifest.extras.items() if extras else ():
        if hash_files([folder / name]) != expected:
            raise ArtifactError(
                f"{folder / name} is not the file that was pushed. Pull the version again."
            )
    _check_tokenizer(folder, manifest)
    names = set(listed(manifest, graphs)) - (set() if extras else set(manifest.extras))
    check_contents(folder, names)


def _check_tokenizer(folder: Path, manifest: Manifest) -> None:
    """The space is of this very tokenizer, and of these very members."""
    for member in manifest.members:
        inner = load_manifest(folder / member.folder)
        if inner.space != member.space or inner.members:
            raise ArtifactError(f"{folder / member.folder} is not the member that it stands for.")
        _check_tokenizer(folder / member.folder, inner)
    if not manifest.members and tokenizer_hash(folder / TOKENIZER_NAME) != manifest.tokenizer:
        raise ArtifactError(
            f"{folder / TOKENIZER_NAME} is not the tokenizer of this space: whoever wrote it "
            "changed the manifest, too. Nothing was loaded."
        )


class _Download:
    """Files of one artifact into one draft folder."""

    def __init__(self, place: Place, draft: Path, progress: Progress) -> None:
        self._place, self._draft, self._progress = place, draft, progress
        self._done = self._moved = self._total = 0

    def all(self, manifest: Manifest, graphs: Sequence[str], wish: Wish) -> int:
        """Fetch what is wanted of ``manifest`` and is not here yet; returns the bytes that came."""
        wanted = dict.fromkeys(listed(manifest, graphs))
        if not wish.extras:
            wanted = dict.fromkeys(name for name in wanted if name not in manifest.extras)
        sizes = self._place.sizes()
        missing = [name for name in wanted if name not in sizes]
        if missing:
            raise ArtifactError(
                f"{self._place.shown} is not complete: it lacks {', '.join(missing[:3])}"
                f"{f' and {len(missing) - 3} more' if missing[3:] else ''}. Push the version again."
            )
        self._total = sum(sizes[name] for name in wanted)
        if self._total > wish.largest:
            raise ArtifactError(
                f"{self._place.shown} has {self._total / 1e9:.1f} GB; at most "
                f"{wish.largest / 1e9:g} GB are taken. If that is meant: --max-gb."
            )
        self._check_room()
        known = _single_hashes(manifest)
        for name in wanted:
            self._one(name, sizes[name], known.get(name))
        self._progress("fetch", self._total, self._total)
        return self._moved

    def _check_room(self) -> None:
        try:
            self._draft.mkdir(parents=True, exist_ok=True)
            here = sum(file.stat().st_size for file in self._draft.rglob("*") if file.is_file())
            free = shutil.disk_usage(self._draft).free
        except OSError as error:
            raise ArtifactError(f"{self._draft} cannot be written: {error.strerror}.") from None
        if self._total - here > free:
            said = f"{(self._total - here) / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free"
            raise disk_full("The artifact", self._draft, said)

    def _one(self, name: str, size: int, expected: str | None) -> None:
        """A file that is here already with its checksum is kept; a part of one is gone on with."""
        target = self._draft / name
        if target.exists() and target.stat().st_size == size:
            if expected is None or hash_files([target]) == expected:
                self._tell(size)
                return
            target.unlink()
        part = target.with_name(f"{target.name}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        resumed = self._read_into(part, name, size)
        if expected is not None and hash_files([part]) != expected:
            part.unlink()
            again = resumed and self._read_into(part, name, size) == 0
            if not again or hash_files([part]) != expected:
                part.unlink(missing_ok=True)
                raise ArtifactError(
                    f"{self._place.shown}/{name} is not the file that the manifest names: expected "
                    f"sha256 {expected[:16]}…. It was damaged or replaced; push the version again."
                )
        part.replace(target)

    def _read_into(self, part: Path, name: str, size: int) -> int:
        """Append what is missing; returns how many bytes were here before."""
        before = part.stat().st_size if part.exists() else 0
        before = before if before <= size else 0
        self._tell(before)
        try:
            with (
                self._place.read(name, before) as stream,
                part.open("r+b" if before else "wb") as f,
            ):
                f.seek(before)
                self._copy(stream, f, name, size - before)
        except FileNotFoundError:
            raise ArtifactError(f"{self._place.shown}/{name} went away. Pull it again.") from None
        except OSError as error:
            if is_disk_full(error):
                raise disk_full("The artifact", part, error) from error
            raise ArtifactError(f"{part} cannot be written: {error.strerror}.") from None
        return before

    def _copy(self, stream: BinaryIO, sink: BinaryIO, name: str, left: int) -> None:
        """No more than was announced: what is longer than it said is refused, not kept."""
        while left > 0 and (block := stream.read(min(BLOCK, left))):
            sink.write(block)
            left -= len(block)
            self._moved += len(block)
            self._tell(len(block))
        if left > 0 or stream.read(1):
            raise ArtifactError(
                f"{self._place.shown}/{name} is {'shorter' if left > 0 else 'longer'} than it said."
                " Run the same command again: it goes on from there."
            )

    def _tell(self, more: int) -> None:
        self._done += more
        self._progress("fetch", min(self._done, self._total), self._total)


def _single_hashes(manifest: Manifest) -> dict[str, str]:
    """The checksum of each file that has one of its own; graphs in parts have one together."""
    found = {**manifest.files, **manifest.extras}
    for name in manifest.graphs:
        for file, (parts, sha256) in manifest.parts(name).items():
            if len(parts) == 1:
                found[file] = sha256
    return found


@contextlib.contextmanager
def _alone(into: Path, digest: str) -> Iterator[None]:
    """One fetch of an artifact into a folder at a time; others wait and find it there."""
    try:
        import fcntl
    except ImportError:  # Windows: two at once disturb each other, and the checksums tell
        yield
        return
    try:
        into.mkdir(parents=True, exist_ok=True)
        lock = (into / f".{digest}.lock").open("w")
    except OSError as error:
        raise ArtifactError(f"{into} cannot be written: {error.strerror}.") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
