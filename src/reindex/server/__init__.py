"""HTTP: search, embeddings, documents and decisions of one project."""
