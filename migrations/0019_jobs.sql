-- What was asked for over HTTP: comparisons, builds, promotions, rollbacks, and what became of them.

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    arguments TEXT NOT NULL,    -- JSON
    state TEXT NOT NULL CHECK (
        state IN ('waiting', 'running', 'done', 'failed', 'cancelled', 'interrupted')
    ),
    who TEXT NOT NULL,
    pid INTEGER NOT NULL,       -- the process that does it, as in `runs`
    host TEXT NOT NULL,
    place TEXT NOT NULL,
    process_start TEXT,
    asked_at TEXT NOT NULL,
    begun_at TEXT,
    ended_at TEXT,
    beat_at TEXT NOT NULL,      -- the process' last sign of life
    cancelled_by TEXT,          -- who asked it to end
    outcome TEXT NOT NULL       -- JSON: what came of it, or the error
) STRICT;

CREATE INDEX open_jobs ON jobs (state) WHERE state IN ('waiting', 'running');

-- The job that a run is part of: how far that is, and whom an order reaches.

ALTER TABLE runs ADD COLUMN job INTEGER REFERENCES jobs (id);

-- Who is logged in to the dashboard. The cookie's token is nowhere: only its SHA-256.

CREATE TABLE sessions (
    sha256 TEXT PRIMARY KEY,
    key_name TEXT NOT NULL REFERENCES api_keys (name),
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;
