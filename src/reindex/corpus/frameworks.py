"""The text within a stored payload, as the RAG frameworks' own Qdrant stores lay it out.

The way back from `documents.PRESETS`: ``payload of a point -> the text that was embedded``. The
frameworks are not imported; what they write is in docs/takeover.md, and the tests hold it against
collections that their own classes wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

from reindex.config import SourceSettings

Payload = Mapping[str, Any]

NODE_KEY = "_node_content"
"""Where LlamaIndex keeps the whole node, as JSON text."""

_NODE_TEXT, _NODE_METADATA = "{metadata_str}\n\n{content}", "{key}: {value}"
"""llama_index.core.schema's default templates."""

_USUAL_FIELDS = ("text", "content", "page_content", "chunk", "chunk_text", "body", "passage",
                 "document")  # fmt: skip


class Unreadable(Exception):
    """A payload that is meant to hold a text, in a form that cannot be read."""


@dataclass(frozen=True, slots=True)
class StoredText:
    """How the text of a point is found in its payload; calling it gives the text.

    Args:
        preset: ``plain``, ``langchain``, ``llamaindex`` or ``haystack``: see ``source.payload``.
        fields: read these instead of the preset's own, joined. A dot goes into an object
            (``metadata.title``), also into one that is stored as JSON text
            (``_node_content.text``); a field whose own name has the dot comes first.
        separator: between fields; blank ones are left out.
    """

    preset: str
    fields: tuple[str, ...] = ()
    separator: str = "\n"

    def __call__(self, payload: Payload) -> str:
        """The text, or an empty string where the payload holds none."""
        if self.fields:
            return self.separator.join(filter(_meant, (_field(payload, f) for f in self.fields)))
        try:
            text = _PRESETS[self.preset](payload)
        except Unreadable:
            return ""
        return text if _meant(text) else ""

    def missing(self, payload: Payload) -> str:
        """Why a payload gave no text: the reason of its dead letter."""
        try:
            if not self.fields:
                _PRESETS[self.preset](payload)
        except Unreadable as error:
            return str(error)
        return f"no text in {self}"

    def __str__(self) -> str:
        shown = " + ".join(self.fields) or _SHOWN[self.preset]
        return shown if self.preset == "plain" else f"{shown} ({self.preset})"


def stored_text(settings: SourceSettings) -> StoredText:
    """What ``[source]`` says of payloads: its preset, or its text fields where they are set.

    A preset knows its own field, so ``text_fields`` counts beside one only where the file sets it
    for a collection's payloads. Those of files are laid out by the preset, whatever the rows' own
    fields are called.
    """
    named = settings.kind == "collection" and "text_fields" in settings.model_fields_set
    fields = settings.text_fields if settings.payload == "plain" or named else ()
    return StoredText(settings.payload, fields, settings.separator)


@dataclass(frozen=True, slots=True)
class Detected:
    """A way to read the texts, and the share of the payloads that have one by it."""

    text: StoredText
    share: float


def detect(payloads: Sequence[Payload]) -> list[Detected]:
    """The ways in which these payloads' texts can be read, the likeliest first.

    A framework is known by its own keys; LlamaIndex embeds a node's metadata too, unless told
    otherwise, so its node's text alone comes second. Other payloads: a usual field name, else the
    field with the longest strings. Empty where no payload has a string.
    """
    ways = [way for mark, ways in _MARKS if _share(mark, payloads) > 0.5 for way in ways]
    ways += [StoredText("plain", (name,)) for name in _string_fields(payloads)]
    found = [Detected(way, _share(way, payloads)) for way in dict.fromkeys(ways)]
    return [item for item in found if item.share > 0]


def _share(holds: Callable[[Payload], object], payloads: Sequence[Payload]) -> float:
    return sum(bool(holds(item)) for item in payloads) / max(len(payloads), 1)


