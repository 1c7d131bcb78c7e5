"""What training data is like, before anything is trained on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reindex.config.training_data import DataSettings
from reindex.corpus.training_sets import texts_of
from reindex.datasets import checks
from reindex.datasets.collecting import CorpusAlone
from reindex.datasets.lengths import Lengths, Ruler, lengths_of, token_ruler, words_ruler
from reindex.datasets.near import own_texts
from reindex.datasets.reading import DataFile
from reindex.datasets.suspects import by_vectors, by_words
from reindex.errors import ConfigError, DataError, MissingExtra, ReindexError, UnknownVersion
from reindex.inspection.findings import SEVERITIES, Finding, by_severity
from reindex.protocols import Encoder
from reindex.stages.bases import base_spec
from reindex.stages.training_data import configured_data, read_sets, read_table
from reindex.workspace import Workspace


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """One file: what it holds, what was made of it, how long its texts are."""

    path: str
    kind: str
    columns: Mapping[str, str]
    trains_as: str
    rows: int
    bad_rows: int
    dropped: Mapping[str, int]
    texts: int
    negatives: Mapping[int, int]
    notes: tuple[str, ...]
    lengths: tuple[Lengths, ...]


@dataclass(frozen=True, slots=True)
class DataReport:
    """All files, and what was found in them, the gravest first."""

    files: tuple[CheckedFile, ...]
    findings: tuple[Finding, ...]

    def reaches(self, severity: str) -> bool:
        """Whether something at least this grave was found. ``never``: no."""
        grave = SEVERITIES[: SEVERITIES.index(severity) + 1] if severity in SEVERITIES else ()
        return any(finding.severity in grave for finding in self.findings)


@dataclass(slots=True)
class _BadRows:
    """Takes any number of bad rows: here they are the result."""

    file: str
    examples: list[str] = field(default_factory=list)

    def add(self, *, line: int, reason: str, **_: object) -> None:
        """Keep the place and the reason."""
        self.examples.append(f"{self.file}:{line}: {reason}")

    def ok(self, rows: int = 1) -> None:
        """Good rows are counted elsewhere."""

    @property
    def count(self) -> int:
        return len(self.examples)

    @property
    def ids(self) -> frozenset[int | str]:
        return frozenset()


def check_data(
    workspace: Workspace,
    paths: Sequence[Path] = (),
    against: Sequence[Path] = (),
    *,
    how: Mapping[str, Any] | None = None,
    model: str | None = None,
) -> DataReport:
    """Read the files, or else those of [train] or of the source, and say what is wrong with them.

    ``against`` are files (queries, or training data) whose texts must not be in them, beside the
    project's own judged queries. A file that cannot be read at all is a finding. ``how`` are keys
    of `DataSettings` (kind, columns) that hold for all ``paths``; ``model`` (a version or a base)
    also judges negatives by its cosines.

    Raises:
        ConfigError: there is nothing to check.
    """
    ruler = _ruler(workspace)
    findings: list[Finding] = []
    tables = [DataSettings(path=path.resolve(), **(how or {})) for path in paths]
    read = list(_read(workspace, tables, findings))
    sets = [item.data for item in read]
    for data in sets:
        findings.extend(checks.amounts(data))
    rows = checks.places(sets)
    workspace.progress("checking rows", 0, len(rows))
    for look in (checks.duplicates, checks.contradictions, checks.false_negatives):
        findings.extend(look(rows))
    findings.extend(_suspects(workspace, rows, model))
    findings.extend(checks.leakage(rows, _held_out(workspace, against)))
    files = tuple(_describe(item, ruler) for item in read)
    findings.extend(_too_long(files))
    return DataReport(files, by_severity(findings))


def _suspects(
    workspace: Workspace, rows: Sequence[checks.Place], model: str | None
) -> Iterator[Finding]:
    """Negatives that BM25, and the model if one is named, would find before the positive."""
    try:
        yield from by_words(rows)
    except MissingExtra as error:
        yield Finding("info", "false negatives by words", f"not looked for: {error}")
    if model is not None:
        margin = workspace.settings.train.negatives.relative_margin or 0.0
        yield from by_vectors(rows, encoder_named(workspace, model), margin=margin)


def encoder_named(workspace: Workspace, spec: str) -> Encoder:
    """An exported version's artifact, or a base in torch with its own prompts.

    Raises:
        ModelError, MissingExtra: it cannot be had.
    """
    try:
        version = workspace.registry.version(spec)
    except UnknownVersion:
        version = None
    if version is not None and version.artifact:
        return workspace.encoder(version, tune=True)
    from reindex.training.embedding import ModelEncoder
    from reindex.training.prompts import prompts_of

    place, settings = base_spec(workspace, spec), workspace.settings.train
    return ModelEncoder(
        place, max_length=settings.max_length, prompts=prompts_of(settings, place),
        pooling=settings.pooling if spec == settings.base else None,
    )  # fmt: skip


def _read(
    workspace: Workspace, given: Sequence[DataSettings], findings: list[Finding]
) -> Iterator[DataFile]:
    tables = given or configured_data(workspace.settings.train)
    if not tables:
        try:
            (data,) = read_sets(workspace, workspace.settings.train)
        except ConfigError as error:
            raise ConfigError(f"There is nothing to check. {error} Or name files.") from None
        yield DataFile(data.name, "qrels", {}, data)
    for table in tables:
        bad = _BadRows(str(table.path))
        try:
            yield read_table(workspace, table, bad)
        except CorpusAlone as error:
            findings.append(Finding("warning", "documents alone", str(error)))
        except DataError as error:
            findings.append(Finding("error", "unreadable", str(error)))
        findings.extend(
            checks.found(
                "warning", "bad rows", f"rows of {table.path} cannot be used",
                "Mend them; training goes on without them.", bad.examples,
            )
        )  # fmt: skip


def _held_out(workspace: Workspace, against: Sequence[Path]) -> dict[str, list[str]]:
    found = {}
    for split in ("dev", "test"):
        judged = workspace.judgements(split)
        if judged is not None:
            found[split] = [query.text for query in judged.queries]
    for path in against:
        data = read_table(workspace, DataSettings(path=path.resolve()), _BadRows(str(path))).data
        found[path.name] = [text for row in data.rows for text in own_texts(row)]
    return found


def _ruler(workspace: Workspace) -> Ruler:
    """The base's own tokenizer, where the base is a folder or a package; else words."""
    from reindex.training.base import LONGEST_DEFAULT, resolve_base

    settings = workspace.settings.train
    try:
        folder = Path(resolve_base(base_spec(workspace, settings.base)))
    except ReindexError:
        return words_ruler()
    return token_ruler(folder, settings.max_length, LONGEST_DEFAULT) or words_ruler()


