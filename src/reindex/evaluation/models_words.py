"""What the rows of models that are no version mean, in sentences: for tables and reports."""

from __future__ import annotations

from reindex.evaluation.results_models import ModelsReport, SubsetRow


def remark(report: ModelsReport) -> str:
    """What these rows are, and what they are not."""
    return (
        f"Exact search of {report.documents:,} documents (judged ones, hard distractors, a "
        f"sample), {report.queries:,} of {report.of_queries:,} judged queries in "
        f"{report.groups:,} independent groups. Fewer documents compete than in a whole "
        "collection: compare these rows with one another alone. What other models would confuse "
        "with the answers may be missing, so every row but live's is an upper bound. What a model "
        "was trained on is not known: it may have seen these queries."
    )


def called(row: SubsetRow) -> str:
    """The row's name; of what is no model, with what it is."""
    return row.name if row.role == "model" else f"{row.name} ({row.role})"


def prompts_of(row: SubsetRow) -> str:
    """How the model was asked to embed."""
    if row.max_length is None:
        return "Embedded as the version does."
    tokens = f"{row.max_length} tokens a text"
    if not any(row.prompts):
        return f"Embedded without prompts, {tokens}; if its card asks for some: --model-prompts."
    query, document = row.prompts
    return f"Embedded with the prompts {query!r} and {document!r}, {tokens}."


def next_step(row: SubsetRow) -> str:
    """What makes a version of it."""
    if row.name.startswith("v") and row.name[1:].isdecimal():
        return f"It cannot be promoted before: reindex build {row.name}"
    return (
        "It cannot be promoted. As a version: "
        f"reindex init --adopt --base {row.name}; fine-tuned: reindex train --base {row.name}"
    )
