"""Taking over a collection that somebody else made: it becomes the live version as it is.

Nothing is written into its points. Its metadata get the version, space and encoding, by which the
retriever chooses the encoder; the registry gets the version, the collection and the first flip.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from typing import Any

from reindex.errors import AdoptionRefused, ConfigError
from reindex.inspection.agreement import Agreement
from reindex.inspection.collections import physical
from reindex.inspection.taking_over import (
    check_free,
    choose_vector,
    config_lines,
    project_name,
    ways_to_read,
)
from reindex.promotion import Flip, flip, operator
from reindex.protocols import CarryingStore
from reindex.records import CollectionDescription, VectorDescription
from reindex.registry import Registry
from reindex.registry.adoptions import Adoption, Adoptions
from reindex.registry.ledger import Promotion, Version
from reindex.stages.notifying import settle, tell_flips
from reindex.stages.verifying import (
    AdoptionRequest,
    agreeing_graph,
    check_agreement,
    verified_version,
)
from reindex.workspace import Workspace

__all__ = ["Adopted", "AdoptionRequest", "adopt", "start_values"]


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was adopted, on what evidence; ``config`` are the lines that reindex.toml still needs.

    ``promotion`` is None where the collection was live already.
    """

    version: Version
    adoption: Adoption
    agreement: Agreement
    alias: str
    promotion: Promotion | None
    unowned: tuple[str, ...]
    config: tuple[str, ...]


def adopt(workspace: Workspace, request: AdoptionRequest) -> Adopted:
    """Verify the model on a sample and make the collection the live version.

    Idempotent: killed anywhere and run again it ends in the same state.

    Raises:
        AdoptionRefused: it is not that model, or the collection cannot be taken over; with figures.
        CollectionNotFound: there is no such collection; names the nearest.
        ConfigError: the store, or the alias, cannot be used for it.
    """
    store = carrying_store(workspace)
    settle(workspace)
    name = physical(workspace.store, request.collection)
    _check_alias(workspace, name)
    found = store.describe(name)
    check_free(workspace.settings.project.name, found)
    vector = choose_vector(found, request.vector)
    points = store.sample(name, request.sample, vector.name)
    ways = [request.text] if request.text else ways_to_read(workspace.settings.source, points, name)
    version = verified_version(workspace, request, points, ways)
    agreed, graph, encoding = agreeing_graph(workspace, version, points, ways)
    check_agreement(name, agreed, request)
    _register(workspace, version, found, vector, encoding)
    adoption = _adoption(found.name, version, vector, agreed, graph)
    Adoptions(workspace.registry).add(adoption)
    flipped = _flip(workspace, version, adoption, agreed, request.min_agreement)
    tell_flips(workspace)
    return Adopted(
        version,
        adoption,
        agreed,
        workspace.settings.alias,
        flipped,
        tuple(other.name for other in found.vectors if other.name != vector.name),
        tuple(config_lines(workspace.settings, agreed.text)),
    )


def carrying_store(workspace: Workspace) -> CarryingStore:
    """The store, where it can hold collections that somebody else made. Raises ConfigError."""
    if isinstance(workspace.store, CarryingStore):
        return workspace.store
    raise ConfigError(
        f"The store of this project is {workspace.store.kind!r}; plain collections of other "
        'clients are on a Qdrant server. Set kind = "server" under [store] and the url under '
        "[qdrant] in reindex.toml."
    )


def _check_alias(workspace: Workspace, name: str) -> None:
    alias, aliases = workspace.settings.alias, workspace.store.aliases()
    if alias in workspace.store.collections():
        raise ConfigError(
            f"The alias {alias!r} is the name of a collection, and Qdrant does not let an alias "
            f'have a collection\'s name. Choose another: alias = "{alias}-live" under [project] '
            "in reindex.toml, or `reindex adopt … --alias` in a new project."
        )
    target = aliases.get(alias)
    if target not in (None, name):
        raise AdoptionRefused(
            f"The alias {alias!r} points at {target} already: this project has a live version. "
            f"Adopt {name} in a project of its own (another folder, another --alias)."
        )


def _adoption(
    name: str, version: Version, vector: VectorDescription, agreed: Agreement, graph: str
) -> Adoption:
    return Adoption(
        collection=name,
        version=version.name,
        vector=vector.name,
        text=asdict(agreed.text),
        graph=graph,
        sample=len(agreed.cosines),
        share=agreed.share,
        median=agreed.median,
        lowest=agreed.lowest,
        who=operator(),
        adopted_at=Registry.now(),
    )


def _register(
    workspace: Workspace,
    version: Version,
    found: CollectionDescription,
    vector: VectorDescription,
    encoding: str,
) -> None:
    """The registry's row, then the collection's own metadata: what is live is what they say."""
    registry = workspace.registry
    with registry.transaction():
        known = registry.collection(found.name)
        if known is None or (known.space, known.encoding) != (version.space, encoding):
            registry.remove_collection(found.name)
            registry.add_collection(
                name=found.name,
                version=version.name,
                space=version.space,
                encoding=encoding,
                build=uuid.uuid4().hex,
                layout="single",
                prefix_dim=None,
            )
        registry.update_collection(
            found.name,
            source="adopted",
            source_documents=found.points,
            points=found.points,
            complete=True,
            built_at=registry.now(),
        )
        built = registry.collection(found.name)
    assert built is not None
    workspace.store.set_metadata(
        found.name,
        {
            "project": workspace.settings.project.name,
            "version": built.version,
            "space": built.space,
            "encoding": built.encoding,
            "build": built.build,
            "vector": vector.name,
            "adopted": True,
        },
    )


def _flip(
    workspace: Workspace,
    version: Version,
    adoption: Adoption,
    agreed: Agreement,
    required: float,
) -> Promotion | None:
    """The first promotion: the alias comes to be, and points at the collection."""
    live = workspace.live_collection()
    built = workspace.registry.collection(adoption.collection)
    assert built is not None
    last = workspace.registry.promotions(state="done")
    if live == adoption.collection and any(p.to_collection == live for p in last):
        return None
    condition = {
        "name": "adoption",
        "verdict": "pass",
        "figure": agreed.figures,
        "required": f"{required:.0%} of the sample",
    }
    plan = Flip(
        kind="promote",
        alias=workspace.settings.alias,
        expected=live,
        target=adoption.collection,
        version=version.name,
        build=built.build,
        conditions=(condition,),
        reason="adopted",
    )
    return flip(workspace.registry, workspace.store, plan)


def start_values(
    workspace: Workspace, request: AdoptionRequest, *, url: str, alias: str | None
) -> dict[str, dict[str, Any]]:
    """What a new project's reindex.toml says for this collection: section -> key -> value."""
    store = carrying_store(workspace)
    name = physical(workspace.store, request.collection)
    vector = choose_vector(store.describe(name), request.vector)
    text = request.text
    if text is None:
        points = store.sample(name, request.sample, vector.name)
        text = ways_to_read(workspace.settings.source, points, name)[0]
    layout = {"layout": "single"} if text.preset == "haystack" else {}
    fields = {"text_fields": list(text.fields)} if text.fields else {}
    return {
        "project": {"name": project_name(name), "alias": alias or f"{project_name(name)}-live"},
        "source": {"kind": "collection", "payload": text.preset, **fields},
        "store": {"kind": "server", **layout},
        "qdrant": {"url": url},
    }
