"""What a file of training data is, told by its columns and by their values.

A form is a kind with the columns that it may come in. The forms are tried in the order of `FORMS`,
so the more particular ones stand first.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reindex.config.training_data import DataKind
from reindex.corpus.readers import Fields
from reindex.corpus.training_sets import NLI_LABELS
from reindex.errors import DataError

Names = tuple[str, ...]
Rows = Sequence[Fields]
Roles = Mapping[str, str]
"""Role -> the column that plays it."""

ANCHOR: Names = ("anchor", "query", "question")
POSITIVE: Names = (
    "positive", "positives", "pos", "answer", "document", "text", "passage", "response",
    "image", "positive_passages", "positive_ctxs", "context",
)  # fmt: skip
NEGATIVE = re.compile(r"(hard_)?(negative|neg)s?(_passages|_ctxs)?(_?\d+)?")
SCORE: Names = ("score", "similarity", "similarity_score", "relatedness_score")
FIRST: Names = (
    "first", "sentence1", "sentence_1", "sentence_a", "text1", "text_1", "text_a", "question1",
)  # fmt: skip
SECOND: Names = (
    "second", "sentence2", "sentence_2", "sentence_b", "text2", "text_2", "text_b", "question2",
)  # fmt: skip
LABEL: Names = ("label", "gold_label", "is_duplicate")
GRADE: Names = ("grade", "relevance", "rel", "is_relevant", "relevant", "is_selected")
JUDGED: Names = (*LABEL, *GRADE)
"""Columns that may say whether a text is relevant."""
WEIGHT = "weight"
"""The role, and the column, of what says how often a row is drawn; beside those of any form."""
WEIGHTED: frozenset[DataKind] = frozenset(
    {"pairs", "triplets", "scored", "nli", "labelled", "classes"}
)
"""Kinds whose rows may have one; the others' weights come of their grades and clicks."""
QUERY_ID: Names = ("query-id", "query_id", "qid")
DOCUMENT_ID: Names = ("corpus-id", "corpus_id", "document_id", "doc_id", "docid", "pid")
CLICKED: Names = ("clicked", "click", "clicks", "is_click")
DWELL: Names = ("dwell", "dwell_s", "dwell_seconds", "dwell_time", "dwell_ms")
SEARCH: Names = ("search", "search_id", "session", "session_id", "impression_id")


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which a kind is written down.

    Attributes:
        kind: of the data.
        roles: role -> names of its column, the first that is there counts. All must be there.
        optional: likewise, for columns that may be missing.
        fits: whether the values are such; asked where the kind is not named.
    """

    kind: DataKind
    roles: Mapping[str, Names]
    optional: Mapping[str, Names]
    fits: Callable[[Rows, Roles], bool]

    def find(self, columns: Mapping[str, str], named: Roles) -> dict[str, str] | None:
        """Role -> column of a file whose columns are lower name -> name; None: one is missing."""
        if not named.keys() <= {*self.roles, *self.optional}:
            return None
        found = dict(named)
        for role, names in {**self.roles, **self.optional}.items():
            known = next((columns[name] for name in names if name in columns), None)
            if role not in found and known is not None:
                found[role] = known
        return found if self.roles.keys() <= found.keys() else None


def _always(_rows: Rows, _roles: Roles) -> bool:
    return True


def _never(_rows: Rows, _roles: Roles) -> bool:
    """Only where the kind is named."""
    return False


def _values(rows: Rows, column: str) -> list[Any]:
    return [row[column] for row in rows if row.get(column) not in (None, "")]


def _mostly(fits: Iterable[bool]) -> bool:
    """More than half: a bad row more or less does not change what a file is."""
    found = list(fits)
    return 2 * sum(found) > len(found)


def _graded(rows: Rows, roles: Roles) -> bool:
    return _mostly(_whole(value) for value in _values(rows, roles["grade"]))


def _no_other_words(rows: Rows, roles: Roles) -> bool:
    """No label is a word that NLI lacks, such as ``not_entailment``."""
    return all(
        as_number(value) is not None or str(value).strip().lower() in {*NLI_LABELS, "-"}
        for value in _values(rows, roles["label"])
    )


def _nli_words(rows: Rows, roles: Roles) -> bool:
    words = (str(value).strip().lower() for value in _values(rows, roles["label"]))
    return any(word in NLI_LABELS for word in words) and _no_other_words(rows, roles)


def _fractions(rows: Rows, roles: Roles) -> bool:
    """Numbers, of which one has a fraction: they are scores, not classes."""
    numbers = [as_number(value) for value in _values(rows, roles["score"])]
    return _mostly(number is not None for number in numbers) and any(
        number is not None and not number.is_integer() for number in numbers
    )


def _few_grades(rows: Rows, roles: Roles) -> bool:
    """Whole numbers from 0 to 4 at most: a larger one counts something, such as votes."""
    numbers = [as_grade(value) for value in _values(rows, roles["grade"])]
    return _graded(rows, roles) and 0 in numbers and max(item or 0 for item in numbers) <= 4


def as_number(value: Any) -> float | None:
    """A number, or a text that is one; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


