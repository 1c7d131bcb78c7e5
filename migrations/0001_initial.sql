-- Every JSON column holds one JSON document as text. Times are UTC, ISO 8601.

CREATE TABLE versions (
    name TEXT PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    base TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('base', 'fine-tuned')),
    state TEXT NOT NULL CHECK (state IN ('created', 'trained', 'exported')),
    checkpoint TEXT,            -- relative to the project's home
    artifact TEXT,              -- relative to the project's home
    space TEXT,
    encoding TEXT,
    dim INTEGER,
    recipe TEXT NOT NULL,       -- JSON: everything that decides the result
    metrics TEXT NOT NULL,      -- JSON: dev metrics of training
    report TEXT NOT NULL,       -- JSON: parity and invariance figures of the export
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE training_queries (
    version TEXT NOT NULL REFERENCES versions (name),
    hash TEXT NOT NULL,         -- 128 bits of sha256 over the normalised query
    PRIMARY KEY (version, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE datasets (
    sha256 TEXT NOT NULL,
    role TEXT NOT NULL,         -- 'pairs', 'dev', 'test'
    name TEXT NOT NULL,         -- file or folder, relative to the config
    size INTEGER NOT NULL,      -- examples or queries
    first_used TEXT NOT NULL,
    PRIMARY KEY (sha256, role)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- also the `rev` that a build stamps
    kind TEXT NOT NULL,
    version TEXT,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'interrupted')),
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    details TEXT NOT NULL       -- JSON
) STRICT;

CREATE TABLE collections (
    name TEXT PRIMARY KEY,
    version TEXT NOT NULL REFERENCES versions (name),
    space TEXT NOT NULL,
    encoding TEXT NOT NULL,
    build TEXT NOT NULL,
    layout TEXT NOT NULL,
    prefix_dim INTEGER,
    source TEXT NOT NULL DEFAULT '',
    source_documents INTEGER NOT NULL DEFAULT 0,
    points INTEGER NOT NULL DEFAULT 0,
    complete INTEGER NOT NULL DEFAULT 0,    -- the last build enumerated the whole source
    writes INTEGER NOT NULL DEFAULT 0,      -- points written or deleted, ever: measures drift
    oversampling INTEGER,
    created_at TEXT NOT NULL,
    built_at TEXT
) STRICT;

CREATE TABLE comparisons (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    live TEXT NOT NULL,
    candidate TEXT NOT NULL,
    live_collection TEXT NOT NULL,
    live_build TEXT NOT NULL,
    candidate_collection TEXT NOT NULL,
    candidate_build TEXT NOT NULL,
    candidate_encoding TEXT NOT NULL,
    candidate_writes INTEGER NOT NULL,
    judged_set TEXT NOT NULL,   -- sha256 of the queries and judgements
    leaked INTEGER NOT NULL,    -- judged queries found in the training lineage
    verdict TEXT NOT NULL CHECK (verdict IN ('pass', 'fail', 'inconclusive')),
    result TEXT NOT NULL,       -- JSON without the per-query scores
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE comparison_scores (
    comparison INTEGER NOT NULL REFERENCES comparisons (id),
    metric TEXT NOT NULL,
    query TEXT NOT NULL,
    live REAL NOT NULL,
    candidate REAL NOT NULL,
    PRIMARY KEY (comparison, metric, query)
) STRICT, WITHOUT ROWID;

CREATE TABLE promotions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('promote', 'rollback')),
    alias TEXT NOT NULL,
    from_collection TEXT,       -- NULL: the alias did not exist
    to_collection TEXT NOT NULL,
    version TEXT NOT NULL,
    comparison INTEGER REFERENCES comparisons (id),
    forced INTEGER NOT NULL,
    reason TEXT NOT NULL,
    conditions TEXT NOT NULL,   -- JSON: every gate condition with its figure
    who TEXT NOT NULL,
    pid INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('intent', 'done', 'abandoned')),
    created_at TEXT NOT NULL,
    finished_at TEXT
) STRICT;

-- What the embedded engine does not keep itself.

CREATE TABLE aliases (
    alias TEXT PRIMARY KEY,
    collection TEXT NOT NULL,
    changed_at TEXT NOT NULL
) STRICT;

CREATE TABLE shards (
    collection TEXT PRIMARY KEY,
    metadata TEXT NOT NULL,     -- JSON
    owner_pid INTEGER,
    owner_since TEXT
) STRICT;
