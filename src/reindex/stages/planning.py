"""Before stage 3: what a build will cost, what would fail, and what would be cheaper."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from reindex.build.lookup import hashed
from reindex.encoder import OnnxEncoder
from reindex.encoder.lengths import token_lengths
from reindex.errors import ReindexError
from reindex.forecast import SPILL_BYTES, Shape, seconds_of
from reindex.owner.jobs import job
from reindex.protocols import Encoder
from reindex.records import Document
from reindex.registry.control import Control
from reindex.registry.ledger import Version
from reindex.stages.finding import Finding
from reindex.stages.limits import strict_mode
from reindex.stages.sampling import Sample, take_sample
from reindex.stages.supervision import collection_lock
from reindex.workspace import Workspace

SAMPLE, PASS_S, MEASURE_S = 512, 20.0, 5.0
"""Documents in the sample; seconds that reading may take, and measuring the encoder."""
NIGHT_S = 12 * 3600.0
WORKERS = (4, 16)
"""Of a cluster, as examples."""
SHORT_S = 600.0
"""Builds shorter than this need no advice on how to spread them."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another way to build, and what it would take. None: as planned."""

    name: str
    how: str
    seconds: float | None = None
    memory: int | None = None
    disk: int | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Lengths in the sample: mean before and after cutting at ``max_length``, share that is cut."""

    mean: float
    mean_cut: float
    truncated: float
    max_length: int


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What `reindex build` would do.

    Attributes:
        documents: in the source; ``counted`` all of them, or estimated from what was read.
        present: of these, how many have their vector already (from the sample).
        texts: distinct texts to embed.
        tokens: lengths, where the encoder has a tokenizer.
        encode_rate, read_rate: per second, measured here with sampled texts.
        seconds: the build's duration at these rates, within the throttle.
        memory, disk: bytes; see `reindex.forecast.Shape`.
        temporary: bytes in the temporary folder.
        free, free_temporary: bytes free where they will go; None where that is elsewhere.
    """

    version: str
    collection: str
    store: str
    documents: int
    counted: bool
    bad_share: float
    present: int
    texts: int
    read_rate: float
    layout: str
    dim: int
    prefix_dim: int | None
    memory: int
    disk: int
    temporary: int
    free: int | None
    free_temporary: int
    tokens: Tokens | None = None
    encode_rate: float = 0.0
    throttle: float | None = None
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()
    alternatives: tuple[Alternative, ...] = ()

    @property
    def feasible(self) -> bool:
        """Whether nothing was found that would stop the build."""
        return all(item.severity != "error" for item in self.findings)


@job("aside")
def plan(workspace: Workspace, name: str) -> BuildPlan:
    """Look at the source, the encoder and the store; nothing is written.

    Raises:
        ArtifactError: the version is not exported, so there is nothing to measure.
        DataError: the source cannot be read.
        UnknownVersion: there is no such version.
    """
    version = workspace.registry.version(name)
    encoder = workspace.encoder(version, tune=True)
    sample = take_sample(workspace.source, size=SAMPLE, seconds=PASS_S)
    findings = _project_findings(workspace, version, sample)
    present = _present(workspace, version, sample, findings)
    shape = _shape(workspace, version, encoder, sample)
    findings += _limits(workspace, version, shape)
    texts = [item.text for item in sample.chosen]
    throttle = Control(workspace.registry).throttle()
    made = _figures(workspace, version, sample, shape, present)
    made = replace(
        made,
        tokens=_tokens(workspace, version, encoder, texts),
        encode_rate=_encode_rate(encoder, texts),
        throttle=throttle.per_second if throttle else None,
    )
    made = replace(made, seconds=_lasts(made, made.throttle))
    return replace(
        made,
        findings=(*findings, *_figures_findings(made)),
        alternatives=(
            *_alternatives(made, shape),
            *_past_one_machine(workspace, made),
            *_smaller_versions(workspace, made),
        ),
    )


def _figures(
    workspace: Workspace, version: Version, sample: Sample, shape: Shape, present: float
) -> BuildPlan:
    """What can be said without measuring anything."""
    folder = workspace.settings.resolve(workspace.settings.store.path)
    return BuildPlan(
        version=version.name,
        collection=workspace.settings.collection(version.name),
        store=workspace.settings.store.kind,
        documents=sample.total,
        counted=sample.complete,
        bad_share=sample.bad_share,
        present=round(sample.total * present),
        texts=round(sample.total * (1 - present) * (1 - sample.repeated)),
        read_rate=sample.rate,
        layout=shape.layout,
        dim=shape.dim,
        prefix_dim=shape.prefix_dim,
        memory=shape.memory,
        disk=shape.disk,
        temporary=sample.total * SPILL_BYTES,
        free=None if shape.server else _free(folder),
        free_temporary=_free(Path(tempfile.gettempdir())),
    )


