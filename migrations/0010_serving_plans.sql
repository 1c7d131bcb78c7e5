-- How a collection is searched: a point of the measured front, frozen until the next build of
-- another layout (a new build has another id).

CREATE TABLE serving_plans (
    collection TEXT PRIMARY KEY,
    version TEXT NOT NULL REFERENCES versions (name),
    build TEXT NOT NULL,
    oversampling INTEGER NOT NULL,
    hnsw_ef INTEGER,            -- NULL: the engine's default
    k INTEGER NOT NULL,
    target REAL NOT NULL,       -- recall against exact search that was asked for
    recall REAL NOT NULL,       -- and that was measured
    writes INTEGER NOT NULL,    -- how many writes the collection had seen then
    front TEXT NOT NULL,        -- JSON: all that was measured
    who TEXT NOT NULL,
    frozen_at TEXT NOT NULL
) STRICT;
