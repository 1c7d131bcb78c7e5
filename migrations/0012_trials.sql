-- A search over recipes: what is searched, on which data, judged by which dev set.
CREATE TABLE studies (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    base TEXT NOT NULL,
    metric TEXT NOT NULL,
    judged_set TEXT NOT NULL,
    seed INTEGER NOT NULL,
    space TEXT NOT NULL,
    examples INTEGER NOT NULL,
    before TEXT NOT NULL,
    version TEXT REFERENCES versions (name),
    created_at TEXT NOT NULL
);

-- A trial: one recipe, trained and measured on dev. `history` has every dev evaluation.
CREATE TABLE trials (
    study INTEGER NOT NULL REFERENCES studies (id),
    number INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'complete', 'pruned', 'failed')),
    seed INTEGER NOT NULL,
    params TEXT NOT NULL,
    value REAL,
    history TEXT NOT NULL,
    seconds REAL NOT NULL,
    why TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    PRIMARY KEY (study, number)
);
