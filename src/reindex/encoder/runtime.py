"""What an encoder runs on: the host's cores, an onnxruntime session, a tokenizer, a budget."""

from __future__ import annotations

import math
import os
import platform
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reindex.errors import ArtifactError
from reindex.records import Vector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

OUTPUT = "last_hidden_state"
INPUTS: dict[str, Callable[[list[int]], NDArray[np.int64]]] = {
    "input_ids": lambda ids: np.array([ids], dtype=np.int64),
    "attention_mask": lambda ids: np.ones((1, len(ids)), dtype=np.int64),
    "token_type_ids": lambda ids: np.zeros((1, len(ids)), dtype=np.int64),
    "position_ids": lambda ids: np.arange(len(ids), dtype=np.int64)[None],
}
"""What a graph may ask for, for one text without padding."""

_ISA_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
_CHARACTERS_PER_TOKEN = 6
_OVERFLOW_MARGIN = 8


def unit(vectors: Vector) -> Vector:
    """To unit length; a zero vector stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    result: Vector = (vectors / np.maximum(length, 1e-12)).astype(np.float32, copy=False)
    return result


def available_cores() -> int:
    """Cores that this process may use: its affinity, and the control group's quota if lower."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no control groups v2, or "max"
        return cores


def cpu_name() -> str:
    """The CPU's model and those instruction sets that choose onnxruntime's kernels."""
    facts: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            key, _, value = line.partition(":")
            facts.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    model = facts.get("model name") or platform.processor() or platform.machine()
    return " ".join([model, *(flag for flag in _ISA_FLAGS if flag in flags)])


def runtime_version() -> str:
    """The version of onnxruntime that computes here."""
    import onnxruntime

    return str(onnxruntime.__version__)


def open_session(file: Path, intra_op_threads: int = 1, *, spin: bool = True) -> Any:
    """A session of a graph from token ids to token vectors.

    ``spin``: its threads stay awake a while after a run, as the next run then starts sooner.

    Raises:
        ArtifactError: it cannot be loaded, or is another kind of graph.
    """
    session = open_graph(file, intra_op_threads, spin=spin)
    _check_signature(file, session)
    return session


class LoneSession:
    """Runs what comes alone on several cores; what comes beside others runs on one, as they do.

    The outputs are the same bit by bit. Its threads do not spin on, for then the store searches.
    """

    def __init__(self, file: Path, threads: int) -> None:
        self._wide = open_session(file, threads, spin=False)
        self._lock = threading.Lock()
        self._running = 0

    def run(self, feed: dict[str, NDArray[np.int64]], narrow: Any) -> list[Any]:
        """The graph's output; ``narrow`` is the session for what does not run alone."""
        with self._lock:
            self._running += 1
            session = self._wide if self._running == 1 else narrow
        try:
            found: list[Any] = session.run([OUTPUT], feed)
        finally:
            with self._lock:
                self._running -= 1
        return found


def open_graph(file: Path, intra_op_threads: int = 1, *, spin: bool = True) -> Any:
    """An onnxruntime session on the CPU. Raises ArtifactError where the graph cannot be loaded."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = intra_op_threads
    options.inter_op_num_threads = 1
    if not spin:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(file), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's own errors share no public base
        raise ArtifactError(
            f"onnxruntime {runtime_version()} cannot load {file}: {error}. Restore the file or "
            "export the version again."
        ) from error
    return session


def _check_signature(file: Path, session: Any) -> None:
    inputs = [item.name for item in session.get_inputs()]
    outputs = [item.name for item in session.get_outputs()]
    if set(inputs) <= set(INPUTS) and OUTPUT in outputs:
        return
    raise ArtifactError(
        f"{file}: expected a graph from some of {', '.join(INPUTS)} to {OUTPUT}, found inputs "
        f"{', '.join(inputs)} and outputs {', '.join(outputs)}. Export the version again."
    )


class TextTokenizer:
    """``tokenizer.json`` with the manifest's max length: texts -> token ids, without padding.

    Raises:
        ArtifactError: the file cannot be loaded.
    """

    def __init__(self, file: Path, max_length: int) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # tokenizers raises a bare Exception
            raise ArtifactError(f"{file} cannot be loaded: {error}. Export it again.") from error
        side = (self._tokenizer.truncation or {}).get("direction", "right")
        self._tokenizer.enable_truncation(max_length, direction=side)
        self._tokenizer.no_padding()
        self._cut_at = _CHARACTERS_PER_TOKEN * max_length if side == "right" else None

    def __call__(self, texts: list[str]) -> list[list[int]]:
        """Token ids per text. A text without any token (blank, for some tokenizers) gets id 0."""
        heads = [self._head(text) for text in texts]
        ids = [[0]] * len(texts)
        short = []
        for index, encoding in enumerate(self._encode(heads)):
            ids[index] = encoding.ids or [0]
            if len(heads[index]) < len(texts[index]) and not _overflows(encoding):
                short.append(index)
        for index, encoding in zip(short, self._encode([texts[i] for i in short]), strict=True):
            ids[index] = encoding.ids or [0]
        return ids

    def _head(self, text: str) -> str:
        """The beginning of a long text, cut at a space: what lies far behind is truncated anyway.

        Tokenising all of a long text costs as much as embedding its beginning.
        """
        if self._cut_at is None or len(text) <= self._cut_at:
            return text
        return text[: max(text.rfind(" ", 0, self._cut_at), 0)] or text

    def _encode(self, texts: list[str]) -> list[Any]:
        try:
            return list(self._tokenizer.encode_batch_fast(texts))
        except (TypeError, UnicodeEncodeError):
            return list(self._tokenizer.encode_batch_fast([_well_formed(text) for text in texts]))


def _overflows(encoding: Any) -> bool:
    """Whether a text's head filled the max length with some tokens to spare."""
    return sum(len(part.ids) for part in encoding.overflowing) >= _OVERFLOW_MARGIN


def _well_formed(text: str) -> str:
    """Join surrogate pairs and replace lone ones, which UTF-8 and so the tokenizer cannot hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class MemoryBudget:
    """Admits work as long as its cost fits; what alone is over the budget runs alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, cost: int) -> Iterator[None]:
        """Wait until ``cost`` fits beside what runs, and hold it."""
        with self._changed:
            self._changed.wait_for(lambda: self._used == 0 or self._used + cost <= self._limit)
            self._used += cost
        try:
            yield
        finally:
            with self._changed:
                self._used -= cost
                self._changed.notify_all()
