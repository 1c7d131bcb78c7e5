"""A help centre's articles with judged questions, and encoders that know some of the synonyms.

A whole project (registry, embedded store, stages) whose reports read like real ones: v2 knows what
people call things, but for a few. All texts are made from the words below.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from reindex.config import load_settings
from reindex.config.template import render_config
from reindex.off_the_shelf import ModelSpec
from reindex.records import Vector
from reindex.registry import REGISTRY_NAME, Registry
from reindex.registry.ledger import Version
from tests.hash_project import HashWorkspace

DIM, PREFIX, DIMS = 96, 72, (96, 72, 48, 24)

ACTIONS = {
    "create": ("add", "set up"),
    "delete": ("remove", "get rid of"),
    "change": ("edit", "update"),
    "share": ("send", "pass on"),
    "restore": ("recover", "bring back"),
    "download": ("save", "fetch"),
}
OBJECTS = {
    "invoice": "bill", "password": "passphrase", "subscription": "plan", "workspace": "account",
    "member": "colleague", "dashboard": "overview", "notification": "alert", "card": "payment",
    "certificate": "tls", "folder": "directory", "attachment": "file", "label": "tag",
    "comment": "note", "backup": "snapshot", "report": "summary", "calendar": "schedule",
    "template": "pattern", "webhook": "callback", "key": "token", "domain": "address",
    "role": "permission", "board": "wall", "task": "ticket", "form": "questionnaire",
    "signature": "autograph",
}  # fmt: skip
PLACES = ("Settings", "the side bar", "your profile", "the admin area", "the overflow menu")
NOTES = (
    "Only owners can do this, and everybody in the project sees it in the activity log.",
    "It takes effect at once; nobody has to sign in again.",
    "On the phone, press and hold its name until the menu opens.",
    "There is no way to do it for several at a time yet.",
    "The change can be taken back within thirty days.",
)
STOP = frozenset(
    {"a", "an", "the", "to", "of", "in", "and", "it", "you", "your", "how", "do", "i", "my", "is",
     "on", "up", "out", "for", "can"}
)  # fmt: skip


def _a(thing: str) -> str:
    return "an" if thing[0] in "aeiou" else "a"


def article(number: int, action: str, thing: str) -> dict[str, str]:
    """One article: what it is called and what it says."""
    place, note = PLACES[number % len(PLACES)], NOTES[number // 3 % len(NOTES)]
    text = (
        f"To {action} {_a(thing)} {thing}, open {place} and find the {thing} in the list. "
        f"Choose {action} from its menu and confirm. {note}"
    )
    return {
        "_id": f"help-{number:03}",
        "title": f"{action.capitalize()} {_a(thing)} {thing}",
        "text": text,
    }


def write_help_centre(folder: Path) -> None:
    """A BEIR folder: articles, questions in other words, and which article answers each."""
    articles, queries, qrels = [], [], ["query-id\tcorpus-id\tscore"]
    pairs = [(action, thing) for thing in OBJECTS for action in ACTIONS]
    for number, (action, thing) in enumerate(pairs):
        articles.append(article(number, action, thing))
        verb = ACTIONS[action][number % 2]
        called = OBJECTS[thing] if number % 3 else thing
        queries.append({"_id": f"q{number}", "text": f"How do I {verb} my {called}?"})
        qrels.append(f"q{number}\thelp-{number:03}\t1")
    data = folder / "data"
    (data / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", articles), ("queries", queries)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (data / f"{name}.jsonl").write_text(text, "utf-8")
    (data / "qrels" / "test.tsv").write_text("\n".join(qrels) + "\n", "utf-8")


@cache
def word_vector(word: str) -> Vector:
    """Random, from the word alone; earlier dimensions weigh more, as in Matryoshka training."""
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
    weights = np.linspace(1.5, 0.5, DIM)
    vector: Vector = (np.random.default_rng(seed).normal(size=DIM) * weights).astype(np.float32)
    return vector


class HelpEncoder:
    """Sums word vectors. v1 knows many synonyms, v2 nearly all, and mixes three up."""

    def __init__(self, version: str, *, rounded: bool = True) -> None:
        self.dim, self._rounded = DIM, rounded
        self.space, self.encoding = (
            f"help-{version}",
            f"help-{version}-{'int8' if rounded else 'fp32'}",
        )
        self.manifest = SimpleNamespace(
            matryoshka_dims=DIMS, certified_with=lambda encoding: {encoding}
        )
        known = 0.6 if version == "v1" else 0.92
        self._meaning = dict(_meanings(known))
        if version != "v1":
            self._meaning |= {"alert": "report", "file": "folder", "save": "share"}

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length."""
        sums = np.stack([self._sum(text) for text in texts])
        vectors: Vector = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
        if not self._rounded:
            return vectors
        coarse = np.round(vectors * 24) / 24
        made: Vector = (coarse / np.linalg.norm(coarse, axis=1, keepdims=True)).astype(np.float32)
        return made

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        """As documents."""
        return self.encode_documents(texts)

    def _sum(self, text: str) -> Vector:
        words = [word for word in re.findall(r"[a-z]+", text.lower()) if word not in STOP] or ["?"]
        vectors = [word_vector(self._meaning.get(word, word)) for word in words]
        return np.asarray(np.stack(vectors).sum(axis=0), dtype=np.float32)


