-- Looks at a judged set that are no comparison of a built version: each one makes the next verdict
-- on the same set a little less its own.

CREATE TABLE judged_set_uses (
    id INTEGER PRIMARY KEY,
    judged_set TEXT NOT NULL,   -- as in comparisons
    purpose TEXT NOT NULL,      -- early look, model, advice, trials
    name TEXT NOT NULL,         -- of the version or the model that was judged, if one was
    looks INTEGER NOT NULL CHECK (looks > 0),
    details TEXT NOT NULL,      -- JSON: what was seen
    created_at TEXT NOT NULL
) STRICT;

CREATE INDEX judged_set_uses_set ON judged_set_uses (judged_set);
