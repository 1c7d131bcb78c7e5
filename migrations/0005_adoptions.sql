-- Collections that somebody else made and that were taken over as they are.

CREATE TABLE adoptions (
    collection TEXT PRIMARY KEY,
    version TEXT NOT NULL REFERENCES versions (name),
    vector TEXT NOT NULL,       -- the slot of the vector that was verified; '': the unnamed one
    text TEXT NOT NULL,         -- JSON: preset, fields and separator by which texts are read
    graph TEXT NOT NULL,        -- the artifact's graph that gives the collection's vectors
    sample INTEGER NOT NULL,    -- points that were embedded again
    share REAL NOT NULL,        -- of them, those whose vector is that graph's
    median REAL NOT NULL,       -- cosine
    lowest REAL NOT NULL,       -- cosine
    who TEXT NOT NULL,
    adopted_at TEXT NOT NULL
) STRICT;
