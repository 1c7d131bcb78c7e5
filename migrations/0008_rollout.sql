-- Candidates that answer a share of the keys beside what is live; one at a time per alias.

CREATE TABLE canaries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    alias TEXT NOT NULL,
    version TEXT NOT NULL REFERENCES versions (name),
    collection TEXT NOT NULL,
    live_version TEXT NOT NULL,
    live_collection TEXT NOT NULL,
    who TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_by TEXT,
    ended_at TEXT,              -- NULL: it runs
    why TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE UNIQUE INDEX canaries_running ON canaries (alias) WHERE ended_at IS NULL;

-- What share of the keys it gets and how, each time that this was set; the last row counts.

CREATE TABLE canary_phases (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    canary INTEGER NOT NULL REFERENCES canaries (id),
    weight REAL NOT NULL CHECK (weight BETWEEN 0 AND 1),
    mode TEXT NOT NULL CHECK (mode IN ('split', 'interleave')),
    who TEXT NOT NULL,
    set_at TEXT NOT NULL
) STRICT;

CREATE INDEX canary_phases_by_canary ON canary_phases (canary);
