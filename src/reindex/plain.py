"""Dataclasses and errors as JSON types, and back: what is stored or sent is read as it was."""

from __future__ import annotations

import collections.abc
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from reindex import errors
from reindex.errors import ReindexError

_LISTS = (list, collections.abc.Sequence, collections.abc.Iterable)
_SETS: dict[Any, Any] = {set: set, frozenset: frozenset, collections.abc.Set: frozenset}
_MAPPINGS = (dict, collections.abc.Mapping)


def to_plain(value: Any) -> Any:
    """``value`` as JSON types: dataclasses as objects; tuples and sets as lists, paths as text.

    Raises:
        TypeError: it holds something that has no such form.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item) for item in value]
    if isinstance(value, BaseException):
        return error_to_plain(value)
    return _leaf(value)


def _leaf(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):  # a numpy scalar
        return value.item()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def error_to_plain(error: BaseException) -> dict[str, Any]:
    """An exception: its classes from its own upwards, its message and its attributes."""
    return {
        "classes": [kind.__name__ for kind in type(error).__mro__],
        "message": str(error),
        "attributes": {name: _tagged(value) for name, value in vars(error).items()},
    }


def error_from_plain(plain: Mapping[str, Any]) -> ReindexError:
    """The exception of the nearest class of `reindex.errors`, as it was raised."""
    kinds = [getattr(errors, name) for name in plain["classes"] if hasattr(errors, name)]
    kind: type[ReindexError] = kinds[0] if kinds else ReindexError
    error = kind.__new__(kind, plain["message"])  # past __init__: all that it sets is here
    for name, value in plain["attributes"].items():
        setattr(error, name, _untagged(value))
    return error


_TAG = "$kind"


def _tagged(value: Any) -> Any:
    """A value whose type nobody knows who reads it: a dataclass takes its name along."""
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        return {_TAG: f"{kind.__module__}:{kind.__qualname__}", **to_plain(value)}
    try:
        return to_plain(value)
    except TypeError:
        return str(value)


def _untagged(value: Any) -> Any:
    if not isinstance(value, dict) or _TAG not in value:
        return value
    module, _, name = value[_TAG].partition(":")
    kind = getattr(import_module(module), name) if module.startswith("reindex.") else None
    return from_plain(kind, value) if is_dataclass(kind) else value


def from_plain(kind: Any, value: Any) -> Any:
    """Build ``kind`` from JSON types: what `to_plain` made of one, with unknown keys skipped.

    ``kind`` is a dataclass, a list, tuple, set or mapping, an optional, or a plain type. Of a
    union, the first member that is not None counts.
    """
    if value is None or kind is Any:
        return value
    if is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        present = [item.name for item in fields(kind) if item.name in value]
        return kind(**{name: from_plain(hints[name], value[name]) for name in present})
    if isinstance(kind, type) and issubclass(kind, BaseException):
        return error_from_plain(value)
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin in (Union, types.UnionType):
        return from_plain(next(item for item in arguments if item is not type(None)), value)
    if origin is tuple and arguments:
        return _tuple(arguments, value)
    return _collection(origin, arguments, value)


def _tuple(arguments: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if arguments[-1] is Ellipsis:
        return tuple(from_plain(arguments[0], item) for item in value)
    return tuple(from_plain(kind, item) for kind, item in zip(arguments, value, strict=True))


def _collection(origin: Any, arguments: tuple[Any, ...], value: Any) -> Any:
    if origin in _LISTS and arguments:
        return [from_plain(arguments[0], item) for item in value]
    if origin in _SETS:
        kind = arguments[0] if arguments else Any
        return _SETS[origin](from_plain(kind, item) for item in value)
    if origin in _MAPPINGS and arguments:
        return {key: from_plain(arguments[1], item) for key, item in value.items()}
    if origin is tuple:
        return tuple(value)
    return origin(value) if origin in (float, Path) else value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
