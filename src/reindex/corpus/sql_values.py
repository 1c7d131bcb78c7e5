"""What a database column gives -> what JSON holds, in one documented form per type."""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import ipaddress
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from reindex.corpus.readers import Fields

_AS_IT_IS = frozenset((int, bool, type(None)))


class NoJsonForm(ValueError):
    """A value that has none; the message is a dead letter's reason."""


def plain(value: Any) -> Any:
    """The JSON form of a column's value, as the table in docs/corpus.md has it.

    Raises:
        NoJsonForm: there is none.
    """
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind is str:
        return _text(value)
    for types, form in _FORMS:
        if isinstance(value, types):
            return form(value)
    raise NoJsonForm(f"{kind.__name__} has no JSON form; cast it in the query")


def plain_row(names: list[str], values: tuple[Any, ...]) -> Fields:
    """A row as JSON fields.

    Raises:
        NoJsonForm: of the first value that has none; the message names the column.
    """
    fields: Fields = {}
    for name, value in zip(names, values, strict=True):
        try:
            fields[name] = plain(value)
        except NoJsonForm as error:
            raise NoJsonForm(f"not JSON: {name}: {error}") from None
    return fields


def _text(value: str) -> str:
    if value.isascii():
        return str(value)
    try:
        value.encode()
    except UnicodeEncodeError:  # SQLite keeps any bytes as text; `surrogateescape` shows which
        raise NoJsonForm("invalid UTF-8") from None
    return str(value)


def _decimal(value: decimal.Decimal) -> int | float:
    """Scale 0 is an integer, any other scale the nearest double: by column, not by value."""
    if not value.is_finite():
        raise NoJsonForm(f"a number that JSON cannot hold: {value}")
    return int(value) if value.as_tuple().exponent == 0 else _float(float(value))


def _float(value: float) -> float:
    if not math.isfinite(value):
        raise NoJsonForm(f"a number that JSON cannot hold: {value}")
    return float(value)


def _mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): plain(item) for key, item in value.items()}


def _several(value: Any) -> list[Any]:
    return [plain(item) for item in value]


_FORMS: tuple[tuple[tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((bool, int), int),  # subclasses; plain ones do not come here
    ((enum.Enum,), lambda value: plain(value.value)),
    ((str,), _text),
    ((float,), _float),
    ((decimal.Decimal,), _decimal),
    ((datetime.date, datetime.time), lambda value: value.isoformat()),  # a datetime is a date
    ((datetime.timedelta,), lambda value: value.total_seconds()),
    ((uuid.UUID,), str),
    ((bytes, bytearray, memoryview), lambda value: base64.b64encode(value).decode()),
    ((ipaddress.IPv4Address, ipaddress.IPv6Address), str),
    ((ipaddress.IPv4Network, ipaddress.IPv6Network), str),
    ((Mapping,), _mapping),
    ((list, tuple), _several),
)
"""type -> its JSON form; the first that fits counts."""


BACK: dict[type, Callable[[Any], Any]] = {
    uuid.UUID: uuid.UUID,
    decimal.Decimal: decimal.Decimal,
    datetime.datetime: datetime.datetime.fromisoformat,
    datetime.date: datetime.date.fromisoformat,
    bytes: base64.b64decode,
    memoryview: base64.b64decode,
}
"""type of an id column -> from the id's JSON form back to the value to look for."""
