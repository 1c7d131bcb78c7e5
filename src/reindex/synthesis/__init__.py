"""Training pairs for a corpus that has none: queries by a language model, titles, inverse cloze."""
