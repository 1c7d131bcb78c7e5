"""Python source -> docstrings under public names, by ``ast``: nothing is imported or run."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import inspect
import os
import re
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CORE = ("numpy", "scipy", "sklearn")
"""Packages that follow the standard library; what else is installed only fills up."""

STDLIB = "stdlib"
_SKIPPED = frozenset(
    {"test", "tests", "testing", "conftest", "site-packages", "__pycache__"}
    | {"_vendor", "vendor", "vendored", "externals", "extern", "_bundled", "third_party", "_lib"}
    | {"idlelib", "lib2to3", "turtledemo", "ensurepip", "encodings", "pydoc_data", "distutils"}
)
_PROSE_WORDS = range(4, 41)
_MIN_BODY = 80
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class Root:
    """A folder to read: a package, or a folder of modules such as the standard library's."""

    package: str
    folder: Path

    @property
    def prefix(self) -> str:
        """What qualified names start with."""
        return self.folder.name if (self.folder / "__init__.py").is_file() else ""


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring in two: its first sentence, and the body without it."""

    name: str
    package: str
    sentence: str
    body: str


def installed_roots() -> Iterator[Root]:
    """The standard library, the core packages, then every other package in order of its name."""
    yield Root(STDLIB, Path(sysconfig.get_paths()["stdlib"]))
    yield from _packages(CORE)
    others = {name for name in importlib.metadata.packages_distributions() if name.isidentifier()}
    yield from _packages(sorted(others.difference(CORE, {"pip", "setuptools", "reindex"})))


def _packages(names: Iterator[str] | tuple[str, ...] | list[str]) -> Iterator[Root]:
    for name in names:
        # For a top-level name this looks for the package and does not import it.
        spec = None if name.startswith("_") else importlib.util.find_spec(name)
        if spec and spec.origin and spec.origin.endswith("__init__.py"):
            yield Root(name, Path(spec.origin).parent)


def read_docstrings(root: Root) -> Iterator[Docstring]:
    """Docstrings of public modules, classes, functions and methods that have both parts."""
    modules = list(_modules(root))
    exports = {key: origin for module in modules for key, origin in module.exports.items()}
    seen: set[str] = set()
    for module in modules:
        for name, text in module.docstrings:
            parts = split_docstring(text)
            title = public_name(name, module.name, exports)
            if parts and title not in seen and not title.startswith("_"):
                seen.add(title)
                yield Docstring(title, root.package, *parts)


@dataclass(frozen=True, slots=True)
class _Module:
    """What is kept of a module; the tree itself would cost gigabytes over all of them."""

    name: str
    docstrings: list[tuple[str, str]]
    exports: dict[tuple[str, str], str]


def _modules(root: Root) -> Iterator[_Module]:
    for file in _files(root.folder):
        tree = _parse(file)
        if tree is not None:
            parts = [root.prefix, *file.relative_to(root.folder).with_suffix("").parts]
            package = parts[-1] == "__init__"
            name = ".".join(filter(None, parts[:-1] if package else parts))
            yield _Module(name, list(_docstrings(tree, name)), _exports(tree, name, package))


def _files(folder: Path) -> Iterator[Path]:
    """Python files in a fixed order, tests and vendored packages left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _skipped(name))
        for name in sorted(names):
            if name.endswith(".py") and not _skipped(name[:-3]):
                yield Path(place, name)


def _skipped(name: str) -> bool:
    return name in _SKIPPED or name.startswith("test_")


def _parse(file: Path) -> ast.Module | None:
    """The tree, or None where the file is written for another Python."""
    try:
        source = file.read_bytes()
        if b'"""' not in source and b"'''" not in source and b"import" not in source:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in others' strings
            return ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _docstrings(tree: ast.Module, module: str) -> Iterator[tuple[str, str]]:
    text = ast.get_docstring(tree, clean=False)
    if text:
        yield module, text
    yield from _definitions(tree.body, module)


def _definitions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
    for node in _statements(body):
        if isinstance(node, _Definition):
            if node.name.startswith("_"):
                continue
            name = f"{prefix}.{node.name}"
            text = ast.get_docstring(node, clean=False)
            if text:
                yield name, text
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node.body, name)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module or class, those under ``if`` and ``try`` included."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _statements([*node.body, *node.orelse])


