-- Who tells, or has told, the webhooks of a flip: each flip once, whoever died on the way.

CREATE TABLE told_flips (
    promotion INTEGER PRIMARY KEY REFERENCES promotions (id),
    pid INTEGER NOT NULL,       -- of who tells
    host TEXT NOT NULL,
    begun_at TEXT NOT NULL,
    told_at TEXT                -- NULL while messages are on their way
) STRICT;

INSERT INTO told_flips (promotion, pid, host, begun_at, told_at)
SELECT id, pid, '', created_at, created_at FROM promotions WHERE state = 'done';
