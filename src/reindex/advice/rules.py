"""The rules: what was measured -> what each rule says -> a course.

What was measured here outranks a rule of thumb: where there is a pilot, its gain decides between
staying and training, and the rules about recall are shown beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reindex.advice.findings import (
    Advice,
    Cost,
    Course,
    Estimate,
    Finds,
    Judged,
    Pilot,
    Rule,
)
from reindex.config.advice import AdviceSettings

PRACTICE = "a rule of thumb in practitioners' guides, not from a study"
MEASURED = "measured here"
CURVE = "learning curve"
_AROUND = ("hybrid", "other", "bm25")
"""Roles of what can be changed without training."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the rules look at; None or empty where it could not be had."""

    finds: tuple[Finds, ...]
    judged: Judged | None
    pairs: int | None
    cost: Cost | None
    pilot: Pilot | None
    missing: tuple[str, ...] = ()

    def of(self, role: str) -> Finds | None:
        """What the way of searching in this role finds."""
        return next((item for item in self.finds if item.role == role), None)

    @property
    def serving(self) -> Finds | None:
        """What serves, or else the base: what everything is compared with."""
        return self.of("live") or self.of("base")

    @property
    def recall(self) -> float | None:
        """Recall@k of what serves, among all documents as far as that can be told."""
        if self.serving is None or self.judged is None:
            return None
        if self.judged.recall_at_all is not None:
            return self.judged.recall_at_all
        return self.serving.recall.value


def advise_on(evidence: Evidence, settings: AdviceSettings) -> Advice:
    """Apply every rule, and choose."""
    rules = (
        *_recall_rules(evidence, settings),
        *_pairs_rule(evidence, settings),
        *_pilot_rule(evidence, settings),
        *_pipeline_rules(evidence, settings),
        *_cost_rule(evidence),
    )
    course, because = _choose(evidence, rules, settings)
    return Advice(
        course=course,
        because=because,
        next=_next(course, evidence, settings),
        rules=rules,
        finds=evidence.finds,
        judged=evidence.judged,
        pairs=evidence.pairs,
        cost=evidence.cost,
        pilot=evidence.pilot,
        missing=evidence.missing,
    )


def _recall_rules(evidence: Evidence, settings: AdviceSettings) -> list[Rule]:
    recall = evidence.recall
    if recall is None or evidence.judged is None or evidence.serving is None:
        return []
    k, enough, low = evidence.judged.k, settings.enough_recall, settings.low_recall
    votes: Course | None = "stay" if recall > enough else "fine-tune" if recall < low else None
    says = {
        "stay": f"above {enough:g} there is little left to find; the order of what is found may "
        "still gain, which nDCG and the pilot show",
        "fine-tune": f"below {low:g} training on your own pairs clearly pays",
        None: f"between {low:g} and {enough:g} it depends: measure (the pilot does)",
    }[votes]
    name = evidence.serving.name
    return [Rule(f"recall@{k} of {name}", PRACTICE, f"{recall:.3f}", says, votes)]


def _pairs_rule(evidence: Evidence, settings: AdviceSettings) -> list[Rule]:
    pairs, few, some = evidence.pairs, settings.few_pairs, settings.some_pairs
    if pairs is None:
        return []
    votes: Course | None = None
    if pairs < few:
        votes, says = "synthesise", f"fewer than {few:,}: synthesise more before you train"
    elif pairs < some:
        says = f"{few:,} to {some:,}: enough to begin with; more would bring much"
    else:
        says = f"{some:,} and more: enough to train on"
    return [Rule("training pairs", PRACTICE, f"{pairs:,}", says, votes)]


def _pilot_rule(evidence: Evidence, settings: AdviceSettings) -> list[Rule]:
    found = _estimate(evidence)
    if found is None:
        return []
    votes: Course | None = None
    if found.gain_low >= settings.min_gain:
        votes, says = "fine-tune", f"even the lower end is above {settings.min_gain:.0%}"
    elif found.gain_high < settings.min_gain:
        votes, says = "stay", f"even the upper end is below {settings.min_gain:.0%}"
    else:
        says = f"the pilot cannot tell: {settings.min_gain:.0%} lies within its interval"
    measured = found.gains.as_gain()
    live = evidence.of("live")
    name = f"{found.metric} of {found.pairs:,} pairs against {live.name if live else 'the base'}"
    return [Rule(name, f"{MEASURED}: {CURVE}", measured, says, votes)]


def _estimate(evidence: Evidence) -> Estimate | None:
    """Of nDCG, against what serves: a pilot begins with the base, which may be far behind it."""
    found = evidence.pilot.estimates if evidence.pilot else ()
    estimate = next((item for item in found if item.metric.startswith("ndcg")), None)
    base = evidence.of("base")
    if estimate is None or base is None or base.gain is None:  # the base serves, or nothing does
        return estimate
    behind = 1 + base.gain.value
    gain, low, high = (
        (1 + item) * behind - 1 for item in (estimate.gain, estimate.gain_low, estimate.gain_high)
    )
    return replace(estimate, gain=gain, gain_low=low, gain_high=high)


