-- A run may end in two more ways, and says which process it is: numbers are used again.

CREATE TABLE runs_with_process (
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- also the `rev` that a build stamps
    kind TEXT NOT NULL,
    version TEXT,
    state TEXT NOT NULL CHECK (
        state IN ('running', 'done', 'failed', 'interrupted', 'cancelled', 'budget')
    ),
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    place TEXT NOT NULL DEFAULT '',         -- where the pid means something: boot and namespace
    process_start TEXT,                     -- as the system tells it
    started_at TEXT NOT NULL,
    finished_at TEXT,
    details TEXT NOT NULL                   -- JSON
) STRICT;

INSERT INTO runs_with_process
    (id, kind, version, state, pid, host, started_at, finished_at, details)
    SELECT id, kind, version, state, pid, host, started_at, finished_at, details FROM runs;

DROP TABLE runs;

ALTER TABLE runs_with_process RENAME TO runs;

-- How far a run is, and its sign of life: written about once a second while it runs.

CREATE TABLE heartbeats (
    run INTEGER PRIMARY KEY REFERENCES runs (id),
    who TEXT NOT NULL,
    stage TEXT NOT NULL,
    done INTEGER NOT NULL,
    total INTEGER,
    rate REAL,                  -- units per second of late
    seconds_left REAL,
    waiting TEXT NOT NULL,      -- what it waits for: '', 'throttle', 'paused'
    beat_at TEXT NOT NULL
) STRICT;

-- One run at a time may work on a resource: 'collection:docs--v2', 'alias:docs'.

CREATE TABLE locks (
    resource TEXT PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id)
) STRICT;

-- What operators asked running runs for; the last one counts.

CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs (id),
    verb TEXT NOT NULL CHECK (verb IN ('pause', 'resume', 'cancel')),
    who TEXT NOT NULL,
    asked_at TEXT NOT NULL
) STRICT;

CREATE INDEX orders_by_run ON orders (run);

-- The project's throttle: one row at most.

CREATE TABLE throttle (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    per_second REAL NOT NULL,
    who TEXT NOT NULL,
    set_at TEXT NOT NULL
) STRICT;
