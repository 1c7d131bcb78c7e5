-- What was measured when a promotion went live, and the watch over it since.

CREATE TABLE watches (
    promotion INTEGER PRIMARY KEY REFERENCES promotions (id),
    state TEXT NOT NULL CHECK (
        state IN ('baseline', 'watching', 'rolling back', 'rolled back', 'healthy', 'superseded')
    ),
    baseline TEXT NOT NULL,     -- JSON
    progress TEXT NOT NULL,     -- JSON: rounds, and in how many in a row each limit was broken
    why TEXT NOT NULL DEFAULT '',
    who TEXT NOT NULL DEFAULT '',
    taken_at TEXT NOT NULL,
    changed_at TEXT NOT NULL
) STRICT;
