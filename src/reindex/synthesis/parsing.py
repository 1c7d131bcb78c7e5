"""A model's answer -> queries: JSON, fenced or cut off, numbered lists, lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

LONGEST = 400
"""Characters of a query; longer ones are no queries."""
_THOUGHTS = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_ITEM = re.compile(r"^\s*(?:\d{1,3}\s*[.):]|[-*•–]|Q(?:uery|uestion)?\s*\d*\s*:)\s+(.+)$", re.I)
_LABEL = re.compile(r"^(?:Q(?:uery|uestion)?\s*\d*|\d{1,3})\s*[:.)]\s+", re.IGNORECASE)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"(?!\s*:)')
_REFUSAL = re.compile(
    r"\s*(?:(?:i['’]?m |i am )?sorry\b[^?\n]{0,40}\b(?:i|but)\b|as an ai\b"
    r"|i (?:can['’]?t|cannot|can not|won['’]t|am (?:unable|not able) to)\s+"
    r"(?:help|assist|provide|create|generate|comply|write|fulfil|answer|produce|do (?:that|this)))",
    re.IGNORECASE,
)
_KEYS = ("query", "question", "text", "q")
_QUOTES = "\"'“”„«»`"


def parse_queries(content: str, n: int) -> list[str]:
    """The first ``n`` queries of an answer, each on one line; none where it holds none."""
    content = _spoken(content)
    found = _of_json(content)
    if found is None:
        found = _of_lines(content)
    cleaned = (_clean(item) for item in found)
    return list(dict.fromkeys(item for item in cleaned if item))[:n]


def is_refusal(content: str) -> bool:
    """Whether an answer begins as a refusal does."""
    return _REFUSAL.match(_spoken(content)) is not None


def _spoken(content: str) -> str:
    """What follows the thoughts, of which some servers send the end alone; else what precedes them.

    Thoughts may hold drafts of the answer, and speak of the marks themselves.
    """
    after = _THOUGHTS.sub("", _THOUGHT_END.split(content)[-1]).strip()
    return after or _THOUGHT_END.split(_THOUGHTS.sub("", content))[-1].strip()


def _of_json(content: str) -> list[str] | None:
    """The strings of the first JSON list or object; None where there is none."""
    decoder = json.JSONDecoder()
    for start in (match.start() for match in re.finditer(r"[\[{]", content)):
        try:
            value, _ = decoder.raw_decode(content, start)
        except (ValueError, RecursionError):
            continue
        if strings := list(_strings(value)):
            return strings
    return _of_cut_json(content)


def _of_cut_json(content: str) -> list[str] | None:
    """The whole strings of a JSON list that was cut off."""
    start = content.find("[")
    if start < 0 or not content[start + 1 :].lstrip().startswith(('"', "{")):
        return None
    strings = []
    for item in _STRING.findall(content[start:]):
        try:
            strings.append(json.loads(item))
        except ValueError:
            continue
    return strings or None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        named = [value[key] for key in _KEYS if isinstance(value.get(key), str)]
        if named:
            yield named[0]
            return
        for item in value.values():
            if isinstance(item, list | dict) or len(value) == 1:
                yield from _strings(item)


def _of_lines(content: str) -> list[str]:
    """The items of a list, else all lines that may be a query."""
    lines = [line.strip() for line in content.splitlines()]
    items = [found[1] for line in lines if (found := _ITEM.match(line))]
    if items:
        return items
    if is_refusal(content):
        return []
    return [line for line in lines if line and not line.startswith("```") and line[-1] != ":"]


def _clean(query: str) -> str:
    """One line without label and quotes; "" where it is no query."""
    line = _LABEL.sub("", " ".join(query.split())).strip().rstrip(",")
    line = line.strip("*_").strip()
    if len(line) > 1 and line[0] in _QUOTES and line[-1] in _QUOTES:
        line = line[1:-1].strip()
    return line if 2 < len(line) <= LONGEST and re.search(r"\w", line) else ""