def _describe(item: DataFile, ruler: Ruler) -> CheckedFile:
    data = item.data
    numbers: dict[int, int] = {}
    for row in data.rows:
        many = len(getattr(row, "negatives", ()))
        numbers[many] = numbers.get(many, 0) + 1
    return CheckedFile(
        item.path, item.kind, item.columns, data.kind, len(data.rows), item.bad, item.dropped,
        len({text for row in data.rows for text in texts_of(row)}), numbers, item.notes,
        lengths_of(data, ruler),
    )  # fmt: skip


def _too_long(files: Iterable[CheckedFile]) -> Iterator[Finding]:
    for file in files:
        for item in file.lengths:
            if item.over:
                yield Finding(
                    "warning" if item.over > 0.1 * item.texts else "info", "cut texts",
                    f"{file.path}: {item.over:,} of {item.texts:,} texts of {item.column} are "
                    f"longer than {item.limit} {item.unit} and are cut (longest {item.longest:,})",
                    "Set train.max_length, or cut documents into passages.",
                )  # fmt: skip
        if len(file.negatives) > 1:
            counts = ", ".join(f"{n} with {many}" for many, n in sorted(file.negatives.items()))
            yield Finding(
                "info", "uneven negatives",
                f"{file.path}: rows bring different numbers of negatives: {counts}",
                "Training puts rows with as many together in batches; numbers that only a few rows "
                "have are cut to the next lower one.",
            )  # fmt: skip
