"""``reindex.toml`` as `reindex init` writes it: every key, commented, with its default."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from reindex.config.settings import Settings

_HEAD = """\
# The settings of a reindex project. A commented key shows its default.
# Relative paths start from this file's folder. Secrets never stand here: they come from
# environment variables.
"""


def render_config(values: Mapping[str, Mapping[str, Any]]) -> str:
    """The file's text; ``values`` (section -> key -> value) are set, all other keys commented."""
    return _HEAD + "".join(
        _section(name, table, values.get(name, {})) for name, table in tables(Settings).items()
    )


def _section(name: str, model: Any, values: Mapping[str, Any]) -> str:
    lines = ["", f"[{name}]  # {model.__doc__.strip()}"]
    within = tables(model)
    for key, info in model.model_fields.items():
        if key in within:
            continue
        lines += textwrap.wrap(info.description, 96, initial_indent="# ", subsequent_indent="# ")
        default = None if info.default is PydanticUndefined else info.default
        value = values.get(key, default)
        if key in values and not (value is None and default is None):
            lines.append(f"{key} = {toml_value(value)}")
        else:
            lines.append(f"# {key} = {'…' if value is None else toml_value(value)}")
    own = "\n".join(lines) + "\n"
    return own + "".join(
        _section(f"{name}.{key}", table, values.get(key, {})) for key, table in within.items()
    )


def tables(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The tables within a section, by key."""
    return {
        key: info.annotation
        for key, info in model.model_fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
    }


def lists_of(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The lists of tables within a section (``[[section.key]]``), by key."""
    found = {key: get_args(info.annotation)[:1] for key, info in model.model_fields.items()}
    return {
        key: item
        for key, items in found.items()
        for item in items
        if isinstance(item, type) and issubclass(item, BaseModel)
    }


def toml_value(value: Any) -> str:
    """A value as TOML: strings, numbers, booleans, lists, tables of strings, paths.

    None is written ``"none"``, as keys take it whose default is something.
    """
    if value is None:
        return '"none"'
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, PurePath):
        return json.dumps(value.as_posix(), ensure_ascii=False)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{json.dumps(key)} = {toml_value(item)}" for key, item in value.items())
        return f"{{{' ' + inner + ' ' if inner else ''}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    return repr(value)
