"""Rows of a file -> rows to train on, kind by kind.

A maker takes a row's fields and roles. It raises ValueError for a bad row and `Dropped` for one
that is well-formed and says that it shall not be used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reindex.config.training_data import DataKind, DataSettings
from reindex.corpus.images import checked_reference
from reindex.corpus.readers import Fields
from reindex.corpus.training_sets import NLI_LABELS, Row
from reindex.datasets.forms import (
    JUDGED,
    NEGATIVE,
    WEIGHT,
    Roles,
    as_grade,
    as_number,
    unread,
)
from reindex.records import LabelledPair, LabelledText, ScoredPair, TrainingExample

Maker = Callable[[Fields, Roles, DataSettings], Sequence[Row]]


class Dropped(Exception):
    """A row that is right and is not to be used; says why."""


def texts(fields: Fields, name: str) -> list[str]:
    """The texts of a column that holds one or a list. Raises ValueError: something else.

    A text may be a passage with its title, as DPR and Tevatron write them.
    """
    value: Any = fields.get(name)
    values = [_passage(item) for item in (value if isinstance(value, list) else [value])]
    if not all(text is None or isinstance(text, str) for text in values):
        raise ValueError(f"{name} is {type(value).__name__}, expected text")
    return [text for text in values if text and not text.isspace()]


def _passage(value: Any) -> Any:
    """``{"title": …, "text": …}`` as the text that a document of such fields has."""
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        return value
    return "\n".join(part for part in (value.get("title"), value["text"]) if part)


def one_text(fields: Fields, name: str) -> str:
    """The text of a column. Raises ValueError: there is none, or several."""
    found = texts(fields, name)
    if len(found) != 1:
        raise ValueError(
            f"no text in {name}" if not found else f"{len(found)} texts in {name}, expected one"
        )
    return found[0]


def number(fields: Fields, name: str, read: Callable[[Any], float | None] = as_number) -> float:
    """The number of a column, as ``read`` has it. Raises ValueError: there is none."""
    value = read(fields.get(name))
    if value is None or not math.isfinite(value):
        raise ValueError(f"{name} is {fields.get(name)!r}, expected a number")
    return value


def weight_of(fields: Fields, roles: Roles) -> float:
    """How often the row is drawn beside the others; 1 where no column tells. Raises ValueError."""
    if WEIGHT not in roles:
        return 1.0
    value = number(fields, roles[WEIGHT])
    if value <= 0:
        raise ValueError(f"{roles[WEIGHT]} is {value:g}, expected a number above 0")
    return value


def label_of(fields: Fields, name: str) -> str:
    """The label of a column as text: true and false are 1 and 0. Raises ValueError."""
    value = fields.get(name)
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    label = str(value).strip() if isinstance(value, int | str) else ""
    if not label:
        raise ValueError(f"no label in {name}")
    return {"true": "1", "false": "0"}.get(label.lower(), label)


def examples(fields: Fields, roles: Roles, how: DataSettings) -> list[TrainingExample]:
    """A pair, or a triplet with all its negatives, of each positive.

    A positive ``image`` is a path that starts from the file's own folder.
    """
    against = next(
        (name for name in unread(fields, roles, JUDGED) if as_grade(fields[name]) == 0), ""
    )
    if against:
        raise ValueError(f"{against} {fields[against]}: not a relevant pair")
    anchor, positives = one_text(fields, roles["anchor"]), texts(fields, roles["positive"])
    if not positives:
        raise ValueError(f"no text in {roles['positive']}")
    if roles["positive"].strip().lower() == "image":
        positives = [checked_reference(how.path.parent, name) for name in positives]
    negatives = negatives_of(fields, roles)
    if not negatives and (labels := _marks(fields, len(positives))):
        negatives = tuple(text for text, mark in zip(positives, labels, strict=True) if mark <= 0)
        positives = [text for text, mark in zip(positives, labels, strict=True) if mark > 0]
        return [TrainingExample(anchor, positive, negatives) for positive in positives]
    scores = scores_of(fields, len(positives), len(negatives))
    return [
        TrainingExample(anchor, positive, negatives, own)
        for positive, own in zip(positives, scores, strict=True)
    ]


def negatives_of(fields: Fields, roles: Mapping[str, str]) -> tuple[str, ...]:
    """The texts of all columns of negatives, in the columns' order."""
    used = {roles["anchor"], roles["positive"]}
    named = roles.get("negative")
    names = [
        name
        for name in fields
        if name == named or (name not in used and NEGATIVE.fullmatch(name.strip().lower()))
    ]
    return tuple(text for name in names for text in texts(fields, name))


