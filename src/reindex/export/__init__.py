"""Export: a checkpoint becomes an artifact, or an error that says what does not agree."""

from reindex.export.publish import ExportReport, Recipe, export_checkpoint

__all__ = ["ExportReport", "Recipe", "export_checkpoint"]
