"""What a look at a collection found: findings by severity, and the facts beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""The gravest first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found; ``advice`` says what to do, ``examples`` are some point ids."""

    severity: Severity
    check: str
    message: str
    advice: str = ""
    examples: tuple[int | str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was found about one collection, the gravest first.

    ``facts`` are rows for people and machines: name -> value. ``looked_at`` of the ``points`` were
    read.
    """

    collection: str
    points: int
    looked_at: int
    facts: dict[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def reaches(self, severity: str) -> bool:
        """Whether something at least this grave was found. ``never``: no."""
        if severity not in SEVERITIES:
            return False
        grave = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return any(finding.severity in grave for finding in self.findings)


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The gravest first, otherwise in the order given."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