def scores_of(fields: Fields, positives: int, negatives: int) -> list[tuple[float, ...]]:
    """A teacher's scores of each positive and of all negatives; empty where the row has none.

    Either ``scores``, of the positive and then of the negatives, or ``pos_scores`` and
    ``neg_scores``; or, as for sentence-transformers' MarginMSELoss, how far the positive is above
    each negative: ``score`` of one, ``score`` or ``label`` of a list. Raises ValueError: there are
    more or fewer than texts.
    """
    if fields.get("pos_scores") is not None:
        first, rest = _numbers(fields, "pos_scores"), _numbers(fields, "neg_scores")
    elif fields.get("scores") is not None:
        both = _numbers(fields, "scores")
        first, rest = both[:positives], both[positives:]
    elif positives == 1 <= negatives and (told := _listed(fields, "score", "label", "labels")):
        if len(told) == negatives:
            told = [0.0, *(-margin for margin in told)]
        if len(told) != 1 + negatives:
            return [()]
        first, rest = told[:1], told[1:]
    else:
        return [()] * positives
    if (len(first), len(rest)) != (positives, negatives):
        raise ValueError(
            f"{len(first) + len(rest)} scores for {positives} positives and {negatives} negatives"
        )
    return [(score, *rest) for score in first]


def _marks(fields: Fields, count: int) -> list[float]:
    """Whether each of several texts is relevant, where the row says so; empty where it does not.

    Raises ValueError: they have scores alone, which do not tell.
    """
    marks = _listed(fields, "labels", "label")
    if count > 1 and len(marks) == count:
        if not any(mark > 0 for mark in marks):
            raise ValueError("no relevant text among those that are labelled")
        return marks
    if count > 1 and (fields.get("scores") is not None or _listed(fields, "score")):
        raise ValueError("scores of several texts: labels (1, 0, 0) tell which are relevant")
    return []


def _listed(fields: Fields, *names: str) -> list[float]:
    """The numbers of the first of these columns that holds such; a score may be a single one."""
    for name in names:
        value = fields.get(name)
        values = value if isinstance(value, list) else [value] if name == "score" else []
        found = [number for item in values if (number := as_number(item)) is not None]
        if found and len(found) == len(values) and all(map(math.isfinite, found)):
            return found
    return []


def _numbers(fields: Fields, name: str) -> list[float]:
    value = fields.get(name)
    found = [as_number(item) for item in (value if isinstance(value, list) else [value])]
    if any(item is None or not math.isfinite(item) for item in found):
        raise ValueError(f"{name} is {str(value)[:40]}, expected numbers")
    return [item for item in found if item is not None]


def triplets(fields: Fields, roles: Roles, how: DataSettings) -> list[TrainingExample]:
    """As `examples`, but a row without negatives is bad."""
    made = examples(fields, roles, how)
    if not made[0].negatives:
        raise ValueError("no negative, which triplets have")
    return made


def scored(fields: Fields, roles: Roles, _how: DataSettings) -> list[ScoredPair]:
    """A pair with its score as it stands in the file."""
    first, second = one_text(fields, roles["first"]), one_text(fields, roles["second"])
    return [ScoredPair(first, second, number(fields, roles["score"]))]


def nli(fields: Fields, roles: Roles, how: DataSettings) -> list[LabelledPair]:
    """A premise, a hypothesis and one of `NLI_LABELS`; rows without an agreed label are dropped."""
    label = label_of(fields, roles["label"]).lower()
    if label in ("-1", "-"):
        raise Dropped("label -1: the annotators did not agree")
    if label in ("0", "1", "2"):
        label = how.labels[int(label)]
    if label not in NLI_LABELS:
        raise ValueError(f"label {label[:40]}: expected 0, 1, 2, {', '.join(NLI_LABELS)}")
    premise = one_text(fields, roles["premise"])
    return [LabelledPair(premise, one_text(fields, roles["hypothesis"]), label)]


def labelled(fields: Fields, roles: Roles, _how: DataSettings) -> list[LabelledPair]:
    """Two texts and any label."""
    first, second = one_text(fields, roles["first"]), one_text(fields, roles["second"])
    return [LabelledPair(first, second, label_of(fields, roles["label"]))]


def classes(fields: Fields, roles: Roles, _how: DataSettings) -> list[LabelledText]:
    """A text and any label."""
    return [LabelledText(one_text(fields, roles["text"]), label_of(fields, roles["label"]))]


MAKERS: dict[DataKind, Maker] = {
    "pairs": examples,
    "triplets": triplets,
    "scored": scored,
    "nli": nli,
    "labelled": labelled,
    "classes": classes,
}
"""For the kinds whose rows stand for themselves."""
