"""Building on a Ray cluster."""

from __future__ import annotations

from pydantic import Field

from reindex.config.section import Positive, Section


class DistributedSettings(Section):
    """`reindex build --engine ray`: the workers that embed."""

    address: str | None = Field(
        None,
        description="The cluster, HOST:PORT. Unset: --address, then RAY_ADDRESS, then one of this "
        "machine alone.",
    )
    workers: Positive | None = Field(None, description="Encoders. Unset: as many as fit.")
    cpus: Positive | None = Field(
        None, description="Cores per encoder. Unset: those of the smallest machine."
    )
