-- What trainings have seen, so that near-duplicates of judged queries are found: sketches of the
-- words of each text (numpy's npz: hashes and starts), one row per version and role.
CREATE TABLE training_sketches (
    version TEXT NOT NULL REFERENCES versions (name),
    role TEXT NOT NULL CHECK (role IN ('query', 'positive')),
    sketches BLOB NOT NULL,
    PRIMARY KEY (version, role)
) STRICT, WITHOUT ROWID;

-- People who looked at one comparison of one build and said yes.
CREATE TABLE approvals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version TEXT NOT NULL REFERENCES versions (name),
    collection TEXT NOT NULL,
    build TEXT NOT NULL,
    encoding TEXT NOT NULL,
    comparison INTEGER REFERENCES comparisons (id),     -- NULL: nothing was live to compare with
    approved_by TEXT NOT NULL,  -- as given
    who TEXT NOT NULL,          -- the account that wrote it down: user@host
    note TEXT NOT NULL,
    approved_at TEXT NOT NULL
) STRICT;

-- What was told to whom: the host alone, because addresses may hold secrets.
CREATE TABLE notifications (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL,
    version TEXT NOT NULL,
    promotion INTEGER,
    host TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    outcome TEXT NOT NULL,      -- 'delivered', or why not
    at TEXT NOT NULL
) STRICT;
