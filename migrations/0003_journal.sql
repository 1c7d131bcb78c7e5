-- One growing sequence for runs and single writes: the higher rev is the newer write.

CREATE TABLE sequence (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    rev INTEGER NOT NULL
) STRICT;

INSERT INTO sequence SELECT 1, coalesce(max(id), 0) FROM runs;

ALTER TABLE runs ADD COLUMN rev INTEGER NOT NULL DEFAULT 0;

UPDATE runs SET rev = id;

-- Single writes, until every write target has them. Deletes stay as tombstones.

CREATE TABLE journal (
    rev INTEGER PRIMARY KEY,
    point TEXT NOT NULL,        -- the point id as JSON: 5, "5f0a…"
    id TEXT NOT NULL,           -- the document's own id as JSON
    text TEXT,                  -- NULL: a delete
    payload TEXT,               -- JSON; NULL: a delete
    pid INTEGER NOT NULL,
    process_started TEXT,
    host TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

CREATE INDEX journal_by_point ON journal (point, rev);

-- What is still to be written: one row per write and write target.

CREATE TABLE deliveries (
    collection TEXT NOT NULL,
    rev INTEGER NOT NULL REFERENCES journal (rev),
    error TEXT,                 -- why the last try failed
    PRIMARY KEY (collection, rev)
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_by_rev ON deliveries (rev);

-- Collections that single writes go to, beside the one that the alias points at.

CREATE TABLE write_targets (
    collection TEXT PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('candidate', 'held-over')),
    since TEXT NOT NULL,
    rev INTEGER NOT NULL        -- writes below it were journaled before this was a target
) STRICT;

-- The step that follows a flip: what arrived in the old collection is brought to the new one.

CREATE TABLE sweeps (
    promotion INTEGER PRIMARY KEY REFERENCES promotions (id),
    from_collection TEXT NOT NULL,
    to_collection TEXT NOT NULL,
    rev INTEGER NOT NULL,       -- points of the new collection above it are newer: left alone
    flipped_at TEXT NOT NULL,
    finished_at TEXT
) STRICT;