def _string_fields(payloads: Iterable[Payload]) -> list[str]:
    """Top-level fields that hold text: usual names first, then by the strings' whole length."""
    length: dict[str, int] = {}
    for payload in payloads:
        for name, value in payload.items():
            if isinstance(value, str) and value.strip() and name != NODE_KEY:
                length[name] = length.get(name, 0) + len(value)
    usual = [name for name in _USUAL_FIELDS if name in length]
    return usual + sorted(length.keys() - set(usual), key=lambda name: -length[name])


def _meant(text: object) -> bool:
    return isinstance(text, str) and bool(text) and not text.isspace()


def _field(payload: Any, path: str) -> str:
    """The string at ``path``, or an empty one."""
    if isinstance(payload, str):
        payload = _json(payload)
    if not isinstance(payload, Mapping):
        return ""
    if path in payload:
        value = payload[path]
        return value if isinstance(value, str) else ""
    head, dot, rest = path.partition(".")
    return _field(payload.get(head), rest) if dot else ""


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _llamaindex(payload: Payload) -> str:
    """`MetadataMode.EMBED` of the stored node: its metadata by its templates, then its text."""
    node = _json(payload[NODE_KEY]) if isinstance(payload.get(NODE_KEY), str) else None
    if not isinstance(node, Mapping):
        return _field(payload, "text")
    text = _field(node, "text") or _field(node, "text_resource.text")
    metadata = _node_metadata(node)
    if not metadata or not _meant(text):
        return text
    whole = _string(node, "text_template") or _NODE_TEXT
    return _filled(whole, content=text, metadata_str=metadata).strip()


def _node_metadata(node: Payload) -> str:
    metadata, left_out = node.get("metadata") or {}, node.get("excluded_embed_metadata_keys") or ()
    if not isinstance(metadata, Mapping) or not isinstance(left_out, list | tuple):
        raise Unreadable("node: its metadata is no object, or the keys to leave out are no list")
    template = _string(node, "metadata_template") or _NODE_METADATA
    separator = _string(node, "metadata_separator", _string(node, "metadata_seperator", "\n"))
    return separator.join(
        _filled(template, key=key, value=str(value))
        for key, value in metadata.items()
        if key not in left_out
    ).strip()


def _string(node: Payload, name: str, default: str = "") -> str:
    value = node.get(name)
    if value is not None and not isinstance(value, str):
        raise Unreadable(f"node: {name} is no text")
    return default if value is None else value


def _filled(template: str, **values: str) -> str:
    """``template.format(**values)`` for plain fields alone.

    Templates come from whoever wrote the point. `str.format` would let them reach into objects
    (``{value.__class__}``) and ask for a gigabyte of blanks (``{value:>1000000000}``).

    Raises:
        Unreadable: the template is malformed, or has anything but plain fields of these names.
    """
    parts = []
    try:
        for literal, name, spec, conversion in Formatter().parse(template):
            parts.append(literal)
            if name is not None:
                if name not in values or spec or conversion:
                    raise Unreadable(f"template: a field {_shown(name, spec, conversion)}")
                parts.append(values[name])
    except ValueError as error:
        raise Unreadable(f"template: {error}") from None
    return "".join(parts)


def _shown(name: str, spec: str | None, conversion: str | None) -> str:
    whole = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
    return "{" + whole[:50] + "}"


def _only(name: str) -> Callable[[Payload], str]:
    return lambda payload: _field(payload, name)


_PRESETS: dict[str, Callable[[Payload], str]] = {
    "plain": _only("text"),
    "langchain": _only("page_content"),
    "llamaindex": _llamaindex,
    "haystack": _only("content"),
}
_SHOWN = {
    "plain": "text",
    "langchain": "page_content",
    "llamaindex": "the node's text with its metadata",
    "haystack": "content",
}
_MARKS: tuple[tuple[Callable[[Payload], object], tuple[StoredText, ...]], ...] = (
    (
        lambda payload: NODE_KEY in payload,
        (StoredText("llamaindex"), StoredText("llamaindex", ("_node_content.text",))),
    ),
    (lambda payload: "page_content" in payload, (StoredText("langchain"),)),
    (lambda payload: "content" in payload and "meta" in payload, (StoredText("haystack"),)),
)
"""By what a framework's payloads are known, and how their texts are read."""