def _meanings(known: float) -> Iterator[tuple[str, str]]:
    """Synonym -> meaning, for a fixed share of them."""
    pairs = [(name.split()[0], action) for action, names in ACTIONS.items() for name in names]
    pairs += [(called, thing) for thing, called in OBJECTS.items()]
    for name, meaning in pairs:
        if hashlib.blake2b(name.encode(), digest_size=1).digest()[0] < known * 256:
            yield name, meaning


class HelpProject(HashWorkspace):
    """A project over these encoders."""

    def encoder(self, version: Version, *, graph: str = "int8", **_: Any) -> Any:
        """The version's encoder."""
        return HelpEncoder(version.name, rounded=graph == "int8")


def help_project(folder: Path, **evaluation: Any) -> HelpProject:
    """A new project with two versions: v1 as adopted, v2 as fine-tuned; nothing is built."""
    write_help_centre(folder)
    values = {
        "project": {"name": "help-centre"},
        "gate": {"metric": "ndcg"},
        "evaluation": {"resamples": 500, "subset_documents": 150, **evaluation},
    }
    (folder / "reindex.toml").write_text(render_config(values), "utf-8")
    settings = load_settings(folder)
    registry = Registry(settings.home / REGISTRY_NAME, create=True)
    recipe = {"loss": "MNRL", "matryoshka_dims": list(DIMS), "epochs": 1, "batch_size": 32,
              "learning_rate": 5e-5, "seed": 13, "examples": 4000}  # fmt: skip
    for kind, base, how in (("base", "all-words", {}), ("fine-tuned", "v1", recipe)):
        name = registry.add_version(base=base, kind=kind, recipe=how).name
        encoder = HelpEncoder(name)
        registry.update_version(
            name, state="exported", artifact="none", space=encoder.space,
            encoding=encoder.encoding, dim=DIM, report={"prefix_dim": PREFIX},
            metrics={"after": {"ndcg@10": 0.81}} if how else {},
        )  # fmt: skip
    registry.close()
    return HelpProject(settings)


def add_twin(project: HelpProject) -> str:
    """Another exported version that embeds as v2 does; it is not built."""
    like = project.registry.version("v2")
    name = project.registry.add_version(base="all-words", kind="base", recipe={}).name
    encoder = HelpEncoder(name)
    project.registry.update_version(
        name, state="exported", artifact="none", space=encoder.space, encoding=encoder.encoding,
        dim=DIM, report=like.report,
    )  # fmt: skip
    return name


def with_everything(folder: Path, **evaluation: Any) -> HelpProject:
    """A project whose report of v2 has every section: several candidates, a model that is no
    version, protected queries, interleaved lists with feedback, a flip and the watch after it.
    """
    must = [
        {"query": "How do I get rid of my bill?", "documents": ["help-001"]},
        {"query": "How do I send my plan?", "documents": ["help-015"], "k": 3},
        {"query": "How do I save my file?", "documents": ["help-065"], "k": 3},
    ]
    (folder / "must.jsonl").write_text("".join(json.dumps(row) + "\n" for row in must), "utf-8")
    project = help_project(folder, protected=Path("must.jsonl"), **evaluation)
    twins = [add_twin(project) for _ in range(2)]
    project.build("v1")
    project.promote("v1")
    for name in ("v2", twins[0]):
        project.build(name)
    project.compare_with_models(["v2", twins[0]], [ModelSpec(twins[1])])
    project.canary("v2", weight=0.5, interleave=True)
    retriever = project.retriever()
    retriever.wait_until_settled()
    for number in range(24):
        found = retriever.search("How do I send my plan?", 5, key=f"reader {number}")
        retriever.feedback(found, clicked=[found[0].id])
    project.recorder.flush()
    project.end_canary("seen enough")
    project.promote("v2", force=True, reason="the readers like it")
    for _ in range(2):
        project.watch_round()
    return project


def compared(folder: Path, **evaluation: Any) -> HelpProject:
    """The project with both versions built, v1 live, and v2 compared with it."""
    project = help_project(folder, **evaluation)
    project.build("v1")
    project.promote("v1")
    project.build("v2")
    project.tune("v2", target=0.99, other_layouts=False)
    project.compare("v2")
    return project
