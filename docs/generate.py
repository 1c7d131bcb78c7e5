"""Writes docs/configuration.md and docs/commands.md from the code.

    python docs/generate.py

A test compares the two pages with what this would write.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from reindex.cli import main
from reindex.config import Settings
from reindex.config.template import toml_value

DOCS = Path(__file__).parent

CONFIGURATION = """\
# Configuration

Everything is in one file, `reindex.toml`; `reindex init` writes it with every key commented. An
unknown key is an error that names the nearest one. Relative paths start from the file's folder.
Secrets never stand in the file: it names the environment variable that holds them.

This page is written by `docs/generate.py` from the code.
"""

COMMANDS = """\
# Commands

`reindex --config PATH` (`-c`, or `REINDEX_CONFIG`) names `reindex.toml` or its folder; without it
the current folder counts. `--json` prints one JSON document on stdout; progress and errors go to
stderr.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | wrong usage |
| 3 | the gate, or the comparison's verdict, is fail |
| 4 | it is inconclusive |

This page is written by `docs/generate.py` from the code.
"""


def configuration() -> str:
    """The page of all keys."""
    return CONFIGURATION + "".join(
        _section(name, info.annotation)
        for name, info in Settings.model_fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
    )


def _section(name: str, model: Any) -> str:
    rows = [
        f"| `{key}` | {_default(info.default)} | {_cell(info.description)} |"
        for key, info in model.model_fields.items()
    ]
    head = (
        f"\n## [{name}]\n\n{model.__doc__.strip()}\n\n| key | default | meaning |\n|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("<", "&lt;")


def _default(value: Any) -> str:
    return "unset" if value is None else f"`{toml_value(value)}`"


def commands() -> str:
    """The page of all commands."""
    return COMMANDS + "".join(_command(name, main.commands[name]) for name in main.commands)


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"reindex {name}")
    usage = " ".join(command.collect_usage_pieces(context))
    text = inspect.cleandoc(command.help or "").replace("\b\n", "")
    rows = [
        f"| `{', '.join(option.opts)}` | {_help(option)} |"
        for option in command.params
        if isinstance(option, click.Option)
    ]
    table = "\n| option | meaning |\n|---|---|\n" + "\n".join(rows) + "\n" if rows else ""
    return f"\n## reindex {name}\n\n    reindex {name} {usage}\n\n{text}\n{table}"


def _help(option: click.Option) -> str:
    default = f" Default: `{option.default}`." if option.show_default else ""
    return _cell(option.help or "") + default


if __name__ == "__main__":
    (DOCS / "configuration.md").write_text(configuration(), "utf-8")
    (DOCS / "commands.md").write_text(commands(), "utf-8")