def _lasts(made: BuildPlan, throttle: float | None) -> float:
    return seconds_of(
        made.texts,
        made.documents,
        encode_rate=made.encode_rate,
        read_rate=made.read_rate,
        throttle=throttle,
    )


def _shape(workspace: Workspace, version: Version, encoder: Encoder, sample: Sample) -> Shape:
    settings = workspace.settings
    prefix = settings.store.prefix_dim or version.report.get("prefix_dim")
    two_stage = settings.store.layout == "two-stage" and prefix
    placement = settings.qdrant.placement
    return Shape(
        points=sample.total,
        dim=encoder.dim,
        prefix_dim=int(prefix) if two_stage and prefix else None,
        payload_bytes=sample.payload_bytes,
        server=settings.store.kind == "server",
        copies=placement.replication_factor or 1,
        shards=placement.shard_number or 1,
        quantization=placement.quantization or "none",
    )


def _free(path: Path) -> int:
    """Bytes free on the disk of a folder that may not be there yet."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def _encode_rate(encoder: Encoder, texts: list[str]) -> float:
    """Texts per second over whole batches of the sample, for some seconds."""
    if not texts:
        return 0.0
    encoder.encode_documents(texts[:8])  # warms up
    started, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - started) < MEASURE_S and done < len(texts):
        batch = texts[done : done + 64]
        encoder.encode_documents(batch)
        done += len(batch)
    return done / max(time.perf_counter() - started, spent, 1e-9)


def _tokens(
    workspace: Workspace, version: Version, encoder: Encoder, texts: list[str]
) -> Tokens | None:
    if not isinstance(encoder, OnnxEncoder) or version.artifact is None or not texts:
        return None
    manifest, folder = encoder.manifest, workspace.settings.home / version.artifact
    if manifest.members:  # each has a tokenizer, prompts and a limit of its own
        return None
    limit = manifest.max_length
    lengths = token_lengths(folder, [manifest.document_prompt + text for text in texts])
    return Tokens(
        mean=sum(lengths) / len(lengths),
        mean_cut=sum(min(length, limit) for length in lengths) / len(lengths),
        truncated=sum(length > limit for length in lengths) / len(lengths),
        max_length=limit,
    )


def _limits(workspace: Workspace, version: Version, shape: Shape) -> list[Finding]:
    """A store that cannot be asked is a finding already."""
    try:
        return list(strict_mode(workspace, workspace.settings.collection(version.name), shape))
    except ReindexError:
        return []


def _present(
    workspace: Workspace, version: Version, sample: Sample, findings: list[Finding]
) -> float:
    """Share of the sample whose vector is in the collection already. Problems with the store, and
    with a collection of that name, become findings.
    """
    name = workspace.settings.collection(version.name)
    try:
        if name not in workspace.store.collections():
            return 0.0
        found = workspace.store.info(name).metadata
        expected = (version.space, version.encoding)
        if (found.get("space"), found.get("encoding")) != expected:
            what = f"{name} exists and holds vectors of another artifact"
            findings.append(Finding("error", what, "train or adopt a new version, or `reindex gc`"))
            return 0.0
        return _current(workspace, version, name, sample.chosen) / max(1, len(sample.chosen))
    except ReindexError as error:
        findings.append(Finding("error", f"the store: {error}", "mend it, then plan again"))
        return 0.0


def _current(workspace: Workspace, version: Version, name: str, chosen: list[Document]) -> int:
    made = []
    for document in chosen:
        try:
            made.append(hashed(document))
        except Exception:  # noqa: S112 (a dead letter of the build to come)
            continue
    stored = workspace.store.retrieve(name, [item.id for item in made])
    stamps = [(item, stored[item.id].stamp) for item in made if item.id in stored]
    return sum(
        stamp is not None
        and (stamp.text_hash, stamp.encoding) == (item.text_hash, version.encoding)
        for item, stamp in stamps
    )


def _project_findings(workspace: Workspace, version: Version, sample: Sample) -> list[Finding]:
    settings, found = workspace.settings, []
    lock = collection_lock(settings.collection(version.name))
    for run in Control(workspace.registry).running():
        if lock in run.resources:
            what = f"`{run.task}` works on the collection: process {run.pid} on {run.host}"
            found.append(Finding("error", what, f"wait, or: reindex cancel {run.version}"))
    wanted, allowed = settings.store.prefix_dim, settings.source.max_bad_rows
    if settings.store.layout == "two-stage" and wanted and version.dim and wanted > version.dim:
        what = f"store.prefix_dim = {wanted} is more than the model's {version.dim} dimensions"
        found.append(Finding("error", what, "lower it, or leave it out"))
    if sample.bad and sample.bad_share > allowed and sample.bad + sample.documents >= 100:
        what = f"{sample.bad_share:.1%} of the rows are bad (the first: {sample.first_bad})"
        remedy = f"mend them, or raise source.max_bad_rows ({allowed:.1%})"
        found.append(Finding("error", what, remedy))
    elif sample.bad:
        what = f"{sample.bad:,} bad rows (the first: {sample.first_bad})"
        found.append(Finding("warning", what, "they will be dead letters"))
    if not sample.documents:
        found.append(Finding("error", "the source has no documents", "check [source]"))
    if not sample.complete and sample.listed is None:
        what = f"the source has more than the {sample.documents:,} documents that were read"
        remedy = "the figures hold for these; multiply"
        found.append(Finding("warning", what, remedy))
    return found


def _figures_findings(made: BuildPlan) -> list[Finding]:
    found = []
    if made.free is not None and made.disk > made.free:
        what = f"the store needs {made.disk / 2**30:.1f} GiB, {made.free / 2**30:.1f} are free"
        found.append(Finding("error", what, "free space, or move store.path"))
    if made.temporary > made.free_temporary:
        what = f"the temporary folder needs {made.temporary / 2**30:.1f} GiB"
        found.append(Finding("error", what, "set TMPDIR to a larger folder"))
    tokens = made.tokens
    if tokens is not None and tokens.truncated > 0.1:
        what = f"{tokens.truncated:.0%} of the documents are longer than {tokens.max_length} tokens"
        remedy = "their ends are not embedded: split them, or train with a larger train.max_length"
        found.append(Finding("warning", what, remedy))
    return found


def _alternatives(made: BuildPlan, shape: Shape) -> list[Alternative]:
    found = []
    if shape.prefix_dim is not None:
        one, cut = shape.single(), shape.truncated()
        found.append(
            Alternative("full vectors only", 'store.layout = "single"', None, one.memory, one.disk)
        )
        how = f"a version of {cut.dim} dimensions in the single layout; costs recall: compare it"
        found.append(Alternative(f"{cut.dim} dimensions only", how, None, cut.memory, cut.disk))
    if shape.server and shape.quantization == "none":
        small = shape.quantized()
        how = 'qdrant.quantization = "scalar"'
        found.append(Alternative("int8 vectors first", how, None, small.memory, small.disk))
    return found + (_gentler(made) if made.seconds > SHORT_S else [])


def _gentler(made: BuildPlan) -> list[Alternative]:
    """Ways to spread a long build."""
    half, count = made.seconds / 2, round(made.texts / 2)
    how = f"--budget {round(half / 60)}m: about {count:,} texts, and the rest later"
    found = [Alternative("in parts", how, half)]
    rate = max(1, round(made.texts / NIGHT_S))
    if rate < made.encode_rate / 2:
        how = f"reindex throttle {rate}/s"
        found.append(Alternative("over a night, gently", how, _lasts(made, rate)))
    return found


def _past_one_machine(workspace: Workspace, made: BuildPlan) -> list[Alternative]:
    """What workers bring: the hours of embedding are divided, those of reading are not."""
    if made.seconds <= SHORT_S or workspace.settings.embed.device != "cpu":
        return []
    return [_on_workers(made, workers) for workers in WORKERS]


def _on_workers(made: BuildPlan, workers: int) -> Alternative:
    rate = workers * made.encode_rate
    lasts = _lasts(replace(made, encode_rate=rate), made.throttle)
    how = f"--engine ray: {rate:,.0f} texts/s, each worker as this machine"
    if made.documents / made.read_rate >= lasts:
        how += f"; the driver's {made.read_rate:,.0f} documents/s decide"
    elif made.throttle and made.throttle < rate:
        how += "; the throttle decides"
    return Alternative(f"on {workers} workers", how, lasts)


def _smaller_versions(workspace: Workspace, made: BuildPlan) -> list[Alternative]:
    """Versions whose builds on record went faster than this one would."""
    rates: dict[str, float] = {}
    for run in workspace.registry.runs(200):
        embedded, seconds = run.details.get("embedded"), run.details.get("seconds")
        if run.version and embedded and seconds and embedded >= 1000:
            rates.setdefault(run.version, embedded / seconds)
    return [
        Alternative(f"version {name}", f"{rate:,.0f} texts/s in its last build", made.texts / rate)
        for name, rate in rates.items()
        if name != made.version and rate > 1.2 * made.encode_rate
    ]
