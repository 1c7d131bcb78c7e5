"""A project on disk: its settings, registry, store and source, opened when first needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from reindex.artifact import load_manifest
from reindex.config import Settings, SourceSettings, load_settings
from reindex.corpus.collection import CollectionSource
from reindex.corpus.dead_letters import DeadLetters
from reindex.corpus.frameworks import stored_text
from reindex.corpus.judgements import load_judgements, without
from reindex.corpus.pools import with_pools
from reindex.corpus.sources import open_source
from reindex.encoder import OnnxEncoder, load_encoder
from reindex.errors import ArtifactError, BuildError, ConfigError, ReindexError, RunStopped
from reindex.protocols import DocumentSource, Encoder, Progress, Store, no_progress
from reindex.records import Judgements
from reindex.registry import REGISTRY_NAME, Registry
from reindex.registry.adoptions import collection_of
from reindex.registry.catalog import RegistryCatalog
from reindex.registry.interactions import INTERACTIONS_NAME
from reindex.registry.journal import Journal
from reindex.registry.ledger import BuiltCollection, Version
from reindex.registry.owners import OwnerBook, OwnerRecord
from reindex.rollout.recorder import Recorder
from reindex.rollout.retriever import RollingRetriever
from reindex.vector_cache import CachedEncoder, VectorCache, cache_file

if TYPE_CHECKING:
    from reindex.torch_encoder import TorchEncoder


def _load_encoder(folder: Path, graph: str, threads: int) -> Encoder:
    return load_encoder(folder, graph=graph, threads=threads, tune=True)


_LOADED = ("_encoders", "_loading", "_remembering", "_caches")


class Workspace:
    """Everything that a stage needs. Close it, or use it as a context manager."""

    def __init__(self, settings: Settings, *, progress: Progress = no_progress) -> None:
        self.settings = settings
        self.progress = progress
        self.retrievers: dict[str | None, RollingRetriever] = {}
        """By version (None: what is live), kept warm; shared by all views."""
        self.ending: RunStopped | None = None
        """Why what runs in this workspace shall end now; whoever works asks now and then."""
        self.job: int | None = None
        """The job over HTTP that is done in this workspace; runs are recorded as parts of it."""
        self.sleep: Callable[[float], None] = time.sleep
        self._opened: list[Callable[[], None]] = []
        self._encoders: dict[str, Encoder] = {}
        self._remembering: dict[Encoder, Encoder] = {}
        self._caches = ExitStack()
        self._opened.append(self._caches.close)
        self._loading = threading.Lock()

    @classmethod
    def open(cls, path: str | Path = ".", *, progress: Progress = no_progress) -> Self:
        """Open the project whose ``reindex.toml`` is at ``path`` (the file or its folder)."""
        return cls(load_settings(Path(path)), progress=progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except ReindexError as second:
            if error is None:
                raise
            error.add_note(f"Closing failed too: {second}")

    def with_corpus(self, folder: Path) -> Workspace:
        """The same project over another BEIR folder's documents, queries and judgements."""
        source = SourceSettings(kind="beir", path=folder.resolve())
        evaluation = self.settings.evaluation.model_copy(
            update={"queries": None, "qrels": None, "dev_qrels": None, "pools": ()}
        )
        settings = self.settings.model_copy(update={"source": source, "evaluation": evaluation})
        other = Workspace(settings, progress=self.progress)
        self._opened.append(other.close)
        return other

    def view(self, settings: Settings, progress: Progress) -> Self:
        """The same open registry and store under other settings. To be closed before this is:
        that releases only what the view itself has opened.
        """
        other = type(self)(settings, progress=progress)
        for name in ("registry", "store", "journal", "resting", "retrievers", "recorder", *_LOADED):
            other.__dict__[name] = getattr(self, name)
        return other

    def at_close(self, release: Callable[[], None]) -> None:
        """Call ``release`` when this workspace is closed."""
        self._opened.append(release)

    def close(self) -> None:
        """Release the collections and the registry's connection."""
        while self._opened:
            self._opened.pop()()

    @cached_property
    def registry(self) -> Registry:
        """The project's registry."""
        registry = Registry(self.settings.home / REGISTRY_NAME)
        self._opened.append(registry.close)
        return registry

    @cached_property
    def store(self) -> Store:
        """The configured vector store."""
        from reindex.stores import open_store

        store = open_store(self.settings, RegistryCatalog(self.registry))
        self._opened.append(store.close)
        return store

    @property
    def source(self) -> DocumentSource:
        """Where the documents come from; a collection is what the alias points at by now."""
        if self.settings.source.kind != "collection":
            return self._files
        return self.collection_source(self._named_collection())

    @cached_property
    def _files(self) -> DocumentSource:
        return open_source(self.settings.source, self.settings.root)

    def collection_source(self, collection: str) -> CollectionSource:
        """A collection's own points as documents."""
        text_of = stored_text(self.settings.source)
        return CollectionSource(self.store, collection, name=self.copies_name, text_of=text_of)

    @property
    def copies_name(self) -> str:
        """The identity of the live collection as a source; the same whatever is live."""
        settings = self.settings.source
        return settings.name or f"collection:{settings.collection or self.settings.alias}"

    def _named_collection(self) -> str:
        found = self.settings.source.collection or self.live_collection()
        if found is None:
            raise ConfigError(
                f'source.kind = "collection", but the alias {self.settings.alias!r} points at '
                "nothing yet. Take a collection over first (reindex adopt), or name one in "
                "source.collection."
            )
        return found

    @cached_property
    def journal(self) -> Journal:
        """Single writes, and the collections that they go to."""
        return Journal(self.registry)

    @cached_property
    def recorder(self) -> Recorder:
        """Writes down what is searched for and what becomes of it."""
        file = self.settings.home / INTERACTIONS_NAME
        recorder = Recorder(file, self.settings.rollout)
        self._opened.append(recorder.close)
        return recorder

    @cached_property
    def resting(self) -> dict[str, float]:
        """Write targets that just failed -> when (monotonic) they may be tried again."""
        return {}

    def kept_encoder(self, built: BuiltCollection) -> Encoder:
        """The encoder whose vectors a collection holds, loaded once and kept."""
        with self._loading:
            if built.name not in self._encoders:
                self._encoders[built.name] = self.encoder_into(built)
            return self._encoders[built.name]

    def kept_remembering(self, built: BuiltCollection) -> Encoder:
        """`kept_encoder` with the vectors that are kept for its encoding, open until `close`."""
        encoder = self.kept_encoder(built)
        with self._loading:
            if encoder not in self._remembering:
                self._remembering[encoder] = self._caches.enter_context(self.remembering(encoder))
            return self._remembering[encoder]

    def dead_letters(self, name: str) -> DeadLetters:
        """A dead-letter file for one run."""
        return DeadLetters(
            self.settings.home / "dead-letters" / f"{name}.jsonl",
            max_share=self.settings.source.max_bad_rows,
        )

    # -- folders of a version

    def checkpoint_folder(self, version: str) -> Path:
        """Where the version's torch checkpoint is."""
        return self.settings.home / "checkpoints" / version

    def artifact_folder(self, version: str) -> Path:
        """Where the version's ONNX artifact is."""
        return self.settings.home / "artifacts" / version

    def run_folder(self, version: str) -> Path:
        """Where a training keeps what it needs to be resumed."""
        return self.settings.home / "runs" / version

    def encoder(
        self, version: Version, *, graph: str = "int8", tune: bool = False, lone_threads: int = 1
    ) -> OnnxEncoder:
        """The version's encoder, its probes checked. Raises ArtifactError before the export."""
        if version.artifact is None:
            raise ArtifactError(
                f"{version.name} is not exported yet. Run: reindex export {version.name}"
            )
        return load_encoder(
            self.settings.home / version.artifact,
            graph=graph,
            threads=self.settings.embed.threads,
            tune=tune,
            lone_threads=lone_threads,
        )

    def encoder_maker(self, encoder: OnnxEncoder) -> Callable[[int], Encoder]:
        """What loads the same encoder elsewhere, with so many threads; it can be pickled.

        The artifact's folder must be there under the same path.
        """
        return partial(_load_encoder, encoder.folder.resolve(), encoder.graph)

    def document_encoder(self, version: Version, encoder: Encoder) -> Encoder:
        """What embeds the version's documents: ``encoder``, or torch on the devices configured.

        Raises:
            ArtifactError: the checkpoint is not what the artifact was exported from.
            ConfigError: torch finds no such device. MissingExtra: it is not installed.
        """
        return encoder if self.settings.embed.device == "cpu" else self._torch_encoder(version)

    def _torch_encoder(self, version: Version) -> TorchEncoder:
        from reindex.torch_encoder import TorchEncoder, cuda_devices

        device = self.settings.embed.device
        if version.artifact is None or version.checkpoint is None:
            raise ArtifactError(
                f"{version.name} has no checkpoint here, which embed.device = {device!r} needs. "
                'Train or adopt it here, or set embed.device = "cpu".'
            )
        home = self.settings.home
        devices = cuda_devices(device)
        return TorchEncoder(home / version.artifact, home / version.checkpoint, devices=devices)

    def encoder_into(self, built: BuiltCollection, *, tune: bool = False) -> Encoder:
        """The encoder whose vectors a collection holds, to write more of the same into it.

        For collections that a build made this is the version's own encoding; an adopted one may
        hold that of another graph of the artifact.

        Raises:
            BuildError: no graph of the version's artifact has the collection's encoding.
        """
        version = self.registry.version(built.version)
        if built.space == version.space and built.encoding == version.encoding:
            return self.encoder(version, tune=tune)
        for graph in self._graphs(version) if built.space == version.space else ():
            encoder = self.encoder(version, graph=graph, tune=tune)
            if encoder.encoding == built.encoding:
                return encoder
        if self.settings.embed.device != "cpu" and built.space == version.space:
            torch = self._torch_encoder(version)
            if torch.encoding == built.encoding:
                return torch
        raise BuildError(
            f"{built.name} was built with another artifact of {version.name}, or on another "
            f"embed.device than {self.settings.embed.device!r}. Set the device as it was. Versions "
            "are immutable: else train or adopt a new one, or remove the collection with "
            "`reindex gc`."
        )

    def _graphs(self, version: Version) -> tuple[str, ...]:
        if version.artifact is None:
            return ()
        return load_manifest(self.settings.home / version.artifact).present

    @property
    def vectors_folder(self) -> Path:
        """Where documents' vectors are kept, a file per encoding."""
        return self.settings.home / "vectors"

    @contextmanager
    def remembering(self, encoder: Encoder) -> Iterator[Encoder]:
        """``encoder`` with the vectors that are kept for its encoding, if `embed.cache` says so."""
        settings = self.settings.embed
        if not settings.cache:
            yield encoder
            return
        file = cache_file(self.vectors_folder, encoder.space, encoder.encoding, encoder.dim)
        cache = VectorCache(file, encoder.dim, settings.cache_mb * 10**6)
        try:
            yield CachedEncoder(encoder, cache)
        finally:
            cache.close()

    # -- judged queries

    def judgements(self, split: str) -> Judgements | None:
        """The judged queries of ``test`` or ``dev``; None where none are configured.

        A dev query that is a test query, too, is left out: dev chooses what test judges.
        """
        settings = self.settings.evaluation
        configured = settings.qrels if split == "test" else settings.dev_qrels
        qrels = self._evaluation_file(configured, f"qrels/{split}.tsv")
        queries = self.queries_file()
        judged = None
        if qrels is not None and queries is not None:
            limit = settings.max_queries if split == "test" else None
            judged = load_judgements(queries, qrels, max_queries=limit, seed=settings.seed)
        if judged is not None and split == "dev":
            return without(judged, self.judgements("test"))
        pools = [self.settings.resolve(path) for path in settings.pools if split == "test"]
        return with_pools(judged, pools)

    def queries_file(self) -> Path | None:
        """The queries file that is configured or that a BEIR source brings."""
        return self._evaluation_file(self.settings.evaluation.queries, "queries.jsonl")

    def train_qrels(self) -> Path | None:
        """The training judgements that a BEIR source brings."""
        return self._evaluation_file(None, "qrels/train.tsv")

    def _evaluation_file(self, configured: Path | None, beir_name: str) -> Path | None:
        if configured is not None:
            path = self.settings.resolve(configured)
            if not path.exists():
                raise ConfigError(f"There is no {path}, which [evaluation] in reindex.toml names.")
            return path
        if self.settings.source.kind != "beir":
            return None
        path = self.settings.resolve(self.settings.source.path) / beir_name
        return path if path.exists() else None

    # -- who owns the store, collections of versions, and what is live

    def other_owner(self) -> OwnerRecord | None:
        """The living process that owns the embedded store, unless that is this workspace."""
        return OwnerBook(self.registry).other()

    def collection_of(self, version: str) -> str:
        """The version's collection: the adopted one, unless one of its own was built since."""
        return collection_of(self.registry, version, self.settings.collection(version))

    def live_collection(self) -> str | None:
        """The collection that the alias points at, or None."""
        return self.store.aliases().get(self.settings.alias)

    def live_version(self) -> Version | None:
        """The version of the live collection, where the registry knows it."""
        collection = self.live_collection()
        built = self.registry.collection(collection) if collection else None
        return self.registry.version(built.version) if built else None
