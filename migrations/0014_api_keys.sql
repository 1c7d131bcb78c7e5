-- Who may do what over HTTP. A key itself is nowhere: only its SHA-256.

CREATE TABLE api_keys (
    name TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,       -- JSON: a sorted list
    who TEXT NOT NULL,
    created_at TEXT NOT NULL,
    revoked_at TEXT
) STRICT;