_YES_NO: Mapping[str, float] = {
    **dict.fromkeys(("true", "yes", "relevant"), 1.0),
    **dict.fromkeys(("false", "no", "irrelevant", "not_relevant", "non_relevant"), 0.0),
}


def as_grade(value: Any) -> float | None:
    """A number, or a text that is one; yes and no in their forms are 1 and 0. None: neither."""
    number = as_number(value)
    if number is None and isinstance(value, bool | str):
        return _YES_NO.get(re.sub(r"[\s-]+", "_", str(value).strip().lower()))
    return number


def unread(fields: Fields, roles: Roles, names: Names) -> list[str]:
    """The columns of these names, in any case, that hold one value and play no role."""
    used = set(roles.values())
    return [
        name
        for name, value in fields.items()
        if name.strip().lower() in names
        and name not in used
        and isinstance(value, int | float | str)
        and value != ""
    ]


def _whole(value: Any) -> bool:
    number = as_grade(value)
    return number is not None and number.is_integer()


_PAIR = {"anchor": ANCHOR, "positive": POSITIVE}
_TWO = {"first": FIRST, "second": SECOND}
_NEGATIVE = {"negative": ("negative",)}

FORMS: tuple[Form, ...] = (
    Form(
        "interactions",
        {"query": (*ANCHOR, "q"), "shown": ("shown", "results", "impressions"), "clicked": CLICKED},
        {"dwell": DWELL, "search": SEARCH},
        _always,
    ),
    Form(
        "interactions",
        {
            "query": (*ANCHOR, "q"),
            "document": (*DOCUMENT_ID, *POSITIVE),
            "position": ("position", "rank"),
            "clicked": CLICKED,
        },
        {"dwell": DWELL, "search": SEARCH},
        _always,
    ),
    Form("graded", {**_PAIR, "grade": GRADE}, {}, _graded),
    Form("graded", {**_PAIR, "grade": ("label",)}, {}, _graded),
    Form("graded", {**_PAIR, "grade": SCORE}, {}, _few_grades),
    Form("pairs", _PAIR, _NEGATIVE, _always),
    Form("triplets", _PAIR, _NEGATIVE, _never),
    Form(
        "nli",
        {"premise": ("premise",), "hypothesis": ("hypothesis",), "label": ("gold_label", "label")},
        {},
        _no_other_words,
    ),
    Form("nli", {"premise": FIRST, "hypothesis": SECOND, "label": ("gold_label", "label")}, {},
         _nli_words),
    Form("scored", {**_TWO, "score": SCORE}, {}, _always),
    Form("scored", {**_TWO, "score": ("label",)}, {}, _fractions),
    Form("scored", {"first": ANCHOR, "second": POSITIVE, "score": (*SCORE, *GRADE, "label")}, {},
         _never),
    Form("labelled", {**_TWO, "label": LABEL}, {}, _always),
    Form("labelled", {"first": ("premise",), "second": ("hypothesis",), "label": LABEL}, {},
         _always),
    Form("labelled", {"first": ANCHOR, "second": ("sentence",), "label": LABEL}, {}, _always),
    Form(
        "qrels", {"query": QUERY_ID, "document": DOCUMENT_ID, "grade": (*SCORE, *GRADE)}, {},
        _always,
    ),
    Form(
        "classes",
        {"text": ("text", "sentence", "utterance", "query", "question"),
         "label": ("label", "intent", "class", "category", "label_text")},
        {}, _always,
    ),
    Form("corpus", {"text": ("text", "contents", "body")}, {"id": ("_id", "id")}, _always),
)  # fmt: skip


