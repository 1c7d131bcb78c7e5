"""Writes docs/configuration.md and docs/commands.md from the code, and computes tables of others.

    python docs/generate.py

A test compares the pages with what this would write.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from pydantic_core import PydanticUndefined

from reindex.cli import main
from reindex.config import Settings
from reindex.config.template import lists_of, tables, toml_value
from reindex.losses import LOSSES, Loss
from reindex.sizing import Constants, Move, Needs, needs

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
    sections = tables(Settings)
    return CONFIGURATION + "".join(_section(name, table) for name, table in sections.items())


def _section(name: str, model: Any) -> str:
    rows = [
        f"| `{key}` | {_default(info.default)} | {_cell(info.description)} |"
        for key, info in model.model_fields.items()
        if key not in tables(model)
    ]
    head = (
        f"\n## [{name}]\n\n{model.__doc__.strip()}\n\n| key | default | meaning |\n|---|---|---|\n"
    )
    within = "".join(_section(f"{name}.{key}", table) for key, table in tables(model).items())
    lists = "".join(_section(f"[{name}.{key}]", table) for key, table in lists_of(model).items())
    return head + "\n".join(rows) + "\n" + within + lists


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("<", "&lt;")


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
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
    within = command.commands if isinstance(command, click.Group) else {}
    own = f"\n## reindex {name}\n\n    reindex {name} {usage}\n\n{text}\n{table}"
    return own + "".join(_command(f"{name} {key}", item) for key, item in within.items())


def _help(option: click.Option) -> str:
    default = f" Default: `{option.default}`." if option.show_default else ""
    return _cell(option.help or "") + default


# -- the tables of scale.md

ONE_COLLECTION = {"copies": 2, "collections": 2, "node_memory": 64e9, "node_disk": 1e12}
UNBOUND = dataclasses.replace(Constants(), encode_per_s=1e9)
MOVES = (
    ("1 million, 1 actor", Move(1_000_000, actors=1, **ONE_COLLECTION), Constants()),
    ("100 million, 64 actors", Move(100_000_000, actors=64, **ONE_COLLECTION), Constants()),
    (
        "the same, prefix as int8",
        Move(100_000_000, actors=64, quantization="scalar", **ONE_COLLECTION),
        Constants(),
    ),
    (
        "the same, `single`",
        Move(100_000_000, actors=64, prefix_dim=None, **ONE_COLLECTION),
        Constants(),
    ),
    ("1 billion, 256 actors", Move(1_000_000_000, actors=256, **ONE_COLLECTION), Constants()),
    (
        "the same, prefix as int8",
        Move(1_000_000_000, actors=256, quantization="scalar", **ONE_COLLECTION),
        Constants(),
    ),
    ("100 million, 8 fast actors", Move(100_000_000, actors=8, **ONE_COLLECTION), UNBOUND),
    ("1 billion, 16 fast actors", Move(1_000_000_000, actors=16, **ONE_COLLECTION), UNBOUND),
)


def scale() -> str:
    """The page with its computed tables."""
    return _computed("scale", {"constants": _constants(), "moves": _moves()})


def losses() -> str:
    """The page with its table."""
    rows = [
        (f"`{loss.name}`", loss.summary, ", ".join(loss.kinds), loss.negatives,
         ", ".join(_marks(loss)) or "–", loss.source)
        for loss in LOSSES.values()
    ]  # fmt: skip
    head = ("loss", "lowers", "data", "hard negatives", "is, or wants", "source")
    lines = [head, ("---",) * len(head), *rows]
    return _computed("losses", {"losses": "".join(f"| {' | '.join(cells)} |\n" for cells in lines)})


def _marks(loss: Loss) -> Iterator[str]:
    for name, there in (
        ("in-batch", loss.in_batch), ("cached", loss.cached), ("a teacher", loss.teacher),
        ("a guide", loss.guide), ("not in Matryoshka", not loss.matryoshka),
    ):  # fmt: skip
        if there:
            yield name


def _computed(name: str, tables: dict[str, str]) -> str:
    page = (DOCS / f"{name}.md").read_text("utf-8")
    for mark, table in tables.items():
        head, start, rest = page.partition(f"<!-- computed: {mark} -->\n")
        page = head + start + table + rest[rest.index("<!-- end -->") :]
    return page


def _constants() -> str:
    shown = dataclasses.asdict(Constants()).items()
    return "| constant | ours |\n|---|---|\n" + "".join(
        f"| `{name}` | {_number(value)} |\n" for name, value in shown
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"


def _moves() -> str:
    rows = [_move(name, needs(move, constants)) for name, move, constants in MOVES]
    head = (
        "build, h", "unchanged pass, h", "memory per collection and copy", "disk likewise", "nodes",
        "shards", "network of the build",
    )  # fmt: skip
    lines = [("move", *head), ("---",) * (len(head) + 1), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _move(name: str, found: Needs) -> tuple[str, ...]:
    return (
        name, f"{found.build_hours:,.1f}", f"{found.pass_hours:,.2f}", _bytes(found.memory),
        _bytes(found.disk), str(found.nodes), str(found.shards), _bytes(found.build_network),
    )  # fmt: skip


def _bytes(size: float) -> str:
    return f"{size / 1e12:.2f} TB" if size >= 1e12 else f"{size / 1e9:.1f} GB"


if __name__ == "__main__":
    (DOCS / "scale.md").write_text(scale(), "utf-8")
    (DOCS / "losses.md").write_text(losses(), "utf-8")
    (DOCS / "configuration.md").write_text(configuration(), "utf-8")
    (DOCS / "commands.md").write_text(commands(), "utf-8")
