-- The process that has the embedded store open and does for others what they ask; at most one.

CREATE TABLE owner (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    process_started TEXT,       -- opaque; tells the process from another one with its number
    since TEXT NOT NULL,
    address TEXT NOT NULL,      -- path of its Unix-domain socket
    token TEXT NOT NULL,        -- of this ownership; who asks shows it
    release TEXT NOT NULL       -- of reindex
) STRICT;

-- Batches of single writes that were asked of an owner: one that is sent again, because its
-- answer was lost, is not written again.

CREATE TABLE write_keys (
    key TEXT PRIMARY KEY,
    first_rev INTEGER NOT NULL,
    last_rev INTEGER NOT NULL,
    at TEXT NOT NULL
) STRICT;