_PAIRS = next(form for form in FORMS if form.kind == "pairs")


def tell(
    path: object, rows: Rows, kind: DataKind | None, named: Roles
) -> tuple[DataKind, dict[str, str]]:
    """The kind of a file and what its columns are, by its first rows.

    Args:
        path: for messages.
        rows: the first ones; the columns are those of the very first.
        kind: where it is named.
        named: role -> column, where that is.

    Raises:
        DataError: no form fits, or none with a weight that is named; says what was found and what
            is expected.
    """
    names = list(rows[0])
    _check_named(path, names, named)
    columns = {name.strip().lower(): name for name in reversed(names)}
    others = {role: column for role, column in named.items() if role != WEIGHT}
    for form in FORMS:
        if kind in (None, form.kind):
            roles = form.find(columns, others)
            if roles and (kind is not None or others or form.fits(rows, roles)):
                weight = _weight(path, rows, form.kind, named.get(WEIGHT), set(roles.values()))
                return form.kind, roles | ({WEIGHT: weight} if weight else {})
    raise DataError(_explain(path, names, kind))


def _weight(
    path: object, rows: Rows, kind: DataKind, named: str | None, used: Collection[str]
) -> str:
    """The column of weights: the one that is named, or is called so and holds numbers; or ""."""
    if named is not None and kind not in WEIGHTED:
        raise DataError(
            f"{path}: columns names a weight, which data of kind {kind!r} do not take: their "
            "grades or clicks tell it."
        )
    free = (name for name in rows[0] if name not in used)
    called = next((name for name in free if name.strip().lower() == WEIGHT), "")
    found = [as_number(value) for value in _values(rows, called)]
    numbers = kind in WEIGHTED and _mostly(item is not None and item > 0 for item in found)
    return named or (called if numbers else "")


def _check_named(path: object, names: Sequence[str], named: Roles) -> None:
    known = {WEIGHT, *(role for form in FORMS for role in (*form.roles, *form.optional))}
    for role, column in named.items():
        if role not in known:
            raise DataError(
                f"{path}: columns names the role {role!r}, which no kind has. "
                f"Roles: {', '.join(sorted(known))}.{_nearest(role, known)}"
            )
        if column not in names:
            raise DataError(
                f"{path}: columns says that {role} is the column {column!r}; found "
                f"{', '.join(names)}.{_nearest(column, names)}"
            )


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _explain(path: object, names: Sequence[str], kind: DataKind | None) -> str:
    found = f"found {', '.join(map(repr, names)) or 'none'}"
    if kind is not None:
        forms = [form for form in FORMS if form.kind == kind]
        wanted = "; or ".join(_wanted(form) for form in forms)
        return (
            f"{path}: data of kind {kind!r} wants columns {wanted}; {found}. Rename columns, or "
            f"name them: {_example(forms[0])}."
        )
    kinds = "\n".join(
        f"  {form.kind}: {_wanted(form)}" for form in FORMS if form.fits is not _never
    )
    return (
        f"{path}: the columns fit no kind of training data; {found}. Expected one of\n{kinds}\n"
        f"Rename columns, or name kind and columns: {_example(_PAIRS)}."
    )


def _wanted(form: Form) -> str:
    return ", ".join(" or ".join(names[:3]) for names in form.roles.values())


def _example(form: Form) -> str:
    columns = ", ".join(f'{role} = "…"' for role in form.roles)
    return f'kind = "{form.kind}", columns = {{ {columns} }}'
