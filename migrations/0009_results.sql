-- What both sides found, query by query: zlib over one JSON document.
CREATE TABLE comparison_results (
    comparison INTEGER PRIMARY KEY REFERENCES comparisons (id),
    results BLOB NOT NULL
) STRICT;

-- Comparisons on queries that nobody judged. They have no verdict, so no gate reads them.
CREATE TABLE unjudged_comparisons (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    live TEXT NOT NULL,
    candidate TEXT NOT NULL,
    live_collection TEXT NOT NULL,
    live_build TEXT NOT NULL,
    candidate_collection TEXT NOT NULL,
    candidate_build TEXT NOT NULL,
    query_set TEXT NOT NULL,    -- sha256 of the queries
    result TEXT NOT NULL,       -- JSON
    results BLOB NOT NULL,      -- as in comparison_results
    created_at TEXT NOT NULL
) STRICT;

-- Queries that people judge, or judged, and that no training may see.
CREATE TABLE held_out_queries (
    hash TEXT PRIMARY KEY,      -- as in training_queries
    since TEXT NOT NULL
) STRICT, WITHOUT ROWID;