def _exports(tree: ast.Module, module: str, package: bool) -> dict[tuple[str, str], str]:
    """(package, name) -> the module that the package's ``__init__`` imports the name from."""
    found: dict[tuple[str, str], str] = {}
    for node in _statements(tree.body) if package else ():
        if isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: 1 - node.level or None] if node.level else []
            origin = ".".join(filter(None, [*parents, node.module]))
            found.update({(module, alias.asname or alias.name): origin for alias in node.names})
    return found


def public_name(name: str, module: str, exports: dict[tuple[str, str], str]) -> str:
    """The shortest name that a package's ``__init__`` gives it; else without private segments.

    ``numpy._core.fromnumeric.reshape`` is imported by ``numpy/__init__.py`` from ``numpy._core``,
    so it is ``numpy.reshape``; ``scipy.signal._filter_design.butter`` is ``scipy.signal.butter``.
    """
    rest = name[len(module) + 1 :].split(".") if name != module else []
    parts = module.split(".")
    for depth in range(1, len(parts)) if rest else ():
        package = ".".join(parts[:depth])
        if parts[depth - 1].startswith("_"):
            break
        origin = exports.get((package, rest[0]), "-")
        if f"{module}.".startswith(f"{origin}."):
            return ".".join([package, *rest])
    top = parts[0].removeprefix("_py")  # _pydecimal holds the docstrings of decimal
    return ".".join([top, *(part for part in parts[1:] if not part.startswith("_")), *rest])


def split_docstring(text: str) -> tuple[str, str] | None:
    """(first sentence, body without it), or None where one of them is no prose or too short."""
    if len(text) < _MIN_BODY:
        return None
    paragraph, _, rest = inspect.cleandoc(text).partition("\n\n")
    sentence, tail = _first_sentence(paragraph)
    body = "\n\n".join(part for part in (tail.strip(), _tidy(rest)) if part)
    if not _is_prose(sentence) or len(body) < _MIN_BODY or sentence.casefold() in body.casefold():
        return None
    return sentence, body


_END = re.compile(r"(?<![ (]e\.g)(?<![ (]i\.e)(?<!etc)(?<!vs)(?<!cf)[.!?](?=\s+[A-Z\"'`(:*])")


def _first_sentence(paragraph: str) -> tuple[str, str]:
    """Cut after the first full stop that a capital or a quote follows; what is left as it is."""
    match = _END.search(paragraph)
    end = match.end() if match else len(paragraph)
    return _unmarked(paragraph[:end]), paragraph[end:]


def _unmarked(text: str) -> str:
    """Plain words: no reST roles, literals or emphasis, white space folded, no final stop."""
    text = re.sub(r":[\w:+-]+:`~?([^`<]+?)(\s*<[^`]*>)?`", r"\1", text)
    text = re.sub(r"`+([^`]*)`+_*", r"\1", text)
    text = re.sub(r"\*{1,2}(\w[^*]*)\*{1,2}", r"\1", text)
    return " ".join(text.split()).rstrip(".: ")


_NOT_PROSE = re.compile(
    r">>>|\.\. |::|@|https?:|See also|Deprecated|Alias (of|for)|[-=~]{3}|\||%\(|[{}]", re.I
)
_SIGNATURE = re.compile(r"^[\w.]+\([^)]*\)(\s*(->|--|=|:)|$)")


def _is_prose(sentence: str) -> bool:
    words = sentence.split()
    return (
        len(words) in _PROSE_WORDS
        and not _NOT_PROSE.search(sentence)
        and not _SIGNATURE.match(sentence)
        and sum(word.strip("(),;'\"").isalpha() for word in words) >= 0.6 * len(words)
    )


def _tidy(text: str) -> str:
    """Without the lines that are only a placeholder, which the package fills in at import."""
    lines = [line for line in text.split("\n") if not re.fullmatch(r"\s*%\(\w+\)s\s*", line)]
    return "\n".join(lines).strip()