def _pipeline_rules(evidence: Evidence, settings: AdviceSettings) -> list[Rule]:
    return [
        _better(item, settings)
        for item in evidence.finds
        if item.role in _AROUND and item.gain is not None
    ]


def _wins(item: Finds, settings: AdviceSettings) -> bool:
    """Whether a change around the model is shown to gain enough."""
    gain = item.gain if item.role in _AROUND else None
    return gain is not None and gain.low > 0 and gain.value >= settings.min_gain


def _best_around(evidence: Evidence, settings: AdviceSettings) -> tuple[float, str, str]:
    """Of the changes that are shown to gain enough the best: gain, role, name; else (0, "", "")."""
    shown = [item for item in evidence.finds if _wins(item, settings)]
    return max(((i.gain.value, i.role, i.name) for i in shown if i.gain), default=(0.0, "", ""))


def _better(item: Finds, settings: AdviceSettings) -> Rule:
    assert item.gain is not None
    gain = item.gain
    measured = gain.as_gain()
    wins = _wins(item, settings)
    if wins:
        says = "better without any training"
    elif gain.high < settings.min_gain:
        says = "brings nothing here"
    else:
        says = "not shown to be better"
    return Rule(f"nDCG of {item.name}", MEASURED, measured, says, "pipeline" if wins else None)


def _cost_rule(evidence: Evidence) -> list[Rule]:
    cost = evidence.cost
    if cost is None:
        return []
    measured = f"{cost.documents:,} documents, {cost.seconds / 60:,.1f} min"
    says = "a new model re-embeds every document: what is gained must be worth this"
    return [Rule("reindexing", f"{MEASURED}: {cost.measured}", measured, says, None)]


def _choose(
    evidence: Evidence, rules: Sequence[Rule], settings: AdviceSettings
) -> tuple[Course, str]:
    """The course: without judgements to judge, then what was measured, then rules of thumb."""
    if evidence.judged is None:
        return "judge", "nothing can be measured without judged queries"
    piloted = next((rule for rule in rules if rule.source.endswith(CURVE)), None)
    votes: dict[Course, Rule] = {rule.votes: rule for rule in reversed(rules) if rule.votes}
    if piloted is not None and piloted.votes is not None:  # not a rule of thumb's opposite
        votes.pop("stay" if piloted.votes == "fine-tune" else "fine-tune", None)
        votes[piloted.votes] = piloted
    order = _order(evidence, piloted, settings)
    chosen = next((course for course in order if course in votes), None)
    return (chosen, _reason(votes[chosen])) if chosen else _undecided(evidence, piloted)


def _order(
    evidence: Evidence, piloted: Rule | None, settings: AdviceSettings
) -> tuple[Course, ...]:
    """Which vote counts first."""
    if piloted is None:  # more pairs are not worth making for a gain that nothing promises
        return ("pipeline", "stay", "synthesise", "fine-tune")
    if piloted.votes != "fine-tune":
        return ("pipeline", "synthesise", "stay", "fine-tune")
    if _training_gains_more(evidence, settings):
        return ("fine-tune", "pipeline")
    return ("pipeline", "fine-tune")


def _undecided(evidence: Evidence, piloted: Rule | None) -> tuple[Course, str]:
    if piloted is not None:
        return "fine-tune", f"nothing speaks against it, but {piloted.says}; try, and compare"
    if evidence.pairs is None:
        return "synthesise", "recall leaves room, and there are no training pairs"
    return "fine-tune", "recall leaves room; how much training brings was not measured"


def _training_gains_more(evidence: Evidence, settings: AdviceSettings) -> bool:
    """Whether the pilot promises more than the best change around the model has shown."""
    found = _estimate(evidence)
    return found is not None and found.gain > _best_around(evidence, settings)[0]


def _reason(rule: Rule) -> str:
    return f"{rule.name}: {rule.measured}; {rule.says}"


def _next(course: Course, evidence: Evidence, settings: AdviceSettings) -> tuple[str, ...]:
    """What to run now."""
    if course == "stay":
        return ("nothing; ask again when queries or documents have changed",)
    if course == "judge":
        return ("reindex pool, then reindex judge, or name evaluation.queries and .qrels",)
    if course == "synthesise":
        return ("reindex data synthesize", "reindex train --pairs FILE")
    if course == "pipeline":
        _, role, name = _best_around(evidence, settings)
        if role == "other":
            return (f"reindex init --adopt --base {name}, then export, build, compare",)
        return (f"{name} in your search service; then `reindex advise` on what remains",)
    return ("reindex train (with --trials to search over recipes)", "reindex run")
