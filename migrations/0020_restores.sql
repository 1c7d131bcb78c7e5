-- When this registry was brought back from a backup, and what it no longer holds since.

CREATE TABLE restores (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    who TEXT NOT NULL,
    file TEXT NOT NULL,
    taken_at TEXT,              -- when the backup was made; NULL: the file does not say
    lost TEXT NOT NULL,         -- JSON: table -> rows that the backup lacked or had otherwise
    kept TEXT                   -- the copy of what was here before; NULL: there was nothing
) STRICT;
