"""An artifact becomes an encoder: texts -> unit vectors, with onnxruntime and tokenizers only.

One text per ``run()`` call. Dynamic quantization takes its activation range from the whole batch
tensor, so in a batch a text's vector would depend on its batch mates and the padding; alone it is
always the same, and with one caller per core it is also the fastest way that was measured.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from reindex.artifact import TOKENIZER_NAME, Manifest, load_manifest, verify_files
from reindex.encoder.images import ImageEncoder
from reindex.encoder.pooling import Head, pool
from reindex.encoder.runtime import (
    INPUTS,
    OUTPUT,
    LoneSession,
    MemoryBudget,
    TextTokenizer,
    available_cores,
    cpu_name,
    open_session,
    runtime_version,
    unit,
)
from reindex.errors import ArtifactError, ProbeMismatch
from reindex.records import Vector, image_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType

    from reindex.encoder.tuning import ThreadReport

SAME_HOST_TOLERANCE = 1e-6
"""Largest difference of any component on the CPU and runtime that made the probes."""
OTHER_HOST_COSINE = 0.999
"""Lowest cosine elsewhere: kernels round differently there, but saturation costs far more."""
ATTENTION_BUDGET = 2**30
"""Bytes of attention scores in flight; a text that alone needs more runs alone."""


def truncate(vectors: Vector, dim: int) -> Vector:
    """The first ``dim`` components, brought back to unit length: ``(…, n)`` -> ``(…, dim)``.

    The one place that does this: the prefix of a Matryoshka vector keeps its meaning, but not its
    length (Kusupati et al., 2022, arXiv:2205.13147).
    """
    return unit(vectors[..., :dim])


class OnnxEncoder:
    """Embeds texts as one version does. Safe to call from several threads.

    Args:
        folder: the artifact's folder.
        graph: which of its graphs computes, ``int8`` or ``fp32``.
        threads: texts that are embedded at the same time; None: all cores this process may use.
        verify: check the files' hashes and the probes. Off only where both were just checked.
        tune: spend about a second on finding whether one text per core or one text on all cores
            is faster here (`reindex.encoder.tuning.confirm_threads`); for bulk work.
        lone_threads: cores for a query that comes alone while no other is embedded; all others
            have one each. More than 1 holds the graph in memory twice.

    Raises:
        ArtifactError: the folder is incomplete or not what its manifest says.
        ProbeMismatch: this host computes other vectors than the build host did.
    """

    def __init__(
        self,
        folder: Path,
        *,
        graph: str = "int8",
        threads: int | None = None,
        verify: bool = True,
        tune: bool = False,
        lone_threads: int = 1,
    ) -> None:
        self.manifest: Manifest = load_manifest(folder)
        self.folder = folder
        self.graph = graph
        self.file = folder / self.manifest.graph(graph).file
        self.threads = threads or available_cores()
        if verify:
            verify_files(folder, self.manifest, [graph])
        self._tokenise = TextTokenizer(folder / TOKENIZER_NAME, self.manifest.max_length)
        self._head = Head(folder, self.manifest)
        self._pool_lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._admit = _admission(self.manifest, self.threads)
        self.use_session(open_session(self.file), self.threads)
        self._lone = LoneSession(self.file, lone_threads) if lone_threads > 1 else None
        self._images = self._image_encoder()
        self.tuning: ThreadReport | None = None
        if verify:
            self.check_probes()
        if tune:
            from reindex.encoder.tuning import confirm_threads

            self.tuning = confirm_threads(self)

    @property
    def space(self) -> str:
        """The sha256 of all that decides where a text lies."""
        return self.manifest.space

    @property
    def encoding(self) -> str:
        """The sha256 of the graph that computes the vectors."""
        return self.manifest.encoding(self.graph)

    @property
    def dim(self) -> int:
        """Full dimension."""
        return self.manifest.dim

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length, in the order given; the document prompt is added.

        References to images (`reindex.records.image_reference`) give the images' vectors.
        """
        manifest = self.manifest
        images = [row for row, text in enumerate(texts) if image_path(text)]
        if not images:
            return self._encode(manifest.document_prompt, texts, manifest.skipped[1])
        if self._images is None:
            raise ArtifactError(
                f"The documents are images, but {manifest.base} embeds texts alone. Choose a "
                "text–image model (CLIP), or leave source.image_field out."
            )
        out = np.empty((len(texts), self.dim), dtype=np.float32)
        others = sorted(set(range(len(texts))).difference(images))
        if others:
            out[others] = self.encode_documents([texts[row] for row in others])
        with ThreadPoolExecutor(self.threads, "images") as pool:
            out[images] = list(pool.map(self._images, (texts[row] for row in images)))
        return out

    def _image_encoder(self) -> ImageEncoder | None:
        tower = self.manifest.images
        return None if tower is None else ImageEncoder(self.folder, tower, self.graph)

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length, in the order given; the query prompt is added."""
        return self._encode(self.manifest.query_prompt, texts, self.manifest.skipped[0])

    def count_tokens(self, texts: Sequence[str], *, queries: bool) -> list[int]:
        """Tokens that are embedded of each text: prompt and special ones included, cut as set."""
        manifest = self.manifest
        prompt = manifest.query_prompt if queries else manifest.document_prompt
        return [len(ids) for ids in self._tokenise([prompt + text for text in texts])]

    def check_probes(self) -> None:
        """Embed the manifest's probe texts and compare. Raises ProbeMismatch with the figures."""
        probes = self.manifest.probes
        expected = probes.matrix(self.graph)
        found = self.encode_documents(probes.texts)
        difference = float(np.abs(found - expected).max())
        cosine = float((found * expected).sum(axis=1).min())
        here = (cpu_name(), runtime_version())
        same_host = here == (probes.cpu, probes.onnxruntime)
        if self._images is not None:
            self._images.check_probe(OTHER_HOST_COSINE)
        if difference <= SAME_HOST_TOLERANCE if same_host else cosine >= OTHER_HOST_COSINE:
            return
        bound = (
            f"a difference of at most {SAME_HOST_TOLERANCE:g} (the same CPU and runtime)"
            if same_host
            else f"a cosine of at least {OTHER_HOST_COSINE}"
        )
        raise ProbeMismatch(
            f"{self.file} computes other vectors here than where it was exported: expected "
            f"{bound}, found a difference of {difference:.2g} and a cosine of {cosine:.5f}. "
            f"Exported on {probes.cpu}, onnxruntime {probes.onnxruntime}; this is {here[0]}, "
            f"onnxruntime {here[1]}. Install that onnxruntime, or export the version again here "
            "and build its collection anew."
        )

    def use_session(self, session: Any, callers: int) -> None:
        """Embed with ``session``, ``callers`` texts at a time (what tuning found to be best)."""
        self._session = session
        self._inputs = tuple(item.name for item in session.get_inputs())
        self.callers = callers

    def close(self) -> None:
        """Stop the threads. They start again where the encoder is used further."""
        with self._pool_lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _encode(self, prompt: str, texts: Sequence[str], skipped: int) -> Vector:
        out = np.empty((len(texts), self.dim), dtype=np.float32)
        tokens = self._tokenise([prompt + text for text in texts])
        # The longest first, so that no caller is left alone with a long one at the end.
        order = iter(sorted(range(len(tokens)), key=lambda index: -len(tokens[index])))
        callers = min(self.callers, len(tokens))
        if callers <= 1:
            self._work(order, tokens, out, skipped)
            return out
        with self._pool_lock:
            self._pool = self._pool or ThreadPoolExecutor(self.threads, "encode")
            work = (order, tokens, out, skipped)
            futures = [self._pool.submit(self._work, *work) for _ in range(callers)]
        for future in futures:
            future.result()
        return out

    def _work(
        self, order: Iterator[int], tokens: list[list[int]], out: Vector, skipped: int
    ) -> None:
        """Embed text after text; all callers pull from one iterator, whose ``next`` is atomic."""
        for index in order:
            out[index] = self._embed(tokens[index], skipped)

    def _embed(self, ids: list[int], skipped: int) -> Vector:
        """One text, alone and unpadded -> ``(dim,)``; ``skipped`` tokens are not pooled."""
        feed = {name: INPUTS[name](ids) for name in self._inputs}
        with self._admit(len(ids)):
            if self._lone is None:
                hidden = self._session.run([OUTPUT], feed)[0][0]
            else:
                hidden = self._lone.run(feed, self._session)[0][0]
        return unit(self._head(pool(hidden, self.manifest.pooling, skipped)))


def _admission(manifest: Manifest, callers: int) -> Callable[[int], AbstractContextManager[None]]:
    """What a text of so many tokens must hold while it is embedded; nothing where all fit."""

    def cost(length: int) -> int:
        return 3 * 4 * manifest.heads * length**2  # scores, their softmax and a copy, float32

    if callers * cost(manifest.max_length) <= ATTENTION_BUDGET:
        free = nullcontext()
        return lambda _: free
    budget = MemoryBudget(ATTENTION_BUDGET)
    return lambda length: budget.hold(cost(length))
